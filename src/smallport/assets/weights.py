"""Load the weights of a word language model, and check that they are what they should be."""

import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from smallport import AssetError
from smallport.files import replacing
from smallport.lstm import Epoch, LSTMConfig, WordLanguageModel


@dataclass(frozen=True)
class Training:
    """The record of a training run, stored next to its weights.

    Parameters
    ----------
    curve
        Losses and seconds, epoch by epoch.
    machine
        The machine that it ran on.
    torch
        The version of PyTorch.
    date
        When it ended, in UTC, in ISO 8601.
    weights_sha256
        The checksum of the weights that it made: other weights have another history.
    """

    curve: tuple[Epoch, ...]
    machine: str
    torch: str
    date: str
    weights_sha256: str

    @property
    def seconds(self) -> float:
        """The seconds that the training took."""
        return self.curve[-1].seconds

    @classmethod
    def read(cls, file: Path) -> "Training":
        """Read what :meth:`write` wrote.

        Raises
        ------
        AssetError
            When the file holds no record.
        """
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            first, *others = (Epoch(**epoch) for epoch in record.pop("curve"))
            return cls(curve=(first, *others), **record)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AssetError(
                f"{file} is not the record of a training run ({error}). It is broken: delete it, "
                "and the model will be trained again."
            ) from error

    def write(self, file: Path) -> None:
        """Write the record as JSON, for people and for :meth:`read`."""
        with replacing(file) as partial:
            partial.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A word language model with its weights, and where they come from.

    Parameters
    ----------
    model
        The model, in evaluation mode.
    config
        Its sizes.
    source
        Where the weights come from, for people.
    file
        The file that holds them, a state dict.
    sha256
        Its checksum.
    training
        The record of the training run; None for published weights, which came without.
    """

    model: WordLanguageModel
    config: LSTMConfig
    source: str
    file: Path
    sha256: str
    training: Training | None


def load_weights(file: Path, words: int, config: LSTMConfig) -> WordLanguageModel:
    """Load a state dict after comparing its names and shapes with the architecture's."""
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise AssetError(
            f"{file} was rejected: it is broken, or it holds more than tensors, and loading it "
            "could run code. Get the file again; if the weights are your own, save only the "
            "state dict: torch.save(model.state_dict(), ...)."
        ) from None
    except Exception as error:  # broken bytes lead the unpickler into errors of any kind
        raise AssetError(
            f"{file} cannot be read ({error}). It is broken: get the file again, or delete it if "
            "it is in the cache, and it will be downloaded again."
        ) from error
    with torch.device("meta"):
        expected = WordLanguageModel(words, config).state_dict()
    found = loaded if isinstance(loaded, Mapping) else {}
    differences = [
        f"{name}: expected {_shape(expected.get(name))}, found {_shape(found.get(name))}"
        for name in dict.fromkeys([*expected, *found])
        if name not in expected or _shape(expected[name]) != _shape(found.get(name))
    ]
    if differences:
        raise AssetError(
            f"{file} does not fit a model of {words} words and {config}: "
            + "; ".join(differences)
            + ". Use the weights that belong to this corpus."
        )
    with torch.random.fork_rng(devices=[]):  # the initialization is overwritten
        model = WordLanguageModel(words, config)
    model.load_state_dict(found)
    return model.eval()


def _shape(value: object) -> str:
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    return "nothing" if value is None else f"{type(value).__name__} instead of a tensor"

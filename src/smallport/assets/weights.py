"""The weights of the word language model: trained here, or published and loaded with care."""

import ast
import datetime as dt
import inspect
import json
import pickle
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import torch
from filelock import FileLock
from torch import Tensor

from smallport import AssetError
from smallport.assets.download import cache_folder, key_of, replacing, sha256
from smallport.lstm import (
    Corpus,
    Epoch,
    LSTMConfig,
    TrainingConfig,
    WordLanguageModel,
    batches,
    evaluate,
    train,
)
from smallport.lstm import (
    model as architecture,
)
from smallport.lstm import (
    training as training_code,
)
from smallport.measure import this_machine

SANITY_TOKENS = 1000
"""How many test tokens published weights have to predict before they are believed."""


@dataclass(frozen=True)
class Training:
    """The record of a training run, kept beside the weights that it made.

    Parameters
    ----------
    curve
        Losses and seconds, epoch by epoch.
    machine
        What it ran on.
    torch
        The version of PyTorch.
    date
        When it ended, in UTC, in ISO 8601.
    """

    curve: tuple[Epoch, ...]
    machine: str
    torch: str
    date: str

    @property
    def seconds(self) -> float:
        """How long the training took."""
        return self.curve[-1].seconds

    @classmethod
    def read(cls, file: Path) -> "Training":
        """Read what :meth:`write` wrote."""
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            curve = tuple(Epoch(**epoch) for epoch in record.pop("curve"))
            return cls(curve=curve, **record)
        except (ValueError, KeyError, TypeError) as error:
            raise AssetError(
                f"{file} is no record of a training run ({error}). It is broken: delete it, and "
                "the model will be trained again."
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


def trained_model(text_corpus: Corpus, config: LSTMConfig) -> LanguageModel:
    """Load the weights that were trained here, training them first where there are none.

    They are kept in the cache under a key of the corpus, the code that trains, the sizes and
    PyTorch's version. Processes that ask at once wait for one of them to train.

    Parameters
    ----------
    text_corpus
        The text to learn.
    config
        The model's sizes.

    Returns
    -------
    LanguageModel
        The model, with the record of its training.

    Raises
    ------
    AssetError
        When the cache cannot be written, or a file in it is broken.
    """
    schedule = TrainingConfig()
    key = key_of(
        text_corpus.checksum,
        *(code_of(module) for module in (architecture, batches, training_code)),
        repr(config),
        repr(schedule),
        torch.__version__,
    )
    weights = cache_folder() / f"word-language-model-{key}.pth"
    record = weights.with_suffix(".json")
    with FileLock(weights.with_suffix(".lock")):
        if not (weights.exists() and record.exists()):
            training = _train(text_corpus, config, schedule, weights)
            training.write(record)  # last: it says that the weights are whole
    model = load_weights(weights, len(text_corpus.vocabulary), config)
    return LanguageModel(
        model, config, "trained here", weights, sha256(weights), Training.read(record)
    )


def code_of(module: ModuleType) -> str:
    """Write a module's code without its docstrings and comments, which compute nothing.

    Examples
    --------
    >>> "Lay a stream" in code_of(batches), "def batchify" in code_of(batches)
    (False, True)
    """
    tree = ast.parse(inspect.getsource(module))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [part for part in node.body if not _is_string(part)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_string(node: ast.stmt) -> bool:
    """Tell whether a statement is a string that nothing takes, as docstrings are."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _train(
    text_corpus: Corpus, config: LSTMConfig, schedule: TrainingConfig, weights: Path
) -> Training:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WordLanguageModel(len(text_corpus.vocabulary), config)
    curve = train(model, text_corpus, schedule)
    with replacing(weights) as partial:
        torch.save(model.state_dict(), partial)
    return Training(
        curve=tuple(curve),
        machine=str(this_machine()),
        torch=torch.__version__,
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    )


def load_weights(file: Path, words: int, config: LSTMConfig) -> WordLanguageModel:
    """Load a state dict after comparing its names and shapes with the architecture's."""
    try:
        loaded = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise AssetError(
            f"{file} was refused: it is broken, or it holds more than tensors, and loading that "
            "could run code. Get the file anew (one in the cache can be deleted); of your own "
            "weights, save the state dict alone: torch.save(model.state_dict(), ...)."
        ) from None
    except Exception as error:  # broken bytes lead the unpickler into errors of any kind
        raise AssetError(
            f"{file} cannot be read ({error}). It is broken: get the file anew, or delete it if "
            "it is in the cache, where it will be made or downloaded again."
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
    return "nothing" if value is None else f"a {type(value).__name__}, no tensor"


def assert_useful(model: WordLanguageModel, text_corpus: Corpus, file: Path) -> None:
    """Let a model predict some of the text, and believe its weights if it beats the unigram model.

    Raises
    ------
    AssetError
        When it does not: weights for another numbering of the words have the right shapes.
    """
    tokens = text_corpus.test[:SANITY_TOKENS]
    loss, unigram_loss = evaluate(model, tokens), text_corpus.unigram_loss(tokens[1:])
    if not loss < unigram_loss:
        raise AssetError(
            f"{file} does not belong to {text_corpus.name} as it is here: on the first "
            f"{len(tokens)} test tokens its loss is {loss:.2f} nats, and word frequencies alone "
            f"reach {unigram_loss:.2f}. The weights were probably trained on another numbering "
            "of the words; use the text that they were trained on."
        )

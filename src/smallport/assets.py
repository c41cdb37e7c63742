"""Where the corpus, the weights and the checkpoint come from.

``SMALLPORT_ASSETS`` chooses between two profiles, and nothing falls back from one to the other:

``embedded`` (the default)
    needs nothing but the packages: a corpus that comes with Python, weights trained on it here,
    and a Tiny-LLM of random weights made from its published configuration.
``published``
    is what the published tutorials use: WikiText-2, its weights, and Tiny-LLM from the hub,
    downloaded once, or taken from the folder that ``SMALLPORT_DATA_DIR`` names.
"""

import datetime as dt
import hashlib
import inspect
import io
import json
import os
import pickle
import re
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pydoc_data.topics import topics

import torch
from filelock import FileLock
from torch import Tensor

from smallport import lstm, text
from smallport.cache import (
    CACHE_DIR,
    DATA_DIR,
    AssetError,
    RemoteFile,
    cache_folder,
    fetch,
    replacing,
    sha256,
)
from smallport.lstm import Epoch, Preset, Schedule, WordLanguageModel
from smallport.measure import this_machine
from smallport.results import Source, record
from smallport.text import Corpus

__all__ = [
    "CACHE_DIR",
    "DATA_DIR",
    "PROFILE",
    "PROFILES",
    "REVISION",
    "AssetError",
    "LanguageModel",
    "TinyLLMCheckpoint",
    "Training",
    "corpus",
    "language_model",
    "preset",
    "profile",
    "tiny_llm",
]

PROFILE = "SMALLPORT_ASSETS"
"""The environment variable that chooses the profile."""

PROFILES = ("embedded", "published")
"""The profiles; the first is the default."""

REVISION = "SMALLPORT_TINY_LLM_REVISION"
"""The environment variable that pins the revision of Tiny-LLM on the hub."""

WIKITEXT_COMMIT = "77f55b912142e11fcfdf5b530231fb9c52f181e8"
WIKITEXT_URL = (
    f"https://raw.githubusercontent.com/pytorch/examples/{WIKITEXT_COMMIT}"
    "/word_language_model/data/wikitext-2"
)
WIKITEXT_BLOB_IDS = {
    "train": "2d84b35af79e411d73ea7cae83c73964c6ac83b4",
    "valid": "eec944eb2d9e46061cd34a6913528797db6842fc",
    "test": "6f3fc88e4cd88456ea892971f9f12243e8428624",
}
WEIGHTS_FILE = "word_language_model_quantize.pth"
WEIGHTS_URL = f"https://s3.amazonaws.com/pytorch-tutorial-assets/{WEIGHTS_FILE}"
TINY_LLM_REPOSITORY = "arnir0/Tiny-LLM"
SPLITS = ("train", "valid", "test")
SANITY_TOKENS = 1000
"""How many test tokens published weights have to predict before they are believed."""


def profile() -> str:
    """Read which assets to use.

    Returns
    -------
    str
        ``"embedded"`` or ``"published"``.

    Raises
    ------
    AssetError
        When ``SMALLPORT_ASSETS`` names neither.
    """
    chosen = os.environ.get(PROFILE) or PROFILES[0]
    if chosen not in PROFILES:
        raise AssetError(
            f"{PROFILE}={chosen!r} is no profile: set it to 'embedded' (the default, which "
            "downloads nothing) or to 'published'."
        )
    return chosen


def preset() -> Preset:
    """Name the sizes of the word language model that belongs to the profile."""
    return lstm.SMALL if profile() == "embedded" else lstm.PUBLISHED


def corpus() -> Corpus:
    """Load the text that the word language model learns.

    Returns
    -------
    Corpus
        Under ``embedded``, the reference of the Python language that every CPython carries; under
        ``published``, WikiText-2 as in PyTorch's word language model example.

    Raises
    ------
    AssetError
        When a file is missing, empty, not UTF-8, or cannot be downloaded.
    """
    loaded = _python_reference() if profile() == "embedded" else _wikitext()
    record(Source("corpus", loaded.name, loaded.checksum))
    return loaded


def _wikitext() -> Corpus:
    folder = _data_folder()
    if folder is None:
        cache = cache_folder()
        files = {
            split: fetch(
                RemoteFile(f"wikitext-2/{split}.txt", f"{WIKITEXT_URL}/{split}.txt", blob_id), cache
            )
            for split, blob_id in WIKITEXT_BLOB_IDS.items()
        }
    else:
        files = {split: folder / "wikitext-2" / f"{split}.txt" for split in SPLITS}
    return Corpus.from_lines(
        "WikiText-2", **{split: _read_lines(file) for split, file in files.items()}
    )


def _python_reference() -> Corpus:
    """Split Python's help topics: of every ten, one for validation and one for testing."""
    lines: dict[str, list[str]] = {split: [] for split in SPLITS}
    for number, topic in enumerate(sorted(topics)):
        split = {2: "test", 7: "valid"}.get(number % 10, "train")
        for line in topics[topic].splitlines():
            if words := re.findall(r"\w+|[^\w\s]", line):
                lines[split].append(" ".join(words))
    return Corpus.from_lines("the Python language reference", **lines)


def _data_folder() -> Path | None:
    """Find the folder that already holds the published files, if the user named one."""
    named = os.environ.get(DATA_DIR)
    if not named:
        return None
    folder = Path(named).resolve()
    if not folder.is_dir():
        raise AssetError(f"{DATA_DIR}={named!r} is not a folder; {folder} was looked for.")
    return folder


def _in_data_folder(folder: Path, name: str) -> Path:
    if not any(folder.glob(name)):
        raise AssetError(
            f"{name} is missing from the data folder {folder}. Put it there, or unset {DATA_DIR} "
            "to download the published files."
        )
    return folder / name


def _read_lines(file: Path) -> list[str]:
    """Read a text, whose bytes may be anything."""
    if not file.exists():
        _in_data_folder(file.parent, file.name)
    content = file.read_bytes()
    if not content.strip():
        raise AssetError(
            f"{file} is empty: at byte offset 0 a text was expected. Get the file anew."
        )
    try:
        decoded = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AssetError(
            f"{file} is not UTF-8: byte {content[error.start]:#04x} at byte offset {error.start}. "
            "Get the file anew, or convert it."
        ) from error
    return list(io.StringIO(decoded, newline=None))


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
    preset
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
    preset: Preset
    source: str
    file: Path
    sha256: str
    training: Training | None


def language_model(text_corpus: Corpus) -> LanguageModel:
    """Load the word language model that belongs to a corpus, training it first where need be.

    Under ``embedded``, the weights are trained once and kept in the cache under a key of the
    corpus, the code, the preset, the schedule and PyTorch's version; processes that ask at once
    wait for one of them to train. Under ``published``, they are loaded from the file of PyTorch's
    tutorials and have to predict the corpus better than its word frequencies do: weights made for
    another numbering of the words have the right shapes and know nothing.

    Parameters
    ----------
    text_corpus
        What :func:`corpus` gave.

    Returns
    -------
    LanguageModel
        The model and where it comes from.

    Raises
    ------
    AssetError
        When a file is missing, broken, of other shapes, of no use, or would run code.
    """
    embedded = profile() == "embedded"
    loaded = _trained_model(text_corpus) if embedded else _published_model(text_corpus)
    record(Source("LSTM weights", loaded.source, loaded.sha256))
    return loaded


def _published_model(text_corpus: Corpus) -> LanguageModel:
    folder = _data_folder()
    if folder is None:
        file = fetch(RemoteFile(WEIGHTS_FILE, WEIGHTS_URL), cache_folder())
    else:
        file = _in_data_folder(folder, WEIGHTS_FILE)
    try:
        model = _load_weights(file, len(text_corpus.vocabulary), lstm.PUBLISHED)
    except AssetError as error:
        if folder is not None:
            raise
        file.unlink()  # no checksum is published, so only now is it known to be bad
        raise AssetError(
            f"{WEIGHTS_URL} gave no usable weights, and the download was deleted: {error}"
        ) from error
    _assert_useful(model, text_corpus, file)
    source = f"{WEIGHTS_URL}" if folder is None else f"{WEIGHTS_FILE} in the data folder"
    return LanguageModel(model, lstm.PUBLISHED, source, file, sha256(file), None)


def _trained_model(text_corpus: Corpus) -> LanguageModel:
    sizes, schedule = lstm.SMALL, Schedule()
    key = _key(
        text_corpus.checksum,
        inspect.getsource(text),
        inspect.getsource(lstm),
        repr(sizes),
        repr(schedule),
        torch.__version__,
    )
    weights = cache_folder() / f"word-language-model-{key}.pth"
    curve_file = weights.with_suffix(".json")
    with FileLock(weights.with_suffix(".lock")):
        if not (weights.exists() and curve_file.exists()):
            training = _train(text_corpus, sizes, schedule, weights)
            training.write(curve_file)  # last: it says that the weights are whole
    model = _load_weights(weights, len(text_corpus.vocabulary), sizes)
    return LanguageModel(
        model, sizes, "trained here", weights, sha256(weights), Training.read(curve_file)
    )


def _train(text_corpus: Corpus, preset: Preset, schedule: Schedule, weights: Path) -> Training:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WordLanguageModel(len(text_corpus.vocabulary), preset)
    curve = lstm.train(model, text_corpus, schedule)
    with replacing(weights) as partial:
        torch.save(model.state_dict(), partial)
    return Training(
        curve=tuple(curve),
        machine=str(this_machine()),
        torch=torch.__version__,
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    )


def _load_weights(file: Path, words: int, preset: Preset) -> WordLanguageModel:
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
        expected = WordLanguageModel(words, preset).state_dict()
    found = loaded if isinstance(loaded, Mapping) else {}
    differences = [
        f"{name}: expected {_shape(expected.get(name))}, found {_shape(found.get(name))}"
        for name in dict.fromkeys([*expected, *found])
        if name not in expected or _shape(expected[name]) != _shape(found.get(name))
    ]
    if differences:
        raise AssetError(
            f"{file} does not fit a model of {words} words and {preset}: "
            + "; ".join(differences)
            + ". Use the weights that belong to this corpus."
        )
    with torch.random.fork_rng(devices=[]):  # the initialization is overwritten
        model = WordLanguageModel(words, preset)
    model.load_state_dict(found)
    return model.eval()


def _shape(value: object) -> str:
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    return "nothing" if value is None else f"a {type(value).__name__}, no tensor"


def _assert_useful(model: WordLanguageModel, text_corpus: Corpus, file: Path) -> None:
    tokens = text_corpus.test[:SANITY_TOKENS]
    loss, unigram_loss = lstm.evaluate(model, tokens), text_corpus.unigram_loss(tokens[1:])
    if not loss < unigram_loss:
        raise AssetError(
            f"{file} does not belong to {text_corpus.name} as it is here: on the first "
            f"{len(tokens)} test tokens its loss is {loss:.2f} nats, and word frequencies alone "
            f"reach {unigram_loss:.2f}. The weights were probably trained on another numbering "
            "of the words; use the text that they were trained on."
        )


@dataclass(frozen=True)
class TinyLLMCheckpoint:
    """A folder that ``from_pretrained`` loads Tiny-LLM and its tokenizer from.

    Parameters
    ----------
    folder
        The folder.
    source
        Where the checkpoint comes from, for people.
    revision
        The commit on the hub, where it comes from there.
    """

    folder: Path
    source: str
    revision: str | None = None


def tiny_llm() -> TinyLLMCheckpoint:
    """Find a checkpoint of Tiny-LLM, made on the spot under ``embedded``.

    Returns
    -------
    TinyLLMCheckpoint
        Under ``embedded``, random weights in the published architecture and a tokenizer trained
        on :func:`corpus`; under ``published``, ``Tiny-LLM`` in the data folder, or
        ``arnir0/Tiny-LLM`` from the hub at the revision that ``SMALLPORT_TINY_LLM_REVISION`` pins.

    Raises
    ------
    AssetError
        When the checkpoint is missing or cannot be downloaded.
    """
    loaded = _untrained_checkpoint() if profile() == "embedded" else _published_checkpoint()
    weights = sorted(loaded.folder.glob("*.safetensors"))
    identity = loaded.revision or ", ".join(sha256(file) for file in weights)
    record(Source("Tiny-LLM", loaded.source, identity))
    return loaded


def _published_checkpoint() -> TinyLLMCheckpoint:
    folder = _data_folder()
    if folder is None:
        return _hub_checkpoint(os.environ.get(REVISION) or "main")
    for name in ("config.json", "*.safetensors", "tokenizer*"):
        _in_data_folder(folder, f"Tiny-LLM/{name}")
    return TinyLLMCheckpoint(folder / "Tiny-LLM", "Tiny-LLM in the data folder")


def _untrained_checkpoint() -> TinyLLMCheckpoint:
    import tokenizers  # noqa: PLC0415 - the quantization pages do without transformers
    import transformers  # noqa: PLC0415

    from smallport import tiny_llm as architecture  # noqa: PLC0415

    lines = [line for topic in sorted(topics) for line in topics[topic].splitlines()]
    key = _key(
        *lines,
        inspect.getsource(architecture),
        transformers.__version__,
        tokenizers.__version__,
        torch.__version__,
    )
    folder = cache_folder() / f"Tiny-LLM-{key}"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            with replacing(folder) as partial:
                architecture.write_checkpoint(partial, lines)
    return TinyLLMCheckpoint(folder, "untrained, made from the published configuration")


def _hub_checkpoint(revision: str) -> TinyLLMCheckpoint:
    import huggingface_hub  # noqa: PLC0415 - only this profile needs the hub
    from huggingface_hub.utils.tqdm import (  # noqa: PLC0415
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    cache = cache_folder() / "hub"
    # The hub's bars go to sys.stderr, which a docs build captures.
    hide_bars = not sys.stderr.isatty() and not are_progress_bars_disabled()
    if hide_bars:
        disable_progress_bars()
    try:
        folder = huggingface_hub.snapshot_download(
            TINY_LLM_REPOSITORY,
            revision=revision,
            cache_dir=cache,
            allow_patterns=["*.json", "*.safetensors", "tokenizer.model"],
        )
    except Exception as error:  # the errors of the hub's HTTP library among them
        raise AssetError(
            f"https://huggingface.co/{TINY_LLM_REPOSITORY} at revision {revision} could not be "
            f"downloaded ({next(iter(str(error).splitlines()), type(error).__name__)}). Download "
            f"it by other means into a folder Tiny-LLM and set {DATA_DIR} to the folder that holds "
            "it."
        ) from error
    finally:
        if hide_bars:
            enable_progress_bars()
    return TinyLLMCheckpoint(Path(folder), TINY_LLM_REPOSITORY, revision=Path(folder).name)


def _key(*parts: str) -> str:
    """Name a cached thing after all that it was made from."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

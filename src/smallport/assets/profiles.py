"""The two profiles: where each of them takes the corpus, the weights and the checkpoint from."""

import io
import os
from pathlib import Path
from typing import ClassVar, Protocol

from smallport import AssetError
from smallport.assets.checkpoints import (
    TinyLLMCheckpoint,
    hub_checkpoint,
    local_checkpoint,
    untrained_checkpoint,
)
from smallport.assets.download import (
    RemoteFile,
    data_folder,
    fetch,
    in_data_folder,
)
from smallport.assets.reference import reference_corpus
from smallport.assets.training import trained_model
from smallport.assets.weights import LanguageModel, load_weights
from smallport.files import cache_folder, sha256
from smallport.lstm import PUBLISHED, SMALL, Corpus, LSTMConfig

PROFILE = "SMALLPORT_ASSETS"
"""The environment variable that chooses the profile."""

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
SPLITS = ("train", "valid", "test")


class Profile(Protocol):
    """The assets of a profile."""

    name: ClassVar[str]
    """Its name in ``SMALLPORT_ASSETS``."""

    lstm_config: ClassVar[LSTMConfig]
    """The sizes of its word language model."""

    def corpus(self) -> Corpus:
        """Load the text that the word language model learns."""

    def language_model(self, text_corpus: Corpus) -> LanguageModel:
        """Load the word language model that belongs to that text."""

    def tiny_llm(self) -> TinyLLMCheckpoint:
        """Find a checkpoint of Tiny-LLM."""


class Embedded:
    """Assets that are made here, from text that comes with Python, without a download."""

    name: ClassVar[str] = "embedded"
    lstm_config: ClassVar[LSTMConfig] = SMALL

    def corpus(self) -> Corpus:
        """Read the reference of the Python language, which every CPython carries."""
        return reference_corpus()

    def language_model(self, text_corpus: Corpus) -> LanguageModel:
        """Train a model on the text, or load the one that was trained before."""
        return trained_model(text_corpus, self.lstm_config)

    def tiny_llm(self) -> TinyLLMCheckpoint:
        """Make a checkpoint of random weights, or find the one that was made before."""
        return untrained_checkpoint()


class Published:
    """The assets of the published tutorials, downloaded once or in a folder of the user's."""

    name: ClassVar[str] = "published"
    lstm_config: ClassVar[LSTMConfig] = PUBLISHED

    def corpus(self) -> Corpus:
        """Read WikiText-2 as PyTorch's word language model example has it."""
        folder = data_folder()
        if folder is None:
            cache = cache_folder()
            files = {
                split: fetch(
                    RemoteFile(f"wikitext-2/{split}.txt", f"{WIKITEXT_URL}/{split}.txt", blob_id),
                    cache,
                )
                for split, blob_id in WIKITEXT_BLOB_IDS.items()
            }
        else:
            files = {split: folder / "wikitext-2" / f"{split}.txt" for split in SPLITS}
        return Corpus.from_lines(
            "WikiText-2", **{split: _read_lines(file) for split, file in files.items()}
        )

    def language_model(self, text_corpus: Corpus) -> LanguageModel:
        """Load the weights of PyTorch's tutorials."""
        folder = data_folder()
        if folder is None:
            file = fetch(RemoteFile(WEIGHTS_FILE, WEIGHTS_URL), cache_folder())
        else:
            file = in_data_folder(folder, WEIGHTS_FILE)
        try:
            model = load_weights(file, len(text_corpus.vocabulary), self.lstm_config)
        except AssetError as error:
            if folder is not None:
                raise
            file.unlink()  # no checksum is published, so this is the first sign that it is bad
            raise AssetError(
                f"{WEIGHTS_URL} delivered no usable weights, and the download was deleted: {error}"
            ) from error
        source = WEIGHTS_URL if folder is None else f"{WEIGHTS_FILE} in the data folder"
        return LanguageModel(model, self.lstm_config, source, file, sha256(file), None)

    def tiny_llm(self) -> TinyLLMCheckpoint:
        """Find Tiny-LLM in the data folder or on the hub, at the revision that is pinned."""
        folder = data_folder()
        if folder is None:
            return hub_checkpoint(os.environ.get(REVISION) or "main")
        return local_checkpoint(folder)


PROFILES: dict[str, Profile] = {profile.name: profile for profile in (Embedded(), Published())}
"""The profiles by name; the first is the default."""


def chosen_profile() -> Profile:
    """Read which profile ``SMALLPORT_ASSETS`` chooses."""
    chosen = os.environ.get(PROFILE) or next(iter(PROFILES))
    if chosen not in PROFILES:
        raise AssetError(
            f"{PROFILE}={chosen!r} is not a profile: set it to 'embedded' (the default, which "
            "downloads nothing) or to 'published'."
        )
    return PROFILES[chosen]


def _read_lines(file: Path) -> list[str]:
    """Read a text, whose bytes may be anything."""
    if not file.exists():
        in_data_folder(file.parent, file.name)
    content = file.read_bytes()
    if not content.strip():
        raise AssetError(
            f"{file} is empty: text was expected at byte offset 0. Get the file again."
        )
    try:
        decoded = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise AssetError(
            f"{file} is not UTF-8: byte {content[error.start]:#04x} at byte offset {error.start}. "
            "Get the file again, or convert it."
        ) from error
    return list(io.StringIO(decoded, newline=None))

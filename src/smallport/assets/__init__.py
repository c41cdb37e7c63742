"""The sources of the corpus, the weights and the checkpoint.

``SMALLPORT_ASSETS`` chooses between two profiles, and neither falls back on the other:

``embedded`` (the default)
    needs only the packages: a corpus that comes with Python, weights trained on it here,
    and a Tiny-LLM of random weights made from its published configuration.
``published``
    is what the published tutorials use: WikiText-2, its weights, and Tiny-LLM from the hub,
    downloaded once, or taken from the folder that ``SMALLPORT_DATA_DIR`` names.
"""

from smallport.assets.checkpoints import TinyLLMCheckpoint
from smallport.assets.download import DATA_DIR
from smallport.assets.profiles import PROFILE, PROFILES, REVISION, Profile, chosen_profile
from smallport.assets.unseen import require_separate_parts, require_unseen_text
from smallport.assets.weights import LanguageModel, Training
from smallport.files import CACHE_DIR, sha256
from smallport.lstm import Corpus, LSTMConfig
from smallport.lstm.soundness import verify_reference
from smallport.records import Source, record

__all__ = [
    "CACHE_DIR",
    "DATA_DIR",
    "PROFILE",
    "PROFILES",
    "REVISION",
    "LanguageModel",
    "Profile",
    "TinyLLMCheckpoint",
    "Training",
    "corpus",
    "language_model",
    "lstm_config",
    "profile",
    "tiny_llm",
]


def profile() -> str:
    """Name the chosen profile.

    Returns
    -------
    str
        ``"embedded"`` or ``"published"``.

    Raises
    ------
    AssetError
        When ``SMALLPORT_ASSETS`` names neither.
    """
    return chosen_profile().name


def lstm_config() -> LSTMConfig:
    """Return the sizes of the word language model that belongs to the chosen profile.

    Raises
    ------
    AssetError
        When ``SMALLPORT_ASSETS`` names no profile.
    """
    return chosen_profile().lstm_config


def corpus() -> Corpus:
    """Load the text that the word language model learns from.

    Returns
    -------
    Corpus
        Under ``embedded``, the reference of the Python language that every CPython carries, each
        paragraph once; under ``published``, WikiText-2 as in PyTorch's word language model example.

    Raises
    ------
    AssetError
        When a file is missing, empty, not UTF-8, or cannot be downloaded.
    """
    loaded = chosen_profile().corpus()
    record(Source("corpus", loaded.name, loaded.checksum))
    return loaded


def language_model(text_corpus: Corpus) -> LanguageModel:
    """Load the word language model that belongs to a corpus, training it first if necessary.

    Under ``embedded``, the weights are trained once and kept in the cache under a key of the
    corpus, the code that trains, the sizes and PyTorch's version; processes that ask at the same
    time wait for one of them to train. Under ``published``, they are loaded from the file of
    PyTorch's tutorials.

    The model has to predict each part of the corpus better than word frequencies do, and the
    training part best of all: weights for words numbered in another order predict nothing, and
    weights that were trained on the test text predict it too well.

    Parameters
    ----------
    text_corpus
        The corpus, as :func:`corpus` returns it.

    Returns
    -------
    LanguageModel
        The model and where it comes from.

    Raises
    ------
    AssetError
        When a file is missing, broken or changed, holds weights of other shapes, for another
        corpus or for texts that the model must not have seen, or would run code; or when the parts
        of the corpus repeat each other.
    AssertionError
        When the model does not compute what NumPy does; see
        ``smallport.lstm.soundness.verify_reference``.
    """
    loaded = chosen_profile().language_model(text_corpus)
    require_separate_parts(text_corpus)
    require_unseen_text(loaded.model, text_corpus, loaded.file)
    verify_reference(loaded.model)
    record(Source("LSTM weights", loaded.source, loaded.sha256))
    return loaded


def tiny_llm() -> TinyLLMCheckpoint:
    """Find a checkpoint of Tiny-LLM, made on the spot under ``embedded``.

    Returns
    -------
    TinyLLMCheckpoint
        Under ``embedded``, random weights in the published architecture and a tokenizer trained
        on Python's reference; under ``published``, ``Tiny-LLM`` in the data folder, or
        ``arnir0/Tiny-LLM`` from the hub at the revision that ``SMALLPORT_TINY_LLM_REVISION`` pins.

    Raises
    ------
    AssetError
        When the checkpoint is missing or cannot be downloaded.
    """
    loaded = chosen_profile().tiny_llm()
    weights = sorted(loaded.folder.glob("*.safetensors"))
    identity = loaded.revision or ", ".join(sha256(file) for file in weights)
    record(Source("Tiny-LLM", loaded.source, identity))
    return loaded

"""Train the word language model once, and keep its weights with the record of their training."""

import ast
import datetime as dt
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import torch
from filelock import FileLock

from smallport import AssetError
from smallport.assets.download import cache_folder, key_of, replacing, sha256
from smallport.assets.weights import LanguageModel, Training, load_weights
from smallport.lstm import (
    Corpus,
    LSTMConfig,
    TrainingConfig,
    WordLanguageModel,
    batches,
    evaluation,
    train,
)
from smallport.lstm import (
    model as architecture,
)
from smallport.lstm import (
    training as training_code,
)
from smallport.measure import this_machine


def trained_model(text_corpus: Corpus, config: LSTMConfig) -> LanguageModel:
    """Load the weights that were trained here, training them first where there are none.

    They are kept in the cache under a key of the corpus, the code that trains and evaluates, the
    sizes and PyTorch's version, beside the record of their training, which holds their checksum.
    Processes that ask at the same time wait for one of them to train.

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
        When the cache cannot be written, or a file in it is broken or was changed.
    """
    schedule = TrainingConfig()
    key = key_of(
        text_corpus.checksum,
        *(code_of(part) for part in (architecture, batches, evaluation, training_code, _train)),
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
    training = Training.read(record)
    found = sha256(weights)
    if found != training.weights_sha256:
        raise AssetError(
            f"{weights} does not hold the weights that {record.name} beside it records: expected "
            f"SHA-256 {training.weights_sha256}, found {found}. Delete both files, and the model "
            "will be trained again."
        )
    model = load_weights(weights, len(text_corpus.vocabulary), config)
    return LanguageModel(model, config, "trained here", weights, found, training)


def code_of(part: ModuleType | Callable[..., object]) -> str:
    """Write out the code of a module or function without docstrings and comments.

    They compute nothing, so weights stay valid when they change.

    Examples
    --------
    >>> "Lay a stream" in code_of(batches), "def batchify" in code_of(batches)
    (False, True)
    """
    tree = ast.parse(inspect.getsource(part))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            node.body = [part for part in node.body if not _is_string(part)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_string(node: ast.stmt) -> bool:
    """Whether a statement is a bare string, as docstrings are."""
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
        weights_sha256=sha256(weights),
    )

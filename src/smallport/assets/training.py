"""Train the word language model once, and keep its weights with the record of their training."""

import datetime as dt
from pathlib import Path

import torch
from filelock import FileLock

from smallport import AssetError
from smallport.assets.weights import LanguageModel, Training, load_weights
from smallport.files import cache_folder, replacing, sha256
from smallport.keys import code_key, key_of
from smallport.lstm import (
    Corpus,
    LSTMConfig,
    TrainingConfig,
    WordLanguageModel,
    train,
)
from smallport.machine import this_machine

SEED = 0
"""The seed of the weights before training."""


def trained_model(text_corpus: Corpus, config: LSTMConfig) -> LanguageModel:
    """Load the weights that were trained here, training them first where there are none.

    They are kept in the cache under a key of the corpus, the code that trains and evaluates, the
    sizes and PyTorch's version, next to the record of their training, which has their checksum.
    Processes that ask at the same time wait for one of them to train.
    """
    schedule = TrainingConfig()
    key = key_of(
        text_corpus.checksum,
        code_key("smallport.lstm.training"),
        repr(config),
        repr(schedule),
        f"seed {SEED}",
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
            f"{weights} does not hold the weights that {record.name} next to it records: expected "
            f"SHA-256 {training.weights_sha256}, found {found}. Delete both files, and the model "
            "will be trained again."
        )
    model = load_weights(weights, len(text_corpus.vocabulary), config)
    return LanguageModel(model, config, "trained here", weights, found, training)


def _train(
    text_corpus: Corpus, config: LSTMConfig, schedule: TrainingConfig, weights: Path
) -> Training:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
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

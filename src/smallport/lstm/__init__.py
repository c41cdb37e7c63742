"""The LSTM word language model: its text, its layers, its training and its evaluation."""

from smallport.lstm.batches import batchify, chunk_count, chunks
from smallport.lstm.evaluation import (
    EVALUATION_CHUNK,
    Scorer,
    StatefulModel,
    evaluate,
    generate,
    losses,
    require_drawn,
    tokens_read,
)
from smallport.lstm.model import (
    PUBLISHED,
    SMALL,
    HiddenState,
    LSTMConfig,
    WordLanguageModel,
    detach,
    token_losses,
)
from smallport.lstm.text import END_OF_LINE, Corpus, Vocabulary, readable
from smallport.lstm.training import Epoch, TrainingConfig, train

__all__ = [
    "END_OF_LINE",
    "EVALUATION_CHUNK",
    "PUBLISHED",
    "SMALL",
    "Corpus",
    "Epoch",
    "HiddenState",
    "LSTMConfig",
    "Scorer",
    "StatefulModel",
    "TrainingConfig",
    "Vocabulary",
    "WordLanguageModel",
    "batchify",
    "chunk_count",
    "chunks",
    "detach",
    "evaluate",
    "generate",
    "losses",
    "readable",
    "require_drawn",
    "token_losses",
    "tokens_read",
    "train",
]

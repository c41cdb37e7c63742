"""What the tests of assets share: sizes that train in a moment, and what they look at."""

from pathlib import Path

import pytest

from smallport import AssetError
from smallport.lstm import LSTMConfig, TrainingConfig

TINY = LSTMConfig(embedding_size=16, hidden_size=16, layers=1, dropout=0.1)
QUICK = TrainingConfig(epochs=4, batch_size=4, chunk=10, peak_learning_rate=5e-2)
WEIGHTS = "word_language_model_quantize.pth"
REAL_DATA = Path(__file__).resolve().parents[2].joinpath("shared", "data").resolve()


def files_of(folder):
    """List everything in a folder but locks, hidden files included."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(str(path.relative_to(folder)) for path in paths)


def error_of(action, *arguments):
    """Return the message of the AssetError that must come."""
    with pytest.raises(AssetError) as caught:
        action(*arguments)
    return str(caught.value)

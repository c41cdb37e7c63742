"""Training changes nothing."""

import atexit
import os
import tempfile

from smallport.assets import training
from smallport.lstm import Epoch


def apply():
    cache = tempfile.TemporaryDirectory()
    atexit.register(cache.cleanup)
    os.environ["SMALLPORT_CACHE_DIR"] = cache.name
    training.train = lambda *_: [Epoch(5.9, 4.9, 9.0), Epoch(4.6, 4.4, 18.0), Epoch(4.1, 4.2, 27.0)]

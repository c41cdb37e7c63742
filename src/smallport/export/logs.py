"""Read messages that PyTorch only logs: specialized sizes, and errors in loading a file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def caught_logs(logger: str, level: int = logging.WARNING) -> Iterator[list[logging.LogRecord]]:
    """Collect the messages of a logger, and do not print them.

    PyTorch gives some of its loggers handlers of their own, so that the root logger never sees
    their records. Here the logger's handlers are removed, and afterwards restored.

    Parameters
    ----------
    logger
        Its name. Loggers below it are caught too, unless they have handlers or a level of their
        own.
    level
        The least level that is caught.

    Yields
    ------
    list
        The records, as they come. ``msg`` is what was said, before any arguments were put in.

    Examples
    --------
    >>> with caught_logs("torch.export") as records:
    ...     logging.getLogger("torch.export").warning("something is odd")
    >>> [record.msg for record in records]
    ['something is odd']
    """
    speaker = logging.getLogger(logger)
    handlers, before, propagate = speaker.handlers, speaker.level, speaker.propagate
    catcher = _Catcher()
    speaker.handlers, speaker.propagate = [catcher], False
    speaker.setLevel(level)
    try:
        yield catcher.records
    finally:
        speaker.handlers, speaker.propagate = handlers, propagate
        speaker.setLevel(before)


class _Catcher(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

"""The standard streams of the commands: bad calls, failing output, and the time so far."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, Self, TextIO

from smallport.export.report import WIDTH

if TYPE_CHECKING:  # argparse has no public name for it
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001

NARROWEST, WIDEST = 60, 140
"""The limits that the lines of a report keep on a terminal of any width."""

BAD_CALL, OUTPUT_FAILED, INTERRUPTED, PIPE_CLOSED = 2, 74, 128 + 2, 128 + 13
"""Exit statuses: those of :mod:`argparse` and of sysexits' EX_IOERR, and those that a shell reports
of programs that SIGINT and SIGPIPE end."""

CTRL_C = threading.Event()
"""Set by Ctrl-C, whose exception is lost where it is raised in a callback of the interpreter."""


@contextmanager
def remembering_interrupts() -> Iterator[None]:
    """Remember Ctrl-C for :func:`raise_if_interrupted`, and raise KeyboardInterrupt."""

    def interrupt(*_: object) -> None:
        CTRL_C.set()
        raise KeyboardInterrupt

    CTRL_C.clear()
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def raise_if_interrupted() -> None:
    """Raise the KeyboardInterrupt that was lost, if one was."""
    if CTRL_C.is_set():
        raise KeyboardInterrupt


class BadCall(Exception):  # noqa: N818 - it is no error of the program
    """A command cannot be executed with its arguments; the message says how to correct them."""

    def __init__(self, message: str, command: str = "smallport") -> None:
        super().__init__(message)
        self.command = command


class OutputError(Exception):
    """Standard output cannot be written any more.

    It is not an OSError, so that no caller handles it as one of a file.
    """

    def __init__(self, cause: OSError) -> None:
        super().__init__(f"standard output cannot be written: {cause.strerror or cause}")
        self.status = PIPE_CLOSED if cause.errno == errno.EPIPE else OUTPUT_FAILED


class Parser(argparse.ArgumentParser):
    """A parser that leaves it to its caller to report a bad call."""

    def error(self, message: str) -> NoReturn:
        """Raise BadCall."""
        raise BadCall(f"{message}\n{self.format_usage().rstrip()}", self.prog)


class _Output:
    """Standard output, whose errors differ from those of files by their type."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _output_errors():
            return self._stream.write(text)

    def flush(self) -> None:
        with _output_errors():
            self._stream.flush()


@contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(error) from error


@contextmanager
def guarded_output() -> Iterator[None]:
    """Raise OutputError where standard output takes nothing more, also at the end."""
    output = sys.stdout
    if output is None:  # it was closed before Python started
        yield
        return
    try:
        with contextlib.redirect_stdout(_Output(output)):
            try:
                yield
            finally:
                sys.stdout.flush()
    except OutputError:
        # What is left would be written when Python ends, and fail again.
        with contextlib.suppress(OSError, ValueError):
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, output.fileno())
            os.close(nothing)
        raise


def complain(message: str) -> None:
    """Print a message on standard error, if that can be written."""
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)


def line_width() -> int:
    """Find the longest line to print: that of the terminal, within limits; elsewhere always one."""
    if sys.stdout is None or not sys.stdout.isatty():
        return WIDTH
    return max(NARROWEST, min(shutil.get_terminal_size((WIDTH, 0)).columns - 1, WIDEST))


class Clock:
    """A line on standard error that says what runs and for how long, where that is a terminal."""

    def __init__(self, what: str) -> None:
        self._stream = sys.stderr  # which a check redirects
        self._shown = self._stream is not None and self._stream.isatty()
        self.restart(what)
        self._lock, self._stopped = threading.Lock(), threading.Event()

    def __enter__(self) -> Self:
        if self._shown:
            threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        with self._lock:
            self._clear()

    @contextmanager
    def paused(self, what: str) -> Iterator[None]:
        """Take the line away while something is printed; after that, something else runs."""
        with self._lock:
            self._clear()
            yield
            self.restart(what)

    def restart(self, what: str) -> None:
        """Count from now on how long something else takes."""
        self._what, self._since = what, time.monotonic()

    def _run(self) -> None:
        while not self._stopped.wait(1):
            with self._lock:
                if not self._stopped.is_set():
                    seconds = time.monotonic() - self._since
                    self._write(f"\r\x1b[K{self._what} ... {seconds:.0f} s")

    def _clear(self) -> None:
        if self._shown:
            self._write("\r\x1b[K")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()

"""Run a process that may hang, crash or take all the memory, and say how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

POLL = 0.05
"""Seconds between two looks at a process."""

LONGEST_POLL = 1.0
"""The most that one look adds to the time of a process: a machine that slept is no hang."""

GRACE = 5.0
"""The seconds that a process which hangs has to report its position."""

TAIL = 8000
"""The number of characters of its output that are kept."""

STDIN = 0

STOPPING = threading.Event()
"""Set when the processes that this one waits for are to be killed."""


class Stopped(Exception):  # noqa: N818 - nothing is wrong
    """The process was killed because the sweep is being stopped: nothing is known about it."""


@dataclass(frozen=True)
class Limits:
    """The time and memory that one process may take.

    Parameters
    ----------
    seconds
        The limit of time, without the time that the machine slept.
    megabytes
        The limit of resident memory, in MB of a million bytes. It is looked up in ``/proc``;
        systems without that put no limit on memory.
    """

    seconds: float = 300.0
    megabytes: float = 3000.0


@dataclass(frozen=True)
class Ending:
    """The end of a process: its cause, and what the process took until then.

    Parameters
    ----------
    cause
        The reason for its end, in a sentence; empty where it exited with status 0.
    seconds
        How long it ran.
    megabytes
        The most memory it was seen to take; None where the system does not tell.
    output
        The end of what it printed.
    exceeded
        The limit that ended it, ``seconds`` or ``megabytes``; empty where none did.
    returncode
        As :class:`subprocess.Popen` has it.
    """

    cause: str
    seconds: float
    megabytes: float | None
    output: str
    exceeded: str = ""
    returncode: int = 0


class Process(Protocol):
    """A process, as :class:`subprocess.Popen` has it."""

    @property
    def pid(self) -> int:
        """Its number."""

    @property
    def stdin(self) -> IO[bytes] | None:
        """The other side of its standard input."""

    def poll(self) -> int | None:
        """Return its exit status; None where it has not ended."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""

    def send_signal(self, number: int) -> None:
        """Send it a signal."""


def run_limited(
    command: Sequence[str], limits: Limits, folder: Path | None = None, /, **variables: str
) -> Ending:
    r"""Run a command to its end, or to that of its limits, with some environment variables set.

    It runs in a folder, or in the current one.

    A process that runs out of time is sent ``SIGABRT`` first, upon which a Python that was started
    with ``-X faulthandler`` prints where it was. What it started itself is killed with it. Whatever
    the process does, this function only raises ``Stopped``, when ``STOPPING`` was set meanwhile.

    Examples
    --------
    >>> import sys
    >>> run_limited([sys.executable, "-c", "print(1)"], Limits()).output
    '1\n'
    >>> run_limited([sys.executable, "-c", "raise SystemExit(3)"], Limits()).cause
    'The process exited with status 3.'
    """

    def start(output: IO[bytes]) -> Process:
        return subprocess.Popen(  # noqa: S603 - the command is the caller's own
            command,
            stdin=subprocess.PIPE,  # closed when this process dies: see exit_when_parent_dies
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=os.environ | variables,
            start_new_session=True,
        )

    return limit(start, limits)


def limit(start: Callable[[IO[bytes]], Process], limits: Limits) -> Ending:
    """Watch a process as :func:`run_limited` does, however it is started.

    It should lead a process group, and print to the file that ``start`` is given.
    """
    with tempfile.TemporaryFile() as output:
        process = start(output)
        try:
            exceeded, seconds, megabytes = _watch(process, limits)
        finally:
            _kill(process)
        returncode = process.wait()
        cause = _cause(exceeded, limits, returncode)
        return Ending(cause, seconds, megabytes, _tail(output), exceeded, returncode)


def _watch(process: Process, limits: Limits) -> tuple[str, float, float | None]:
    """Wait for a process, and name the limit that it exceeds; its time and its memory follow."""
    seconds, looked = 0.0, time.monotonic()
    peak = None
    while process.poll() is None:
        if STOPPING.wait(POLL):
            raise Stopped
        now = time.monotonic()
        seconds, looked = seconds + min(now - looked, LONGEST_POLL), now
        peak = _peak_megabytes(process.pid) or peak
        if peak is not None and peak > limits.megabytes:
            return "megabytes", seconds, peak
        if seconds > limits.seconds:
            _ask_where(process)
            return "seconds", seconds, peak
    return "", seconds, peak


def _cause(exceeded: str, limits: Limits, returncode: int) -> str:
    if exceeded == "megabytes":
        return f"The process took more than {limits.megabytes:g} MB of memory."
    if exceeded == "seconds":
        return f"The process ran for more than {limits.seconds:g} s."
    if returncode == 0:
        return ""
    if returncode > 0:
        return f"The process exited with status {returncode}."
    name = signal.Signals(-returncode).name
    by_whom = ", as the system does where memory runs out" if name == "SIGKILL" else ""
    return f"The process was killed by {name}{by_whom}."


def _peak_megabytes(pid: int) -> float | None:
    """Look up the most memory that a process ever had."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


def _ask_where(process: Process) -> None:
    process.send_signal(signal.SIGABRT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)


def _kill(process: Process) -> None:
    """Kill a process with all that it started, whether it has ended or not."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _tail(output: IO[bytes]) -> str:
    end = output.seek(0, os.SEEK_END)
    output.seek(max(0, end - 4 * TAIL))
    return output.read().decode(errors="replace")[-TAIL:]


def exit_when_parent_dies() -> None:
    """Have this process end as soon as the one that started it is gone, however it went.

    :func:`run_limited` gives a process a standard input that nothing is ever written to. It ends
    when the other side does, even if that was killed.
    """

    def wait() -> None:
        while os.read(STDIN, 1):  # not sys.stdin, whose lock the interpreter wants as it ends
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()

"""Start the processes of a sweep as copies of one that has imported PyTorch and transformers.

These imports take seconds, which each process would otherwise spend. A process that is started here
has its own memory, session, standard input and output, as one of its own command would, and no
state of another check: the server itself only imports.

``python -m smallport.sweep.fork_server MODULE`` is the server. Its standard input is a socket. A
message on it has arguments for the module's function ``run``, the standard input and output of the
process, and a socket to which its number and its exit status are written.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

AVAILABLE = sys.platform == "linux"
"""Whether to use it: elsewhere, a copy of a process that has loaded such libraries may crash."""

SERVER = ("-X", "faulthandler", "-m", "smallport.sweep.fork_server", "smallport.sweep.worker")
"""Python's arguments for the server; copies inherit the handler of faults."""

LONGEST_MESSAGE = 65_536


class Forked:
    """A process that the server started, with what :class:`subprocess.Popen` has of it.

    Parameters
    ----------
    status
        Where the process writes its number, and the one that waits for it its exit status.
    stdin
        The other side of its standard input.
    """

    def __init__(self, status: socket.socket, stdin: IO[bytes]) -> None:
        self.stdin = stdin
        self.returncode: int | None = None
        self._status = status
        self._said = status.makefile("r")
        if not (pid := self._said.readline().strip()):
            for one in (stdin, self._said, status):
                one.close()
            raise ChildProcessError("the process that the sweep copies ended; sweep again")
        self.pid = int(pid)

    def poll(self) -> int | None:
        """Look whether it has ended, and return its exit status if so."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end, and return its exit status."""
        if self.returncode is None:
            ready, _, _ = select.select([self._status], [], [], timeout)
            if not ready:
                raise subprocess.TimeoutExpired("a forked process", timeout or 0)
            ended = self._said.readline().strip()  # nothing where what waits for it was killed
            self.returncode = int(ended) if ended else -signal.SIGKILL
            self._said.close()
            self._status.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class ForkServer:
    """The server, which starts with the first process, and again where the environment changed.

    Parameters
    ----------
    server
        Python's arguments for it.
    """

    def __init__(self, server: Sequence[str] = SERVER) -> None:
        self._command = [sys.executable, *server]
        self._lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._environment: Mapping[str, str] = {}

    def start(
        self, arguments: Sequence[str], output: IO[bytes], variables: Mapping[str, str]
    ) -> Forked:
        """Start a process of the worker.

        Parameters
        ----------
        arguments
            Those of the worker.
        output
            Where it prints to.
        variables
            Further environment variables.

        Raises
        ------
        OSError
            When no process can be started.
        """
        status, of_process = socket.socketpair()
        reads, writes = os.pipe()
        try:
            files = [reads, output.fileno(), of_process.fileno()]
            message = json.dumps([str(Path.cwd()), *arguments]).encode()
            with self._lock:
                self._send(message, files, {**os.environ, **variables})
        except BaseException:
            status.close()
            os.close(writes)
            raise
        finally:
            of_process.close()
            os.close(reads)
        return Forked(status, os.fdopen(writes, "wb"))

    def _send(self, message: bytes, files: list[int], environment: Mapping[str, str]) -> None:
        ended = self.process is None or self.process.poll() is not None
        if ended or self._control is None or environment != self._environment:
            self._stop()
            self._control, of_server = socket.socketpair(type=socket.SOCK_SEQPACKET)
            with of_server:
                self.process = subprocess.Popen(  # noqa: S603 - this package's own
                    self._command,
                    stdin=of_server.fileno(),
                    env=dict(environment),
                    start_new_session=True,  # an interrupt at the terminal is the sweep's
                )
            self._environment = environment
        socket.send_fds(self._control, [message], files)

    def stop(self) -> None:
        """End the server, if it runs; processes that it started continue."""
        with self._lock:
            self._stop()

    def _stop(self) -> None:
        if self._control:
            self._control.close()
        if self.process:
            self.process.wait()
        self.process = self._control = None


SHARED = ForkServer()
"""The server of this process."""


def serve(control: socket.socket, run: Callable[[list[str]], object]) -> None:
    """Run a function in a copy of this process for each message, until the other side is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait
    while True:
        message, files, _, _ = socket.recv_fds(control, LONGEST_MESSAGE, 3)
        if not message:
            return
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            control.close()
            folder, *arguments = json.loads(message)
            os.chdir(folder)
            _wait_for_copy(functools.partial(run, arguments), *files)
        for file in files:
            os.close(file)


def _wait_for_copy(run: Callable[[], object], stdin: int, stdout: int, status: int) -> None:
    """Start the process that was asked for, wait for it, and write its exit status."""
    if (pid := os.fork()) == 0:
        os.setsid()
        for source, target in ((stdin, 0), (stdout, 1), (stdout, 2)):
            os.dup2(source, target)
        os.write(status, f"{os.getpid()}\n".encode())
        for file in (stdin, stdout, status):
            os.close(file)
        _end_after(run)
    os.close(stdin)
    _, ended = os.waitpid(pid, 0)
    with suppress(BrokenPipeError):  # the sweep is gone, and nobody asks
        os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
    os._exit(0)


def _end_after(run: Callable[[], object]) -> None:
    """Run a function, and end this process as the interpreter would."""
    code = 0
    try:
        run()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    module = importlib.import_module(sys.argv[1])  # takes seconds
    serve(socket.socket(fileno=sys.stdin.fileno()), module.run)
    os._exit(0)  # the end of an interpreter with such libraries takes seconds, too

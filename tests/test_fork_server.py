"""Tests of :mod:`smallport.sweep.fork_server`; those of the verdicts by it are in test_judge."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from smallport.sweep import fork_server, judge
from smallport.sweep.fork_server import ForkServer
from smallport.sweep.judge import Task, check_in_process
from smallport.sweep.verdicts import NoVerdict, Verdict
from tests.sweep_helpers import STAND_IN_SERVER, stand_in, started
from tests.test_limits import gone

pytestmark = pytest.mark.skipif(not fork_server.AVAILABLE, reason="it is for Linux")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Give a server of processes that stand in for the check."""
    server = ForkServer([STAND_IN_SERVER, stand_in(tmp_path)[-1]])
    monkeypatch.setattr(fork_server, "SHARED", server)
    yield server
    server.stop()


@pytest.fixture
def start(server, tmp_path):
    """Give a function that starts a process."""

    def start(name, **variables):
        with tempfile.TemporaryFile() as output:
            arguments = [name, str(tmp_path / "report.json"), "--until", "ran"]
            return server.start(arguments, output, variables)

    return start


def parent(pid):
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def test_processes_are_copies_of_one_server_in_sessions_of_their_own(start):
    copies = [start("hangs"), start("hangs")]
    assert len({parent(parent(one.pid)) for one in copies}) == 1
    assert [os.getsid(one.pid) for one in copies] == [one.pid for one in copies]
    assert [one.poll() for one in copies] == [None, None]
    for one in copies:
        os.killpg(one.pid, signal.SIGKILL)
        assert one.wait() == -signal.SIGKILL
        one.send_signal(signal.SIGTERM)  # which it cannot get any more
        one.stdin.close()


def test_a_process_ends_when_its_input_does(start):
    copy = start("hangs")
    copy.stdin.close()
    assert copy.wait(30) == 1


def test_a_different_environment_gets_a_different_server(start):
    first, same, other = start("hangs"), start("hangs"), start("hangs", OMP_NUM_THREADS="7")
    servers = [parent(parent(one.pid)) for one in (first, same, other)]
    assert servers[0] == servers[1] != servers[2]
    for one in (first, same, other):
        one.stdin.close()
        one.wait()


@pytest.mark.usefixtures("server")
def test_a_server_that_was_killed_leaves_no_verdict_and_comes_back(server, tmp_path):
    child = judge.CHILD
    assert isinstance(check_in_process(Task("good", child=child)), Verdict)
    server.process.kill()
    server.process.wait()
    assert isinstance(check_in_process(Task("good-2", child=child)), Verdict)
    os.kill(server.process.pid, signal.SIGSTOP)  # it is there, and starts nothing
    threading.Timer(0.5, server.process.kill).start()
    found = check_in_process(Task("good-3", child=child))
    assert found == NoVerdict("good-3", "the process that the sweep copies ended; sweep again")
    assert started(tmp_path) == ["good", "good-2"]


SWEEP = """
import sys, tempfile
from smallport.sweep.fork_server import ForkServer
server = ForkServer(sys.argv[1:3])
copy = server.start(["hangs", sys.argv[3], "--until", "ran"], tempfile.TemporaryFile(), {})
print(server.process.pid, copy.pid, flush=True)
copy.wait()
"""


def test_server_and_copies_end_with_the_sweep(tmp_path):
    template = stand_in(tmp_path)[-1]
    arguments = [STAND_IN_SERVER, template, str(tmp_path / "report.json")]
    sweep = subprocess.Popen(
        [sys.executable, "-c", SWEEP, *arguments],
        stdout=subprocess.PIPE,
        stderr=(errors := (tmp_path / "errors.txt").open("wb")),
        text=True,
    )
    errors.close()
    with sweep:
        server, copy = map(int, sweep.stdout.readline().split())
        sweep.kill()
    assert gone(copy)
    assert gone(server)
    assert not (tmp_path / "errors.txt").read_text(encoding="utf-8")


def test_the_real_server_has_one_thread_and_its_copies_begin_at_once(monkeypatch):
    """A copy of a process with threads could wait for ever for a lock that one of them held."""
    real = ForkServer()
    monkeypatch.setattr(fork_server, "SHARED", real)
    first, second = (check_in_process(Task("mra:masked-lm")) for _ in range(2))
    assert len(list(Path(f"/proc/{real.process.pid}/task").iterdir())) == 1
    real.stop()
    assert first.report.failure().error == second.report.failure().error
    assert "Unbuildable" in first.report.failure().error
    assert second.seconds < 2  # to import what it needs takes longer

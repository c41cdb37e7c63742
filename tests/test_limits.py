"""Tests of :mod:`smallport.sweep.limits`."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from smallport.sweep import limits
from smallport.sweep.limits import Limits, Stopped, run_limited

LINUX = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is in /proc")


def run(code, *options, **allowed):
    return run_limited([sys.executable, *options, "-c", code], Limits(**allowed))


def gone(pid):
    """Wait for a process to be gone, or to be no more than an entry that its parent has to read."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2]
        except OSError:
            return True
        if state.split()[0] == "Z":
            return True
        time.sleep(0.05)
    return False


def test_a_process_that_ends_well_has_no_cause():
    ending = run("print('done')")
    assert (ending.cause, ending.output) == ("", "done\n")


def test_an_exit_status_is_a_cause():
    ending = run("import sys; print('why', file=sys.stderr); sys.exit(7)")
    assert ending.cause == "The process exited with status 7."
    assert ending.output == "why\n"


def test_a_hang_ends_and_says_where_it_was():
    code = "import time\ndef waits_for_ever():\n    time.sleep(600)\nwaits_for_ever()"
    ending = run(code, "-X", "faulthandler", seconds=1)
    assert ending.cause == "The process ran for more than 1 s."
    assert "waits_for_ever" in ending.output


def test_a_hang_that_ignores_the_request_to_say_where_ends_too(monkeypatch):
    monkeypatch.setattr(limits, "GRACE", 0.2)
    code = "import signal, time\nsignal.signal(signal.SIGABRT, signal.SIG_IGN)\ntime.sleep(600)"
    assert run(code, seconds=1).cause == "The process ran for more than 1 s."


def test_a_machine_that_slept_makes_no_hang(monkeypatch):
    clock = iter(range(0, 100_000, 1000))
    monkeypatch.setattr(limits.time, "monotonic", lambda: next(clock))
    assert run("import time; time.sleep(0.3)", seconds=60).cause == ""


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGTERM])
def test_a_crash_names_its_signal(number):
    ending = run(f"import os; os.kill(os.getpid(), {int(number)})")
    assert f"The process was killed by {number.name}" in ending.cause


def test_a_segmentation_fault_says_where():
    code = "import ctypes\ndef reads_nothing():\n    ctypes.string_at(0)\nreads_nothing()"
    ending = run(code, "-X", "faulthandler")
    assert ending.cause == "The process was killed by SIGSEGV."
    assert "reads_nothing" in ending.output


@LINUX
def test_too_much_memory_ends_a_process():
    code = "import time\nx = b'x' * 300_000_000\ntime.sleep(600)"
    ending = run(code, megabytes=200)
    assert ending.cause == "The process took more than 200 MB of memory."
    assert ending.megabytes > 200


@LINUX
def test_memory_that_was_given_back_counts():
    code = "import time\nx = b'x' * 300_000_000\ndel x\ntime.sleep(600)"
    assert "more than 200 MB" in run(code, megabytes=200).cause


@LINUX
def test_what_a_process_started_is_killed_with_it():
    code = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\nchild.wait()"
    )
    ending = run(code, seconds=1)
    assert gone(int(ending.output.split()[0]))


def test_the_end_of_a_long_output_is_kept():
    ending = run("print('x' * 100_000, 'end')")
    assert len(ending.output) == limits.TAIL
    assert ending.output.endswith("x end\n")


def test_a_variable_is_set():
    code = [sys.executable, "-c", "import os; print(os.environ['OMP_NUM_THREADS'])"]
    assert run_limited(code, Limits(), OMP_NUM_THREADS="3").output == "3\n"


def test_stopping_kills_the_process_and_gives_no_ending():
    timer = threading.Timer(0.5, limits.STOPPING.set)
    timer.start()
    try:
        with pytest.raises(Stopped):
            run("import time; time.sleep(600)")
    finally:
        timer.join()
        limits.STOPPING.clear()


@LINUX
def test_a_process_ends_when_the_one_that_started_it_is_killed():
    child = (
        "import os, time\nfrom smallport.sweep.limits import exit_when_parent_dies\n"
        "exit_when_parent_dies()\nprint(os.getpid(), flush=True)\ntime.sleep(600)"
    )
    parent = (
        "import subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}], stdin=subprocess.PIPE).wait()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, env=os.environ
    ) as process:
        pid = int(process.stdout.readline())
        process.kill()
    assert gone(pid)

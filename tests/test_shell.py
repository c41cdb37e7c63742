"""Tests of :mod:`smallport.commands.shell`: streams that fail, Ctrl-C, terminals."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from smallport.commands import explain, shell
from smallport.commands.main import main

FULL = Path("/dev/full")
COMMAND = [sys.executable, "-m", "smallport"]


def run(*arguments, **streams):
    """Run the command in a process of its own, and return its status and what it complains of."""
    call = [*COMMAND, *arguments]
    done = subprocess.run(call, check=False, stderr=subprocess.PIPE, text=True, **streams)
    return done.returncode, done.stderr


@pytest.fixture
def closed_pipe():
    """Make a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.parametrize("buffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["explain"], ["--help"], ["check", "gpt2", "--json"]])
def test_a_closed_pipe_ends_a_command_quietly(closed_pipe, buffered, arguments):
    until = ["--until", "built"] if "check" in arguments else []
    environment = os.environ | {"PYTHONUNBUFFERED": buffered}
    assert run(*arguments, *until, stdout=closed_pipe, env=environment) == (141, "")


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is full")
@pytest.mark.parametrize("arguments", [["explain"], ["check", "gpt2", "--until", "built"]])
def test_a_full_output_is_told_in_a_line(arguments):
    with FULL.open("w") as full:
        status, said = run(*arguments, stdout=full)
    assert status == 74
    assert said == "smallport: standard output cannot be written: No space left on device\n"


def test_a_file_that_cannot_be_written_is_not_taken_for_standard_output(monkeypatch):
    def fail(_):
        raise OSError("no space for a file")

    monkeypatch.setattr(explain, "run", fail)
    with pytest.raises(OSError, match="no space for a file"):
        main(["explain"])


def test_ctrl_c_ends_a_check_with_a_line():
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*COMMAND, "check", "gpt2"], **pipes) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert (process.returncode, said) == (130, "smallport: interrupted\n")


def test_a_lost_ctrl_c_ends_a_command_at_its_end(monkeypatch, capsys):
    class Interrupting:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)  # what is raised here is ignored

    def run(_):
        with contextlib.redirect_stderr(io.StringIO()):
            Interrupting()
        return 0

    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)
    monkeypatch.setattr(explain, "run", run)
    assert main(["explain"]) == 130
    assert capsys.readouterr().err == "smallport: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        """Say so."""
        return True


def test_a_terminal_shows_what_runs_and_for_how_long(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with shell.Clock("exported") as clock:
        while "exported ... " not in terminal.getvalue():
            time.sleep(0.01)
        with clock.paused("matches"):
            assert terminal.getvalue().endswith("\r\x1b[K")
        while "matches ... " not in terminal.getvalue():
            time.sleep(0.01)
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_elsewhere_nothing_is_shown(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    with shell.Clock("exported") as clock, clock.paused("matches"):
        pass
    assert file.getvalue() == ""


@pytest.mark.parametrize(("columns", "width"), [(80, 79), (20, 60), (500, 140)])
def test_lines_are_as_wide_as_the_terminal_within_limits(monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert shell.line_width() == width
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert shell.line_width() == 100

"""Tests of :mod:`smallport.commands.sweep`."""

import errno
import functools
import json
import os
import subprocess
import sys

import pytest

from smallport.commands.main import main
from smallport.export.report import STAGES
from smallport.sweep import runner
from smallport.sweep.history import read_history
from smallport.sweep.scoreboard import read_scoreboard
from tests.sweep_helpers import stand_in, started

NAMES = ("bad", "good", "good-2")


def register(monkeypatch, *names, **others):
    """Have nothing else registered than these, and those of other tasks."""
    tasks = {"causal_lm": names, **others}
    monkeypatch.setattr(
        "smallport.architectures.tiny.architectures",
        lambda task: tasks.get(task.replace("-", "_"), ()),
    )


@pytest.fixture
def smallport(tmp_path, monkeypatch):
    """Give a function that runs the command on three architectures of which none is real."""
    register(monkeypatch, *NAMES)
    sweep = functools.partial(runner.sweep, child=stand_in(tmp_path))
    monkeypatch.setattr(runner, "sweep", sweep)

    def run(*arguments):
        return main(["sweep", "--results", str(tmp_path / "results"), *arguments])

    return run


def test_a_sweep_prints_verdicts_counts_and_causes(smallport, capsys):
    assert smallport("--jobs", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("3 architectures, 0 known; in ")
    assert lines[1].startswith("bad: failed in exported: found (")
    assert lines[2].startswith("good: passed until ONNX Runtime matches (")
    assert "3 of 3 registered architectures were chosen." in lines
    assert "3 architectures of causal language modelling:" in lines
    counts = {" ".join(line.split()[:-8]): line.split()[-8:] for line in lines[9:17]}
    assert counts["ran"] == ["3", "0", "0", "0", "0", "0", "0", "3"]
    assert counts["exported"] == ["2", "0", "0", "1", "0", "0", "0", "3"]
    assert counts["ONNX Runtime matches"] == ["2", "0", "0", "0", "1", "0", "0", "3"]
    assert "  1 in exported: ValueError: bad cannot do that" in lines


def test_those_that_took_long_are_checked_first(smallport, monkeypatch, tmp_path):
    register(monkeypatch, "good-1", "good-2", "good-3")
    seconds = {"good-1": 1.0, "good-2": 60.0}
    monkeypatch.setattr("smallport.sweep.scoreboard.stored_seconds", lambda: seconds)
    assert smallport("--jobs", "1") == 0
    assert started(tmp_path) == ["good-3", "good-2", "good-1"]


def test_a_second_sweep_runs_nothing(smallport, tmp_path, capsys):
    smallport()
    assert smallport() == 0
    assert "3 architectures, 3 known" in capsys.readouterr().out
    assert sorted(started(tmp_path)) == sorted(NAMES)


def test_what_failed_is_retried_on_demand(smallport, tmp_path):
    smallport()
    smallport("--retry", "failed")
    assert sorted(started(tmp_path)) == ["bad", "bad", "good", "good-2"]


def test_some_architectures_and_stages_can_be_chosen(smallport, tmp_path, capsys):
    assert smallport("--only", "good*", "--stage", "ran") == 0
    printed = capsys.readouterr().out
    assert sorted(started(tmp_path)) == ["good", "good-2"]
    assert "2 of 3 registered architectures were chosen." in printed
    exported = next(line for line in printed.splitlines() if "exported" in line)
    assert exported.split()[-6:] == ["0", "0", "2", "0", "0", "2"]


def test_results_can_be_kept(smallport, tmp_path):
    file = tmp_path / "sweep.json"
    assert smallport("--task", "causal-lm", "--keep", str(file)) == 0
    data = json.loads(file.read_text(encoding="utf-8"))
    assert data["provenance"]["command"] == "smallport sweep --task causal-lm"
    assert data["results"]["registered"] == list(NAMES)
    assert len(data["results"]["reports"]) == len(NAMES)


def test_results_of_other_versions_stay_in_the_history(smallport, tmp_path, capsys):
    file, history = tmp_path / "sweep.json", tmp_path / "sweep-history.json"
    for _ in range(2):
        assert smallport("--task", "causal-lm", "--keep", str(file)) == 0
    assert not history.exists()
    data = json.loads(file.read_text(encoding="utf-8"))
    data["provenance"]["versions"]["transformers"] = "5.0"
    data["results"]["reports"] = data["results"]["reports"][1:]
    file.write_text(json.dumps(data), encoding="utf-8")
    capsys.readouterr()
    assert smallport("--task", "causal-lm", "--keep", str(file)) == 0
    (before,) = read_history(file)
    assert before.provenance.versions["transformers"] == "5.0"
    assert len(before.outcomes) == len(NAMES) - 1
    assert "since transformers 5.0: +0, \N{MINUS SIGN}0\n" in capsys.readouterr().out


@pytest.fixture
def with_encoders(smallport, monkeypatch):
    """Register encoders, too, one of them out of scope."""
    reason = "its input is sound"
    names = ("bad:masked-lm", "good:masked-lm", "loud:masked-lm")
    register(monkeypatch, *NAMES, masked_lm=names)
    monkeypatch.setattr(
        "smallport.architectures.tiny.out_of_scope", lambda name: reason if "loud" in name else ""
    )
    return smallport


def test_all_tasks_are_swept_or_the_chosen_ones(with_encoders, tmp_path, capsys):
    smallport = with_encoders
    assert smallport("--task", "masked-lm") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("2 architectures, 0 known, 1 out of scope; in ")
    assert "3 of 3 registered architectures were chosen." in printed
    ran = next(line for line in printed.splitlines() if line.split()[:1] == ["ran"])
    assert ran.split() == ["ran", "2", "0", "0", "0", "0", "0", "1", "3"]
    assert "  loud:masked-lm: its input is sound" in printed
    assert sorted(started(tmp_path)) == ["bad:masked-lm", "good:masked-lm"]
    assert smallport() == 0
    assert "5 architectures, 2 known, 1 out of scope" in capsys.readouterr().out
    assert sorted(started(tmp_path)) == sorted([*NAMES, "bad:masked-lm", "good:masked-lm"])
    assert smallport("--only", "good*") == 0
    assert "3 of 6 registered architectures were chosen." in capsys.readouterr().out


def test_each_task_is_kept_in_its_file(with_encoders, tmp_path, capsys):
    smallport = with_encoders
    file = tmp_path / "sweep-masked-lm.json"
    assert smallport("--task", "masked-lm", "--keep", str(file)) == 0
    kept = read_scoreboard(file)
    assert kept.task == "masked-lm"
    assert kept.out_of_scope == {"loud:masked-lm": "its input is sound"}
    assert {(one.out_of_scope, one.unknown, one.total) for one in kept.counts()} == {(1, 0, 3)}
    assert smallport("--task", "causal-lm", "--keep", str(file)) == 2
    assert "holds results of masked-lm; name a different" in capsys.readouterr().err
    assert read_scoreboard(file) == kept


def test_a_file_of_something_else_is_not_replaced(smallport, tmp_path, capsys):
    file = tmp_path / "notes.json"
    file.write_text("[]", encoding="utf-8")
    assert smallport("--task", "causal-lm", "--keep", str(file)) == 2
    assert "name a different file" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == "[]"
    assert started(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "goood"], "'goood' matches none of 3 architectures; did you mean 'good'?"),
        (["--only", ""], "'' matches none of 3 architectures"),
        (["--results", "/proc/x"], "--results: cannot write to /proc/x: No such file"),
        (["--only", "good", "--keep", "x.json"], "--keep is for whole sweeps"),
        (["--stage", "ran", "--keep", "x.json"], "--keep is for whole sweeps"),
        (["--keep", "x.json"], "--keep is for the sweep of one task: add --task"),
    ],
)
def test_a_bad_call_says_so(arguments, message, smallport, tmp_path, capsys):
    assert smallport(*arguments) == 2
    assert message in capsys.readouterr().err
    assert started(tmp_path) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--jobs", "0"],
        ["--scheduler", ""],
        ["--results", ""],
        ["--keep", " "],
        ["--seconds", "-1"],
        ["--task", "fill-mask"],
        ["--seconds", "nan"],
        ["--stage", "ONNX runtime"],
        ["--retry", "passed"],
        ["--jobs", "2", "--scheduler", "tcp://127.0.0.1:1"],
    ],
)
def test_a_bad_option_says_so(arguments, smallport, capsys):
    assert smallport(*arguments) == 2
    assert f"smallport sweep: argument {arguments[-2]}" in capsys.readouterr().err


def test_an_accident_leaves_no_verdict(smallport, monkeypatch, capsys):
    register(monkeypatch, "full", "good")
    for known in (0, 1):
        assert smallport() == 1
        printed = capsys.readouterr()
        assert f"2 architectures, {known} known" in printed.out
        assert "full: no verdict: the disk is full (in ONNX)\n" in printed.out
        assert printed.err == (
            "smallport sweep: no verdict on full: the disk is full (in ONNX)\n"
            "sweep again for these: --only 'full'\n"
        )


def test_a_limit_is_tried_again_when_it_is_higher(smallport, monkeypatch, tmp_path, capsys):
    register(monkeypatch, "hangs", "good")
    file = tmp_path / "kept.json"
    for seconds, runs in (("1", 1), ("1", 1), ("1.5", 2)):
        assert smallport("--seconds", seconds, "--task", "causal-lm", "--keep", str(file)) == 1
        why = f"ran out of {seconds} s (in ran)"
        printed = capsys.readouterr()
        assert f"no verdict on hangs: {why}\n" in printed.err
        assert "sweep again for these, with more --seconds where they ran out" in printed.err
        assert started(tmp_path).count("hangs") == runs
        kept = read_scoreboard(file)
        assert kept.no_verdict == {"hangs": why}
        assert {(one.unknown, one.total) for one in kept.counts()} == {(1, 2)}


def test_a_read_only_folder_with_all_verdicts_is_read(smallport, monkeypatch, capsys):
    assert smallport() == 0

    def read_only(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(runner.tempfile, "TemporaryFile", read_only)
    assert smallport() == 0
    assert smallport("--retry", "failed") == 2
    assert "--results: cannot write to " in capsys.readouterr().err


def test_results_that_cannot_be_kept_are_an_error(smallport, tmp_path, capsys):
    file = tmp_path / "file"
    file.touch()
    assert smallport("--task", "causal-lm", "--keep", str(file / "x.json")) == 2
    assert "--keep: " in capsys.readouterr().err


def test_a_folder_is_not_replaced_by_what_is_kept(smallport, tmp_path, capsys):
    assert smallport("--task", "causal-lm", "--keep", str(tmp_path)) == 2
    assert f"--keep: {tmp_path} is a folder" in capsys.readouterr().err
    assert started(tmp_path) == []


def test_a_closed_pipe_ends_the_sweep_without_a_traceback(tmp_path):
    code = "import sys; from smallport.commands.main import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "sweep", "--only", "gpt2", "--seconds", "0.1"]
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "wb") as closed:
        done = subprocess.run(
            [*command, "--results", str(tmp_path / "results")],
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert "Traceback" not in done.stderr
    assert done.returncode == 141


def test_an_interrupt_leaves_what_is_known(smallport, monkeypatch, capsys):
    sweep_stand_ins = runner.sweep

    def interrupted(names, verdicts, executor, **options):
        yield from sweep_stand_ins(names[:1], verdicts, executor, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "sweep", interrupted)
    assert smallport() == 130
    assert "the next sweep continues from here" in capsys.readouterr().err
    monkeypatch.setattr(runner, "sweep", sweep_stand_ins)
    assert smallport() == 0
    assert "3 architectures, 1 known" in capsys.readouterr().out


def test_a_stage_that_nothing_asked_for_is_no_pass(smallport, capsys):
    smallport("--stage", "built")
    for line in capsys.readouterr().out.splitlines():
        for stage in STAGES[1:]:
            if line.strip().startswith(f"{stage} "):
                assert line.split()[-6] == "0"


def test_progress_shows_counts(smallport, terminal):
    smallport()
    assert "ran 3, exported 2, matches 2" in terminal()

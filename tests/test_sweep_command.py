"""Tests of :mod:`smallport.commands.sweep`."""

import argparse
import functools
import json

import pytest

from smallport.commands import sweep as command
from smallport.export.report import STAGES
from smallport.sweep import runner
from tests.sweep_helpers import stand_in, started

NAMES = ("bad", "good", "good-2")


@pytest.fixture
def smallport(tmp_path, monkeypatch):
    """Give a function that runs the command on three architectures of which none is real."""
    parser = argparse.ArgumentParser(prog="smallport")
    command.add_parser(parser.add_subparsers())
    monkeypatch.setattr("smallport.architectures.tiny.architectures", lambda: NAMES)
    sweep = functools.partial(runner.sweep, child=stand_in(tmp_path))
    monkeypatch.setattr(runner, "sweep", sweep)

    def run(*arguments):
        parsed = parser.parse_args(["sweep", "--results", str(tmp_path / "results"), *arguments])
        return parsed.run(parsed)

    return run


def test_a_sweep_prints_verdicts_counts_and_causes(smallport, capsys):
    assert smallport("--jobs", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("3 architectures, 0 known; in ")
    assert lines[1].startswith("bad: failed in exported: found (")
    assert lines[2].startswith("good: passed until ONNX Runtime matches (")
    assert "3 of 3 registered architectures were chosen." in lines
    counts = {" ".join(line.split()[:-5]): line.split()[-5:] for line in lines[7:15]}
    assert counts["ran"] == ["3", "0", "0", "0", "3"]
    assert counts["exported"] == ["2", "1", "0", "0", "3"]
    assert counts["ONNX Runtime matches"] == ["2", "0", "1", "0", "3"]
    assert "  1 in exported: ValueError: bad cannot do that" in lines


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
    assert exported.split()[-5:] == ["0", "0", "2", "0", "2"]


def test_results_can_be_kept(smallport, tmp_path):
    file = tmp_path / "sweep.json"
    assert smallport("--keep", str(file)) == 0
    data = json.loads(file.read_text(encoding="utf-8"))
    assert data["provenance"]["command"] == "smallport sweep"
    assert data["results"]["registered"] == list(NAMES)
    assert len(data["results"]["reports"]) == len(NAMES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "goood"], "'goood' matches none of 3 architectures; did you mean 'good'?"),
        (["--only", "good", "--keep", "x.json"], "--keep is for whole sweeps"),
        (["--stage", "ran", "--keep", "x.json"], "--keep is for whole sweeps"),
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
        ["--seconds", "-1"],
        ["--seconds", "nan"],
        ["--stage", "ONNX runtime"],
        ["--retry", "passed"],
        ["--jobs", "2", "--scheduler", "tcp://127.0.0.1:1"],
    ],
)
def test_a_bad_option_says_so(arguments, smallport):
    with pytest.raises(SystemExit) as raised:
        smallport(*arguments)
    assert raised.value.code == 2


def test_an_interrupt_leaves_what_is_known(smallport, monkeypatch, capsys):
    sweep_stand_ins = runner.sweep

    def interrupted(names, verdicts, executor, **options):
        yield from sweep_stand_ins(names[:1], verdicts, executor, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "sweep", interrupted)
    assert smallport() == 130
    assert "the next sweep goes on from here" in capsys.readouterr().err
    monkeypatch.setattr(runner, "sweep", sweep_stand_ins)
    assert smallport() == 0
    assert "3 architectures, 1 known" in capsys.readouterr().out


def test_a_stage_that_nothing_asked_for_is_no_pass(smallport, capsys):
    smallport("--stage", "built")
    for line in capsys.readouterr().out.splitlines():
        for stage in STAGES[1:]:
            if line.strip().startswith(f"{stage} "):
                assert line.split()[-5] == "0"


def test_progress_shows_counts(smallport, terminal):
    smallport()
    assert "ran 3, exported 2, matches 2" in terminal()

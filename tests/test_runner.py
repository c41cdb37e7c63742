"""Tests of :mod:`smallport.sweep.runner` and :mod:`smallport.sweep.executors`."""

import errno
import os
import signal
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from smallport.export.report import STAGES
from smallport.sweep import runner
from smallport.sweep.executors import SweepError, cluster, local
from smallport.sweep.limits import Limits
from smallport.sweep.runner import IncompleteSweepError, choose, locked, sweep, to_run
from smallport.sweep.verdicts import Conditions, Verdicts
from tests.sweep_helpers import stand_in, started

ROOT = Path(__file__).resolve().parents[1]
NAMES = ["gpt2", "llama", "qwen2", "qwen3"]


@pytest.fixture
def verdicts(tmp_path):
    return Verdicts(tmp_path / "results")


def found(names, verdicts, tmp_path, jobs=2, **options):
    with local(jobs) as executor:
        return list(sweep(names, verdicts, executor, child=stand_in(tmp_path), **options))


def start(folder, *names, jobs=2):
    """Start a sweep in a process of its own; what is killed leaves no whole record of coverage."""
    inherited = {name: text for name, text in os.environ.items() if "COVERAGE" not in name}
    return subprocess.Popen(
        [sys.executable, "tests/sweep_driver.py", str(folder), str(jobs), *names],
        cwd=ROOT,
        env=inherited | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def files(verdicts):
    return sorted(file.name for file in verdicts.folder.glob("[!.]*"))


def test_every_architecture_gets_its_verdict(verdicts, tmp_path):
    names = ["good", "bad", "exits", "segfaults", "good-2"]
    verdict_on = {one.model_type: one for one in found(names, verdicts, tmp_path)}
    assert verdict_on.keys() == set(names)
    passed = [name for name, verdict in verdict_on.items() if verdict.report.passed()]
    assert sorted(passed) == ["good", "good-2"]
    assert verdicts.read_all(names) == [verdict_on[name] for name in names]
    assert sorted(started(tmp_path)) == sorted(names)


def test_a_verdict_is_on_disk_as_soon_as_it_is_found(verdicts, tmp_path):
    with local(1) as executor:
        for verdict in sweep(["good", "good-2"], verdicts, executor, child=stand_in(tmp_path)):
            assert verdicts.read(verdict.model_type) == verdict


def test_only_what_is_not_known_runs(verdicts, tmp_path):
    found(["good", "bad"], verdicts, tmp_path)
    assert to_run(["good", "bad", "good-2"], verdicts, STAGES[-1]) == ["good-2"]


def test_what_failed_runs_again_on_demand(verdicts, tmp_path):
    found(["good", "bad", "exits"], verdicts, tmp_path)
    again = to_run(["good", "bad", "exits", "good-2"], verdicts, STAGES[-1], retry_failed=True)
    assert again == ["bad", "exits", "good-2"]
    assert files(verdicts) == ["bad.json", "exits.json", "good.json"]


def test_a_longer_sweep_runs_those_again_that_stopped_early(verdicts, tmp_path):
    found(["good", "bad"], verdicts, tmp_path, until="matches")
    assert to_run(["good", "bad"], verdicts, "ran") == []
    assert to_run(["good", "bad"], verdicts, "decodes") == ["good"]


def test_verdicts_of_other_conditions_are_refused(verdicts, tmp_path, monkeypatch):
    other = Conditions({"torch": "1.0"}, "0123")
    monkeypatch.setattr(runner, "conditions", lambda _: other)
    with pytest.raises(SweepError, match=r"good: found with .* install the same versions"):
        found(["good"], verdicts, tmp_path)
    assert files(verdicts) == []


def test_an_executor_that_fails_loses_no_other_verdict(verdicts, tmp_path):
    class Broken(ThreadPoolExecutor):
        def submit(self, work, task):
            if task.model_type == "bad":
                return super().submit(int, "no number")
            return super().submit(work, task)

    names = ["good", "bad", "good-2"]
    with (
        Broken(1) as executor,
        pytest.raises(SweepError, match="no verdict on bad: the executor failed: ValueError"),
    ):
        list(sweep(names, verdicts, executor, child=stand_in(tmp_path)))
    assert files(verdicts) == ["good-2.json", "good.json"]


def test_an_accident_is_stored_nowhere_and_loses_no_other_verdict(verdicts, tmp_path):
    lost = []
    with pytest.raises(IncompleteSweepError) as raised:
        found(["full", "good", "killed"], verdicts, tmp_path, lost=lost.append)
    assert [one.model_type for one in raised.value.missing] == ["full", "killed"]
    assert {one.model_type for one in lost} == {"full", "killed"}
    assert "no verdict on full: the disk is full (in ONNX)" in str(raised.value)
    assert str(raised.value).endswith("sweep again for these: --only 'full,killed'")
    assert files(verdicts) == ["good.json"]
    assert to_run(["full", "good", "killed"], verdicts, STAGES[-1]) == ["full", "killed"]


@pytest.mark.parametrize(
    ("name", "limits", "higher"),
    [
        ("hangs", Limits(1, 3000), Limits(2, 3000)),
        ("eats", Limits(300, 250), Limits(300, 3000)),
    ],
)
def test_a_limit_holds_until_a_higher_one_is_given(name, limits, higher, verdicts, tmp_path):
    with pytest.raises(IncompleteSweepError, match="with more --"):
        found([name], verdicts, tmp_path, limits=limits)
    assert verdicts.read(name) is None
    assert to_run([name], verdicts, STAGES[-1], limits=limits) == []
    lower = Limits(limits.seconds - 0.5, limits.megabytes - 1)
    assert to_run([name], verdicts, STAGES[-1], limits=lower) == []
    assert to_run([name], verdicts, STAGES[-1], limits=higher) == [name]
    assert to_run([name], verdicts, "built", limits=limits) == [name], "it came further than that"
    assert to_run([name], verdicts, STAGES[-1], limits=limits, retry_failed=True) == [name]


def test_a_scheduler_that_goes_away_has_no_verdicts(verdicts, tmp_path):
    class Lost(ThreadPoolExecutor):
        def submit(self, *_):
            future = Future()
            future.cancel()
            future.set_running_or_notify_cancel()
            return future

    with Lost(1) as executor, pytest.raises(IncompleteSweepError) as raised:
        list(sweep(["good", "bad"], verdicts, executor, child=stand_in(tmp_path)))
    assert "no verdict on good, bad: the scheduler went away" in str(raised.value)


def test_a_folder_that_fills_up_ends_the_sweep(verdicts, tmp_path, monkeypatch):
    def no_room(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("smallport.sweep.verdicts.write_json", no_room)
    with pytest.raises(IncompleteSweepError, match=r"no verdict on good, slow-600: cannot write"):
        found(["good", "slow-600"], verdicts, tmp_path)


@pytest.mark.parametrize("place", ["a file", "below a file", "/proc/x"])
def test_a_folder_that_cannot_be_written_is_an_error(place, tmp_path):
    file = tmp_path / "file"
    file.touch()
    folder = {"a file": file, "below a file": file / "x"}.get(place, Path(place))
    assert to_run(["good"], Verdicts(folder), STAGES[-1]) == ["good"]
    with (
        pytest.raises(SweepError, match=f"--results: cannot write to {folder}: .*name a folder"),
        locked(Verdicts(folder)),
    ):
        pytest.fail("locked")


def test_leaving_early_kills_what_runs_and_starts_nothing_more(verdicts, tmp_path):
    def interrupted():
        with local(1) as executor:
            names = ["good", "slow-600", "good-2"]
            for _ in sweep(names, verdicts, executor, child=stand_in(tmp_path)):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert files(verdicts) == ["good.json"]
    assert "good-2" not in started(tmp_path)
    assert [one.model_type for one in found(["good-2"], verdicts, tmp_path)] == ["good-2"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_sweep_that_is_killed_goes_on_where_it_was(how, verdicts, tmp_path):
    names = ["good-1", "good-2", "slow-3-600", "good-4", "good-5"]
    with start(tmp_path, *names) as process:
        before = [process.stdout.readline().strip() for _ in range(4)]
        assert sorted(before) == ["good-1", "good-2", "good-4", "good-5"]
        process.send_signal(how)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert files(verdicts) == [f"{name}.json" for name in sorted(before)]
    names[2] = "good-3"
    with start(tmp_path, *names) as process:
        output, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert output.split() == ["good-3"]
    assert sorted(started(tmp_path)) == sorted([*names, "slow-3-600"])
    assert len(verdicts.read_all(names, "ran")) == len(names)


def test_killed_while_verdicts_come_in_it_loses_and_doubles_none(verdicts, tmp_path):
    names = [f"good-{number}" for number in range(6)]
    with start(tmp_path, *names) as process:
        first = process.stdout.readline().strip()
        process.kill()
        process.communicate(timeout=60)
    known = {verdict.model_type for verdict in verdicts.read_all(names, "ran")}
    assert first in known
    assert len(known) < len(names)
    with start(tmp_path, *names) as process:
        output, _ = process.communicate(timeout=120)
    assert sorted(output.split()) == sorted(set(names) - known)
    assert len(verdicts.read_all(names, "ran")) == len(names)
    assert files(verdicts) == sorted(f"{name}.json" for name in names)


def test_two_sweeps_do_not_share_a_folder(verdicts):
    with (
        locked(verdicts),
        pytest.raises(SweepError, match=r"another sweep writes to .*results: wait for it"),
        locked(verdicts),
    ):
        pytest.fail("two sweeps at once")
    with locked(verdicts):
        pass


def test_all_are_chosen_by_default():
    assert choose(NAMES) == tuple(NAMES)


@pytest.mark.parametrize(
    ("only", "chosen"),
    [
        ("llama", ["llama"]),
        ("qwen*,gpt2", ["gpt2", "qwen2", "qwen3"]),
        ("qwen[12], qwen2", ["qwen2"]),
        ("*", NAMES),
    ],
)
def test_patterns_choose(only, chosen):
    assert choose(NAMES, only) == tuple(chosen)


@pytest.mark.parametrize(
    ("only", "message"),
    [
        ("lama", "--only: 'lama' matches none of 4 architectures; did you mean 'llama'?"),
        ("llama,xyz*", "--only: 'xyz*' matches none of 4 architectures; a pattern looks like"),
        ("llama,", "--only: '' matches none"),
        ("LLAMA", "--only: 'LLAMA' matches none"),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error(only, message):
    with pytest.raises(SweepError) as raised:
        choose(NAMES, only)
    assert message in str(raised.value)


def test_without_dask_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with (
        pytest.raises(SweepError, match=r"python -m pip install distributed"),
        cluster("tcp://127.0.0.1:8786"),
    ):
        pytest.fail("no Dask, and yet a cluster")


def test_processes_run_side_by_side(verdicts, tmp_path):
    assert len(found(["meets-2", "meets-2-too"], verdicts, tmp_path, jobs=2)) == 2

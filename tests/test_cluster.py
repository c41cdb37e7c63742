"""Sweep on a Dask cluster of this machine: ``python -m nox -s cluster``."""

import logging
import os
import queue
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from smallport.sweep.executors import SweepError, cluster
from smallport.sweep.runner import IncompleteSweepError, sweep
from smallport.sweep.verdicts import Verdicts
from tests.sweep_helpers import stand_in, started

Client = pytest.importorskip("distributed").Client

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[1]
NAMES = [f"slow-{number:02}-2" for number in range(8)] + ["bad", "segfaults", "exits"]


@contextmanager
def dask(*arguments, **variables):
    """Run a Dask program until the block ends."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT)]),
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "60s",
    }
    command = [sys.executable, "-m", "dask", *arguments]
    process = subprocess.Popen(
        command, env=environment | variables, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def worker(address, folder, **variables):
    options = ["--no-nanny", "--nthreads", "1", "--no-dashboard"]
    return dask("worker", address, *options, "--local-directory", str(folder), **variables)


@contextmanager
def own_scheduler():
    """Run a scheduler until the block ends; give its address and its process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    options = ["--host", "127.0.0.1", "--port", str(port), "--no-dashboard"]
    with dask("scheduler", *options) as process:
        yield address, process


@pytest.fixture(scope="module")
def scheduler():
    """Start a scheduler; give its address."""
    with own_scheduler() as (address, _):
        yield address


def check_everything_was_found(verdicts, found):
    assert sorted(verdict.model_type for verdict in found) == sorted(NAMES)
    assert verdicts.read_all(NAMES, "exported") == sorted(
        found, key=lambda verdict: NAMES.index(verdict.model_type)
    )
    failed = [verdict.model_type for verdict in found if verdict.report.failure()]
    assert sorted(failed) == ["bad", "exits", "segfaults"]


def test_a_worker_that_is_killed_loses_no_verdict_and_doubles_none(scheduler, tmp_path):
    verdicts = Verdicts(tmp_path / "results")
    found = []
    with (
        worker(scheduler, tmp_path / "one") as victim,
        worker(scheduler, tmp_path / "two"),
        Client(scheduler) as client,
        cluster(scheduler) as executor,
    ):
        client.wait_for_workers(2, timeout=120)
        for verdict in sweep(NAMES, verdicts, executor, until="exported", child=stand_in(tmp_path)):
            found.append(verdict)
            if len(found) == 1:
                while len(started(tmp_path)) < 4:  # both are at their second one
                    time.sleep(0.05)
                victim.kill()
    check_everything_was_found(verdicts, found)
    assert len(started(tmp_path)) > len(NAMES), "the killed worker was doing nothing"


def test_a_worker_with_other_versions_is_refused(scheduler, tmp_path):
    package = tmp_path / "onnxscript-0.0.1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Name: onnxscript\nVersion: 0.0.1\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", ""), str(ROOT)])
    with worker(scheduler, tmp_path / "one", PYTHONPATH=path):
        with Client(scheduler) as client:
            client.wait_for_workers(1, timeout=120)
        with (
            pytest.raises(SweepError, match=r"has .*onnxscript 0\.0\.1.*install the same versions"),
            cluster(scheduler),
        ):
            pytest.fail("other versions, and yet a cluster")


def test_a_scheduler_without_workers_is_told_of_and_waited_for(tmp_path):
    verdicts = Verdicts(tmp_path / "results")
    told = queue.Queue()
    with own_scheduler() as (address, _), cluster(address, told.put) as executor:
        message = f"the scheduler at {address} has no workers; waiting for some"
        assert told.get(timeout=60).startswith(message)
        with worker(address, tmp_path / "one"):
            found = list(sweep(["slow-1"], verdicts, executor, child=stand_in(tmp_path)))
    assert [verdict.model_type for verdict in found] == ["slow-1"]


def test_a_scheduler_that_dies_leaves_no_verdict_and_no_traceback(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("distributed.client"), "handlers", [caplog.handler])
    verdicts = Verdicts(tmp_path / "results")
    names = ["slow-0", "slow-1-600", "slow-2-600"]
    with own_scheduler() as (address, process), worker(address, tmp_path / "one"):

        def run():
            with cluster(address) as executor:
                for _ in sweep(names, verdicts, executor, child=stand_in(tmp_path)):
                    process.kill()

        with pytest.raises(IncompleteSweepError) as raised:
            run()
    assert str(raised.value).splitlines()[0] == (
        "no verdict on slow-1-600, slow-2-600: the scheduler went away"
    )
    assert caplog.text == "", "Dask prints these"


def test_no_scheduler_is_an_error_that_says_how_to_start_one():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    with (
        pytest.raises(SweepError, match=f"no Dask scheduler answers at {address} .*'dask sched"),
        cluster(address),
    ):
        pytest.fail("no scheduler, and yet a cluster")

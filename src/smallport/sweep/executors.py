"""Executors for the processes of a sweep: this machine, or a Dask cluster that already runs."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from smallport.measured import installed_versions
from smallport.sweep import fork_server, limits

if TYPE_CHECKING:
    from distributed import Client

SECONDS_TO_CONNECT = 10
SECONDS_BETWEEN_MESSAGES = 60


class SweepError(RuntimeError):
    """A sweep cannot run as it was asked for; the message says what to do."""


@contextmanager
def local(jobs: int) -> Iterator[Executor]:
    """Run processes on this machine, some at a time.

    Each task starts its own process, for which a thread waits. When the block is left by an
    exception, an interrupt say, the processes are killed.

    Parameters
    ----------
    jobs
        How many at a time.

    Yields
    ------
    concurrent.futures.Executor
        The executor that takes the tasks.
    """
    executor = ThreadPoolExecutor(jobs)
    try:
        yield executor
    except BaseException:
        limits.STOPPING.set()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
        limits.STOPPING.clear()
        fork_server.SHARED.stop()


@contextmanager
def cluster(
    scheduler: str, tell: Callable[[str], object] = lambda text: sys.stderr.write(f"{text}\n")
) -> Iterator[Executor]:
    """Run processes on the workers of a Dask cluster.

    A worker that dies is no loss: Dask gives its tasks to another one.

    Parameters
    ----------
    scheduler
        The address of the scheduler, such as ``tcp://host:8786``.
    tell
        Called with a message, now and then, as long as the scheduler has no workers.

    Yields
    ------
    concurrent.futures.Executor
        The executor that takes the tasks.

    Raises
    ------
    SweepError
        When Dask is not installed, when no scheduler answers, or when a worker has other versions
        than this process: its verdicts would not hold here.
    """
    try:
        from distributed import Client  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SweepError(
            "--scheduler hands the work to Dask, which is not installed: "
            "python -m pip install distributed, here and where the workers run"
        ) from error
    try:
        client = Client(scheduler, timeout=SECONDS_TO_CONNECT)
    except (OSError, ValueError) as error:
        raise SweepError(
            f"--scheduler: no Dask scheduler answers at {scheduler} ({error}); start one with "
            "'dask scheduler', and workers with 'dask worker ADDRESS'"
        ) from error
    done = threading.Event()
    with _without_log("distributed.client"), client:
        here = installed_versions()
        for worker, versions in client.run(installed_versions).items():
            if versions != here:
                raise SweepError(
                    f"--scheduler: the worker {worker} has {_listed(versions)}, and this process "
                    f"{_listed(here)}: install the same versions"
                )
        threading.Thread(
            target=_tell_of_missing_workers, args=(client, scheduler, tell, done), daemon=True
        ).start()
        try:
            yield cast("Executor", client.get_executor())
        finally:
            done.set()


@contextmanager
def _without_log(name: str) -> Iterator[None]:
    """Keep a logger silent: of a scheduler that is lost, Dask prints tracebacks."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _tell_of_missing_workers(
    client: Client, scheduler: str, tell: Callable[[str], object], done: threading.Event
) -> None:
    while not done.is_set():
        if client.status == "running" and not client.scheduler_info()["workers"]:
            tell(
                f"the scheduler at {scheduler} has no workers; waiting for some "
                f"(start them with: dask worker {scheduler})"
            )
        done.wait(SECONDS_BETWEEN_MESSAGES)


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())

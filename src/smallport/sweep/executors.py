"""Where the processes of a sweep run: on this machine, or on a Dask cluster that already runs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import cast

from smallport.measured import installed_versions
from smallport.sweep import limits

SECONDS_TO_CONNECT = 10


class SweepError(RuntimeError):
    """A sweep cannot run as it was asked for; the message says what to do."""


@contextmanager
def local(jobs: int) -> Iterator[Executor]:
    """Run processes on this machine, some at a time.

    Each task starts a process of its own, for which a thread waits. When the block is left by an
    exception, an interrupt say, the processes are killed.

    Parameters
    ----------
    jobs
        How many at a time.

    Yields
    ------
    concurrent.futures.Executor
        What takes the tasks.
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


@contextmanager
def cluster(scheduler: str) -> Iterator[Executor]:
    """Run processes on the workers of a Dask cluster.

    A worker that dies is no loss: Dask gives its tasks to another one.

    Parameters
    ----------
    scheduler
        The address of the scheduler, such as ``tcp://host:8786``.

    Yields
    ------
    concurrent.futures.Executor
        What takes the tasks.

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
    with client:
        here = installed_versions()
        for worker, versions in client.run(installed_versions).items():
            if versions != here:
                raise SweepError(
                    f"--scheduler: the worker {worker} has {_listed(versions)}, and this process "
                    f"{_listed(here)}: install the same versions"
                )
        yield cast("Executor", client.get_executor())


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())

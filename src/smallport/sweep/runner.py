"""Take architectures through the check, each in a process of its own, and keep what comes of it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, as_completed
from contextlib import contextmanager
from fnmatch import fnmatchcase

from filelock import FileLock, Timeout

from smallport.export.report import STAGES
from smallport.sweep.executors import SweepError
from smallport.sweep.judge import CHILD, Task, check_in_process
from smallport.sweep.limits import Limits
from smallport.sweep.verdicts import Verdict, Verdicts, conditions


def choose(model_types: Sequence[str], only: str = "") -> tuple[str, ...]:
    """Choose architectures by patterns.

    Parameters
    ----------
    model_types
        Those that there are.
    only
        Names and shell patterns, separated by commas; empty for all.

    Raises
    ------
    SweepError
        When a pattern matches none.

    Examples
    --------
    >>> choose(["gpt2", "llama", "qwen2", "qwen3"], "llama,qwen*")
    ('llama', 'qwen2', 'qwen3')
    """
    if not only:
        return tuple(model_types)
    patterns = [pattern.strip() for pattern in only.split(",")]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in model_types):
            close = difflib.get_close_matches(pattern.strip("*"), model_types, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "a pattern looks like 'qwen*'"
            raise SweepError(
                f"--only: {pattern!r} matches none of {len(model_types)} architectures; {hint}"
            )
    return tuple(
        name for name in model_types if any(fnmatchcase(name, pattern) for pattern in patterns)
    )


@contextmanager
def locked(verdicts: Verdicts) -> Iterator[None]:
    """Keep other sweeps out of a folder of verdicts; raise SweepError if one is at work there."""
    verdicts.folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(verdicts.folder / ".lock", timeout=0):
            verdicts.remove_unfinished()
            yield
    except Timeout as error:
        raise SweepError(
            f"another sweep writes to {verdicts.folder}: wait for it, or name another --results"
        ) from error


def to_run(
    model_types: Sequence[str], verdicts: Verdicts, until: str, *, retry_failed: bool = False
) -> list[str]:
    """List the architectures of which no verdict holds, and on demand those that failed.

    Parameters
    ----------
    model_types
        The chosen ones.
    verdicts
        What is known.
    until
        The last stage that is asked for.
    retry_failed
        Whether a verdict that says that a stage failed is to be found out again.
    """
    known = {verdict.model_type: verdict for verdict in verdicts.read_all(model_types, until)}
    return [
        name
        for name in model_types
        if name not in known or (retry_failed and known[name].report.failure())
    ]


def sweep(
    model_types: Sequence[str],
    verdicts: Verdicts,
    executor: Executor,
    *,
    until: str = STAGES[-1],
    limits: Limits | None = None,
    child: tuple[str, ...] = CHILD,
) -> Iterator[Verdict]:
    """Find out about architectures, and write each verdict as soon as it is there.

    What an architecture does to its process is a verdict and not an error of the sweep. It can be
    stopped at any time: what was yielded is on disk.

    Parameters
    ----------
    model_types
        The architectures, for instance what :func:`to_run` lists.
    verdicts
        Where to write.
    executor
        Where the processes run, as :func:`smallport.sweep.executors.local` makes them.
    until
        The last stage.
    limits
        What one process may take; those of :class:`smallport.sweep.limits.Limits` by default.
    child
        Arguments for Python that start the process.

    Yields
    ------
    Verdict
        In the order in which they are found.

    Raises
    ------
    SweepError
        When a verdict was found under other conditions than those of this process; and, after all
        others, when there is none on some architecture because the executor failed.
    """
    tasks = [Task(name, until, limits or Limits(), child) for name in model_types]
    futures = {executor.submit(check_in_process, task): task.model_type for task in tasks}
    lost = {}
    for future in as_completed(futures):
        if error := future.exception():
            lost[futures[future]] = error
            continue
        verdict = future.result()
        if verdict.conditions != conditions(verdict.model_type):
            raise SweepError(
                f"{verdict.model_type}: found with {verdict.conditions}, and here are "
                f"{conditions(verdict.model_type)}: install the same versions of everything"
            )
        verdicts.write(verdict)
        yield verdict
    if lost:
        raise SweepError(
            f"no verdict on {', '.join(sorted(lost))}, since the executor failed: "
            f"{next(iter(lost.values()))!r}; sweep again for these"
        )

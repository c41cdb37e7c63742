"""Take architectures through the check, each in a separate process, and store the verdicts."""

from __future__ import annotations

import difflib
import math
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, as_completed
from contextlib import contextmanager
from fnmatch import fnmatchcase

from filelock import FileLock, Timeout

from smallport.export.report import STAGES
from smallport.sweep.executors import SweepError
from smallport.sweep.judge import CHILD, Task, check_in_process
from smallport.sweep.limits import Limits
from smallport.sweep.verdicts import NoVerdict, Verdict, Verdicts, conditions

ENOUGH = 100_000
"""The bytes that a folder of verdicts needs."""


class IncompleteSweepError(SweepError):
    """There is no verdict on some architectures.

    Parameters
    ----------
    missing
        Those, with the reasons.
    """

    def __init__(self, missing: Sequence[NoVerdict]) -> None:
        self.missing = missing
        super().__init__(describe_missing(missing))


def describe_missing(missing: Sequence[NoVerdict]) -> str:
    """Say on which architectures there is no verdict, and why, a line for each cause.

    Examples
    --------
    >>> full = [NoVerdict(name, "the disk is full") for name in ("gpt2", "llama")]
    >>> print(describe_missing([*full, NoVerdict("opt", "ran out of 3 s", seconds=3)]))
    no verdict on gpt2, llama: the disk is full
    no verdict on opt: ran out of 3 s
    sweep again for these, with more --seconds where they ran out: --only 'gpt2,llama,opt'
    """
    names = defaultdict(list)
    for one in missing:
        names[one.cause].append(one.model_type)
    limits = sorted({f"--{one.limit()}" for one in missing if one.limit()})
    more = f", with more {' and '.join(limits)} where they ran out" if limits else ""
    all_names = ",".join(one.model_type for one in missing)
    return "\n".join(
        [
            *(f"no verdict on {', '.join(those)}: {cause}" for cause, those in names.items()),
            f"sweep again for these{more}: --only '{all_names}'",
        ]
    )


def choose(model_types: Sequence[str], only: str | None = None) -> tuple[str, ...]:
    """Choose architectures by patterns.

    Parameters
    ----------
    model_types
        Those that there are.
    only
        Names and shell patterns, separated by commas; None for all.

    Raises
    ------
    SweepError
        When a pattern matches none.

    Examples
    --------
    >>> choose(["gpt2", "llama", "qwen2", "qwen3"], "llama,qwen*")
    ('llama', 'qwen2', 'qwen3')
    """
    if only is None:
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
    """Lock a folder of verdicts against other sweeps.

    SweepError is raised if one is at work there, or if nothing can be written there.
    """
    lock = FileLock(verdicts.folder / ".lock")
    try:
        verdicts.folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
        with tempfile.TemporaryFile(dir=verdicts.folder) as room:
            room.write(bytes(ENOUGH))
    except Timeout as error:
        raise SweepError(
            f"another sweep writes to {verdicts.folder}: wait for it, or name another --results"
        ) from error
    except (OSError, NotImplementedError) as error:
        lock.release()
        raise SweepError(
            f"--results: cannot write to {verdicts.folder}: {getattr(error, 'strerror', error)}; "
            "name a folder that can be written"
        ) from error
    with lock:
        lock.release()  # it was taken twice
        verdicts.remove_unfinished()
        yield


def to_run(
    model_types: Sequence[str],
    verdicts: Verdicts,
    until: str,
    *,
    limits: Limits | None = None,
    retry_failed: bool = False,
) -> list[str]:
    """List the architectures without a valid verdict, and on demand those that failed.

    Those are left out that would run into the limit again that ended them before.

    Parameters
    ----------
    model_types
        The chosen ones.
    verdicts
        The stored verdicts.
    until
        The last stage that is asked for.
    limits
        The limits of one process; those of :class:`smallport.sweep.limits.Limits` by default.
    retry_failed
        Whether a verdict that says that a stage failed is to be found out again, and whether a
        limit that ended a process is to be tried again.
    """
    limits = limits or Limits()
    known = {verdict.model_type: verdict for verdict in verdicts.read_all(model_types, until)}
    return [
        name
        for name in model_types
        if (
            (retry_failed and known[name].report.failure())
            if name in known
            else (retry_failed or not verdicts.read_limit(name, until, limits))
        )
    ]


def longest_first(model_types: Sequence[str], seconds: Mapping[str, float]) -> list[str]:
    """Sort architectures by how long they took, those first of which that is not known.

    A long one that starts last keeps one process busy when all others have ended.

    Parameters
    ----------
    model_types
        The architectures.
    seconds
        How long they took at some time, as far as that is known.

    Examples
    --------
    >>> longest_first(["bert", "gpt2", "llama", "new"], {"bert": 3, "gpt2": 9, "llama": 5})
    ['new', 'gpt2', 'llama', 'bert']
    """
    return sorted(model_types, key=lambda name: -seconds.get(name, math.inf))


def sweep(
    model_types: Sequence[str],
    verdicts: Verdicts,
    executor: Executor,
    *,
    until: str = STAGES[-1],
    limits: Limits | None = None,
    child: tuple[str, ...] = CHILD,
    lost: Callable[[NoVerdict], object] = lambda _: None,
) -> Iterator[Verdict]:
    """Check architectures, and write each verdict at once.

    A crash of an architecture's process is a verdict and not an error of the sweep. The sweep can
    be stopped at any time: verdicts that were yielded are on disk.

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
        The limits of one process; those of :class:`smallport.sweep.limits.Limits` by default.
    child
        Arguments for Python that start the process.
    lost
        Called with the reason as soon as it is known that there is no verdict.

    Yields
    ------
    Verdict
        In the order in which they are found.

    Raises
    ------
    SweepError
        When a verdict was found under other conditions than those of this process.
    IncompleteSweepError
        After all others, when there is no verdict on some architecture, because of a limit, a full
        disk, or because the executor failed; and at once when a verdict cannot be written.
    """
    tasks = [Task(name, until, limits or Limits(), child) for name in model_types]
    futures = {executor.submit(check_in_process, task): task.model_type for task in tasks}
    missing: dict[str, NoVerdict] = {}
    done: set[str] = set()
    for future in as_completed(futures):
        name = futures[future]
        try:
            found = future.result()
        except CancelledError:
            found = NoVerdict(name, "the scheduler went away")
        except Exception as error:  # noqa: BLE001 - the executor's, whatever it is
            found = NoVerdict(name, f"the executor failed: {error!r}")
        if isinstance(found, Verdict) and found.conditions != conditions(name):
            raise SweepError(
                f"{name}: found with {found.conditions}, and here are "
                f"{conditions(name)}: install the same versions of everything"
            )
        try:
            verdicts.write(found)
        except OSError as error:
            why = f"cannot write to {verdicts.folder}: {error.strerror or error}"
            rest = [NoVerdict(one, why) for one in model_types if one not in done | missing.keys()]
            raise IncompleteSweepError([*missing.values(), *rest]) from error
        if isinstance(found, NoVerdict):
            missing[name] = found
            lost(found)
        else:
            done.add(name)
            yield found
    if missing:
        raise IncompleteSweepError([missing[name] for name in model_types if name in missing])

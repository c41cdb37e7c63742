"""``smallport sweep``: check the export of every language model that transformers registers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from smallport.architectures.tasks import TASKS, split_name
from smallport.commands.shell import INTERRUPTED, BadCall
from smallport.export.report import STAGES
from smallport.files import cache_folder
from smallport.quantities import counted
from smallport.sweep.limits import Limits

if TYPE_CHECKING:
    from smallport.commands.shell import Subparsers
    from smallport.export.report import ExportReport
    from smallport.sweep.scoreboard import Scoreboard
    from smallport.sweep.verdicts import NoVerdict, Verdict, Verdicts

INCOMPLETE = 1
CAUSES_SHOWN = 5

DESCRIPTION = """\
Check the export of a tiny untrained model of every architecture that transformers registers for
language modelling (causal, masked, sequence-to-sequence), each in a separate process. Results are
stored at once, and a sweep that was interrupted or killed continues from there."""

EPILOG = """\
exit status: 0 when there is a verdict on each architecture that was chosen, whatever it says;
1 when there is none on some, because of a limit, a full disk or a lost scheduler; 2 for a bad
call; 130 after an interrupt"""


def add_parser(subparsers: Subparsers) -> None:
    """Add ``sweep`` to the commands."""
    parser = subparsers.add_parser(
        "sweep",
        help="check the export of every architecture",
        description=DESCRIPTION,
        epilog=EPILOG,
    )
    parser.add_argument(
        "--task",
        choices=TASKS,
        action="append",
        help="architectures of this task; can be repeated (default: all tasks)",
    )
    parser.add_argument("--only", metavar="NAMES", help="names or patterns, such as 'llama,qwen*'")
    parser.add_argument(
        "--stage", choices=STAGES, default=STAGES[-1], help="the last stage (default: all of them)"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--jobs",
        type=_positive(int),
        help="number of processes at a time (default: one per core)",
    )
    where.add_argument(
        "--scheduler",
        type=_given(str),
        metavar="ADDRESS",
        help="run on the Dask cluster of this scheduler, such as tcp://host:8786",
    )
    parser.add_argument(
        "--retry",
        choices=["failed"],
        help="run those again in which a stage failed, or that ran out of time or memory",
    )
    parser.add_argument(
        "--results",
        type=_given(Path),
        metavar="DIR",
        help="folder of the verdicts (default: in the cache)",
    )
    parser.add_argument(
        "--seconds",
        type=_positive(float),
        default=Limits.seconds,
        help="time limit of one architecture, in seconds (default: %(default)g)",
    )
    parser.add_argument(
        "--megabytes",
        type=_positive(float),
        default=Limits.megabytes,
        help="memory limit of one architecture, in MB (default: %(default)g)",
    )
    parser.add_argument(
        "--keep",
        type=_given(Path),
        metavar="FILE",
        help="write the results of one --task, as the scoreboard shows them, to this file, and a "
        "summary of its "
        "results of other versions to a file next to it that ends in -history.json",
    )
    parser.set_defaults(run=run)


def _given(kind: Callable[[str], object]) -> Callable[[str], object]:
    """Reject an empty text, as an unset variable of a shell gives it."""

    def text(given: str) -> object:
        if not given.strip():
            raise argparse.ArgumentTypeError("it is empty: pass a value, or omit the option")
        return kind(given)

    return text


def _positive(kind: type[float]) -> type[float]:
    def number(text: str) -> float:
        value = kind(text)
        if not value > 0:
            raise ValueError(text)
        return value

    number.__name__ = f"positive {kind.__name__}"  # argparse puts it into its message
    return number  # type: ignore[return-value]  # argparse only calls it


def run(arguments: argparse.Namespace) -> int:
    """Run the sweep that was asked for, and return the exit status."""
    from smallport.sweep.executors import SweepError

    try:
        return _sweep(arguments)
    except SweepError as error:
        raise BadCall(str(error), "smallport sweep") from error
    except KeyboardInterrupt:
        print("Interrupted: the next sweep continues from here.", file=sys.stderr)
        return INTERRUPTED


def _sweep(arguments: argparse.Namespace) -> int:
    from smallport.architectures.tiny import architectures, out_of_scope
    from smallport.sweep.executors import SweepError
    from smallport.sweep.runner import choose, describe_missing, locked, longest_first, to_run
    from smallport.sweep.scoreboard import stored_seconds
    from smallport.sweep.verdicts import NoVerdict, Verdicts

    tasks = [task for task in TASKS if task in (arguments.task or TASKS)]
    registered = [name for task in tasks for name in architectures(task)]
    if arguments.keep and (arguments.only is not None or arguments.stage != STAGES[-1]):
        raise SweepError("--keep is for whole sweeps: leave out --only and --stage")
    if arguments.keep and len(tasks) > 1:
        raise SweepError("--keep is for the sweep of one task: add --task TASK")
    if arguments.keep and arguments.keep.is_dir():
        raise SweepError(f"--keep: {arguments.keep} is a folder; name a file")
    replaced = _read_replaced(arguments.keep, registered)
    chosen = choose(registered, arguments.only)
    skipped = {name: reason for name in chosen if (reason := out_of_scope(name))}
    chosen = tuple(name for name in chosen if name not in skipped)
    verdicts = Verdicts(arguments.results or cache_folder() / "sweep")
    limits = Limits(arguments.seconds, arguments.megabytes)
    retry = arguments.retry == "failed"
    names = to_run(chosen, verdicts, arguments.stage, limits=limits, retry_failed=retry)
    names = longest_first(names, stored_seconds())
    missing: dict[str, NoVerdict] = {}
    # Where everything is known, nothing is written, and the folder may be read-only.
    with locked(verdicts) if names else nullcontext():
        known = len(chosen) - len(names)
        beyond = f", {len(skipped)} out of scope" if skipped else ""
        print(
            f"{counted(len(chosen), 'architecture')}, {known} known{beyond}; in {verdicts.folder}"
        )
        if names:
            missing = _find_out(arguments, chosen, names, verdicts)
    found = verdicts.read_all(chosen, arguments.stage)
    for name in sorted(set(chosen) - {one.model_type for one in found} - missing.keys()):
        ended = verdicts.read_limit(name, arguments.stage, limits)
        missing[name] = ended or NoVerdict(name, f"its file in {verdicts.folder} is gone")
    if arguments.keep:
        reports = [one.report for one in found]
        reasons = {name: one.cause for name, one in missing.items()}
        _keep(arguments.keep, registered, reports, reasons, replaced)
    _summarize(found, skipped, chosen, len(registered))
    if missing:
        sys.stdout.flush()
        print(f"smallport sweep: {describe_missing(list(missing.values()))}", file=sys.stderr)
    return INCOMPLETE if missing else 0


def _read_replaced(file: Path | None, registered: Sequence[str]) -> Scoreboard | None:
    """Read the results that a file holds before it is replaced; None where there are none."""
    from smallport.sweep.executors import SweepError
    from smallport.sweep.history import read_history
    from smallport.sweep.scoreboard import read_scoreboard, task_of

    if file is None or not file.exists():
        return None
    try:
        read_history(file)
        replaced = read_scoreboard(file)
    except (OSError, ValueError) as error:
        raise SweepError(f"--keep: {error}; name a different file") from error
    if replaced.task != task_of(registered):
        raise SweepError(f"--keep: {file} holds results of {replaced.task}; name a different file")
    return replaced


def _keep(
    file: Path,
    registered: Sequence[str],
    reports: Sequence[ExportReport],
    reasons: Mapping[str, str],
    replaced: Scoreboard | None,
) -> None:
    """Write the results to a file, and add those of other versions that it held to its history."""
    from smallport.architectures.tiny import out_of_scope
    from smallport.measured import installed_versions
    from smallport.sweep.changes import compare_sweeps
    from smallport.sweep.executors import SweepError
    from smallport.sweep.history import Summary, remember
    from smallport.sweep.scoreboard import read_scoreboard, save, task_of

    command = f"smallport sweep --task {task_of(registered)}"
    skipped = {name: reason for name in registered if (reason := out_of_scope(name))}
    differs = replaced and dict(replaced.provenance.versions) != installed_versions()
    try:
        if replaced and differs:
            remember(file, replaced)
        save(file, registered, reports, command=command, no_verdict=reasons, out_of_scope=skipped)
    except OSError as error:
        raise SweepError(f"--keep: {error}; name a file that can be written") from error
    if replaced and differs:
        changes = compare_sweeps(Summary.of(replaced), Summary.of(read_scoreboard(file)))
        print(changes.headline())


def _find_out(
    arguments: argparse.Namespace,
    chosen: Sequence[str],
    names: Sequence[str],
    verdicts: Verdicts,
) -> dict[str, NoVerdict]:
    """Run the sweep, and return those on which there is no verdict."""
    from smallport.display import progress_bar
    from smallport.machine import usable_cores
    from smallport.sweep.counts import count_stages
    from smallport.sweep.executors import cluster, local
    from smallport.sweep.runner import IncompleteSweepError, sweep

    limits = Limits(arguments.seconds, arguments.megabytes)
    reports = [one.report for one in verdicts.read_all(set(chosen) - set(names), arguments.stage)]
    bar = progress_bar(names, "sweep", unit="architecture")

    def tell(text: str) -> None:
        bar.write(f"smallport sweep: {text}", file=sys.stderr)

    def lost(ended: NoVerdict) -> None:
        bar.write(str(ended), file=sys.stdout)
        bar.update()

    if arguments.scheduler:
        place = cluster(arguments.scheduler, tell)
    else:
        place = local(arguments.jobs or usable_cores())
    with place as executor, bar:
        verdicts_found = sweep(
            names, verdicts, executor, until=arguments.stage, limits=limits, lost=lost
        )
        try:
            for verdict in verdicts_found:
                bar.write(str(verdict), file=sys.stdout)
                reports.append(verdict.report)
                passed = {one.stage: one.passed for one in count_stages(reports, len(chosen))}
                bar.set_postfix_str(", ".join(f"{stage} {n}" for stage, n in passed.items()))
                bar.update()
        except IncompleteSweepError as error:
            return {one.model_type: one for one in error.missing}
    return {}


def _summarize(
    found: Sequence[Verdict], skipped: Mapping[str, str], chosen: Sequence[str], registered: int
) -> None:
    """Print the counts of each task by stage, what is out of scope, and what stopped most."""
    from smallport.sweep.counts import count_stages, counts_table, frequent_causes

    reports = [verdict.report for verdict in found]
    everything = [*chosen, *skipped]
    print(f"\n{len(everything)} of {registered} registered architectures were chosen.")
    for task, words in TASKS.items():
        names = {name for name in everything if split_name(name)[1] == task}
        if names:
            print(f"\n{counted(len(names), 'architecture')} of {words}:")
            own = [report for report in reports if report.name in names]
            counts = count_stages(own, len(names), len(names & skipped.keys()))
            print(counts_table(counts).to_string(index=False))
    if skipped:
        print("\nOut of scope:")
    for reason in dict.fromkeys(skipped.values()):
        print(f"  {', '.join(one for one in skipped if skipped[one] == reason)}: {reason}")
    if causes := frequent_causes(reports)[:CAUSES_SHOWN]:
        print("\nThe most frequent causes:")
    for cause in causes:
        stopped = ", ".join(cause.architectures)
        print(f"{len(cause.architectures):>3} in {cause.stage}: {cause.what}\n      {stopped}")

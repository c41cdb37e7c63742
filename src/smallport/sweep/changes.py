"""The differences between the sweeps of two version sets, and their causes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from smallport.sweep.counts import Cause, group_causes
from smallport.sweep.history import Outcome, Summary, read_history
from smallport.sweep.scoreboard import Scoreboard

KINDS: Mapping[str, str] = {
    "passes": "pass now, and failed before",
    "fails": "fail now, and passed before",
    "later": "fail in a later stage",
    "earlier": "fail in an earlier stage",
    "otherwise": "fail in the same stage for a different reason",
    "new": "registered since",
    "removed": "no longer registered",
    "found": "have a verdict now, and had none before",
    "lost": "have no verdict now, and had one before",
    "same": "have the same verdict, or none, as before",
}
"""The possible changes of an architecture, of which exactly one applies."""

WITH_CAUSE = ("passes", "fails", "later", "earlier", "otherwise")
"""The kinds of changes that an error causes."""


@dataclass(frozen=True)
class Changes:
    """The differences between two sweeps.

    Parameters
    ----------
    before, after
        The two sweeps.
    kinds
        By each of ``KINDS``, the architectures, sorted; each in one of them.
    compared_less, compared_more
        By architecture, what was compared in one of the sweeps only, although both came that far.
    """

    before: Summary
    after: Summary
    kinds: Mapping[str, Sequence[str]]
    compared_less: Mapping[str, Sequence[str]]
    compared_more: Mapping[str, Sequence[str]]

    def __bool__(self) -> bool:
        """Say whether anything changed."""
        changed = any(self.kinds[kind] for kind in KINDS if kind != "same")
        return changed or bool(self.compared_less or self.compared_more)

    def versions(self) -> list[tuple[str, str, str]]:
        """List the packages that differ, each with both versions; empty where it was missing."""
        before, after = self.before.provenance.versions, self.after.provenance.versions
        return [
            (name, before.get(name, ""), after.get(name, ""))
            for name in dict.fromkeys((*before, *after))
            if before.get(name) != after.get(name)
        ]

    def headline(self) -> str:
        """Say in a line since which versions how many architectures pass and fail.

        Where an architecture compares less than before, the line says so, whatever its verdict.
        """
        since = ", ".join(f"{name} {version or 'none'}" for name, version, _ in self.versions())
        text = f"since {since or self.before.provenance.date}: "
        text += f"+{len(self.kinds['passes'])}, \N{MINUS SIGN}{len(self.kinds['fails'])}"
        for number, what in (
            (len(self.kinds["new"]), "new"),
            (len(self.kinds["removed"]), "removed"),
            (len(self.kinds["lost"]), "without a verdict now"),
            (len(self.compared_less), "compared in fewer tensors, outputs or caches"),
        ):
            text += f", {number} {what}" if number else ""
        return text

    def causes(self, kind: str) -> list[Cause]:
        """Group the architectures of a kind by the error behind it, the most frequent first.

        It is the error of the sweep that failed, and the later one of two.

        Parameters
        ----------
        kind
            One of ``KINDS``. No error is behind those that are not in ``WITH_CAUSE``.
        """
        if kind not in WITH_CAUSE:
            return []
        sweep = self.before if kind == "passes" else self.after
        outcomes = ((name, sweep.outcomes[name]) for name in self.kinds[kind])
        return group_causes((name, one.stopped_in, one.cause) for name, one in outcomes)

    def check_changed(self) -> bool | None:
        """Say whether the code of the check changed, too; None where that is not known."""
        if self.before.check and self.after.check:
            return self.before.check != self.after.check
        commits = {self.before.provenance.commit, self.after.provenance.commit}
        same = len(commits) == 1 and not any(not one or one.endswith("+") for one in commits)
        return False if same else None


def compare_sweeps(before: Summary, after: Summary) -> Changes:
    """Compare two sweeps, architecture by architecture.

    Parameters
    ----------
    before, after
        The sweeps.

    Returns
    -------
    Changes
        Every architecture that either sweep registers is in it once.
    """
    kinds: dict[str, list[str]] = defaultdict(list)
    names = sorted({*before.registered, *after.registered})
    for name in names:
        kinds[_kind(name, before, after)].append(name)
    less = {name: lost for name in names if (lost := missing(name, before, after))}
    more = {name: gained for name in names if (gained := missing(name, after, before))}
    return Changes(before, after, {kind: tuple(kinds[kind]) for kind in KINDS}, less, more)


def _kind(name: str, before: Summary, after: Summary) -> str:
    """Say which of ``KINDS`` an architecture is."""
    if name not in before.registered:
        return "new"
    if name not in after.registered:
        return "removed"
    old, new = before.outcomes.get(name), after.outcomes.get(name)
    if old is None or new is None:
        return "same" if old is new else "found" if new else "lost"
    if old.passes or new.passes:
        return "same" if old.passes and new.passes else "passes" if new.passes else "fails"
    if old.passed != new.passed:
        return "later" if new.passed > old.passed else "earlier"
    return "same" if (old.stopped_in, old.cause) == (new.stopped_in, new.cause) else "otherwise"


def missing(name: str, before: Summary, after: Summary) -> tuple[str, ...]:
    """List what one sweep compared of an architecture, and another one that came as far did not."""
    old, new = before.outcomes.get(name), after.outcomes.get(name)
    if old is None or new is None or new.passed < old.passed:
        return ()
    return tuple(_missing(old, new))


def _missing(old: Outcome, new: Outcome) -> Iterable[str]:
    if new.tensors < old.tensors:
        yield f"{new.tensors} of {old.tensors} tensors"
    yield from (f"no output {one}" for one in old.outputs if one not in new.outputs)
    yield from (f"no {one} cache" for one in old.caches if one not in new.caches)
    yield from (f"without: {one}" for one in new.not_compared if one not in old.not_compared)


def changes_since(file: Path, scoreboard: Scoreboard) -> list[Changes]:
    """Compare a scoreboard with the sweep before it, that one with the one before, and so on.

    Parameters
    ----------
    file
        The scoreboard's file, which has its history next to it.
    scoreboard
        Its results.

    Returns
    -------
    list of Changes
        The latest first; empty where there was no sweep with other versions.
    """
    versions = dict(scoreboard.provenance.versions)
    earlier = [one for one in read_history(file) if dict(one.provenance.versions) != versions]
    sweeps = [*earlier, Summary.of(scoreboard)]
    return [compare_sweeps(before, after) for before, after in pairwise(sweeps)][::-1]

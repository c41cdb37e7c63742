"""Compare stored numbers between version sets: only a change wider than the spread is marked."""

import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from packaging.version import Version

from tools.history.store import DIGITS, Entry, VersionSet

LEAST_RUNS = 4
"""The number of runs of a version set that show its spread.

Where only chance differs, four and four runs are marked less than once in 1,000 times, three
and three eight times.
"""


class Verdict(Enum):
    """The verdicts on the difference between two version sets, in words."""

    CHANGED = "changed"
    WITHIN = "within the spread"
    TOO_FEW = "differs, too few runs to tell"


@dataclass(frozen=True)
class Group:
    """One number in all runs of a version set, on one kind of machine.

    Parameters
    ----------
    versions
        The version set.
    values
        The number, from the oldest run to the newest.
    scripts
        The digests of the page that measured it.
    """

    versions: VersionSet
    values: tuple[float, ...]
    scripts: frozenset[str] = frozenset()

    @property
    def low(self) -> float:
        """The lowest value."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The highest value."""
        return max(self.values)

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def is_known(self) -> bool:
        """Whether it has enough runs to show a spread."""
        return len(self.values) >= LEAST_RUNS


@dataclass(frozen=True)
class Step:
    """A number with one version set, and with a later one."""

    before: Group
    after: Group

    @property
    def verdict(self) -> Verdict:
        """Whether the gap between the two ranges is wider than each of them, and than rounding."""
        gap = max(self.after.low - self.before.high, self.before.low - self.after.high)
        spread = max(one.high - one.low for one in (self.before, self.after))
        if gap <= max(spread, rounding([*self.before.values, *self.after.values])):
            return Verdict.WITHIN
        known = self.before.is_known and self.after.is_known
        return Verdict.CHANGED if known else Verdict.TOO_FEW

    @property
    def age(self) -> tuple[tuple[Version, ...], ...]:
        """The sort key of steps: the later version set, then the earlier one."""
        return age(self.after.versions), age(self.before.versions)

    @property
    def upgrades(self) -> tuple[tuple[str, str, str], ...]:
        """The packages whose versions differ, each with both."""
        before, after = dict(self.before.versions), dict(self.after.versions)
        return tuple(
            (name, before.get(name, "none"), after.get(name, "none"))
            for name in sorted(before | after)
            if before.get(name) != after.get(name)
        )

    @property
    def page_changed(self) -> bool:
        """Whether no version of the page ran with both version sets."""
        return not self.before.scripts & self.after.scripts


@dataclass(frozen=True)
class Series:
    """One number over version sets, on one kind of machine.

    Parameters
    ----------
    page
        The page that measures it.
    name
        Its name.
    unit
        Its unit.
    groups
        Its values by version set, from the oldest versions to the newest.
    """

    page: str
    name: str
    unit: str
    groups: tuple[Group, ...]

    @property
    def values(self) -> list[float]:
        """All of its values."""
        return [value for group in self.groups for value in group.values]

    @cached_property
    def steps(self) -> list[Step]:
        """Each version set after the last one before it that has enough runs, or any."""
        found = []
        for place, after in enumerate(self.groups[1:], start=1):
            earlier = self.groups[:place]
            known = [one for one in earlier if one.is_known]
            found.append(Step((known or earlier)[-1], after))
        return found


def rounding(values: Iterable[float]) -> float:
    """Compute by how much two of the stored numbers can differ because they were rounded.

    Examples
    --------
    >>> f"{rounding([113.945, -2.5]):g}"
    '0.0015'
    """
    largest = max(map(abs, values))
    # One unit of the last digit, and half of one since the difference of floats is rounded, too.
    return 1.5 * 10.0 ** (math.floor(math.log10(largest)) + 1 - DIGITS) if largest else 0.0


def series(entries: Sequence[Entry]) -> list[Series]:
    """Arrange the numbers of some runs by page, name and unit, and by version set.

    Parameters
    ----------
    entries
        Runs on one kind of machine, from the oldest to the newest. The newest says in which order
        numbers are listed; one that it did not measure is not listed.
    """
    sets = by_versions(entries)
    found = []
    for page, named in entries[-1].numbers.items():
        for name, (_, unit) in named.items():
            groups = (_group(versions, runs, page, name, unit) for versions, runs in sets.items())
            found.append(Series(page, name, unit, tuple(one for one in groups if one.values)))
    return found


def by_versions(entries: Iterable[Entry]) -> dict[VersionSet, list[Entry]]:
    """Divide runs by version set, from the oldest versions to the newest."""
    found: dict[VersionSet, list[Entry]] = {}
    for entry in sorted(entries, key=lambda one: age(one.versions)):
        found.setdefault(entry.versions, []).append(entry)
    return found


def age(versions: VersionSet) -> tuple[Version, ...]:
    """Give what version sets are sorted by."""
    return tuple(Version(version) for _, version in versions)


def by_machine(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """Divide runs by machine and assets, those with the most runs first."""
    ordered = sorted(entries, key=lambda one: (one.machine, one.environment.date))
    groups = (list(runs) for _, runs in itertools.groupby(ordered, key=lambda one: one.machine))
    yield from sorted(groups, key=len, reverse=True)


def _group(versions: VersionSet, runs: list[Entry], page: str, name: str, unit: str) -> Group:
    measured = [
        (one.numbers[page][name][0], one.scripts.get(page, ""))
        for one in runs
        if one.numbers.get(page, {}).get(name, (0, None))[1] == unit
    ]
    return Group(versions, tuple(v for v, _ in measured), frozenset(s for _, s in measured))

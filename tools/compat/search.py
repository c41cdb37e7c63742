"""Search for the packages and the releases with which something begins to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Outcome:
    """The outcome of a page or a check with a set of versions.

    Parameters
    ----------
    key
        The text that two equal outcomes share, without details of their messages.
    says
        The outcome in a line: an error, or what passed.
    line
        The line of the page that failed, if one did.
    """

    key: str
    says: str
    line: int | None = None


@dataclass(frozen=True)
class FirstBad:
    """The releases of a package between which an outcome changes.

    Parameters
    ----------
    package
        The package.
    version
        The first release with the bad outcome.
    last_good
        The last one with the good outcome.
    unclear
        The releases between them that ended in some other way.
    """

    package: str
    version: str
    last_good: str
    unclear: tuple[str, ...] = ()


@dataclass
class Search:
    """A search from versions that are good to versions that are bad.

    Parameters
    ----------
    probe
        Finds out the outcome with some packages in other versions, by name.
    good, bad
        The outcomes to tell apart. Any other one says nothing: it is another failure.
    """

    probe: Callable[[Mapping[str, str]], Outcome]
    good: Outcome
    bad: Outcome
    known: dict[frozenset[tuple[str, str]], bool | None] = field(default_factory=dict)

    def is_bad(self, versions: Mapping[str, str]) -> bool | None:
        """Say whether some versions are bad; None where they end in another way."""
        combination = frozenset(versions.items())
        if combination not in self.known:
            key = self.probe(versions).key
            self.known[combination] = {self.good.key: False, self.bad.key: True}.get(key)
        return self.known[combination]

    def culprits(self, newest: Mapping[str, str], suspects: Iterable[str] = ()) -> list[str]:
        """Find packages that are bad together in their newest versions, each of them needed.

        The suspects are tried one by one first. Then the set is divided into ever smaller parts, as
        in delta debugging [1]_.

        References
        ----------
        .. [1] A. Zeller, R. Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE
           Transactions on Software Engineering 28, 2002, algorithm ddmin.
        """

        def bad(names: Sequence[str]) -> bool:
            return self.is_bad({name: newest[name] for name in names}) is True

        for name in suspects:
            if name in newest and bad([name]):
                return [name]
        left, parts = list(newest), 2
        while len(left) > 1:
            chunks = [left[number::parts] for number in range(parts)]
            rests = [[name for name in left if name not in chunk] for chunk in chunks]
            if found := next(filter(bad, chunks), None):
                left, parts = found, 2
            elif parts > 2 and (found := next(filter(bad, rests), None)):  # noqa: PLR2004 - of two, rests are chunks
                left, parts = found, parts - 1
            elif parts < len(left):
                parts = min(2 * parts, len(left))
            else:
                break
        return left

    def first_bad(
        self, package: str, releases: Sequence[str], others: Mapping[str, str]
    ) -> FirstBad:
        """Find the first bad release of a package, the others being in some versions.

        Parameters
        ----------
        package
            The package.
        releases
            Its releases in order, of which the first is known to be good and the last to be bad.
        others
            The versions of the other packages.
        """
        lowest, highest = 0, len(releases) - 1
        unclear: set[int] = set()
        while between := [at for at in range(lowest + 1, highest) if at not in unclear]:
            middle = between[len(between) // 2]
            match self.is_bad({**others, package: releases[middle]}):
                case True:
                    highest = middle
                case False:
                    lowest = middle
                case None:
                    unclear.add(middle)
        left = tuple(releases[lowest + 1 : highest])
        return FirstBad(package, releases[highest], releases[lowest], left)

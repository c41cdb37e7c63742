"""Read a stored grid, and say in which versions each route works."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smallport import measured
from tools.compat.routes import EXPORTED, MATCHES, NO_IMPORT, OUTCOMES, REJECTED

UNKNOWN = "no result"
BEGINNINGS = {
    EXPORTED: "The program differs or rejects inputs with",
    REJECTED: "The export raises an error with",
    NO_IMPORT: "It cannot be imported with",
    UNKNOWN: "There is no result with",
}
"""The beginnings of the sentences about all outcomes except *matches*."""


@dataclass(frozen=True)
class Entry:
    """A cell as it was stored.

    Parameters
    ----------
    route, transformers, torch
        The cell.
    outcome
        One of ``OUTCOMES``; ``no result`` where there is none.
    found
        An error's first line, the difference, or the reason why there is no result.
    traceback
        The end of the error's traceback.
    shapes, tensors, largest
        As :class:`tools.compat.routes.Outcome` has them.
    """

    route: str
    transformers: str
    torch: str
    outcome: str
    found: str = ""
    traceback: str = ""
    shapes: int = 0
    tensors: int = 0
    largest: float | None = None


@dataclass(frozen=True)
class Problem:
    """An outcome of a route other than *matches*, with all cells that have it.

    Parameters
    ----------
    example
        One of the cells.
    where
        The versions of all of them, in words.
    number
        Its place on the page.
    """

    example: Entry
    where: str
    number: int


@dataclass(frozen=True)
class Grid:
    """A stored grid.

    Parameters
    ----------
    transformers, torch
        The releases, the oldest first.
    newest
        The releases that were the newest ones, by package.
    needs
        For each route the packages that it needs besides these, with their versions.
    entries
        The cells, by route, release of transformers and release of torch.
    python
        The version of Python.
    """

    transformers: tuple[str, ...]
    torch: tuple[str, ...]
    newest: Mapping[str, str]
    needs: Mapping[str, Mapping[str, str]]
    entries: Mapping[tuple[str, str, str], Entry]
    python: str

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Grid:
        """Read what :func:`tools.compat.grid.stored` put together.

        Raises
        ------
        ValueError
            When it is no grid, or has an outcome of another name.
        """
        try:
            listed = [
                Entry(**{**one, "outcome": one["outcome"] or UNKNOWN}) for one in data["cells"]
            ]
            entries = {(one.route, one.transformers, one.torch): one for one in listed}
            grid = cls(
                tuple(data["transformers"]),
                tuple(data["torch"]),
                data["newest"],
                data["needs"],
                entries,
                data["python"],
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"these results are no compatibility grid ({error!r})") from error
        strange = {one.outcome for one in listed} - {*OUTCOMES, UNKNOWN}
        if strange:
            raise ValueError(f"the grid has outcomes of unknown names: {', '.join(strange)}")
        return grid

    @property
    def routes(self) -> tuple[str, ...]:
        """The routes."""
        return tuple(self.needs)

    def entry(self, route: str, transformers: str, torch: str) -> Entry:
        """Look up a cell; a cell that is not stored is unknown."""
        place = route, transformers, torch
        return self.entries.get(place) or Entry(*place, UNKNOWN, "it is not in the stored results")

    def with_outcome(self, route: str, outcome: str, torch: str) -> list[str]:
        """List the releases of transformers with which a route has an outcome on one torch."""
        return [
            one for one in self.transformers if self.entry(route, one, torch).outcome == outcome
        ]

    def sentences(self, route: str) -> str:
        """Say in which versions a route works, and what it does in the others."""
        found = [f"The route {self.works(route)}."]
        for outcome, beginning in BEGINNINGS.items():
            by_torch = {one: self.with_outcome(route, outcome, one) for one in self.torch}
            if where := self.where(by_torch):
                found.append(f"{beginning} {where}.")
        return " ".join(found)

    def works(self, route: str) -> str:
        """Say in which versions a route works."""
        by_torch = {one: self.with_outcome(route, MATCHES, one) for one in self.torch}
        where = self.where(by_torch)
        return f"works with {where}" if where else "works with no release in the grid"

    def runs(self) -> str:
        """List the releases with which the model itself runs, whether or not it exports."""
        by_torch = {
            torch: [
                one
                for one in self.transformers
                if any(
                    self.entry(route, one, torch).outcome not in {NO_IMPORT, UNKNOWN}
                    for route in self.routes
                )
            ]
            for torch in self.torch
        }
        return self.where(by_torch)

    def where(self, by_torch: Mapping[str, Sequence[str]]) -> str:
        """Write releases of transformers on releases of torch in words; nothing for none.

        Examples
        --------
        >>> grid = Grid(("1", "2", "3"), ("8", "9"), {}, {}, {}, "3.11")
        >>> grid.where({"8": ["1", "2"], "9": ["1", "2"]})
        'transformers 1 to 2, on torch 8 and 9'
        >>> grid.where({"8": ["1", "3"], "9": ["3"]})
        'transformers 1 and 3 on torch 8, and with transformers 3 on torch 9'
        """
        same: dict[tuple[str, ...], list[str]] = {}
        for torch, releases in by_torch.items():
            if releases:
                same.setdefault(tuple(releases), []).append(torch)
        everywhere = len(same) == 1 and len(next(iter(same.values()))) == len(self.torch)
        return ", and with ".join(
            f"transformers {in_words(ranges(releases, self.transformers))}"
            f"{',' if everywhere else ''} on torch {in_words(torches)}"
            for releases, torches in same.items()
        )

    def install_line(self, route: str) -> str:
        """Write the command that installs the newest working versions of a route; or nothing."""
        for release in reversed(self.transformers):
            for torch in reversed(self.torch):
                if self.entry(route, release, torch).outcome == MATCHES:
                    pins = {"torch": torch, "transformers": release, **self.needs[route]}
                    words = " ".join(f'"{name}=={one}"' for name, one in pins.items())
                    return f"python -m pip install {words}"
        return ""

    def problems(self, route: str) -> list[Problem]:
        """List the failures of a route, each of them once."""
        same: dict[tuple[str, str], list[Entry]] = {}
        for release in self.transformers:
            for torch in self.torch:
                one = self.entry(route, release, torch)
                if one.outcome != MATCHES:
                    same.setdefault((one.outcome, one.found), []).append(one)
        found: list[Problem] = []
        for entries in same.values():
            by_torch = {
                torch: [one.transformers for one in entries if one.torch == torch]
                for torch in self.torch
            }
            found.append(Problem(entries[0], self.where(by_torch), len(found) + 1))
        return found

    def number(self, entry: Entry) -> int | None:
        """Look up the number of the problem that a cell has; None where it matches."""
        for problem in self.problems(entry.route):
            if (problem.example.outcome, problem.example.found) == (entry.outcome, entry.found):
                return problem.number
        return None


def ranges(chosen: Iterable[str], every: Sequence[str]) -> list[str]:
    """Join consecutive releases to ranges.

    Examples
    --------
    >>> ranges(["1", "2", "3", "5"], ["1", "2", "3", "4", "5", "6"])
    ['1 to 3', '5']
    """
    runs: list[list[str]] = []
    places = set(chosen)
    for before, one in zip(["", *every], every, strict=False):
        if one not in places:
            continue
        if runs and runs[-1][-1] == before:
            runs[-1].append(one)
        else:
            runs.append([one])
    return [one[0] if len(one) == 1 else f"{one[0]} to {one[-1]}" for one in runs]


def in_words(names: Sequence[str]) -> str:
    """List names in a sentence.

    Examples
    --------
    >>> in_words(["1", "2", "3"]), in_words(["1"])
    ('1, 2 and 3', '1')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def read_grid(name: Path | str = "compat") -> tuple[Grid, measured.Provenance]:
    """Read a stored grid, and where it comes from."""
    kept = measured.read(name)
    return Grid.from_json(kept.results), kept.provenance

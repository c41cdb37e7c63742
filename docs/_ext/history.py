"""Show how the measured figures changed from version to version: ``.. history::``.

Plots are drawn as SVG in the page, in the colours of its text, and have a text alternative.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from docutils import nodes
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import dependencies
from smallport import quantities, records
from smallport.quantities import counted
from smallport.records import Result
from tools.gallery import project
from tools.history import changes, lines, store
from tools.history.changes import Group, Series, Step, Verdict

TEMPLATE = project.DOCS / "_templates" / "history" / "history.html"
SHOWN = 6
"""The number of version sets that the page shows: the newest."""

MACHINES = 2
"""The number of machine types that the page shows: those with the most runs."""

ROWS = 30
"""The number of changes per machine that the page shows: the newest."""

WIDTH, HEIGHT, MARGIN = 320, 64, 8


@dataclass(frozen=True)
class Plot:
    """The runs of a number, from left to right, as a small picture.

    Parameters
    ----------
    series
        The number.
    """

    series: Series

    @property
    def places(self) -> list[list[int]]:
        """The horizontal place of each run, by version set."""
        number = len(self.series.values)
        apart = (WIDTH - 2 * MARGIN) / max(number - 1, 1)
        places = iter(round(MARGIN + apart * run) for run in range(number))
        return [[next(places) for _ in group.values] for group in self.series.groups]

    def height(self, value: float) -> int:
        """Place a value between the lowest, at the bottom, and the highest."""
        low, high = min(self.series.values), max(self.series.values)
        share = (value - low) / (high - low) if high > low else 0.5
        return round(HEIGHT - MARGIN - share * (HEIGHT - 2 * MARGIN))

    @property
    def dots(self) -> str:
        """The path that draws a dot for each run: lines without a length, with round ends."""
        return "".join(
            f"M{place} {self.height(value)}h0"
            for places, group in zip(self.places, self.series.groups, strict=True)
            for place, value in zip(places, group.values, strict=True)
        )

    @property
    def medians(self) -> str:
        """The path that draws the median of each version set from its first run to its last."""
        return "".join(
            f"M{places[0]} {self.height(group.median)}H{places[-1]}"
            for places, group in zip(self.places, self.series.groups, strict=True)
            if len(places) > 1
        )

    @property
    def marks(self) -> str:
        """The path that draws a line across the picture before each version set that changed."""
        changed = {step.after for step in changed_steps(self.series)}
        pairs = zip(self.places, self.places[1:], self.series.groups[1:], strict=False)
        return "".join(
            f"M{(before[-1] + after[0]) // 2} 0V{HEIGHT}"
            for before, after, group in pairs
            if group in changed
        )

    @property
    def alternative(self) -> str:
        """A description of the picture in words."""
        values, groups = self.series.values, self.series.groups
        low, high = written(self.series, min(values), max(values))
        between = f"all {low}" if min(values) == max(values) else f"from {low} to {high}"
        number = len(changed_steps(self.series))
        return (
            f"{counted(len(values), 'run')} of {counted(len(groups), 'version set')}, {between}, "
            f"{counted(number, 'change')} wider than the spread"
        )


def changed_steps(series: Series) -> list[Step]:
    """List the changes that are wider than the spread."""
    return [step for step in series.steps if step.verdict is Verdict.CHANGED]


def written(series: Series, *values: float) -> list[str]:
    """Write values of a number as people do, with more digits where different ones look the same.

    Examples
    --------
    >>> written(Series("page", "int8 size, to float32", "", ()), 0.6998, 0.6991)
    ['0.6998', '0.6991']
    """
    short = [quantities.describe_value(Result(series.name, value, series.unit)) for value in values]
    if len(set(short)) == len(set(values)):
        return short
    return [records.with_unit(value, series.unit) for value in values]


def spread(series: Series, group: Group) -> str:
    """Write the range of a number in the runs of a version set."""
    if group.low == group.high:
        return written(series, group.low)[0]
    return " to ".join(written(series, group.low, group.high))


def upgrades(step: Step) -> str:
    """Write what differs between two version sets.

    Examples
    --------
    >>> upgrades(Step(Group((("torch", "2.13.0"),), (1,)), Group((("torch", "2.14.1"),), (2,))))
    'torch 2.13.0 → 2.14.1'
    """
    return ", ".join(f"{name} {before} → {after}" for name, before, after in step.upgrades)


def by_upgrades(
    steps: list[tuple[Series, Step]],
) -> list[tuple[str, list[tuple[Series, Step]]]]:
    """Divide steps that follow one another by what was upgraded."""
    return [
        (text, list(found))
        for text, found in itertools.groupby(steps, key=lambda pair: upgrades(pair[1]))
    ]


@dataclass(frozen=True)
class Machine:
    """The part of the page about the runs on one kind of machine.

    Parameters
    ----------
    entries
        The runs, from the oldest to the newest.
    """

    entries: list[store.Entry]

    @property
    def name(self) -> str:
        """The machine and the assets, in words."""
        processor, _, cores, assets = self.entries[-1].machine
        return f"{processor}, {counted(cores, 'core')}, {assets} assets"

    @cached_property
    def series(self) -> list[Series]:
        """The numbers of which there are two runs, with the newest version sets."""
        cut = (
            Series(one.page, one.name, one.unit, one.groups[-SHOWN:])
            for one in changes.series(self.entries)
        )
        return [one for one in cut if len(one.values) > 1]

    @property
    def version_sets(self) -> list[tuple[str, int]]:
        """The version sets that are shown, from the oldest to the newest, and the runs of each."""
        return [
            (", ".join(" ".join(package) for package in versions), len(runs))
            for versions, runs in list(changes.by_versions(self.entries).items())[-SHOWN:]
        ]

    @property
    def pages(self) -> dict[str, list[Series]]:
        """The numbers by page in reading order, without pages that are gone."""
        return {
            page: found
            for page in map(project.docname, project.in_reading_order())
            if (found := [one for one in self.series if one.page == page])
        }

    def steps(self, verdict: Verdict) -> list[tuple[Series, Step]]:
        """List the steps of one verdict, those to the newest versions first."""
        found = [
            (one, step)
            for series in self.pages.values()
            for one in series
            for step in one.steps
            if step.verdict is verdict
        ]
        return sorted(found, key=lambda pair: pair[1].age, reverse=True)


class History(SphinxDirective):
    """Show the history of the measured figures."""

    def run(self) -> list[nodes.Node]:
        """Draw it."""
        dependencies.note_modules(self.env, quantities.__name__)
        for file in (lines.FILE, TEMPLATE, *project.scripts()):
            self.env.note_dependency(str(file))
        try:
            entries = store.read()
        except store.HistoryError as error:
            raise self.error(str(error)) from None

        def address(page: str) -> str:
            return self.env.app.builder.get_relative_uri(self.env.docname, f"gallery/{page}")

        return [nodes.raw("", render(entries, address), format="html")]


def render(entries: list[store.Entry], address: Callable[[str], str]) -> str:
    """Write the history in HTML.

    Parameters
    ----------
    entries
        The stored runs, from the oldest to the newest.
    address
        Gives the address of a page of the gallery.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    machines = [Machine(one) for one in changes.by_machine(entries)]
    return environment.get_template(TEMPLATE.name).render(
        entries=entries,
        machines=machines[:MACHINES],
        kinds=len(machines),
        address=address,
        titles={project.docname(script): project.title(script) for script in project.scripts()},
        least=changes.LEAST_RUNS,
        size=(WIDTH, HEIGHT),
        Plot=Plot,
        Verdict=Verdict,
        by_upgrades=by_upgrades,
        rows=ROWS,
        count=counted,
        spread=spread,
        written=written,
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("history", History)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

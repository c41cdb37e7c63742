"""Show what the pages measured, and results that were stored.

- ``:published:`106.2 s``` marks a figure that somebody else published: the only way in which a
  number with a unit may stand in prose.
- ``.. measured::`` shows everything that the pages of this build checked, as tables, and the rules
  that pages lift.
- ``.. measured::`` with lines ``PAGE: NAME | LABEL`` shows those figures, under these labels.
- ``.. stored-routes:: NAME`` shows stored results of the routes, ``routes`` or another file, with
  its content as the caption.
- ``.. published-run::`` shows those of the published tutorial next to its own figures.
- ``.. scoreboard:: PART TASK`` renders the stored results of the sweep of a task by a template of
  ``_templates/scoreboard``: counts, changes, causes, mismatches, upstream, table, found. Without a
  task, there is a tab for each. All of it is in the page; its script only sorts and searches.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from jinja2 import Environment, FileSystemLoader
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

import dependencies
from smallport import quantities
from smallport.export import recipes
from smallport.records import Result, with_unit
from tools.gallery import project, runs
from tools.lint import pages as page_rules

if TYPE_CHECKING:
    from smallport.bench.route_results import Results, RouteResult
    from smallport.export import ExportReport
    from smallport.measured import Provenance

PUBLISHED = project.DOCS / "published.toml"
BEFORE_UNIT = re.compile(r"(?<=\d)\s+(?=(?:MB|nats|m?s|times|×|%)(?!\w))")

STORED = project.ROOT / "src" / "smallport" / "measured"
SWEEP = STORED / "sweep.json"
UPSTREAM = STORED / "export_skips.json"
SWEEP_MODULES = (
    "smallport.architectures.tasks",
    "smallport.export.recipes",
    "smallport.quantities",
    "smallport.sweep.changes",
    "smallport.sweep.counts",
    "smallport.sweep.history",
    "smallport.sweep.mismatches",
    "smallport.sweep.scoreboard",
    "smallport.sweep.upstream",
)
"""The inputs of the scoreboard."""

PUBLISHED_TIMES = ((188.6, 106.2), (208.6, 113.1), (209.2, 114.1), (195.2, 112.5))
"""Seconds that float32 and int8 took in four builds of the published tutorial, by one thread."""

TEST_TOKENS = 245_569
"""The number of tokens in WikiText-2's test text, all of which the published tutorial reads."""

LIVE = "gallery/export/plot_40_scoreboard_live"
CAUSES_SHOWN = 10
GLYPHS = {"passed": "✓", "failed": "✗", "not reached": "·"}
ORDER = {status: -place for place, status in enumerate(GLYPHS)}
"""The order in which a stage's column is sorted: what passed comes last."""

TEMPLATES = project.DOCS / "_templates" / "scoreboard"


def joined(text: str) -> str:
    """Keep numbers and their units on one line.

    Examples
    --------
    >>> joined("5.167 nats in 106.2 s").replace(quantities.SPACE, "_")
    '5.167_nats in 106.2_s'
    """
    return BEFORE_UNIT.sub(quantities.SPACE, text)


def published_role(
    name: str, rawtext: str, text: str, lineno: int, inliner: Any, *_: Any
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """Mark a cited figure."""
    node = nodes.inline(rawtext, joined(text), classes=["smallport-published"])
    return [node], []


@dataclass(frozen=True)
class Published:
    """A figure of a published tutorial.

    Parameters
    ----------
    value
        In its own words.
    number
        The number among them, in the unit of the check that measures the same here.
    why
        Why ours may be another.
    source
        Where it stands.
    """

    value: str
    number: float
    why: str
    source: str

    def beside(self, ours: Result) -> str:
        """Write it for the column next to our figure, with a sentence where the two differ."""
        if not self.value.startswith(with_unit(self.number, ours.unit)):
            raise ExtensionError(
                f"published.toml, {ours.name}: {self.value!r} does not begin with "
                f"{with_unit(self.number, ours.unit)}, and ours is in {ours.unit or 'no unit'}: "
                "compare quantities of one unit"
            )
        theirs = quantities.quantity(self.number, ours.unit)
        same = theirs == quantities.quantity(ours.value, ours.unit)
        why = "" if same else f". {self.why}"
        return f"{joined(self.value)} (`source <{self.source}>`__){why}"


@cache
def published_figures() -> dict[tuple[str, str], Published]:
    """Read what the published tutorials say, by page and name of the figure."""
    figures = tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))
    return {
        (page, name): Published(**figure)
        for page, named in figures.items()
        for name, figure in named.items()
    }


def measured(script: Path) -> dict[str, Result]:
    """Look up what a page measured, by name."""
    return {result.name: result for result in runs.checked(script)}


class Measured(SphinxDirective):
    """Show measured figures as tables."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make the tables of all pages, or the one table that was asked for."""
        dependencies.note_modules(self.env, quantities.__name__)
        self.env.note_dependency(str(PUBLISHED))
        for script in project.scripts():
            self.env.note_dependency(str(script))
            self.env.note_dependency(str(runs.record_file(script)))
        lines = self.chosen() if self.content else self.everything()
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)

    def everything(self) -> list[str]:
        """List every check of every page in reading order, and the rules that it lifts."""
        lines: list[str] = []
        for script in project.in_reading_order():
            page = project.docname(script)
            title = project.title(script)
            heading = f":doc:`{title} </gallery/{page}>`"
            lines += [heading, "^" * len(heading), ""]
            rows: list[tuple[str, ...]] = []
            for result in measured(script).values():
                published = published_figures().get((page, result.name))
                rows.append(
                    (
                        result.name,
                        quantities.describe_value(result),
                        quantities.claimed(result) or "reported, nothing claimed",
                        published.beside(result) if published else "",
                    )
                )
            header: tuple[str, ...] = ("figure", "measured", "claimed", "published")
            if not any(row[-1] for row in rows):
                header, rows = header[:-1], [row[:-1] for row in rows]
            lines += table(header, rows, f"Measured by “{title}”")
            if lifted := [
                (f"{rule.line}", rule.rule, rule.reason) for rule in page_rules.lifted(script)
            ]:
                caption = f"Rules that “{title}” lifts"
                lines += table(("line", "rule lifted", "why"), lifted, caption)
        return lines

    def chosen(self) -> list[str]:
        """List the figures that the directive names, each with the page that measured it."""
        rows = []
        for line in self.content:
            place, _, label = line.partition(" | ")
            page, _, name = place.partition(": ")
            result = measured(project.EXAMPLES / f"{page}.py").get(name)
            run = runs.read(project.EXAMPLES / f"{page}.py")
            if result is None and run and run.failure:  # the gates name that page
                continue
            if result is None:
                raise self.error(
                    f"{page} measured nothing of the name {name!r}: see the names of its checks"
                )
            value = quantities.describe_value(result)
            rows.append((label, f"**{value}**", f":doc:`/gallery/{page}`"))
        return table(("what", "measured", "on the page"), rows, "What the pages measured")


def table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]], caption: str) -> list[str]:
    """Write a table in reStructuredText, with what a row is about in its first column."""
    lines = [
        f".. list-table:: {caption}",
        "   :stub-columns: 1",
        "   :header-rows: 1",
        "   :class: smallport-figures",
        "",
    ]
    for row in (header, *rows):
        lines += [f"   {'* -' if column == 0 else '  -'} {cell}" for column, cell in enumerate(row)]
    return [*lines, ""]


class StoredRoutes(SphinxDirective):
    """Show the stored result of every route as a table, with where it comes from."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        from smallport.bench import route_results  # noqa: PLC0415 - imports PyTorch

        [name] = self.arguments
        self.assert_has_content()
        dependencies.note_modules(self.env, route_results.__name__)
        self.env.note_dependency(str(STORED / f"{name}.json"))
        lines = routes_table(*route_results.read_results(name), " ".join(self.content))
        return self.parse_text_to_nodes("\n".join(lines))


def routes_table(provenance: Provenance, results: Results, caption: str) -> list[str]:
    """Write the results in reStructuredText."""
    from smallport.bench.route_results import as_table  # noqa: PLC0415 - imports PyTorch

    frame = as_table(results)
    reasons = frame["maintenance"].where(frame["MB"] == "", frame["MB"])
    frame = frame.assign(MB=reasons).drop(
        columns=["embedding", "LSTM", "decoder", "to install, MB", "maintenance"]
    )
    reference = results.routes[0]
    slow = [route for route in results.routes if route.tokens < reference.tokens]
    commit = provenance.commit.removesuffix("+") or "unknown"
    changed = ", with uncommitted changes" if provenance.commit.endswith("+") else ""
    tokens = f"{reference.tokens + 1:,}"
    whole = results.model.rpartition("; ")[2]
    text = whole if whole.startswith(f"{tokens} ") else f"the first {tokens} of the {whole}"
    lines = [
        f"**Measured on {provenance.date}** on {provenance.machine}, with "
        + ", ".join(f"{name} {version}" for name, version in provenance.versions.items())
        + f". The loss is the mean over {text}; times are those of one thread, in "
        + ("1 process." if results.processes == 1 else f"{results.processes} processes.")
        + f" In a checkout of this project, ``python -m {provenance.command}`` measures the routes "
        f"again. These are from commit ``{commit}``{changed}.",
        "",
    ]
    if slow:
        names = " and ".join(f"*{route.route}*" for route in slow)
        number = f"{slow[0].tokens + 1:,}"
        lines += [
            f"{names} read only the first {number} tokens: *change* is that on these tokens.",
            "",
        ]
    rows = [tuple(row) for row in frame.itertuples(index=False)]
    return [*lines, *table(tuple(frame.columns), rows, caption)]


class PublishedRun(SphinxDirective):
    """Compare the figures that the published tutorial printed with stored ones."""

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        from smallport.bench import route_results  # noqa: PLC0415 - imports PyTorch

        dependencies.note_modules(self.env, route_results.__name__)
        self.env.note_dependency(str(STORED / "routes.json"))
        _, results = route_results.read_results()
        return self.parse_text_to_nodes("\n".join(published_run(results)))


def published_run(results: Results) -> list[str]:
    """Write the comparison with the published tutorial in reStructuredText.

    Parameters
    ----------
    results
        Stored results of the published architecture.
    """
    from smallport.bench.routes import TIMED_TOKENS  # noqa: PLC0415 - imports PyTorch

    floats, int8 = results.named("eager float32"), results.named("eager int8")
    excerpts = (TEST_TOKENS - 1) / (TIMED_TOKENS - 1)

    def cited(*figures: str) -> str:
        return ", ".join(f":published:`{figure}`" for figure in figures)

    def whole(route: RouteResult) -> str:
        return f"about {excerpts * route.chunks.median:.0f} s"

    size = "the versions of PyTorch and the names of the saved files differ"
    weights = "the weights differ"
    if floats.tokens + 1 < TEST_TOKENS:
        weights += f", and ours is the loss over the first {floats.tokens + 1:,} tokens"
    machine = "the machine and the versions differ; ours is estimated from an excerpt"
    rows = [
        ("float32, size", cited("113.944 MB"), f"{floats.megabytes:.3f} MB", size),
        ("int8, size", cited("79.738 MB"), f"{int8.megabytes:.3f} MB", size),
        ("float32, loss", cited("5.167 nats"), f"{floats.loss:.3f} nats", weights),
        ("int8, loss", cited("5.168 nats"), f"{int8.loss:.3f} nats", weights),
        (
            "float32, time",
            cited(*(f"{slow} s" for slow, _ in PUBLISHED_TIMES)),
            whole(floats),
            machine,
        ),
        (
            "int8, time",
            cited(*(f"{fast} s" for _, fast in PUBLISHED_TIMES)),
            whole(int8),
            machine,
        ),
        (
            "int8, times as fast",
            cited(*(f"{slow / fast:.2f} ×" for slow, fast in PUBLISHED_TIMES)),
            f"{results.speedup(int8.route)} ×",
            "the processor differs, and with it the gain from 8 bits",
        ),
    ]
    header = ("eager, one thread", "published, four builds", "here", "why it differs")
    return table(header, rows, "The published tutorial, and the same here")


class Scoreboard(SphinxDirective):
    """Show one part of the scoreboard, of a task or of each."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Render the results."""
        from smallport.architectures.tasks import TASKS  # noqa: PLC0415 - as below
        from smallport.sweep.history import history_file  # noqa: PLC0415

        template = TEMPLATES / f"{self.arguments[0]}.html"
        if not template.exists():
            raise self.error(f"the scoreboard has no part {self.arguments[0]!r}: see {TEMPLATES}")
        dependencies.note_modules(self.env, *SWEEP_MODULES)
        results = [stored_sweep(task) for task in TASKS]
        # The digests change when results are stored that were not there.
        found = (*results, *map(history_file, results), UPSTREAM, STORED / "SHA256SUMS", template)
        for dependency in found:
            if dependency.exists():
                self.env.note_dependency(str(dependency))
        if len(self.arguments) == 1:
            return self.parse_text_to_nodes("\n".join(tabs(self.arguments[0])))
        task = self.arguments[1]
        if task not in TASKS:
            raise self.error(f"there is no task {task!r}, only {', '.join(TASKS)}")
        pages = {
            name: self.env.app.builder.get_relative_uri(self.env.docname, page)
            for name, page in (
                ("live", LIVE),
                *((page, f"gallery/export/{page}") for page in recipes.PAGES),
            )
        }
        html = render(template.name, pages, stored_sweep(task))
        return [nodes.raw("", html, format="html")]


def stored_sweep(task: str) -> Path:
    """Name the file with the stored results of a task."""
    from smallport.sweep.scoreboard import results_name  # noqa: PLC0415 - imports PyTorch

    return STORED / f"{results_name(task)}.json"


def tabs(part: str) -> list[str]:
    """Write a part of the scoreboard in reStructuredText, with a tab for each task.

    A tab of a task says so if no results of it are stored.
    """
    from smallport.architectures.tasks import TASKS  # noqa: PLC0415 - imports PyTorch

    lines = [".. tab-set::", "   :sync-group: task", ""]
    for task, words in TASKS.items():
        label = words.removesuffix(" language modelling").capitalize()
        lines += [f"   .. tab-item:: {label}", f"      :sync: {task}", ""]
        if stored_sweep(task).exists():
            lines += [f"      .. scoreboard:: {part} {task}", ""]
        else:
            lines += [f"      No sweep of {words} is stored yet.", ""]
    return lines


def render(template: str, pages: Mapping[str, str], results: Path = SWEEP) -> str:
    """Write one part of the scoreboard in HTML.

    Parameters
    ----------
    template
        The part.
    pages
        The addresses of the page ``live``, which explains differences, and of the pages with
        recipes, by the names of their scripts.
    results
        The stored results.
    """
    # Importing these takes seconds, and most builds read no document that shows the scoreboard.
    from smallport.architectures.tasks import TASKS, file_name  # noqa: PLC0415
    from smallport.sweep import upstream  # noqa: PLC0415
    from smallport.sweep.changes import KINDS, changes_since  # noqa: PLC0415
    from smallport.sweep.counts import frequent_causes  # noqa: PLC0415
    from smallport.sweep.mismatches import EXPLANATIONS, mismatches  # noqa: PLC0415
    from smallport.sweep.scoreboard import read_scoreboard  # noqa: PLC0415

    kept = read_scoreboard(results)
    tests = upstream.read_upstream()
    beside = {name: tests.kind(name, kept.reports.get(name)) for name in kept.registered}
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["written"] = quantities.format_number
    environment.filters["anchor"] = file_name
    counts = kept.counts()
    passed = {
        report.name: sum(one.status == "passed" for one in report.stages)
        for report in kept.reports.values()
    }
    return environment.get_template(template).render(
        stages=[one.stage for one in counts],
        task=kept.task,
        words=TASKS[kept.task],
        out_of_scope=kept.out_of_scope,
        passed=passed,
        glyphs=GLYPHS,
        order=ORDER,
        counts=counts,
        causes=frequent_causes(kept.reports.values())[:CAUSES_SHOWN],
        reports=[kept.reports[one] for one in kept.registered if one in kept.reports],
        registered=kept.registered,
        missing=[one for one in kept.registered if one not in kept.reports],
        no_verdict=kept.no_verdict,
        provenance=kept.provenance,
        largest=largest_difference,
        mismatches=mismatches(kept.reports.values()),
        explanations=EXPLANATIONS,
        history=changes_since(results, kept),
        linked=kept.reports.keys(),
        kinds=KINDS,
        tests=tests,
        beside=beside,
        test_kinds=upstream.KINDS,
        pages=pages,
        live=pages["live"],
        recipes=recipes,
    )


def largest_difference(report: ExportReport) -> float | None:
    """Find the largest difference of all stages; NaN where there is one."""
    found = [one.largest_difference for one in report.stages if one.largest_difference is not None]
    return max(found, key=lambda number: (number != number, number), default=None)  # noqa: PLR0124 - NaN


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the role and the directives, and the script of the scoreboard's table."""
    app.add_role("published", published_role)
    app.add_directive("measured", Measured)
    app.add_directive("stored-routes", StoredRoutes)
    app.add_directive("published-run", PublishedRun)
    app.add_directive("scoreboard", Scoreboard)
    app.add_js_file("scoreboard.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}

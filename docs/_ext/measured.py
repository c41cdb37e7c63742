"""Show what the pages measured, and mark what they only cite.

- ``:published:`106.2 s``` marks a figure that somebody else published: the only way in which a
  number with a unit may stand in prose.
- ``.. measured::`` shows everything that the pages of this build checked, as tables, and the rules
  that pages lift.
- ``.. measured::`` with lines ``PAGE: NAME | LABEL`` shows those figures, under these labels.
"""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from smallport import quantities
from smallport.records import Result
from tools.gallery import project, runs
from tools.lint import pages as page_rules

PUBLISHED = project.DOCS / "published.toml"


BEFORE_UNIT = re.compile(r"(?<=\d)\s+(?=(?:MB|nats|m?s|times|×|%)(?!\w))")


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
    """What a published tutorial says.

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
        """Write it as it stands beside our figure, with a sentence where the two differ."""
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
        self.env.note_dependency(str(PUBLISHED))
        for script in project.scripts():
            self.env.note_dependency(str(script))
            self.env.note_dependency(str(runs.record_file(script)))
        lines = self.chosen() if self.content else self.everything()
        return self.parse_text_to_nodes(
            StringList(lines, source="measured figures"), allow_section_headings=True
        )

    def everything(self) -> list[str]:
        """List every check of every page in reading order, and the rules that it lifts."""
        lines: list[str] = []
        for script in project.in_reading_order():
            page = project.docname(script)
            title = project.title(script)
            heading = f":doc:`{title} </gallery/{page}>`"
            lines += [heading, "^" * len(heading), ""]
            rows = []
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
            header = ("figure", "measured", "claimed", "published")
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
            if result is None:
                raise self.error(
                    f"{page} measured nothing of the name {name!r}: see the names of its checks"
                )
            value = quantities.describe_value(result)
            rows.append((label, f"**{value}**", f":doc:`/gallery/{page}`"))
        return table(("what", "measured", "on the page"), rows, "What the pages measured")


def table(header: tuple[str, ...], rows: list[tuple[str, ...]], caption: str) -> list[str]:
    """Write a table in reStructuredText, with what a row is about in its first column."""
    lines = [
        f".. list-table:: {caption}",
        "   :stub-columns: 1",
        "   :header-rows: 1",
        "   :class: smallport-figures",
        "",
    ]
    for row in [header, *rows]:
        lines += [f"   {'* -' if column == 0 else '  -'} {cell}" for column, cell in enumerate(row)]
    return [*lines, ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the role and the directive."""
    app.add_role("published", published_role)
    app.add_directive("measured", Measured)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

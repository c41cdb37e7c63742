"""Show what the sweep found: ``.. scoreboard:: PART`` renders the kept results by a template.

The parts are the templates in ``_templates/scoreboard``: counts, causes, mismatches, table, found.

All of it is in the page: the script beside it only sorts and searches.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from jinja2 import Environment, FileSystemLoader
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from smallport import quantities

if TYPE_CHECKING:
    from smallport.export import ExportReport

RESULTS = Path(__file__).parents[2] / "src" / "smallport" / "measured" / "sweep.json"
COOKBOOK = "gallery/export/plot_20_export_error_cookbook"
LIVE = "gallery/export/plot_40_scoreboard_live"
CAUSES_SHOWN = 10
GLYPHS = {"passed": "✓", "failed": "✗", "not reached": "·"}
TEMPLATES = Path(__file__).parents[1] / "_templates" / "scoreboard"


class Scoreboard(SphinxDirective):
    """Show one part of the scoreboard."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Render the results."""
        template = TEMPLATES / f"{self.arguments[0]}.html"
        if not template.exists():
            raise self.error(f"the scoreboard has no part {self.arguments[0]!r}: see {TEMPLATES}")
        for dependency in (RESULTS, template):
            self.env.note_dependency(str(dependency))
        pages = {
            name: self.env.app.builder.get_relative_uri(self.env.docname, page)
            for name, page in (("cookbook", COOKBOOK), ("live", LIVE))
        }
        html = render(template.name, pages)
        return [nodes.raw("", html, format="html")]


def render(template: str, pages: Mapping[str, str], results: Path = RESULTS) -> str:
    """Write one part of the scoreboard in HTML.

    Parameters
    ----------
    template
        The part.
    pages
        The addresses of the pages ``cookbook``, which explains errors, and ``live``, which explains
        differences.
    results
        The kept results.
    """
    # The extension is loaded for each page that runs, and importing these takes seconds.
    from smallport.export.report import STAGES  # noqa: PLC0415
    from smallport.sweep.counts import frequent_causes  # noqa: PLC0415
    from smallport.sweep.mismatches import EXPLANATIONS, mismatches  # noqa: PLC0415
    from smallport.sweep.scoreboard import read_scoreboard  # noqa: PLC0415

    kept = read_scoreboard(results)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["written"] = quantities.format_number
    passed = {
        report.name: sum(one.status == "passed" for one in report.stages)
        for report in kept.reports.values()
    }
    return environment.get_template(template).render(
        stages=STAGES,
        passed=passed,
        glyphs=GLYPHS,
        counts=kept.counts(),
        causes=frequent_causes(kept.reports.values())[:CAUSES_SHOWN],
        reports=[kept.reports[one] for one in kept.registered if one in kept.reports],
        registered=kept.registered,
        missing=[one for one in kept.registered if one not in kept.reports],
        provenance=kept.provenance,
        largest=largest_difference,
        mismatches=mismatches(kept.reports.values()),
        explanations=EXPLANATIONS,
        **pages,
    )


def largest_difference(report: ExportReport) -> float | None:
    """Find the largest difference of all stages; NaN where there is one."""
    found = [one.largest_difference for one in report.stages if one.largest_difference is not None]
    return max(found, key=lambda number: (number != number, number), default=None)  # noqa: PLR0124 - NaN


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive, and the script of its table."""
    app.add_directive("scoreboard", Scoreboard)
    app.add_js_file("scoreboard.js", loading_method="defer")
    return {"parallel_read_safe": True, "parallel_write_safe": True}

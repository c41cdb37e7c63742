"""Show what the sweep found: ``.. scoreboard::`` renders the kept results by a template.

All of it is in the page: the script beside it only sorts and searches.
"""

from pathlib import Path

from docutils import nodes
from jinja2 import Environment, FileSystemLoader
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from smallport import measured
from smallport.export.report import STAGES, ExportReport
from smallport.sweep.counts import frequent_causes
from smallport.sweep.scoreboard import NAME, read_scoreboard

COOKBOOK = "gallery/export/plot_20_export_error_cookbook"
CAUSES_SHOWN = 10
GLYPHS = {"passed": "✓", "failed": "✗", "not reached": "·"}
TEMPLATES = Path(__file__).parents[1] / "_templates"


class Scoreboard(SphinxDirective):
    """Show the counts by stage, the most frequent causes, and every architecture."""

    def run(self) -> list[nodes.Node]:
        """Render the results."""
        file = measured.FOLDER / f"{NAME}.json"
        for dependency in (file, TEMPLATES / "scoreboard.html"):
            self.env.note_dependency(str(dependency))
        html = render(self.env.app.builder.get_relative_uri(self.env.docname, COOKBOOK))
        return [nodes.raw("", html, format="html")]


def render(cookbook: str, name: Path | str = NAME) -> str:
    """Write the scoreboard in HTML.

    Parameters
    ----------
    cookbook
        The address of the page that explains errors.
    name
        The kept results.
    """
    kept = read_scoreboard(name)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("scoreboard.html").render(
        stages=STAGES,
        glyphs=GLYPHS,
        counts=kept.counts(),
        causes=frequent_causes(kept.reports.values())[:CAUSES_SHOWN],
        reports=[kept.reports[name] for name in kept.registered if name in kept.reports],
        registered=kept.registered,
        provenance=kept.provenance,
        largest=largest_difference,
        cookbook=cookbook,
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

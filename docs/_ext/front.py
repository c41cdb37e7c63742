"""The roles and directives of the front page: figures in a sentence, and the install command.

- ``:stored:`architectures``` writes a figure of the stored results.
- ``.. install:: EXTRA`` writes the command that installs the wheel of this site.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

import dependencies
from results import STORED
from tools.downloads import install
from tools.downloads.wheel import FOLDER, built

FREE = 0.002
"""The largest cost in nats of a route that counts as one without a loss."""


def smallest() -> str:
    """Write how much smaller the smallest route is that costs next to nothing."""
    from smallport.bench.route_results import read_results  # noqa: PLC0415 - imports PyTorch

    _, results = read_results()
    sound = [route.route for route in results.routes if results.cost(route.route) <= FREE]
    return f"{max(map(results.smaller, sound)):.2f} times"


def architectures() -> str:
    """Write how many architectures pass every stage, and how many there are."""
    from smallport.sweep.scoreboard import read_scoreboard  # noqa: PLC0415 - imports PyTorch

    scoreboard = read_scoreboard(STORED / "sweep.json")
    passed = sum(
        all(stage.status == "passed" for stage in report.stages)
        for report in scoreboard.reports.values()
    )
    return f"{passed} of {len(scoreboard.registered)}"


FIGURES: dict[str, tuple[Callable[[], str], str]] = {
    "smallest": (smallest, "routes.json"),
    "architectures": (architectures, "sweep.json"),
}
"""The function that computes each figure, and its file."""


class Stored(SphinxRole):
    """Write a figure of the stored results."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Compute it."""
        if self.text not in FIGURES:
            message = f"there is no figure {self.text!r}: there are {', '.join(FIGURES)}"
            problem = self.inliner.reporter.error(message, line=self.lineno)
            return [self.inliner.problematic(self.rawtext, self.rawtext, problem)], [problem]
        compute, file = FIGURES[self.text]
        dependencies.note_modules(self.env, __name__)
        self.env.note_dependency(str(STORED / file))
        return [nodes.inline(self.rawtext, compute(), classes=["smallport-stored"])], []


class Install(SphinxDirective):
    """Show the command that installs the wheel of this site."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Write it."""
        wheel = built(self.config.html_baseurl)
        self.env.note_dependency(str(FOLDER / wheel.name))
        command = ["$ python -m pip install", *install.from_where(wheel, self.arguments[0])]
        lines = [".. code-block:: console", "", f"   {' '.join(command)}"]
        if not wheel.site:
            lines = [
                f"Download `the package <{wheel.link}>`__ into the current folder. Then:",
                "",
                *lines,
            ]
        return self.parse_text_to_nodes("\n".join(lines))


def only_where_used(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Leave the styles of cards out of pages without one: they would weigh as much as the text."""
    if "sd-" not in context.get("body", ""):
        context["css_files"] = [
            one for one in context["css_files"] if "sphinx-design" not in str(one.filename)
        ]


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the role and the directive."""
    app.add_role("stored", Stored())
    app.add_directive("install", Install)
    app.connect("html-page-context", only_where_used)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

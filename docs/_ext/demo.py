"""Let the model run in a page: ``.. demo::`` renders its form, and what the build wrote with it."""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import dependencies

TEMPLATES = Path(__file__).parents[1] / "_templates" / "demo"
MADE = Path(__file__).parents[1] / "_build" / "demo"
PAGE = "in_the_page"
SCRIPT = "demo.js"
SMALLEST = 0.0005
"""A smaller probability would be shown as nothing."""


class Demo(SphinxDirective):
    """Show the form, or why there is none."""

    def run(self) -> list[nodes.Node]:
        """Render what the build made."""
        description = MADE / "demo.json"
        if not description.exists():
            raise self.error("the model of this page was not made: build with `nox -s docs`")
        expected = MADE / "site" / PAGE / "expected.json"
        dependencies.note_modules(self.env, "smallport.lstm")
        for dependency in (description, expected, *TEMPLATES.glob("*.html")):
            if dependency.exists():
                self.env.note_dependency(str(dependency))
        html = rendered(
            json.loads(description.read_text(encoding="utf-8")),
            json.loads(expected.read_text(encoding="utf-8")) if expected.exists() else {},
        )
        return [nodes.raw("", html, format="html")]


def rendered(description: dict[str, Any], expected: dict[str, Any]) -> str:
    """Write the demo in HTML.

    Parameters
    ----------
    description
        The build's description of its files, or of the missing ones; see ``tools.demo.files``.
    expected
        The words that the build wrote in Python.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update(megabytes=megabytes, percentage=percentage)
    if reason := description.get("missing"):
        return environment.get_template("missing.html").render(reason=reason)
    return environment.get_template("demo.html").render(
        folder=PAGE,
        key=description["key"],
        files=description["files"],
        loaded=sum(file["bytes"] for file in description["files"].values()),
        beginning=" ".join(expected["beginning"]),
        written=expected["drawn"],
        text=as_text(expected["beginning"], expected["drawn"]),
        **{name: description[name] for name in ("words", "corpus", "float_bytes")},
    )


def as_text(beginning: list[str], written: list[dict[str, Any]]) -> str:
    r"""Join words to lines, as the script does.

    Examples
    --------
    >>> as_text(["The", "list"], [{"word": "ends"}, {"word": "<eos>"}, {"word": "Next"}])
    'The list ends\nNext'
    """
    from smallport.lstm import END_OF_LINE  # noqa: PLC0415 - imports PyTorch

    words = [*beginning, *(word["word"] for word in written)]
    return "\n".join(line.strip() for line in " ".join(words).split(END_OF_LINE))


def megabytes(size: int) -> str:
    r"""Write a size in bytes as people say it.

    Examples
    --------
    >>> megabytes(6_531_234)
    '6.5\xa0MB'
    """
    return f"{size / 1e6:.1f}\N{NO-BREAK SPACE}MB"


def percentage(share: float) -> str:
    """Write a probability in per cent.

    Examples
    --------
    >>> percentage(0.2113), percentage(0.0002)
    ('21.1 %', '< 0.1 %')
    """
    return "< 0.1 %" if share < SMALLEST else f"{100 * share:.1f} %"


def add_script(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Load the script on the one page that has the demo."""
    if pagename == PAGE:
        app.add_js_file(SCRIPT, type="module")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive and its script."""
    app.add_directive("demo", Demo)
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

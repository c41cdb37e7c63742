"""Let the model run in a page: ``.. demo::`` renders its form, and what the build wrote with it.

With ``:short:`` it leaves out the comparison with float32 and the words one by one.
"""

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

import dependencies

TEMPLATES = Path(__file__).parents[1] / "_templates" / "demo"
MADE = Path(__file__).parents[1] / "_build" / "demo"
PAGE = "in_the_page"
PAGES = (PAGE, "index")
"""The pages with a demo, all at the root of the site."""

FLOAT_MODEL = "float32.onnx"
SCRIPT = "demo.js"
SMALLEST = 0.0005
"""A smaller probability would be shown as nothing."""


class Demo(SphinxDirective):
    """Show the form, or why there is none."""

    option_spec = {"short": directives.flag}  # noqa: RUF012 - as docutils has it

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
            short="short" in self.options,
        )
        return [nodes.raw("", html, format="html")]


def rendered(description: dict[str, Any], expected: dict[str, Any], *, short: bool = False) -> str:
    """Write the demo in HTML.

    Parameters
    ----------
    description
        The build's description of its files, or of the missing ones; see ``tools.demo.files``.
    expected
        The words that the build wrote in Python.
    short
        Whether to leave out the comparison and the words one by one.
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
    sizes = {name: file["bytes"] for name, file in description["files"].items()}
    beginning, written, in_floats = (
        expected["beginning"],
        words_of(expected["drawn"]),
        words_of(expected["float32"]["drawn"]),
    )
    place = None if short else first_difference(written, in_floats)
    return environment.get_template("demo.html").render(
        short=short,
        folder=PAGE,
        key=description["key"],
        files=description["files"],
        float_bytes=sizes.pop(FLOAT_MODEL),
        loaded=sum(sizes.values()),
        beginning=" ".join(beginning),
        written=expected["drawn"],
        text=as_text(beginning, written, place),
        float_text=as_text(beginning, in_floats, place),
        parting=parting(written, in_floats),
        **{name: description[name] for name in ("words", "corpus")},
    )


def words_of(written: list[dict[str, Any]]) -> list[str]:
    """Take the words of what the build wrote, in their order."""
    return [word["word"] for word in written]


def first_difference(one: list[str], other: list[str]) -> int | None:
    """Find the place of the first word in which two texts differ; None where they are the same.

    Examples
    --------
    >>> first_difference(["a", "b"], ["a", "c"]), first_difference(["a"], ["a"])
    (1, None)
    """
    pairs = enumerate(zip(one, other, strict=True))
    return next((place for place, (here, there) in pairs if here != there), None)


def as_text(beginning: list[str], written: list[str], place: int | None = None) -> str:
    r"""Join words to lines, and mark the word at a place, as the script does.

    Examples
    --------
    >>> as_text(["The", "list"], ["ends", "<eos>", "Next"])
    'The list ends\nNext'
    >>> as_text(["The", "list"], ["ends", "<eos>", "Next"], 0)
    Markup('The list <mark>ends</mark>\nNext')
    """
    from smallport.lstm import END_OF_LINE  # noqa: PLC0415 - imports PyTorch

    def joined(words: list[str]) -> str:
        return "\n".join(line.strip() for line in " ".join(words).split(END_OF_LINE))

    if place is None:
        return joined([*beginning, *written])
    before, after = joined([*beginning, *written[:place]]), joined(written[place + 1 :])
    ends_line = written[place] == END_OF_LINE
    gap = "\n" if ends_line else "" if after.startswith("\n") else " "
    return Markup("{}{}<mark>{}</mark>{}{}").format(  # which escapes them
        before,
        "" if before.endswith("\n") else " ",
        "↵" if ends_line else written[place],
        gap,
        after,
    )


def parting(one: list[str], other: list[str]) -> str:
    """Say where two texts part, in the words of the script.

    Examples
    --------
    >>> parting(["a", "b"], ["a", "<eos>"])
    'The first word is the same. Then int8 wrote “b”, and float32 wrote a new line.'
    >>> parting(["a"], ["b"])
    'They differ from the first word on: int8 wrote “a”, and float32 wrote “b”.'
    """
    from smallport.lstm import END_OF_LINE  # noqa: PLC0415 - imports PyTorch

    place = first_difference(one, other)
    if place is None:
        return f"int8 and float32 wrote the same {len(one)} words."
    same = "first word is" if place == 1 else f"first {place} words are"
    start = f"The {same} the same. Then" if place else "They differ from the first word on:"
    here, there = (
        "a new line" if words[place] == END_OF_LINE else f"“{words[place]}”"
        for words in (one, other)
    )
    return f"{start} int8 wrote {here}, and float32 wrote {there}."


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
    ('21.1%', '< 0.1%')
    """
    return "< 0.1%" if share < SMALLEST else f"{100 * share:.1f}%"


def add_script(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Load the script on the pages that have the demo."""
    if pagename in PAGES:
        app.add_js_file(SCRIPT, type="module")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive and its script."""
    app.add_directive("demo", Demo)
    app.connect("html-page-context", add_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Say on each page what one learns and what it takes, what it ran on, and how to run it again.

A card under the title replaces Sphinx-Gallery's note that leads to the downloads at the
end. The end says how to install and run the page, what it ran on, and where to report what is
wrong, in an issue that is filled in already. Machines read the same in ``provenance.json``.
"""

import datetime as dt
import os
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from textwrap import indent
from urllib.parse import quote, urlencode

from jinja2 import StrictUndefined, Template
from sphinx.application import Sphinx

import dependencies
from smallport import files, quantities
from smallport.quantities import counted
from smallport.records import Result, Source
from tools.downloads import bundle, install
from tools.downloads.wheel import FOLDER, built
from tools.gallery import project, runs, settings
from tools.lint import opening, pages

GALLERY = "gallery/"

TEMPLATES = Path(__file__).parents[1] / "_templates" / "page"
TEMPLATE = Template((TEMPLATES / "card.rst").read_text("utf-8"), undefined=StrictUndefined)
NOTE = re.compile(
    r"^\.\. only:: html\n\n    \.\. note::\n        :class: sphx-glr-download-link-note\n\n.+?\n\n",
    re.MULTILINE | re.DOTALL,
)
CELL = ".. GENERATED FROM PYTHON SOURCE"
"""The text that the gallery writes before each cell."""

TITLE = re.compile(r"^(?P<title>\S.*)\n(?P<underline>([=~^*#-])\3{2,})\n", re.MULTILINE)
COLAB = "https://colab.research.google.com/#fileId="
"""Opens the notebook whose address follows."""

TRAINING = "training of the small model"
"""The name of the training time on the page that trains, read from the record."""

TRAINED = "trained here"
"""The origin of the weights that the first page trains, as :mod:`smallport.assets` records it."""

NEEDS = {
    "embedded": "no download except the packages",
    "published": "the published text and weights, downloaded once",
}
"""The downloads that a page needs, by the profile of its assets."""

ENDING = """

.. container:: smallport-install

{running}

.. admonition:: Environment of this page's last run
   :class: smallport-provenance note

   .. list-table:: Machine, versions and assets of its last run
      :stub-columns: 1
      :widths: 22 78

{rows}
{report}"""

REPORT = """
.. container:: smallport-report

   `Something wrong on this page? <{address}>`__
"""
PUBLISHED = """\
The script names its requirements. `uv <https://docs.astral.sh/uv/>`__ or
`pipx <https://pipx.pypa.io/>`__ installs them and runs it:

.. code-block:: console

   $ uv run {name}
   $ pipx run {name}

The first cell of the notebook installs them, too. With pip:

.. code-block:: console

   $ python -m pip install {arguments}

The extra index, which uv knows from the script, has a build of PyTorch without gigabytes of CUDA.
"""
UNPUBLISHED = """\
To run the script, put `{wheel} <{root}{link}>`__ into the same folder. The script names its
requirements, and `uv <https://docs.astral.sh/uv/>`__ installs them and runs it:

.. code-block:: console

   $ uv run {name}

The first cell of the notebook installs them from the same file, too. With pip:

.. code-block:: console

   $ python -m pip install {arguments}
   $ python {name}

`One archive <{root}{bundle}>`__ has all pages and all files that they need, except packages.
"""

REPOSITORY = "SMALLPORT_REPOSITORY_URL"
LONGEST = 6000
"""The largest number of characters of an address: servers reject much longer ones."""

BODY = """\
What is wrong:


What I expected:


---
Page: {page}
Run on {date}, at commit {commit}, with the assets {assets!r}
On: {processor}, {cores}
With: {versions}
Checks:
{checks}
"""


def script_of(docname: str) -> Path | None:
    """Find the script of a page; None for any other document."""
    if not docname.startswith(GALLERY):
        return None
    script = project.EXAMPLES / f"{docname.removeprefix(GALLERY)}.py"
    return script if script.exists() else None


def add_card(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the card under the title of a page that ran."""
    script = script_of(docname)
    run = runs.read(script) if script else None
    if script is None or run is None:
        return
    app.env.note_dependency(str(runs.record_file(script)))
    app.env.note_dependency(str(TEMPLATES / "card.rst"))
    dependencies.note_modules(app.env, quantities.__name__)
    app.env.note_dependency(str(project.HEADLINE))
    card = rendered(
        run,
        opening.opening_of(script.read_text(encoding="utf-8")),
        opening.reading_minutes(pages.cells_of(script)),
        colab_address(app, docname),
        runs.checked(script),
        needs_weights=any(source.origin == TRAINED for source in runs.sources(script)),
    )
    docstring, cell, rest = NOTE.sub("", source[0], count=1).partition(CELL)
    docstring = opening.PARAGRAPH.sub("", docstring)
    source[0] = TITLE.sub(lambda title: title.group() + card, docstring, count=1) + cell + rest


def rendered(
    run: runs.Run,
    opens: opening.Opening,
    minutes: int,
    colab: str = "",
    results: Iterable[Result] = (),
    *,
    needs_weights: bool = False,
) -> str:
    """Write a card in reStructuredText.

    Parameters
    ----------
    run
        The last run of the page.
    opens
        The paragraphs at the beginning of the page.
    minutes
        The minutes to read it.
    colab
        The address that opens the notebook in Colab, if there is one.
    results
        The figures that the run measured.
    needs_weights
        Whether the page loads the model that the first one of them trains.
    """
    ran = run.environment
    results = list(results)
    memory = quantities.quantity(round(run.megabytes / 1000, 1), "GB") if run.megabytes else ""
    needs = [f"{memory} of memory"] if memory else []
    values = {one.name: quantities.describe_value(one) for one in results}
    wanted = project.headlines().get(run.page.removesuffix(".py"), {})
    card: str = TEMPLATE.render(
        opening=opens,
        figures={label: values[name] for label, name in wanted.items() if name in values},
        description=without_markup(opens.learned[:1].upper() + opens.learned[1:]),
        reading=f"about {minutes} {'minute' if minutes == 1 else 'minutes'}",
        time=taken(run.seconds or 0, results, needs_weights=needs_weights),
        needs=", ".join([*needs, NEEDS[ran.assets], "a processor and no GPU"]),
        date=in_words(ran.date),
        machine=f"{ran.processor}, {counted(ran.cores, 'core')}",
        versions=", ".join(f"{name} {version}" for name, version in ran.versions.items()),
        name=Path(run.page).stem,
        colab=colab,
    )
    return card


def without_markup(text: str) -> str:
    """Write a text without roles, as descriptions for search engines are written.

    Examples
    --------
    >>> without_markup("the :term:`scales <scale>` of ``int8``, and :term:`perplexity`")
    'the scales of int8, and perplexity'
    """
    text = re.sub(r":[\w:]+:`~?([^`<]+?)(?:\s*<[^`]*>)?`", r"\1", text)
    return re.sub(r"`([^`<]+?)\s*<[^`]*>`_{0,2}", r"\1", text).replace("``", "")


def taken(seconds: float, results: Iterable[Result], *, needs_weights: bool) -> str:
    """Write how long a page ran, and the training that an earlier run had done."""
    trained = [one.value for one in results if one.name == TRAINING]
    before = [
        f", and {quantities.duration(one)} to train before" for one in trained if one > seconds
    ]
    if needs_weights and not trained:
        before = [", and some minutes more to train the model where no page has done so"]
    return f"{quantities.duration(seconds)} to run" + "".join(before)


def in_words(date: str) -> str:
    """Write the day of a date in ISO 8601.

    Examples
    --------
    >>> in_words("2026-11-02T21:52:00+00:00")
    '2 November 2026'
    """
    day = dt.datetime.fromisoformat(date)
    return f"{day.day} {day:%B %Y}"


def colab_address(app: Sphinx, docname: str) -> str:
    """Write the address that opens a page's notebook in Colab; empty without one of the site."""
    if not (site := os.environ.get(settings.SITE_URL)):
        return ""
    place = app.env.dlfiles.add_file(docname, f"{docname}.ipynb")
    return COLAB + quote(f"{site.rstrip('/')}/_downloads/{place}", safe="")


def add_ending(app: Sphinx, docname: str, source: list[str]) -> None:
    """Append to a page how to install what it needs, and the provenance of its output."""
    script = script_of(docname)
    run = runs.read(script) if script else None
    if script is None or run is None:
        return
    app.env.note_dependency(str(runs.record_file(script)))
    description = described(run, runs.sources(script)).items()
    rows = [f"      * - {name}\n        - {value}" for name, value in description]
    wheel = built(app.config.html_baseurl)
    app.env.note_dependency(str(FOLDER / wheel.name))
    running = indent(how_to_run(script, wheel, "../" * docname.count("/")), "   ")
    address = issue_address(run, runs.checked(script))
    report = REPORT.format(address=address) if address else ""
    source[0] += ENDING.format(running=running, rows="\n".join(rows), report=report)


def how_to_run(script: Path, wheel: install.Wheel, root: str) -> str:
    """Say how a downloaded page is run, where the site has an address and where it has none."""
    return (PUBLISHED if wheel.site else UNPUBLISHED).format(
        name=script.name,
        arguments=install.arguments(script.read_text(encoding="utf-8"), wheel),
        wheel=wheel.name,
        link=wheel.link,
        root=root,
        bundle=bundle.NAME,
    )


def described(run: runs.Run, sources: list[Source]) -> dict[str, str]:
    """Put the provenance of a run into words."""
    ran = run.environment
    dirty = ran.commit.endswith("+")
    threads = f", threads at the end: {run.threads}" if run.threads else ""
    return {
        "commit": f"``{ran.commit.rstrip('+')}``" + (", with uncommitted changes" if dirty else ""),
        "date": ran.date.replace("T", " ").replace("+00:00", " UTC"),
        "processor": f"{ran.processor}, {counted(ran.cores, 'core')}{threads}",
        "int8 dot products": ", ".join(ran.int8_dot_products) or "none",
        "versions": ", ".join(f"{name} {version}" for name, version in ran.versions.items()),
        "assets": f"``{ran.assets}``",
        **{source.name: f"{source.origin}, ``{source.identity[:16]}``" for source in sources},
        "run it again": f"``{run.command}``",
    }


def issue_address(run: runs.Run, results: list[Result]) -> str:
    """Write the address of a new issue about a page; empty where no repository is known.

    Parameters
    ----------
    run
        The page's last run.
    results
        The figures that it measured. The last ones are left out if the address gets too long.
    """
    if not (repository := os.environ.get(REPOSITORY)):
        return ""
    checks = [f"- {one.name}: {quantities.describe_value(one)}" for one in results]
    shown = len(checks)
    while True:
        left_out = [f"- and {len(checks) - shown} more"] if shown < len(checks) else []
        address = _address(repository, run, [*checks[:shown], *left_out])
        if len(address) <= LONGEST or not shown:
            return address
        shown -= 1


def _address(repository: str, run: runs.Run, checks: list[str]) -> str:
    ran = run.environment
    body = BODY.format(
        page=run.page,
        date=ran.date,
        commit=ran.commit,
        assets=ran.assets,
        processor=ran.processor,
        cores=counted(ran.cores, "core"),
        versions=", ".join(f"{name} {version}" for name, version in ran.versions.items()),
        checks="\n".join(checks) or "none",
    )
    fields = {"title": f"{run.page}: ", "body": body}
    return f"{repository.rstrip('/')}/issues/new?{urlencode(fields)}"


def write_json(app: Sphinx, exception: Exception | None) -> None:
    """Write the provenance of every page, with what it measured, to the root of the site."""
    if exception is not None or app.builder.name != "html":
        return
    pages = {}
    for script in project.scripts():
        if run := runs.read(script):
            pages[run.page] = {
                **asdict(run),
                "command": run.command,
                "sources": [asdict(source) for source in runs.sources(script)],
                "results": [asdict(result) for result in runs.checked(script)],
            }
    files.write_json(Path(app.outdir) / "provenance.json", {"pages": pages})


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the reading of pages and to the end of the build."""
    app.connect("source-read", add_card)
    app.connect("source-read", add_ending)
    app.connect("build-finished", write_json)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Open each page with a card: what one learns, what it takes, and when it last ran.

It stands in place of Sphinx-Gallery's note that leads to the downloads at the end of the page.
"""

import datetime as dt
import os
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from jinja2 import StrictUndefined, Template
from sphinx.application import Sphinx

import provenance
from smallport import quantities
from smallport.records import Result
from tools.gallery import runs, settings
from tools.lint import opening

TEMPLATES = Path(__file__).parents[1] / "_templates" / "page"
TEMPLATE = Template((TEMPLATES / "card.rst").read_text("utf-8"), undefined=StrictUndefined)
NOTE = re.compile(
    r"^\.\. only:: html\n\n    \.\. note::\n        :class: sphx-glr-download-link-note\n\n.+?\n\n",
    re.MULTILINE | re.DOTALL,
)
TITLE = re.compile(r"^(?P<title>\S.*)\n(?P<underline>([=~^*#-])\3{2,})\n", re.MULTILINE)
COLAB = "https://colab.research.google.com/#fileId="
"""Opens the notebook whose address follows."""

TRAINING = "training of the small model"
"""What the page that trains calls the time of it, which it reads from the record."""

NEEDS = {
    "embedded": "no download but the packages",
    "published": "the published text and weights, downloaded once",
}
"""What a page needs from elsewhere, by the profile of its assets."""


def add_card(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put the card under the title of a page that ran."""
    script = provenance.script_of(docname)
    run = runs.read(script) if script else None
    if script is None or run is None:
        return
    app.env.note_dependency(str(runs.record_file(script)))
    app.env.note_dependency(str(TEMPLATES / "card.rst"))
    learned = opening.learned(script.read_text(encoding="utf-8"))
    card = rendered(run, learned, colab_address(app, docname), runs.checked(script))
    text = opening.LEARNED.sub("", NOTE.sub("", source[0], count=1), count=1)
    source[0] = TITLE.sub(lambda title: title.group() + card, text, count=1)


def rendered(run: runs.Run, learned: str, colab: str = "", results: Iterable[Result] = ()) -> str:
    """Write a card in reStructuredText.

    Parameters
    ----------
    run
        The last run of the page.
    learned
        What one learns.
    colab
        The address that opens the notebook in Colab, if there is one.
    results
        What the run measured.
    """
    ran = run.environment
    memory = quantities.quantity(round(run.megabytes / 1000, 1), "GB") if run.megabytes else ""
    needs = [f"{memory} of memory"] if memory else []
    cores = f"{ran.cores} {'core' if ran.cores == 1 else 'cores'}"
    return TEMPLATE.render(
        learned=learned,
        description=learned[:1].upper() + learned[1:].replace("``", ""),
        time=taken(run.seconds or 0, results),
        needs=", ".join([*needs, NEEDS[ran.assets], "a processor and no GPU"]),
        date=in_words(ran.date),
        machine=f"{ran.processor}, {cores}",
        versions=", ".join(f"{name} {version}" for name, version in ran.versions.items()),
        name=Path(run.page).stem,
        colab=colab,
    )


def taken(seconds: float, results: Iterable[Result]) -> str:
    """Write how long a page took, and the training that an earlier run spared it."""
    trained = [one.value for one in results if one.name == TRAINING and one.value > seconds]
    before = [f"; the training, {quantities.duration(one)}, was done before" for one in trained]
    return quantities.duration(seconds) + "".join(before)


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


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the reading of pages."""
    app.connect("source-read", add_card)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

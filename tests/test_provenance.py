"""A page says what one learns, what it ran on, and where to report what is wrong with it."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

import provenance
from smallport.records import Result
from tools.gallery import project, runs, settings

PAGE = """\
.. only:: html

    .. note::
        :class: sphx-glr-download-link-note

        :ref:`Go to the end <sphx_glr_download_gallery_small_page.py>`
        to download the full example code.

.. rst-class:: sphx-glr-example-title

.. _sphx_glr_gallery_small_page.py:


A page
======

An introduction.

What you will learn: how ``a page``
opens.

.. GENERATED FROM PYTHON SOURCE LINES 9-12
"""

ENVIRONMENT = runs.Environment(
    commit="0123",
    date="2026-11-02T21:52:00+00:00",
    processor="A processor",
    int8_dot_products=(),
    cores=1,
    versions={"python": "3.11.7", "torch": "2.13.0"},
    assets="embedded",
)
RUN = runs.Run("small/page.py", "", ENVIRONMENT, seconds=1)


@pytest.fixture
def app(tmp_path, monkeypatch):
    """Give an application that has one page, which ran."""
    monkeypatch.setattr(project, "EXAMPLES", tmp_path)
    monkeypatch.setattr(runs, "FOLDER", tmp_path / "records")
    script = tmp_path / "small" / "page.py"
    script.parent.mkdir()
    script.write_text('"""\nA page\n\nWhat you will learn: how ``a page``\nopens.\n"""\n')
    runs.write(script, runs.Run("small/page.py", "", ENVIRONMENT, seconds=92, megabytes=1315.1))
    seen = []
    downloads = SimpleNamespace(add_file=lambda _, file: f"0123/{file.rpartition('/')[2]}")
    env = SimpleNamespace(dlfiles=downloads, note_dependency=seen.append)
    return SimpleNamespace(env=env, seen=seen)


def carded(app, docname="gallery/small/page"):
    source = [PAGE]
    provenance.add_card(app, docname, source)
    return source[0].replace("\N{NO-BREAK SPACE}", " ")


def test_the_card_stands_under_the_title_in_place_of_the_note(app):
    text = carded(app)
    assert "Go to the end" not in text
    assert text.index("\nA page\n======\n") < text.index(".. container:: smallport-card")
    assert text.index("smallport-card") < text.index("An introduction.")
    assert text.count("What you will learn") == 1
    assert ".. GENERATED FROM PYTHON SOURCE LINES 9-12" in text
    names = {Path(file).name for file in app.seen}
    assert names >= {"run.json", "card.rst", "quantities.py", "records.py"}


def test_the_card_says_what_the_record_says(app):
    text = carded(app)
    assert "**What you will learn:** how ``a page`` opens." in text
    assert ":description: How a page opens." in text
    assert ":Takes: 1 min 32 s\n" in text
    assert ":Needs: 1.3 GB of memory, no download but the packages, a processor and no GPU" in text
    assert "2 November 2026 on A processor, 1 core, with python 3.11.7, torch 2.13.0" in text
    assert "<page.py>`" in text
    assert "<page.ipynb>`" in text


@pytest.mark.parametrize(
    ("seconds", "taken"),
    [(5.63, "5.63 s; the training, 18 min 48 s, was done before"), (1133.6, "18 min 54 s")],
)
def test_training_that_an_earlier_run_did_is_not_left_out(app, seconds, taken):
    script = project.EXAMPLES / "small" / "page.py"
    result = Result("training of the small model", 1128.0, "s")
    line = json.dumps({"Result": dataclasses.asdict(result)})
    runs.results_file(script).write_text(f"{line}\n", encoding="utf-8")
    runs.write(script, runs.Run("small/page.py", "", ENVIRONMENT, seconds=seconds))
    assert f":Takes: {taken}\n" in carded(app)


def test_colab_is_offered_only_where_the_address_is_known(app, monkeypatch):
    assert "Colab" not in carded(app)
    monkeypatch.setenv(settings.SITE_URL, "https://example.org/smallport/")
    address = "https%3A%2F%2Fexample.org%2Fsmallport%2F_downloads%2F0123%2Fpage.ipynb"
    assert f"`Open in Colab <{provenance.COLAB}{address}>`__" in carded(app)


@pytest.mark.parametrize("docname", ["results", "gallery/index", "gallery/small/gone"])
def test_other_documents_are_left_alone(app, docname):
    assert carded(app, docname) == PAGE


def test_memory_that_nobody_measured_is_not_named():
    run = runs.Run("small/page.py", "", ENVIRONMENT, seconds=1)
    assert ":Needs: no download but the packages" in provenance.rendered(run, "much")


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setenv(provenance.REPOSITORY, "https://example.org/project/")


def fields(address):
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def test_without_a_repository_there_is_no_address():
    assert provenance.issue_address(RUN, []) == ""


@pytest.mark.usefixtures("known")
def test_the_issue_names_page_versions_and_checks():
    address = provenance.issue_address(RUN, [Result("loss & gap", 3.1, "nats")])
    assert address.startswith("https://example.org/project/issues/new?")
    assert fields(address)["title"] == "small/page.py: "
    body = fields(address)["body"]
    for part in ("small/page.py", "0123", "A processor", "torch 2.13.0", "- loss & gap: 3.1"):
        assert part in body


@pytest.mark.usefixtures("known")
def test_an_address_that_is_too_long_leaves_checks_out_and_says_so():
    many = [Result(f"a check with a name of some length, {n}", n, "MB") for n in range(1, 400)]
    address = provenance.issue_address(RUN, many)
    assert len(address) <= provenance.LONGEST
    body = fields(address)["body"]
    shown = body.count("- a check with")
    assert 0 < shown < len(many)
    assert f"- and {len(many) - shown} more" in body

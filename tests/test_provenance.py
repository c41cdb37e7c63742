"""A page says what one learns, what it ran on, and where to report what is wrong with it."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

import provenance
from smallport.records import Result, Source
from tools.gallery import project, runs, settings
from tools.lint.opening import Opening

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

Result: a page
has a card.

What you will learn: how ``a page``
opens.

Prerequisites: :doc:`the page before <before>`.

An introduction.

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
    docstring = PAGE[PAGE.index("A page\n") : PAGE.index(".. GENERATED")]
    script.write_text(f'"""\n{docstring}"""\n')
    monkeypatch.setattr(project, "HEADLINE", tmp_path / "headline.toml")
    project.HEADLINE.write_text('["small/page"]\n"how small it gets" = "size"\n')
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
    assert text.count("how ``a page`` opens") == text.count("has a card") == 1
    assert "What you will learn:" not in text
    assert ".. GENERATED FROM PYTHON SOURCE LINES 9-12" in text
    names = {Path(file).name for file in app.seen}
    assert names >= {"run.json", "card.rst", "quantities.py", "records.py"}


def test_the_card_says_what_the_record_says(app):
    text = carded(app)
    assert "**Result:** a page has a card." in text
    assert ":You need: :doc:`the page before <before>`." in text
    assert ":You will learn: how ``a page`` opens." in text
    assert ":description: How a page opens." in text
    assert ":Takes: about 1 minute to read, 1 min 32 s to run\n" in text
    assert (
        ":Runs on: 1.3 GB of memory, no download except the packages, a processor and no GPU"
        in text
    )
    assert "2 November 2026 on A processor, 1 core, with python 3.11.7, torch 2.13.0" in text
    assert "<page.py>`" in text
    assert "<page.ipynb>`" in text


@pytest.mark.parametrize(
    ("seconds", "taken"),
    [
        (5.63, "5.63 s to run, and 18 min 48 s to train before"),
        (1133.6, "18 min 54 s to run"),
    ],
)
def test_training_that_an_earlier_run_did_is_not_left_out(app, seconds, taken):
    script = project.EXAMPLES / "small" / "page.py"
    result = Result("training of the small model", 1128.0, "s")
    line = json.dumps({"Result": dataclasses.asdict(result)})
    runs.results_file(script).write_text(f"{line}\n", encoding="utf-8")
    runs.write(script, runs.Run("small/page.py", "", ENVIRONMENT, seconds=seconds))
    assert f" to read, {taken}\n" in carded(app)


def test_a_page_that_needs_the_trained_model_says_so(app):
    script = project.EXAMPLES / "small" / "page.py"
    source = json.dumps({"Source": dataclasses.asdict(Source("weights", "trained here", "0"))})
    runs.results_file(script).write_text(f"{source}\n", encoding="utf-8")
    runs.write(script, runs.Run("small/page.py", "", ENVIRONMENT, seconds=5.63))
    assert "and some minutes more to train the model where no page has done so\n" in carded(app)


def test_the_card_shows_the_figures_that_are_named_for_its_page(app):
    assert "how small it gets" not in carded(app)
    script = project.EXAMPLES / "small" / "page.py"
    result = json.dumps({"Result": dataclasses.asdict(Result("size", 2.5, "MB"))})
    runs.results_file(script).write_text(f"{result}\n", encoding="utf-8")
    runs.write(script, runs.Run("small/page.py", "", ENVIRONMENT, seconds=1))
    assert "   - how small it gets: **2.5 MB**\n" in carded(app)


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
    card = provenance.rendered(run, Opening(), 1)
    assert ":Runs on: no download except the packages" in card


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

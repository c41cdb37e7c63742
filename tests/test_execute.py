"""The process of a page: its environment, what it leaves, and when a page runs again."""

import json
import os

import pytest

from smallport import files
from tools.gallery import execute, project, runs
from tools.gallery.runs import Environment, Run

ENVIRONMENT = Environment(
    "0123456789ab",
    "2026-11-20T21:52:00+00:00",
    "p",
    (),
    2,
    {"python": "3.11"},
    "embedded",
    "c",
    "f",
)


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Write a page of a project that has built it."""
    monkeypatch.setattr(project, "ROOT", tmp_path)
    for name, folder in (("EXAMPLES", "examples"), ("GALLERY", "gallery"), ("BUILD", "build")):
        monkeypatch.setattr(project, name, tmp_path / folder)
    monkeypatch.setattr(runs, "FOLDER", tmp_path / "records")
    page = tmp_path / "examples" / "folder" / "plot_10_page.py"
    page.parent.mkdir(parents=True)
    page.write_text('"""A page."""\n')
    for made in (project.memory_of(page), project.rendered(page)):
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_text("made")
    name = page.relative_to(project.EXAMPLES).as_posix()
    runs.write(page, Run(name, files.sha256(page), ENVIRONMENT, seconds=1.0))
    return page


def test_a_page_that_passed_and_did_not_change_does_not_run_again(script):
    assert execute.why_stale(script, ENVIRONMENT) == ""


def test_a_page_runs_again_after_each_change(script):
    other = Environment(**{**vars(ENVIRONMENT), "fingerprint": "other"})
    assert "depends on changed" in execute.why_stale(script, other)
    text = script.read_text()
    script.write_text(text + "# more\n")
    assert "text changed" in execute.why_stale(script, ENVIRONMENT)
    script.write_text(text)
    project.rendered(script).unlink()
    assert "did not pass" in execute.why_stale(script, ENVIRONMENT)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"checksum": 1}', '{"run": {}}'])
def test_a_broken_record_makes_a_page_run_again(content, script):
    runs.record_file(script).write_text(content)
    assert "no record" in execute.why_stale(script, ENVIRONMENT)


def test_a_forged_record_makes_a_page_run_again(script):
    sealed = json.loads(runs.record_file(script).read_text())
    sealed["run"]["seconds"] = 0.1
    runs.record_file(script).write_text(json.dumps(sealed))
    assert "no record" in execute.why_stale(script, ENVIRONMENT)


def test_a_page_has_a_home_and_a_temporary_folder_of_its_own(tmp_path, monkeypatch):
    for name in ("PYTHONOPTIMIZE", "PYTHONWARNINGS", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(execute, "matplotlib_folder", lambda: tmp_path)
    variables = execute.page_environment(tmp_path)
    assert variables["HOME"].startswith(str(tmp_path))
    assert variables["TMPDIR"].startswith(str(tmp_path))
    assert not {"PYTHONOPTIMIZE", "PYTHONWARNINGS", "XDG_CACHE_HOME"} & variables.keys()
    assert variables["PATH"] == os.environ["PATH"]


def test_what_a_page_leaves_is_named_by_where_it_is(tmp_path):
    for folder in ("home/.config", "tmp"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "home" / ".config" / "id").touch()
    (tmp_path / "tmp" / "model.onnx").touch()
    assert execute.left_in(tmp_path) == ["~/.config/id", "the temporary folder/model.onnx"]


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("word-language-model-0123456789abcdef.pth", True),
        ("Tiny-LLM-0123456789abcdef", True),
        ("Tiny-LLM-0123456789abcdef.lock", True),
        ("wikitext-2", True),
        ("events.db", False),
        ("model.pth", False),
    ],
)
def test_only_what_smallport_keeps_may_be_new_in_the_cache(name, ours):
    assert bool(execute.OURS.match(name)) is ours


def test_a_page_that_is_gone_leaves_no_trace(script):
    image = project.GALLERY / "folder" / "images" / "sphx_glr_plot_10_page_001.png"
    image.parent.mkdir()
    image.touch()
    neighbour = image.with_name("sphx_glr_plot_10_page_more_001.png")
    neighbour.touch()
    script.unlink()
    execute.remove_page(script)
    assert not image.exists()
    assert neighbour.exists()
    assert not runs.folder_of(script).exists()


def test_the_command_of_a_page_names_no_other(script):
    command = " ".join(execute.sphinx_for(script))
    assert r"folder/plot_10_page\.py$" in command
    assert r"^(?!plot_10_page\.py$)" in command

"""The process of a page: its environment, what it leaves, and when a page runs again."""

import dataclasses
import datetime as dt
import json
import threading
from pathlib import Path

import pytest

from smallport import files
from tools.gallery import execute, gates, project, runs
from tools.gallery import used as uses
from tools.gallery.runs import Environment, Run

ENVIRONMENT = Environment(
    "0123456789ab",
    "2026-11-20T21:52:00+00:00",
    "p",
    (),
    2,
    {"python": "3.11"},
    "embedded",
)
SETTINGS = {"system": {"cores": "2"}}


NOW = uses.World(uses.Places(Path("/nowhere")), SETTINGS)
USED = uses.Used({"system cores": "2"})


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
    keep(page)
    return page


def keep(page, used=USED, **changes):
    """Record that a page ran."""
    name = page.relative_to(project.EXAMPLES).as_posix()
    used.write(runs.used_file(page))
    run = Run(name, files.sha256(page), ENVIRONMENT, seconds=1.0)
    runs.write(page, dataclasses.replace(run, **changes))


def test_a_page_that_passed_and_did_not_change_does_not_run_again(script):
    assert execute.why_stale(script, NOW) == ""


def test_a_page_runs_again_after_each_change(script):
    other = uses.World(NOW.places, {"system": {"cores": "4"}})
    assert execute.why_stale(script, other) == "cores 2 → 4"
    text = script.read_text()
    script.write_text(text + "# more\n")
    assert "text changed" in execute.why_stale(script, NOW)
    script.write_text(text)
    project.rendered(script).unlink()
    assert "did not pass" in execute.why_stale(script, NOW)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"checksum": 1}', '{"run": {}}'])
def test_a_broken_record_makes_a_page_run_again(content, script):
    runs.record_file(script).write_text(content)
    assert "no record" in execute.why_stale(script, NOW)


def test_a_forged_record_makes_a_page_run_again(script):
    sealed = json.loads(runs.record_file(script).read_text())
    sealed["run"]["seconds"] = 0.1
    runs.record_file(script).write_text(json.dumps(sealed))
    assert "no record" in execute.why_stale(script, NOW)


def test_a_page_whose_run_cannot_be_told_runs_each_time(script):
    keep(script, uses.Used({"system cores": "2"}, "it used the network (example.org)"))
    assert execute.why_stale(script, NOW) == "it used the network (example.org)"
    assert execute.changed_since(script, NOW) == ""  # so no gate finds fault with it


def test_a_page_without_a_list_of_what_it_used_runs_again(script):
    runs.used_file(script).unlink()
    assert "no record" in execute.why_stale(script, NOW)


def test_a_page_that_measures_time_does_so_every_week(script):
    script.write_text("# sphinx_gallery_measures_time = True\n")
    for days, stale in ((6, False), (8, True)):
        date = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
        keep(script, environment=dataclasses.replace(ENVIRONMENT, date=date.isoformat()))
        assert ("days ago" in execute.why_stale(script, NOW)) is stale


def test_pages_of_sections_take_turns():
    names = ["a/1", "a/2", "a/3", "b/1"]
    turns = execute.in_turns(map(Path, names))
    assert [str(one) for one in turns] == ["a/1", "b/1", "a/2", "a/3"]


def test_pages_run_side_by_side_but_those_that_measure_time(script, monkeypatch, capsys):
    others = [script.with_name(f"plot_{number}_page.py") for number in (20, 30, 40)]
    for page in others:
        page.write_text("# sphinx_gallery_measures_time = True\n" * (page is others[-1]))
    both = threading.Barrier(2, timeout=60)
    running, most = set(), {}

    def run_page(page, *_):
        running.add(page)
        if page in others[:2]:
            both.wait()  # which two at once come to
        most[page] = len(running)
        running.remove(page)
        return Run(page.name, "", ENVIRONMENT, seconds=1.0, failure="" if page != script else "x")

    monkeypatch.setattr(execute.environment, "describe", lambda: ENVIRONMENT)
    monkeypatch.setattr(execute.environment, "matplotlib_folder", lambda: None)
    monkeypatch.setattr(execute.environment, "usable_cores", lambda: 2)
    monkeypatch.setattr(execute, "run_page", run_page)
    execute.run_pages(dict.fromkeys([others[-1], *others[:2], script], "its text changed"), NOW, {})
    assert most[others[-1]] == 1
    said = capsys.readouterr().out
    assert "[4/4] running" in said
    assert "its text changed (last time 1 s)" in said
    assert "FAILED examples/folder/plot_10_page.py" in said


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
    assert bool(gates.OURS.match(name)) is ours


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
    command = " ".join(execute.sphinx_for(script, script.parent))
    assert r"folder/plot_10_page\.py$" in command
    assert r"^(?!plot_10_page\.py$)" in command


def test_a_page_reads_in_the_cache_only_what_has_a_key(script):
    entries = {"file $CACHE/word-language-model-0123456789abcdef.pth": "1", "folder $CACHE": "1"}
    keep(script, uses.Used(entries))
    assert list(gates.taken_over(script)) == []
    keep(script, uses.Used(entries | {"file $CACHE/left/by-another-page": "1"}))
    (found,) = gates.taken_over(script)
    assert found.message.startswith("read left/by-another-page in the cache")

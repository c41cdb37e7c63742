"""The process of a page: its environment, what it leaves, and when a page runs again."""

import dataclasses
import datetime as dt
import json
import threading
from pathlib import Path

import pytest

from smallport import files
from tools.gallery import execute, gates, origin, project, runs
from tools.gallery import used as uses
from tools.gallery.runs import Environment, Run

ENVIRONMENT = Environment(
    origin.NO_CHECKOUT,
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
    project.memory_of(script).unlink()
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


def test_no_page_waits_for_assets_while_another_could_run():
    names = ["a/1", "a/2", "a/3", "b/1", "b/2"]
    ordered = execute.assets_first(map(Path, names))
    assert [str(one) for one in ordered] == ["a/1", "b/1", "b/2", "a/2", "a/3"]


def test_pages_run_side_by_side(script, monkeypatch, capsys):
    others = [script.with_name(f"plot_{number}_page.py") for number in (20, 30, 40)]
    for page in others:
        page.touch()
    both = threading.Barrier(2, timeout=60)

    def run_page(page, *_, silence):
        if page in others[:2]:
            with silence.unlocked():
                both.wait()  # which two at once come to
        return Run(page.name, "", ENVIRONMENT, seconds=1.0, failure="" if page != script else "x")

    monkeypatch.setattr(execute.environment, "describe", lambda: ENVIRONMENT)
    monkeypatch.setattr(execute.environment, "matplotlib_folder", lambda: None)
    monkeypatch.setattr(execute.environment, "usable_cores", lambda: 2)
    monkeypatch.setattr(execute, "run_page", lambda *given: run_page(given[0], silence=given[-1]))
    execute.run_pages(dict.fromkeys([others[-1], *others[:2], script], "its text changed"), NOW, {})
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
    ("name", "asset"),
    [
        ("word-language-model-0123456789abcdef.pth", "word-language-model-0123456789abcdef"),
        ("Tiny-LLM-0123456789abcdef/config.json", "Tiny-LLM-0123456789abcdef"),
        ("Tiny-LLM-0123456789abcdef.lock", "Tiny-LLM-0123456789abcdef"),
        ("", ""),
        ("../events.db", ""),
    ],
)
def test_files_of_an_asset_share_its_name(name, asset, tmp_path):
    assert uses.Places(tmp_path).asset((tmp_path / name).resolve()) == asset


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


def test_a_page_reads_nothing_that_another_one_left(script):
    assert list(gates.taken_over(script)) == []
    keep(script, dataclasses.replace(USED, foreign=["the cache/left"]))
    (found,) = gates.taken_over(script)
    assert found.message.startswith("read the cache/left, which another page")


# A run of a page, in which a small program stands in for Sphinx.

STAND_IN = """
import json, os, sys
from pathlib import Path

gallery = Path({docs!r}, "gallery", "folder")
(gallery / "images").mkdir(parents=True)
for name in ("plot_10_page.py.md5", "plot_10_page.rst", "images/sphx_glr_plot_10_page_001.png"):
    (gallery / name).write_text("made anew")
(gallery / "index.rst").write_text("the index of one page")
{code}
"""
ENDED = """
note = {{"passed": True, "seconds": 2.0, "threads": 1, "megabytes": 3.0}}
Path({ended!r}).write_text(json.dumps(note))
"""


@pytest.fixture
def run_page(script, monkeypatch, isolated):
    """Give a function that runs the page with some code in the place of Sphinx and the page."""

    def run(code=""):
        files.cache_folder()
        ended = ENDED.format(ended=str(runs.ended_file(script)))

        def command(_, docs):
            program = script.parents[2] / "stand_in.py"
            program.write_text(STAND_IN.format(docs=str(docs), code=code or ended))
            return [execute.sys.executable, str(program)]

        monkeypatch.setattr(execute, "sphinx_for", command)
        silence = execute.alone.Silence()
        with silence.serve(), silence.lock:
            return execute.run_page(script, ENVIRONMENT, NOW, {"LANG": "C.UTF-8"}, silence)

    monkeypatch.setattr(execute.environment, "matplotlib_folder", lambda: isolated)
    return run


def test_a_page_is_given_the_address_at_which_it_asks_to_run_alone(run_page):
    asks = "from multiprocessing.connection import Client; Client(os.environ['SMALLPORT_ALONE'])"
    assert "ended with status 0" in run_page(asks).failure


def test_a_run_is_recorded_with_what_it_made_and_used(script, run_page):
    stale = project.rendered(script).with_name("images") / "sphx_glr_plot_10_page_002.png"
    stale.parent.mkdir()
    stale.touch()
    run = run_page()
    assert (run.passed, run.seconds, run.left) == (True, 2.0, ())
    assert runs.read(script).seconds == 2.0
    assert project.rendered(script).read_text() == "made anew"
    assert (stale.parent / "sphx_glr_plot_10_page_001.png").exists()
    assert not stale.exists()
    assert not project.rendered(script).with_name("index.rst").exists()
    used = uses.Used.read(runs.used_file(script))
    assert used.untold == ""
    assert "system cores" in used.entries
    assert execute.why_stale(script, NOW) == ""


def test_what_a_run_leaves_is_named_and_what_smallport_keeps_is_not(script, run_page, isolated):
    code = (
        f"Path({str(script.parent)!r}, 'left.txt').write_text('x')\n"
        "Path.home().joinpath('.upstream').write_text('x')\n"
        f"Path({str(isolated)!r}, 'upstream').write_text('x')\n"
        "import sitecustomize; sitecustomize.TRACE.begin()\n"
        f"weights = Path({str(isolated)!r}, 'weights-0123456789abcdef.pth')\n"
        "exec(compile('weights.touch()', 'smallport/assets/made.py', 'exec'))\n"
    )
    run = run_page(code)
    assert run.left == ("~/.upstream", "examples/folder/left.txt", "the cache/upstream")
    (isolated / "weights-0123456789abcdef.pth").unlink()
    run = run_page(code.replace("smallport/assets/made.py", "page.py"))
    assert "the cache/weights-0123456789abcdef.pth" in run.left


def test_a_page_is_not_accused_of_what_another_one_wrote_beside_it(script, run_page):
    other = runs.FOLDER / "folder" / "other" / "trace.txt"
    other.parent.mkdir(parents=True)
    left = script.with_name("left.txt")
    other.write_text(f"1\twrite\t{left}\n")
    code = f"os.system('touch {left}')"
    assert run_page(code).left == ()
    left.unlink()
    other.unlink()
    assert run_page(code).left == ("examples/folder/left.txt",)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("sys.exit(3)", "never came to its end: its process ended with status 3"),
        ("import time; time.sleep(60)", "for more than 0.5 s"),
    ],
)
def test_a_page_that_does_not_come_to_its_end_has_failed(code, why, script, run_page, monkeypatch):
    monkeypatch.setenv("SMALLPORT_PAGE_SECONDS", "0.5" if "sleep" in code else "60")
    run = run_page(code)
    assert not run.passed
    assert why in run.failure
    (found,) = gates.unexecuted([script], lambda _: "")
    assert why in found.message
    assert "did not pass" in execute.why_stale(script, NOW)


def test_gates_name_pages_whose_runs_no_longer_stand(script):
    assert list(gates.unexecuted([script], lambda _: "")) == []
    (found,) = gates.unexecuted([script], lambda _: "cores 2 → 4")
    assert found.message == "since then, cores 2 → 4: build again"
    script.write_text("# another\n")
    (found,) = gates.unexecuted([script], lambda _: "")
    assert found.message == "its text has changed since: build again"
    runs.forget(script)
    (found,) = gates.unexecuted([script], lambda _: "")
    assert found.message == "the record of its run cannot be believed (there is none): build again"


def test_a_page_that_ran_in_this_build_is_not_sent_through_another_one(script):
    (found,) = gates.unexecuted([script], lambda _: "notes.txt changed", {script})
    assert found.message.startswith("ran in this build, and since then, notes.txt changed: another")
    runs.results_file(script).write_text("{}")
    (found,) = gates.unexecuted([script], lambda _: "", {script})
    assert (
        "(the file of its results was changed): another build would find the same" in found.message
    )
    assert "build again" not in found.message


@pytest.mark.parametrize(
    ("errors", "line", "failure"),
    [
        ("Extension error:\nplot_10_page.py:7: this cell draws\n", 7, "failed: this cell draws"),
        ("Extension error!\n\nExtension error (x):\n no figure\n", None, "failed: (x) no figure"),
        ("a warning\n", None, "never came to its end: its process ended with status 2. Let no"),
    ],
)
def test_an_extension_that_stops_a_page_is_quoted(errors, line, failure, run_page):
    run = run_page(f"sys.stderr.write({errors!r}); sys.exit(2)")
    assert run.line == line
    assert run.failure.startswith(failure)


@pytest.mark.parametrize("name", ["plot_10_page.rst", "images/sphx_glr_plot_10_page_001.png"])
def test_a_page_runs_again_whose_output_or_figure_was_changed(name, script, run_page):
    run = run_page()
    made = project.GALLERY / "folder" / name
    assert run.made[f"folder/{name}"] == files.sha256(made)
    assert list(gates.unsealed(script, run)) == []
    made.write_text("edited")
    assert execute.why_stale(script, NOW) == f"gallery/folder/{name} is not as its last run made it"
    (found,) = gates.unsealed(script, run)
    assert found.message.startswith(f"gallery/folder/{name} was changed after the page ran")
    made.unlink()
    assert f"gallery/folder/{name} is not as" in execute.why_stale(script, NOW)


def test_a_page_runs_again_that_ran_at_another_commit(script):
    keep(script, environment=dataclasses.replace(ENVIRONMENT, commit="0123456789ab"))
    assert "at the commit 0123456789ab, which" in execute.why_stale(script, NOW)
    (found,) = gates.unsealed(script, runs.read(script))
    assert found.message.startswith("says that it ran at the commit 0123456789ab, which")


SHOWN = """\
<div class="sphx-glr-script-out"><pre>first
  second</pre></div><div class="output_html"><table><td>third</td></table></div>
"""


def test_output_and_figures_that_the_site_shows_otherwise_are_named(script, tmp_path):
    project.rendered(script).write_text(
        ".. GENERATED FROM PYTHON SOURCE LINES 1-1\n\n"
        ".. rst-class:: sphx-glr-script-out\n\n .. code-block:: none\n\n"
        "    first\n    second\n\n.. raw:: html\n\n"
        f'{gates.OUTPUT_TABLE} output_html">\n    <table>\n    <td>third</td>\n    </table>\n'
    )
    page, image = gates.page_in(tmp_path, script), tmp_path / "_images" / "figure.png"
    for file, text in ((page, SHOWN), (image, "drawn")):
        files.write_text(file, text)
    run = dataclasses.replace(runs.read(script), made={"images/figure.png": files.sha256(image)})
    assert list(gates.shown_otherwise(script, run, tmp_path)) == []
    image.write_text("replaced")
    for before, after in (("second", "2nd"), ("third", "3rd"), ("third</td>", "third</td>4th")):
        page.write_text(SHOWN.replace(before, after))
        shown, figure = gates.shown_otherwise(script, run, tmp_path)
        assert shown.where == "examples/folder/plot_10_page.py:1"
        assert (
            f"shows {after.partition('</td>')[2] or after!r} as output of this cell"
            in shown.message
        )
        assert "_images/figure.png in the site is not the figure" in figure.message
    page.unlink()
    assert list(gates.shown_otherwise(script, run, tmp_path)) == []


def test_only_pages_that_have_to_run_do(script, monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(execute, "world", lambda _: NOW)
    monkeypatch.setattr(execute, "run_pages", lambda reasons, *_: ran.append(dict(reasons)))
    execute.run_stale({})
    assert ran == []
    execute.run_stale({}, fresh=script.stem)
    execute.run_stale({}, fresh="*")
    assert ran == [{script: "a fresh run was asked for"}] * 2
    gone = project.GALLERY / "folder" / "plot_20_gone.py"
    gone.touch()
    execute.run_stale({})
    assert not gone.exists()
    assert "removing the page of examples/folder/plot_20_gone.py" in capsys.readouterr().out


def test_every_gate_looks_at_a_build(script, tmp_path, monkeypatch):
    monkeypatch.setattr(project, "DOCS", tmp_path)
    monkeypatch.setattr(project, "HEADLINE", tmp_path / "headline.toml")
    project.HEADLINE.write_text('["folder/plot_10_page"]\n"how large" = "size"\n')
    (tmp_path / "published.toml").write_text(
        '["folder/plot_10_page"."loss"]\nvalue = "5.2"\nsource = "https://example.org"\n'
    )
    script.write_text('"""A page."""\n\nassert True\n')
    project.rendered(script).write_text(
        ".. GENERATED FROM PYTHON SOURCE LINES 3-4\n\n"
        ".. rst-class:: sphx-glr-script-out\n\n .. code-block:: none\n\n"
        "    <object at 0x7fb7449cd0e0>\n"
    )
    keep(script, left=("~/.upstream",))
    found = [(one.rule, one.where) for one in gates.findings(tmp_path / "site", lambda _: "")]
    page = "examples/folder/plot_10_page.py"
    assert sorted(found) == [
        ("claims", f"{page}:3"),
        ("claims", "headline.toml"),
        ("claims", "published.toml"),
        ("left", page),
        ("output", f"{page}:3"),
        ("site", page),
    ]


def test_a_page_that_fails_is_named_with_line_and_error(script):
    script.write_text('"""A page."""\n\nassert 1 == 2\n')
    project.rendered(script).write_text(
        ".. GENERATED FROM PYTHON SOURCE LINES 3-4\n\n"
        ".. rst-class:: sphx-glr-script-out\n\n .. code-block:: pytb\n\n"
        "    Traceback (most recent call last):\n"
        f'      File "{script}", line 3, in <module>\n        assert 1 == 2\n    AssertionError\n'
    )
    assert gates.failure(script) == (3, "failed: AssertionError (at: assert 1 == 2)")

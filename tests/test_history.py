"""The numbers of builds are stored run by run, from clean builds that passed, and never by hand."""

import dataclasses
import json

import pytest

from smallport import checks, files
from tests.history_helpers import ENVIRONMENT, entry, nights
from tools.gallery import project, rendering, runs
from tools.history import __main__ as command
from tools.history import lines, store
from tools.lint import pages as page_rules


@pytest.fixture
def history(tmp_path, monkeypatch):
    """Give a project without pages, whose history is empty."""
    monkeypatch.setattr(project, "ROOT", tmp_path)
    monkeypatch.setattr(project, "DOCS", tmp_path)
    monkeypatch.setattr(project, "EXAMPLES", tmp_path / "examples")
    monkeypatch.setattr(runs, "FOLDER", tmp_path / "records")
    monkeypatch.setattr(rendering, "LAST_GOOD", tmp_path / "last_good.json")
    monkeypatch.setattr(lines, "FILE", tmp_path / "history.jsonl")
    return lines.FILE


@pytest.fixture
def build(history, monkeypatch):
    """Give a function that records how a page ran."""

    def page(name="plot_10_page", value=113.9454121, environment=ENVIRONMENT, **changes):
        script = history.parent / "examples" / "folder" / f"{name}.py"
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f'"""{name}."""\n')
        runs.folder_of(script).mkdir(parents=True, exist_ok=True)
        runs.results_file(script).unlink(missing_ok=True)
        with monkeypatch.context() as patch:
            patch.setenv(checks.RESULTS_FILE, str(runs.results_file(script)))
            checks.check("size", value, "MB", at_most=114)
        place = script.relative_to(project.EXAMPLES).as_posix()
        run = runs.Run(place, files.sha256(script), environment, **{"seconds": 1.0} | changes)
        runs.write(script, run)
        records = rendering.contents(map(runs.record_file, project.scripts()))
        files.write_json(rendering.LAST_GOOD, {"key": records, "made": {}})
        return script

    return page


def another(**changes):
    return dataclasses.replace(ENVIRONMENT, **changes)


def rejection(capsys):
    """Run the command, which has to fail, and give its message."""
    before = lines.FILE.read_bytes() if lines.FILE.exists() else None
    assert command.main(["append"]) == 1
    after = lines.FILE.read_bytes() if lines.FILE.exists() else None
    assert after == before
    return capsys.readouterr().err


def test_a_build_is_appended_with_what_it_ran_in(build, history, capsys):
    build()
    build("plot_20_other", value=3.0)
    assert command.main(["append"]) == 0
    assert "appended 2 numbers of commit 0123456789ab" in capsys.readouterr().out
    (stored,) = store.read()
    assert stored.environment == ENVIRONMENT
    assert stored.numbers == {
        "folder/plot_10_page": {"size": (113.945, "MB")},
        "folder/plot_20_other": {"size": (3.0, "MB")},
    }
    assert stored.scripts["folder/plot_10_page"] != stored.scripts["folder/plot_20_other"]
    build(environment=another(commit="fedcba987654", date="2026-11-21T05:00:00+00:00"))
    build(
        "plot_20_other",
        environment=another(commit="fedcba987654", date="2026-11-21T05:00:00+00:00"),
    )
    before = history.read_text()
    assert command.main(["append"]) == 0
    assert history.read_text().startswith(before)
    assert [one.environment.commit for one in store.read()] == ["0123456789ab", "fedcba987654"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"failure": "failed: KeyError"}, "plot_10_page.py did not pass: failed: KeyError."),
        ({"seconds": None}, "did not pass: it did not come to its end."),
        ({"environment": another(commit="0123456789ab+")}, "at commit 0123456789ab+, not on a"),
        ({"environment": another(commit="none (not a git checkout)")}, "not on a clean checkout"),
    ],
)
def test_only_clean_builds_that_passed_are_appended(changes, message, build, capsys):
    build(**changes)
    said = rejection(capsys)
    assert message in said
    assert store.FRESH in said


def test_a_page_without_a_record_is_missed(build, capsys):
    build()
    runs.record_file(build("plot_20_other")).unlink()
    assert "folder/plot_20_other.py has no record of a run" in rejection(capsys)


def test_a_page_that_was_edited_after_its_run_is_not_appended(build, capsys):
    build().write_text('"""Edited."""\n')
    assert "plot_10_page.py has changed since it ran" in rejection(capsys)


def test_a_build_that_the_gates_rejected_is_not_appended(build, capsys):
    script = build()
    good = rendering.LAST_GOOD.read_text()
    rendering.LAST_GOOD.unlink()
    assert "The last build did not pass its gates." in rejection(capsys)
    build(value=113.9)
    rendering.LAST_GOOD.write_text(good)  # of the build before
    assert "The last build did not pass its gates." in rejection(capsys)
    assert runs.read(script).passed


def test_pages_of_two_builds_are_not_appended_as_one(build, capsys):
    build()
    build("plot_20_other")
    build("plot_30_other", environment=another(date="2026-11-21T05:00:00+00:00"))
    said = rejection(capsys)
    assert "folder/plot_10_page.py, folder/plot_20_other.py did not run in the build of" in said
    assert store.FRESH in said


@pytest.mark.usefixtures("history")
def test_a_project_without_pages_has_nothing_to_append(capsys):
    assert "has no pages" in rejection(capsys)


def test_no_run_is_appended_twice(build, capsys):
    build()
    assert command.main(["append"]) == 0
    build(environment=another(date="2026-12-24T05:00:00+00:00"))
    assert "has a run of commit 0123456789ab with these versions" in rejection(capsys)
    build(environment=another(processor="Another processor"))
    assert command.main(["append"]) == 0
    build(environment=another(versions={"python": "3.11.7", "torch": "2.14.1"}))
    assert command.main(["append"]) == 0


@pytest.mark.parametrize(
    "edit",
    [
        lambda line: line.replace("113.945", "113.944"),
        lambda line: line.replace('":', '": ', 1),
        lambda line: json.dumps(json.loads(line)["run"]),
        lambda line: line[:-1],
        lambda line: line.replace("113.945", "NaN"),
        lambda _: lines.write_line({}),
        lambda _: "[]",
        lambda _: "",
    ],
    ids=["value", "space", "no checksum", "cut off", "NaN", "no run", "no object", "blank"],
)
def test_an_edited_line_is_found(edit, build, history, capsys):
    build()
    command.main(["append"])
    assert list(lines.findings()) == []
    history.write_text(history.read_text() + edit(entry(5, 113.945).line) + "\n")
    (found,) = lines.findings()
    assert (found.where, found.rule) == ("history.jsonl:2", "history")
    assert "does not fit its checksum" in found.message
    assert "history.jsonl:2 does not fit its checksum" in rejection(capsys)


def test_a_copied_line_is_found(history):
    history.write_text(f"{entry(1, 2.0).line}\n{entry(2, 2.0).line}\n{entry(1, 2.0).line}\n")
    (found,) = lines.findings()
    assert str(found) == "history.jsonl:3: is the same run as line 1: delete one of them"


def test_lint_looks_at_the_history(history):
    history.write_text(entry(1, 2.0).line.replace("2.0", "2.1") + "\n")
    assert [one.rule for one in page_rules.findings()] == ["history"]


def test_the_history_of_the_project_is_whole():
    assert list(lines.findings()) == []


def test_a_line_holds_what_it_was_made_of_in_the_order_of_the_page(history):
    made = entry(1, 0.1, int8_dot_products=("avx512_vnni",))
    made.numbers["page"] |= {"loss": (0.2, "nats"), "accuracy": (0.3, "")}
    history.write_text(made.line + "\n")
    assert store.read() == [made]
    assert list(store.read()[0].numbers["page"]) == ["size", "loss", "accuracy"]


def test_the_newest_runs_of_each_version_set_and_machine_stay():
    old, new = nights(*range(7)), nights(*range(4), torch="2.14.1", first=7)
    elsewhere = nights(1, 2, first=3, processor="Another processor")
    kept = store.newest([*new, *old, *elsewhere])
    assert sorted(kept, key=str) == sorted([*old[2:], *new, *elsewhere], key=str)
    assert [one.environment.date for one in kept] == sorted(one.environment.date for one in kept)


def test_the_history_has_a_bound(monkeypatch):
    monkeypatch.setattr(store, "MOST_RUNS", 4)
    versions = [entry(night, 1, torch=f"2.{night}") for night in range(9)]
    assert store.newest(versions) == versions[-4:]
    assert store.newest(versions[:2]) == versions[:2]

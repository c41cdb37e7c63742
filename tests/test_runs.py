"""What a run leaves behind, and how pages tell it."""

import dataclasses

import pytest

import provenance
from smallport import checks, files
from tools.gallery import project, runs

ENVIRONMENT = runs.Environment(
    commit="0123456789ab+",
    date="2026-11-20T21:52:00+00:00",
    processor="A processor",
    int8_dot_products=("avx512_vnni",),
    cores=2,
    versions={"python": "3.11.7", "torch": "2.13.0"},
    assets="embedded",
)


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.setattr(project, "EXAMPLES", tmp_path / "examples")
    monkeypatch.setattr(runs, "FOLDER", tmp_path / "records")
    page = tmp_path / "examples" / "folder" / "plot_10_page.py"
    page.parent.mkdir(parents=True)
    page.write_text('"""A page."""\n')
    return page


def recorded(script, **changes):
    """Record a run of a page."""
    name = script.relative_to(project.EXAMPLES).as_posix()
    run = runs.Run(name, files.sha256(script), ENVIRONMENT, **{"seconds": 1.5, **changes})
    runs.write(script, run)
    return runs.read(script)


@pytest.fixture
def measured(script, monkeypatch):
    """Give a page that ran and measured something."""
    runs.folder_of(script).mkdir(parents=True)
    with monkeypatch.context() as patch:
        patch.setenv(checks.RESULTS_FILE, str(runs.results_file(script)))
        checks.check("loss", 3.1, "nats", at_most=3.5)
    assert recorded(script).passed
    return script


def test_a_page_that_never_ran_has_no_record(script):
    assert runs.read(script) is None
    assert runs.checked(script) == []


def test_a_run_that_finished_says_how(script):
    run = recorded(script, threads=1, left=("a", "b"))
    assert (run.page, run.environment) == ("folder/plot_10_page.py", ENVIRONMENT)
    assert (run.seconds, run.passed, run.threads, run.left) == (1.5, True, 1, ("a", "b"))
    assert run.command == "python -m nox -s docs -- --page plot_10_page"


@pytest.mark.parametrize("changes", [{"failure": "failed: KeyError"}, {"seconds": None}])
def test_a_run_that_did_not_come_to_its_end_has_not_passed(changes, script):
    assert not recorded(script, **changes).passed


def test_a_run_says_what_it_measured(measured):
    assert [result.name for result in runs.checked(measured)] == ["loss"]
    runs.forget(measured)
    assert runs.read(measured) is None
    assert runs.checked(measured) == []


def test_what_is_wrong_with_a_record_is_said(measured):
    assert runs.flaw(measured) == ""
    file, text = runs.results_file(measured), runs.results_file(measured).read_text()
    file.write_text(text.replace("3.1", "3.2"))
    assert runs.flaw(measured) == "the file of its results was changed"
    file.write_text(text.replace("3.1", "9.1"))
    recorded(measured)
    assert runs.flaw(measured) == "'loss' is outside of its own bounds"
    record = runs.record_file(measured)
    record.write_text(record.read_text().replace("A processor", "Another"))
    assert runs.flaw(measured) == "run.json was changed"
    record.write_text("{")
    assert runs.flaw(measured).startswith("JSONDecodeError: ")
    record.unlink()
    assert runs.flaw(measured) == "there is none"


def test_pages_of_one_name_have_records_of_their_own(script):
    other = script.parent.with_name("other") / script.name
    assert runs.folder_of(other) != runs.folder_of(script)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"run": {}}', '{"checksum": 1, "run": 2}']
)
def test_a_broken_record_is_none(text, measured):
    runs.record_file(measured).write_text(text)
    assert runs.read(measured) is None
    assert runs.checked(measured) == []


def test_a_record_that_is_no_text_is_none(measured):
    runs.record_file(measured).write_bytes(b"\xff\xfe\x00")
    assert runs.read(measured) is None


@pytest.mark.parametrize(
    ("old", "new"), [('"cores": 2', '"cores": 64'), ('"seconds": 1.5', '"seconds": 0.5')]
)
def test_an_altered_record_is_none(old, new, measured):
    file = runs.record_file(measured)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    assert runs.read(measured) is None


def test_altered_results_are_none(measured):
    file = runs.results_file(measured)
    file.write_text(file.read_text().replace("3.1", "2.1"))
    assert runs.read(measured) is None
    assert runs.checked(measured) == []


def test_deleted_results_are_none(measured):
    runs.results_file(measured).unlink()
    assert runs.read(measured) is None


@pytest.mark.parametrize("value", ["9.1", "NaN", '"3.1"'])
def test_a_result_outside_its_bounds_is_none_whatever_the_checksums_say(value, measured):
    file = runs.results_file(measured)
    file.write_text(file.read_text().replace("3.1", value))
    assert recorded(measured) is None
    assert runs.checked(measured) == []


def test_provenance_names_commit_machine_versions_and_command(script):
    run = recorded(script, threads=1)
    corpus = checks.Source("corpus", "WikiText-2", "c" * 64)
    described = provenance.described(run, [corpus])
    assert described["commit"] == "``0123456789ab``, with uncommitted changes"
    assert described["date"] == "2026-11-20 21:52:00 UTC"
    assert described["processor"] == "A processor, 2 cores, threads at the end: 1"
    assert described["int8 dot products"] == "avx512_vnni"
    assert described["corpus"] == "WikiText-2, ``cccccccccccccccc``"
    assert described["versions"] == "python 3.11.7, torch 2.13.0"
    assert described["run it again"] == "``python -m nox -s docs -- --page plot_10_page``"


def test_a_record_of_another_version_is_none(measured, monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Older(runs.Run):
        sockets: int = 1

    monkeypatch.setattr(runs, "Run", Older)
    assert recorded(measured)
    monkeypatch.undo()
    monkeypatch.setattr(project, "EXAMPLES", measured.parents[1])
    monkeypatch.setattr(runs, "FOLDER", measured.parents[2] / "records")
    assert runs.read(measured) is None

"""What failed is collected from recorded outputs of nox, pytest and a build."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from smallport import files
from tools.gallery import project, runs, versions
from tools.nightly import pages, sessions
from tools.nightly.outcome import Failure, Outcome

RECORDED = Path(__file__).with_name("recorded")
FAILED = (RECORDED / "nightly_failed.log").read_text(encoding="utf-8")
NOT_INSTALLED = (RECORDED / "nightly_not_installed.log").read_text(encoding="utf-8")
RESULTS = {"environment": "success", "tests": "failed", "examples": "success", "docs": "failed"}
PASSED = dict.fromkeys(RESULTS, "success")
TINY_LLM = "examples/export/plot_12_tiny_llm_export.py"
WHICH_ROUTE = "examples/quantization/plot_60_which_route.py"


@pytest.fixture
def junit(tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "JUNIT", tmp_path)
    return tmp_path


@pytest.fixture
def described(monkeypatch):
    """Let one page fail, and one package differ."""
    found = {
        "pages": {TINY_LLM: ["KeyError: 'past_key_values.0.key'", 219], WHICH_ROUTE: ["", None]},
        "versions": {"transformers": ["5.23.0", "5.24.0"]},
    }
    monkeypatch.setattr(sessions, "read_pages", lambda *_: found)
    return found


def collected(results, log):
    return sessions.collect(results, log, project.ROOT, Path(sys.executable))


@pytest.mark.usefixtures("described")
def test_pages_tests_and_findings_are_collected_with_their_lines(junit):
    shutil.copy(RECORDED / "nightly_tests.xml", junit / "tests.xml")
    outcome = collected(RESULTS, FAILED)
    found = {(one.session, one.subject, one.line): one.error for one in outcome.failures}
    log_line = found.pop(("docs", WHICH_ROUTE, 120))
    assert log_line.startswith("shows a log line: 'W1127")
    assert found == {
        ("docs", TINY_LLM, 219): "KeyError: 'past_key_values.0.key'",
        ("tests", "test_tiny::test_shapes_of_the_cache", 4): "KeyError: 'past_key_values.0.key'",
        ("tests", "test_tiny::test_needs_a_model", 7): "RuntimeError: no model",
        ("tests", WHICH_ROUTE, 88): "NameError: name 'L' is not defined",
    }
    assert outcome.versions == {"transformers": ["5.23.0", "5.24.0"]}


@pytest.mark.usefixtures("junit")
def test_packages_that_cannot_be_installed_are_the_one_failure():
    results = dict.fromkeys(RESULTS, "aborted") | {"environment": "failed"}
    outcome = collected(results, NOT_INSTALLED)
    (failure,) = outcome.failures
    assert failure.subject == "nox -s environment"
    assert "ResolutionImpossible" in failure.error
    assert "Running session tests" not in failure.error


@pytest.mark.usefixtures("junit")
def test_a_session_that_fails_without_a_page_or_a_test_shows_its_last_lines(described):
    described["pages"] = {}
    log = FAILED.replace("WARNING: ", "")
    subjects = [one.subject for one in collected(RESULTS, log).failures]
    assert subjects == ["nox -s tests", "nox -s docs"]
    docs = collected(RESULTS, log).failures[1]
    assert "The build failed" in docs.error
    assert "test_tiny" not in docs.error


@pytest.mark.usefixtures("junit")
def test_nothing_failed_where_everything_passed(described, tmp_path):
    described["pages"][TINY_LLM] = ["", None]
    outcome = collected(PASSED, "")
    assert outcome.failures == []
    outcome.write(tmp_path)
    assert Outcome.read(tmp_path).versions == {"transformers": ("5.23.0", "5.24.0")}


@pytest.mark.usefixtures("described", "junit")
def test_a_nox_that_ends_early_is_a_failure():
    outcome = collected({"nox": "failed"}, "Sessions not found: docs")
    assert outcome.failures[-1] == Failure("nox", "nox -s nox", "Sessions not found: docs")


@pytest.mark.usefixtures("junit")
@pytest.mark.parametrize("code", ["import sys; sys.exit('no torch')", "print('no JSON')"])
def test_records_that_cannot_be_read_are_a_failure(code, tmp_path):
    package = tmp_path / "tools" / "nightly"
    package.mkdir(parents=True)
    (package / "pages.py").write_text(code)
    described = sessions.read_pages(tmp_path, Path(sys.executable))
    (error, _) = described["pages"]["examples"]
    assert error.startswith("The records of the pages cannot be read:\n")


def test_an_interpreter_that_is_not_there_is_a_failure(tmp_path):
    described = sessions.read_pages(project.ROOT, tmp_path / "python")
    assert "No such file" in described["pages"]["examples"][0]


def test_pages_and_versions_are_read_from_records(tmp_path, monkeypatch, capsys):
    examples = tmp_path / "examples"
    names = ["good", "bad", "never"]
    scripts = {name: examples / "export" / f"{name}.py" for name in names}
    monkeypatch.setattr(project, "ROOT", tmp_path)
    monkeypatch.setattr(project, "EXAMPLES", examples)
    monkeypatch.setattr(runs, "FOLDER", tmp_path / "records")
    pinned = {"torch": "2.13.0", "numpy": "2.2.0", "torchao": "0.18.0"}
    installed = {"torch": "2.14.1+cpu", "numpy": "2.2.0", "torchao": "0.18.0+cpu"}
    monkeypatch.setattr(versions, "pinned", lambda: pinned)
    monkeypatch.setattr(versions, "installed", lambda: installed)
    machine = runs.Environment("abc", "2026-11-27", "cpu", (), 2, {}, "embedded")
    for script in scripts.values():
        files.write_text(script, "")
    for name, failure in (("good", {}), ("bad", {"failure": "failed: KeyError: 'a'", "line": 3})):
        run = runs.Run(f"export/{name}.py", "0" * 64, machine, 1.0, **failure)
        runs.write(scripts[name], run)
    assert pages.main() == 0
    described = json.loads(capsys.readouterr().out)
    assert described["versions"] == {"torch": ["2.13.0", "2.14.1+cpu"]}
    assert described["pages"]["examples/export/good.py"] == ["", None]
    assert described["pages"]["examples/export/bad.py"] == ["KeyError: 'a'", 3]
    assert "did not run" in described["pages"]["examples/export/never.py"][0]


NOX = """
import json, sys
arguments = sys.argv[2:]
report = [one.partition("=")[2] for one in arguments if one.startswith("--report=")]
print("nox > Running session docs")
print("arguments:", *arguments, flush=True)
if report and {reports}:
    sessions = [{{"name": "docs", "result": "failed"}}]
    open(report[0], "w").write(json.dumps({{"sessions": sessions}}))
if "--json" in arguments:
    page = arguments[arguments.index("--") + 1]
    if "plot_60" in page:
        import time; time.sleep(60)
    open(arguments[arguments.index("--json") + 1], "w").write(json.dumps({{"subject": page}}))
"""


@pytest.fixture
def nox(tmp_path, monkeypatch):
    """Replace nox by a program that says how it was called."""
    monkeypatch.setattr(sessions, "NOX", tmp_path)
    python = sys.executable

    def install(reports):
        program = tmp_path / "python"
        script = tmp_path / "nox.py"
        script.write_text(NOX.format(reports=reports))
        program.write_text(f'#!/bin/sh\nexec {python} {script} "$@"\n')
        program.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(program))

    return install


@pytest.mark.usefixtures("described", "junit")
@pytest.mark.parametrize(
    ("name", "flag"), [("newest", "--latest"), ("prerelease", "--prereleases")]
)
def test_the_sessions_run_with_the_versions_of_the_set(name, flag, nox, tmp_path, capfd):
    nox(reports=True)
    outcome = sessions.run(name, tmp_path / "outcome")
    assert f"-s tests examples docs -- {flag}\n" in capfd.readouterr().out
    assert outcome.sessions == {"docs": "failed"}
    assert Outcome.read(tmp_path / "outcome").failures == outcome.failures


@pytest.mark.usefixtures("described")
def test_what_an_earlier_run_left_is_not_read(nox, junit, tmp_path):
    shutil.copy(RECORDED / "nightly_tests.xml", junit / "docs.xml")
    nox(reports=True)
    outcome = sessions.run("newest", tmp_path / "outcome")
    assert [one.subject for one in outcome.failures] == [TINY_LLM]
    nox(reports=False)
    (tmp_path / "report.json").write_text('{"sessions": [{"name": "docs", "result": "success"}]}')
    outcome = sessions.run("newest", tmp_path / "outcome")
    assert outcome.sessions == {"nox": "failed"}
    assert {one.session for one in outcome.failures} == {"docs", "nox"}


def bisected(folder, minutes, *failures):
    outcome = Outcome("abc", {"docs": "failed"}, list(failures), {})
    sessions.bisect("newest", outcome, folder, minutes)
    return [json.loads(file.read_text())["subject"] for file in folder.glob("findings/*.json")]


def test_each_page_that_failed_is_bisected(nox, tmp_path):
    nox(reports=True)
    failures = [
        Failure("docs", TINY_LLM, "KeyError: 'a'", 219),
        Failure("examples", TINY_LLM, "KeyError: 'a'", 220),
        Failure("tests", "test_tiny::test_cache", "KeyError: 'a'", 4),
        Failure("docs", "examples/export/gone.py", "KeyError", 4),
    ]
    assert bisected(tmp_path, 5, *failures) == [TINY_LLM]


def test_a_bisection_that_takes_long_is_stopped(nox, tmp_path, capfd):
    nox(reports=True)
    assert bisected(tmp_path, 0.001, Failure("docs", WHICH_ROUTE, "NameError", 88)) == []
    assert "took too long" in capfd.readouterr().out


def test_command_lines_are_explained():
    command = [sys.executable, "-m", "tools.nightly", "--help"]
    done = subprocess.run(command, cwd=project.ROOT, capture_output=True, text=True, check=True)
    for name in ("run", "bisect", "report", "canary", "watch"):
        assert name in done.stdout

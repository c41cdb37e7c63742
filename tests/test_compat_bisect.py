"""A page or a check is run with other versions, and the first bad release is named."""

import json
from dataclasses import replace

import pytest

from smallport.export.coverage import Coverage
from smallport.export.report import STAGES
from smallport.sweep.limits import Ending
from tests.sweep_helpers import report_with
from tools.compat import bisect, packages
from tools.compat.bisect import Bisection, Subject, subject
from tools.compat.packages import Package, Store
from tools.compat.search import FirstBad, Outcome
from tools.gallery import project

PAGE = next(iter(project.scripts()))
NAME = str(PAGE.relative_to(project.ROOT))


def ended(output, cause="The process exited with status 1."):
    return Ending(cause, 1.0, None, output, "", 1 if cause else 0)


def test_a_page_is_found_by_its_name_or_its_path():
    assert {subject([name]).name for name in (PAGE.stem, NAME, str(PAGE))} == {NAME}
    with pytest.raises(ValueError, match=f"'nothing' is neither a page .*{PAGE.stem}"):
        subject(["nothing"])


def test_the_error_of_a_page_is_read_with_its_line():
    output = f"""Traceback (most recent call last):
  File "{PAGE}", line 219, in <module>
  File "{PAGE}", line 220, in <genexpr>
  File "/elsewhere/{PAGE.name}", line 5, in <genexpr>
torch._dynamo.exc.UserError: Cannot associate shape
with a message of two lines
"""
    found = subject([PAGE.stem]).outcome(ended(output))
    assert (found.line, found.says) == (
        220,
        "torch._dynamo.exc.UserError: Cannot associate shape",
    )
    other = subject([PAGE.stem]).outcome(ended(output.replace("associate", "find")))
    assert other.key == found.key, "the same error in other words is another one"
    assert subject([PAGE.stem]).outcome(ended("", cause="")).key == bisect.PASSED


def test_a_process_that_was_stopped_says_so():
    cause = "The process ran for more than 1800 s."
    assert subject([PAGE.stem]).outcome(ended("", cause)).says == cause


def test_a_check_that_compares_less_ends_in_another_way():
    checked = subject(["check", "llama"])
    report = report_with(*["passed"] * len(STAGES), name="llama")
    five, one = (
        replace(report, coverage=Coverage({"number of tensors": [number]}, {})) for number in (5, 1)
    )
    outcomes = [checked.outcome(ended(json.dumps(each.to_json()), "")) for each in (five, one)]
    assert outcomes[0].key != outcomes[1].key
    assert outcomes[1].says == "passes with 1 tensors compared"


NEWEST = {
    "transformers": Package("transformers", "5.24.0"),
    "onnxruntime": Package("onnxruntime", "1.32.0"),
    "words": Package("words", "3.0"),
    "new": Package("new", "1.0"),
}
PINNED = {"transformers": "5.21.0", "onnxruntime": "1.31.1", "words": "1.0"}
RELEASES = {
    "transformers": ["5.20.0", "5.21.0", "5.22.0", "5.23.0", "5.24.0"],
    "onnxruntime": ["1.31.1", "1.32.0"],
    "words": ["1.0", "2.0", "3.0"],
}


@pytest.fixture
def bisection(monkeypatch, tmp_path):
    """Make a bisection of a page whose outcome a test decides."""
    monkeypatch.setattr(bisect, "FOLDER", tmp_path)
    monkeypatch.setattr(bisect, "installed_version", lambda name: PINNED.get(name, ""))
    monkeypatch.setattr(bisect, "releases", RELEASES.__getitem__)
    made = Bisection(subject([PAGE.stem]), NEWEST, Store(tmp_path / "packages"))
    made.file.parent.mkdir()
    made.ran = []

    def run(*_, **variables):
        versions = dict(one.split("==") for one in variables["VERSIONS"].split())
        made.ran.append(versions)
        error = made.error({**PINNED, **versions})
        if not error:
            return ended("", cause="")
        return ended(f'  File "{PAGE}", line 7, in <module>\n{error}\n')

    def folders(versions):
        return [f"{name}=={version}" for name, version in versions.items()]

    monkeypatch.setattr(made, "folders", folders)
    monkeypatch.setattr(bisect, "variables", lambda found: {"VERSIONS": " ".join(found)})
    monkeypatch.setattr(bisect, "run_limited", run)
    return made


def test_the_first_bad_release_is_named(bisection):
    bisection.error = lambda one: "KeyError: 'cache'" if one["transformers"] > "5.22" else ""
    found = bisect.bisect(bisection)
    assert found.first_bad == (FirstBad("transformers", "5.22.0", "5.21.0"),)
    assert found.found == (
        "transformers 5.22.0 is the first bad release: KeyError: 'cache'; 5.21.0 passed"
    )
    assert (found.subject, found.line) == (NAME, 7)
    assert not any("new" in ran for ran in bisection.ran), "what is not installed is no candidate"


def test_two_packages_that_fail_only_together_are_named(bisection):
    bisection.error = lambda one: (
        "ValueError: both" if one["words"] >= "2.0" and one["onnxruntime"] == "1.32.0" else ""
    )
    found = bisect.bisect(bisection)
    assert {(one.package, one.version) for one in found.first_bad} == {
        ("words", "2.0"),
        ("onnxruntime", "1.32.0"),
    }
    assert "fail only together: ValueError: both" in found.found


def test_a_page_that_fails_already_is_not_bisected(bisection):
    bisection.error = lambda _: "ValueError: always"
    assert bisect.bisect(bisection).found == (
        "it fails with the installed versions: ValueError: always"
    )
    assert len(bisection.ran) == 1


def test_a_page_that_passes_with_the_newest_versions_has_no_bad_release(bisection):
    bisection.error = lambda _: ""
    found = bisect.bisect(bisection)
    assert found.found.startswith("nothing changes with the newest versions (transformers 5.24.0,")
    assert found.first_bad == ()


def test_an_interrupted_bisection_goes_on_where_it_was(bisection):
    bisection.error = lambda one: "KeyError: 1" if one["transformers"] > "5.22" else ""
    first = bisect.bisect(bisection)
    again = replace(bisection, outcomes={})
    again.read()
    assert again.outcomes == bisection.outcomes
    ran = len(bisection.ran)
    bisection.outcomes = again.outcomes
    assert bisect.bisect(bisection) == first
    assert len(bisection.ran) == ran


def test_outcomes_of_another_page_or_other_versions_are_not_believed(bisection):
    bisection.outcomes["x==1"] = Outcome("passed", "passed")
    bisection.write()
    kept = json.loads(bisection.file.read_text())
    bisection.file.write_text(json.dumps(kept | {"key": "other"}))
    bisection.outcomes = {}
    bisection.read()
    assert bisection.outcomes == {}
    for broken in ("", "[]", '{"outcomes": {"x": 1}}'):
        bisection.file.write_text(broken)
        bisection.read()
        assert bisection.outcomes == {}


def test_a_release_is_installed_with_what_it_needs_and_the_libraries_of_a_package_with_it(
    monkeypatch, tmp_path
):
    added = []
    newest = {
        "torch": Package("torch", "2.14.1", ("cuda>=1", "typing>=4")),
        "cuda": Package("cuda", "1", ()),
        "typing": Package("typing", "5"),
    }
    installed = {"torch": "2.13.0", "typing": "3"}
    monkeypatch.setattr(bisect, "installed_version", lambda name: installed.get(name, ""))
    earlier = [Package("torch", "2.14.0"), Package("cuda", "0.9")]
    monkeypatch.setattr(bisect, "to_install", {"torch==2.14.0": earlier}.__getitem__)
    monkeypatch.setattr(Store, "add", lambda _, *given: added.append([str(one) for one in given]))
    made = Bisection(Subject("page", ()), newest, Store(tmp_path))
    made.folders({"torch": "2.14.1"})
    assert added == [["torch 2.14.1", "cuda 1"], ["typing 5"]]
    added.clear()
    made.folders({"torch": "2.14.0"})
    assert added == [["torch 2.14.0", "cuda 0.9"]]


def test_bad_arguments_are_told_in_a_line(capsys, monkeypatch):
    assert bisect.main(["nothing"]) == 2
    assert "is neither a page" in capsys.readouterr().err

    def fail(**_):
        raise packages.PackagesError("pip install: ERROR: no network")

    monkeypatch.setattr(bisect, "newest_packages", fail)
    assert bisect.main([PAGE.stem]) == 2
    assert capsys.readouterr().err == "pip install: ERROR: no network\n"

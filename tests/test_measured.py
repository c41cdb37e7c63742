"""Kept results come back as they were written, with where they come from, or not at all."""

import json
import subprocess

import pytest
import torch

from smallport import measured
from smallport.measured import trust
from smallport.sweep.history import read_history


def test_results_come_back_with_their_provenance(tmp_path):
    file = tmp_path / "kept.json"
    measured.write(file, {"loss": [5.25, None]}, command="python -m something")
    kept = measured.read(file)
    assert kept.results == {"loss": [5.25, None]}
    assert kept.provenance.command == "python -m something"
    assert kept.provenance.versions["torch"] == torch.__version__.partition("+")[0]
    assert kept.provenance == measured.provenance("python -m something")
    assert kept.provenance.differences_from_here() == []


def test_another_version_and_processor_are_named(tmp_path):
    file = tmp_path / "kept.json"
    measured.write(file, 1, command="x")
    kept = json.loads(file.read_text())
    kept["provenance"]["versions"]["torch"] = "1.0"
    kept["provenance"]["machine"]["processor"] = "an abacus"
    file.write_text(json.dumps(kept))
    versions, processor = measured.read(file).provenance.differences_from_here()
    assert versions.startswith("torch 1.0 (here 2.")
    assert processor.startswith("an abacus (here ")


@pytest.mark.parametrize("results", [float("nan"), {1, 2}, {"a": object()}])
def test_a_failed_write_leaves_the_older_file(tmp_path, results):
    file = tmp_path / "kept.json"
    measured.write(file, "older", command="x")
    with pytest.raises((ValueError, TypeError)):
        measured.write(file, results, command="x")
    assert measured.read(file).results == "older"
    assert list(tmp_path.iterdir()) == [file]


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(FileNotFoundError, match=r"no kept results .*nothing_of_the_kind"):
        measured.read("nothing_of_the_kind")


@pytest.mark.parametrize("text", ["{}", "[]", '{"results": 1}', "{", '{"provenance": {}}'])
def test_results_without_provenance_are_refused(tmp_path, text):
    file = tmp_path / "kept.json"
    file.write_text(text)
    with pytest.raises(ValueError, match="with their provenance"):
        measured.read(file)


def test_a_missing_git_leaves_the_commit_empty(monkeypatch):
    def no_git(*_, **__):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", no_git)
    assert measured.provenance("x").commit == ""


def test_every_kept_file_is_readable_and_says_how_to_measure_it_again():
    names = {file.stem for file in measured.FOLDER.glob("*.json")}
    histories = {name for name in names if name.endswith("-history")}
    kept_files = [measured.read(name) for name in names - histories]
    earlier = read_history(measured.FOLDER / "sweep.json")
    assert histories == {"sweep-history"}
    assert earlier
    for kept in kept_files + [measured.Kept(one.provenance, one.outcomes) for one in earlier]:
        assert kept.provenance.command
        assert kept.provenance.commit
        assert kept.results


@pytest.fixture
def packaged(monkeypatch, tmp_path):
    """Make a folder the one of the package's results."""
    monkeypatch.setattr(trust, "FOLDER", tmp_path)
    monkeypatch.setattr(trust, "SUMS", tmp_path / "SHA256SUMS")
    file = tmp_path / "kept.json"
    measured.write(file, {"loss": 5.25}, command="x")
    return file


def test_a_packaged_result_is_believed_as_its_command_wrote_it(packaged):
    assert measured.read(packaged).results == {"loss": 5.25}
    measured.write(packaged, {"loss": 5.5}, command="x")
    assert measured.read(packaged).results == {"loss": 5.5}


def test_a_packaged_result_that_was_edited_is_refused(packaged):
    packaged.write_text(packaged.read_text().replace("5.25", "4.25"))
    with pytest.raises(ValueError, match=r"kept\.json is not as it was measured"):
        measured.read(packaged)


def test_a_packaged_result_of_another_file_is_refused(packaged):
    other = packaged.with_name("other.json")
    other.write_bytes(packaged.read_bytes())
    with pytest.raises(ValueError, match="SHA256SUMS has none"):
        measured.read(other)


@pytest.mark.parametrize("day", ["2031-02-30", "2999-01-01", "yesterday", None])
def test_an_impossible_day_is_refused(tmp_path, day):
    file = tmp_path / "kept.json"
    measured.write(file, 1, command="x")
    kept = json.loads(file.read_text())
    kept["provenance"]["date"] = day
    file.write_text(json.dumps(kept))
    with pytest.raises(ValueError, match="it was measured on"):
        measured.read(file)


def test_a_commit_of_another_project_is_refused(packaged, monkeypatch):
    answers = {"ls-files": "trust.py", "rev-parse": "false", "cat-file": ""}
    monkeypatch.setattr(trust, "git", lambda _, command, *__: answers[command])
    trust.may_exist.cache_clear()
    kept = json.loads(packaged.read_text())
    kept["provenance"]["commit"] = "0123456789ab"
    packaged.write_text(json.dumps(kept))
    trust.seal(packaged)
    with pytest.raises(ValueError, match="it was measured at commit '0123456789ab'"):
        measured.read(packaged)
    answers["cat-file"] = "commit"
    trust.may_exist.cache_clear()
    assert measured.read(packaged).results == {"loss": 5.25}
    trust.may_exist.cache_clear()


def test_without_the_history_a_commit_is_believed(monkeypatch):
    monkeypatch.setattr(trust, "git", lambda *_: "")
    trust.may_exist.cache_clear()
    trust.require_commit("0123456789ab+")
    trust.may_exist.cache_clear()

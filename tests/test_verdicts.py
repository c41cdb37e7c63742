"""Tests of :mod:`smallport.sweep.verdicts`."""

import dataclasses
import json

import pytest

from smallport.export.report import STAGES
from smallport.sweep import verdicts as module
from smallport.sweep.verdicts import Verdict, Verdicts, conditions
from tests.sweep_helpers import report_with

ALL = ["passed"] * len(STAGES)


def verdict_with(*statuses, until=STAGES[-1], name="llama"):
    return Verdict(report_with(*statuses, name=name), conditions(name), until, 1.5, 200)


@pytest.fixture
def verdicts(tmp_path):
    return Verdicts(tmp_path / "results")


@pytest.fixture
def forgetful():
    """Look the conditions up again in this test and in the next."""
    conditions.cache_clear()
    yield
    conditions.cache_clear()


def test_a_verdict_is_read_back(verdicts):
    verdict = verdict_with(*ALL)
    verdicts.write(verdict)
    assert verdicts.read("llama") == verdict
    assert [file.name for file in verdicts.folder.iterdir()] == ["llama.json"]


def test_a_verdict_on_an_architecture_of_two_tasks_is_in_two_files(verdicts):
    for name in ("bert", "bert:masked-lm"):
        verdicts.write(verdict_with(*ALL, name=name))
        assert verdicts.read(name) == verdict_with(*ALL, name=name)
    files = sorted(file.name for file in verdicts.folder.iterdir())
    assert files == ["bert.json", "bert.masked-lm.json"]
    assert conditions("bert").rules != conditions("bert:masked-lm").rules


def test_a_verdict_on_an_encoder_has_fewer_stages(verdicts):
    whole = report_with(*ALL, name="bert:masked-lm")
    stages = tuple(one for one in whole.stages if one.stage != "decodes")
    found = dataclasses.replace(
        verdict_with(*ALL), report=dataclasses.replace(whole, stages=stages)
    )
    found = dataclasses.replace(found, conditions=conditions("bert:masked-lm"))
    verdicts.write(found)
    assert verdicts.read("bert:masked-lm") == found
    beyond = "asked until 'decodes', and the report has 'ONNX'"
    with pytest.raises(ValueError, match=beyond):
        dataclasses.replace(found, until="decodes")
    last = dataclasses.replace(stages[-1], status="not reached")
    cut = dataclasses.replace(whole, stages=(*stages[:-1], last))
    assert dataclasses.replace(found, report=cut, until="ONNX").covers("decodes")
    with pytest.raises(ValueError, match="'ONNX Runtime matches' was not reached"):
        dataclasses.replace(found, report=cut)


def test_a_later_verdict_takes_the_place_of_an_earlier_one(verdicts):
    verdicts.write(verdict_with(*ALL))
    verdicts.write(verdict_with("passed", "failed"))
    assert verdicts.read("llama") == verdict_with("passed", "failed")


def test_there_is_none_on_an_architecture_that_did_not_run(verdicts):
    assert verdicts.read("llama") is None
    verdicts.write(verdict_with(*ALL))
    assert verdicts.read("gpt2") is None
    assert verdicts.read_all(["gpt2", "llama"]) == [verdict_with(*ALL)]


@pytest.mark.parametrize("package", ["torch", "transformers", "onnxruntime", "onnxscript"])
def test_a_verdict_of_another_version_does_not_hold(package, verdicts):
    verdict = verdict_with(*ALL)
    assert package in verdict.conditions.versions
    versions = verdict.conditions.versions | {package: "1.0"}
    stale = dataclasses.replace(verdict.conditions, versions=versions)
    verdicts.write(dataclasses.replace(verdict, conditions=stale))
    assert verdicts.read("llama") is None


@pytest.mark.usefixtures("forgetful")
def test_a_verdict_by_other_rules_does_not_hold(verdicts, monkeypatch):
    verdicts.write(verdict_with(*ALL))
    verdicts.write(verdict_with(*ALL, name="gpt2"))
    entries = {"llama": {"num_hidden_layers": 1}}
    monkeypatch.setattr("smallport.architectures.tiny.ENTRIES", entries)
    conditions.cache_clear()
    assert verdicts.read("llama") is None
    assert verdicts.read("gpt2") == verdict_with(*ALL, name="gpt2")


@pytest.mark.usefixtures("forgetful")
def test_a_verdict_by_another_check_does_not_hold(verdicts, monkeypatch):
    verdicts.write(verdict_with(*ALL))
    monkeypatch.setattr(module, "code_key", lambda *_: "other code")
    conditions.cache_clear()
    assert verdicts.read("llama") is None


def test_a_verdict_that_stopped_early_holds_for_no_more(verdicts):
    verdict = verdict_with("passed", "passed", until="ran")
    verdicts.write(verdict)
    assert verdicts.read("llama") is None
    assert verdicts.read("llama", "exported") is None
    assert verdicts.read("llama", "ran") == verdicts.read("llama", "built") == verdict


def test_a_failure_holds_for_every_later_stage(verdicts):
    verdicts.write(verdict_with("passed", "failed", until="exported"))
    assert verdicts.read("llama") == verdict_with("passed", "failed", until="exported")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"report": {}}', "null"])
def test_a_broken_file_is_no_verdict(text, verdicts):
    verdicts.write(verdict_with(*ALL))
    (verdicts.folder / "llama.json").write_text(text, encoding="utf-8")
    assert verdicts.read("llama") is None


def test_a_file_under_another_name_is_no_verdict(verdicts):
    verdicts.write(verdict_with(*ALL))
    (verdicts.folder / "llama.json").rename(verdicts.folder / "gpt2.json")
    assert verdicts.read("gpt2") is None


def test_a_stage_that_was_skipped_makes_no_verdict():
    with pytest.raises(ValueError, match="'exported' was not reached"):
        verdict_with("passed", "passed")


def test_a_stage_that_was_skipped_is_no_verdict_on_disk_either(verdicts):
    verdicts.write(verdict_with(*ALL))
    file = verdicts.folder / "llama.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    data["report"]["stages"][4]["status"] = "skipped"
    file.write_text(json.dumps(data), encoding="utf-8")
    assert verdicts.read("llama") is None


def test_nothing_is_claimed_beyond_the_last_stage():
    with pytest.raises(ValueError, match="asked until 'ran', and the report has 'exported'"):
        verdict_with("passed", "passed", "passed", until="ran")


def test_what_was_half_written_is_removed(verdicts):
    verdicts.write(verdict_with(*ALL))
    half = verdicts.folder / ".gpt2.json-x8f3"
    half.mkdir()
    (half / "gpt2.json").write_text("{", encoding="utf-8")
    verdicts.remove_unfinished()
    assert [file.name for file in verdicts.folder.iterdir()] == ["llama.json"]


def test_a_verdict_says_what_it_is():
    assert str(verdict_with(*ALL)) == "llama: passed until ONNX Runtime matches (1.5 s)"
    assert str(verdict_with("passed", "failed")) == "llama: failed in ran: found (1.5 s)"

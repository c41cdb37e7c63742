"""Tests of :mod:`smallport.sweep.worker`: the process that checks one architecture."""

import errno
import json
import os

import pytest

from smallport.export.report import ENCODER_STAGES, STAGES, ExportReport
from smallport.sweep import worker
from smallport.sweep.judge import Task, check_in_process


def test_a_real_architecture_is_checked_in_its_process():
    verdict = check_in_process(Task("gpt2", until="ran"))
    statuses = [stage.status for stage in verdict.report.stages]
    assert statuses == ["passed"] * 2 + ["not reached"] * 6
    assert verdict.report["built"].found.startswith("GPT2LMHeadModel of ")
    assert verdict.report.command == "smallport check gpt2"
    assert verdict.report.versions["transformers"] == verdict.conditions.versions["transformers"]


@pytest.fixture
def harmless(monkeypatch):
    """Keep the process of the tests from ending with its parent, and from other limits."""
    monkeypatch.setattr(worker, "exit_when_parent_dies", lambda: None)
    monkeypatch.setattr(worker.resource, "setrlimit", lambda *_: None)


@pytest.mark.usefixtures("harmless")
def test_an_architecture_that_cannot_be_built_is_a_verdict(tmp_path):
    file = tmp_path / "report.json"
    worker.main(["no_such_model", str(file)])
    report = ExportReport.from_json(json.loads(file.read_text(encoding="utf-8")))
    assert report.failure().stage == "built"
    assert "registers no 'no_such_model'" in report.failure().error


@pytest.mark.usefixtures("harmless")
def test_an_encoder_has_nothing_to_decode_whether_it_was_built_or_not(tmp_path):
    for name, status in (("mra:masked-lm", "failed"), ("bert:masked-lm", "passed")):
        file = tmp_path / "report.json"
        worker.main([name, str(file), "--until", "built"])
        report = ExportReport.from_json(json.loads(file.read_text(encoding="utf-8")))
        assert tuple(one.stage for one in report.stages) == ENCODER_STAGES
        assert report["built"].status == status
        assert report.command == f"smallport check {name}"


@pytest.mark.usefixtures("harmless")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_report_that_no_disk_takes_is_told_by_the_exit_status(number, tmp_path, monkeypatch):
    def write(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(worker, "write", write)
    monkeypatch.setattr("sys.argv", ["worker", "gpt2", str(tmp_path / "report.json")])
    with pytest.raises(SystemExit) as raised:
        worker.run()
    assert raised.value.code == os.EX_CANTCREAT


def test_a_disk_that_is_full_in_a_stage_makes_no_verdict(tmp_path):
    child = tmp_path / "child.py"
    child.write_text(
        "import errno, os\n"
        "from smallport.sweep import worker\n"
        "def full(name):\n"
        "    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
        "worker.tiny_model = full\n"
        "worker.run()\n",
        encoding="utf-8",
    )
    found = check_in_process(Task("gpt2", until="ran", child=(str(child),)))
    assert str(found) == "gpt2: no verdict: the disk is full (in built)"


@pytest.mark.usefixtures("harmless")
def test_the_report_is_on_disk_after_each_stage(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(worker, "write", lambda _, report: written.append(report))
    worker.main(["gpt2", str(tmp_path / "report.json"), "--until", "ran"])
    passed = [
        [stage.stage for stage in report.stages if stage.status == "passed"] for report in written
    ]
    assert passed == [[], ["built"], ["built", "ran"], ["built", "ran"]]
    assert {report["exported"].status for report in written} == {"not reached"}
    assert len(written[-1].stages) == len(STAGES)

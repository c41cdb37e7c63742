"""What is declared stable: names, exit statuses and JSON that other projects may build on."""

import json
import subprocess
import sys

import pytest
import torch

import smallport
import smallport.export
from smallport import check_export
from smallport.commands.main import main

SLOW = ("pandas", "torch", "transformers")


def loaded_after(code):
    """Name the slow packages that some code imports, in a process of its own."""
    code += f"\nimport sys\nprint(*(name for name in {SLOW} if name in sys.modules))"
    call = [sys.executable, "-c", code]
    return (
        subprocess.run(call, capture_output=True, text=True, check=True)
        .stdout.splitlines()[-1]
        .split()
    )


def test_stable_names_are_there_and_listed():
    assert "check_export" in dir(smallport)
    assert {"STAGES", "ExportReport", "StageReport", "check_export"} <= set(dir(smallport.export))
    assert check_export is smallport.export.check_export
    assert smallport.export.STAGES == (
        "built",
        "ran",
        "exported",
        "matches",
        "stays dynamic",
        "decodes",
        "ONNX",
        "ONNX Runtime matches",
    )


@pytest.mark.parametrize("module", [smallport, smallport.export])
def test_every_public_name_can_be_imported_and_no_other(module):
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'check_import'"):
        module.check_import  # noqa: B018 - reading it is what fails


def test_the_keys_of_a_report_as_json():
    report = check_export(torch.nn.Identity, until="built").to_json()
    assert list(report) == [
        "schema",
        "name",
        "stages",
        "versions",
        "command",
        "coverage",
        "until",
        "passed",
    ]
    assert list(report["stages"][0]) == [
        "stage",
        "status",
        "found",
        "seconds",
        "largest_difference",
        "where",
        "error",
        "recipe",
        "rejected",
        "error_ratio",
        "why",
    ]


def test_the_command_prints_this_json_and_ends_with_these_statuses(capsys, tmp_path):
    assert main(["check", "llama", "--until", "built", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [stage["status"] for stage in report["stages"]] == ["passed", *["not reached"] * 7]
    config = {"model_type": "llama", "num_hidden_layers": 1, "vocab_size": 9, "hidden_size": 32}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main(["check", str(tmp_path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["stages"][0]["status"] == "failed"
    assert main(["check", "no-such-model", "--json", "--until", "ran"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["schema", "name", "until", "passed", "error"]
    assert list(told.values())[:4] == [1, "no-such-model", "ran", False]
    assert main(["check", "llama", "--json", "--until", "nothing"]) == 2
    assert "invalid choice: 'nothing'" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    "arguments", [["--help"], ["check", "--help"], ["sweep", "--help"], ["explain"]]
)
def test_help_imports_nothing_slow(arguments):
    code = "from smallport.commands.main import main\ntry:\n    main({})\nexcept SystemExit: pass"
    assert loaded_after(code.format(arguments)) == []


def test_reports_are_imported_without_anything_slow():
    assert loaded_after("from smallport.export import STAGES, ExportReport, StageReport") == []
    assert loaded_after("from smallport import check_export") == ["pandas", "torch", "transformers"]

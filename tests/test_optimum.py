"""Files of optimum-onnx, from a separate environment: ``python -m nox -s optimum``."""

import copy
import os
import subprocess

import pytest

from smallport import check_export
from smallport.architectures.by_name import model_builder
from smallport.architectures.tiny import tiny_model
from tests.onnx_faults import first_for_all

PROGRAM = os.environ.get("SMALLPORT_OPTIMUM_CLI")

pytestmark = [
    pytest.mark.optimum,
    pytest.mark.skipif(not PROGRAM, reason="needs optimum-cli: python -m nox -s optimum"),
]

MODELS = ["llama", "gpt2", "qwen2"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Save a model, have optimum export it, and give its folder, in which the file is, too."""
    made = {}

    def export(name, model):
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            model.save_pretrained(folder)
            command = [PROGRAM, "export", "onnx", "--task", "text-generation-with-past"]
            variables = {one: os.environ[one] for one in ("PATH", "HOME") if one in os.environ}
            variables |= {"HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1"}
            done = subprocess.run(
                [*command, "--model", folder, folder],
                env=variables,
                capture_output=True,
                text=True,
                check=False,
            )
            assert not done.returncode, done.stderr
            made[name] = folder
        return made[name]

    return export


@pytest.mark.parametrize("name", MODELS)
def test_a_file_of_optimum_passes_and_one_of_other_weights_fails(exported, name):
    folder = exported(name, tiny_model(name))
    report = check_export(model_builder(str(folder)), against=folder / "model.onnx")
    assert report, str(report)
    assert "7 inputs and 5 outputs match those of the model" in report["read"].found
    assert report.coverage.compared["decoding steps"] == [8]
    other = check_export(tiny_model(name, seed=1), against=folder / "model.onnx")
    assert other.failure().stage == "matches"
    assert "it differs from the model at 8 of 8 shapes" in other["matches"].found


def test_a_missing_layer_is_named(exported):
    model = tiny_model("llama")
    deeper = copy.deepcopy(model.config)
    deeper.num_hidden_layers += 1
    file = exported("llama", model) / "model.onnx"
    report = check_export(type(model)(deeper).eval(), against=file)
    assert report.failure().stage == "read"
    assert "matches present.2.key, present.2.value of the model" in report["read"].found


def test_a_cache_of_the_first_text_is_found(exported, tmp_path):
    file = exported("llama", tiny_model("llama")) / "model.onnx"
    shared = first_for_all(file, tmp_path / "shared.onnx", "present.1.value")
    report = check_export(tiny_model("llama"), against=shared)
    assert report.failure().stage == "matches"
    assert report["matches"].where.startswith("present.1.value[")


def test_positions_that_an_older_transformers_reads_wrongly_are_found(exported):
    """Exporting succeeds: transformers 4 finds no rope_theta in a checkpoint of transformers 5."""
    model = tiny_model("llama")
    far = copy.deepcopy(model.config)
    far.rope_parameters = {"rope_type": "default", "rope_theta": 500_000.0}
    folder = exported("far", type(model)(far).eval())
    report = check_export(model_builder(str(folder)), against=folder / "model.onnx")
    assert report.failure().stage == "matches"
    assert ".key[" in report["matches"].where

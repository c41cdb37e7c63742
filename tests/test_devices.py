"""Models on another device are checked, and a device that is not there is named."""

from types import SimpleNamespace

import pytest
import torch
import transformers

from smallport import check_export
from smallport.architectures.tiny import tiny_model
from smallport.commands.main import main
from smallport.export import Budget
from smallport.export.devices import available_device
from smallport.export.stages import ExportCheck
from smallport.parity.closeness import discrepancy
from smallport.parity.inputs import InputShape, moved
from smallport.parity.names import name_tensors
from smallport.parity.session import run_session
from smallport.parity.yardstick import MULTIPLE, widened
from tests.elsewhere import DEVICE, moved_away, other_device
from tests.onnx_faults import first_for_all

NO_CUDA = "needs an NVIDIA graphics processor, and a PyTorch with CUDA"
cuda = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason=NO_CUDA)]

SHAPES = [InputShape(3, 7, 5), InputShape(2, 0, 9, padding=3)]
"""The few shapes here, since a device that is none is slow."""


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Save the programs of a model, and those of one in half precision."""
    folder = tmp_path_factory.mktemp("devices")
    assert check_export(tiny_model("llama"), save=folder, until="ONNX")
    half = tiny_model("llama").bfloat16()
    assert check_export(half, save=folder / "half", until="exported")
    return folder


@pytest.fixture
def elsewhere(monkeypatch):
    """Have another device, on which there is no double precision."""
    for module in ("parity.yardstick", "export.own_results"):
        monkeypatch.setattr(f"smallport.{module}.without_double", lambda one: one == DEVICE)
    with other_device():
        yield


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("name", ["model.onnx", "model.pt2"])
def test_a_model_on_another_device_is_compared_with_its_file(saved, name):
    report = check_export(moved_away(tiny_model("llama")), against=saved / name, shapes=SHAPES)
    assert report, str(report)
    assert report.coverage.compared["device"] == [str(DEVICE)]
    assert report["matches"].error_ratio, "nothing was compared in float64"
    other = check_export(
        moved_away(tiny_model("llama", seed=1)), against=saved / name, shapes=SHAPES
    )
    assert other.failure().stage == "matches"
    assert " at batch " in other["matches"].where


@pytest.mark.usefixtures("elsewhere")
def test_half_precision_on_another_device_is_measured_against_float64(saved):
    file = saved / "half" / "model.pt2"
    report = check_export(moved_away(tiny_model("llama").bfloat16()), against=file, shapes=SHAPES)
    assert report, str(report)
    assert 0 < report["matches"].error_ratio <= MULTIPLE
    model = tiny_model("llama").bfloat16()
    model.model.layers[0].mlp.down_proj.weight.data[3] = 0
    other = check_export(moved_away(model), against=file, shapes=SHAPES)
    assert other.failure().stage == "matches"
    assert "times the model's own, and may be 1.5 times" in other["matches"].found


@pytest.mark.usefixtures("elsewhere")
def test_predictions_and_the_loss_are_compared_across_devices(saved, tmp_path):
    budget, text = Budget(0.99, 1e-6, loss=1e-5), torch.arange(4, 40)
    options = {"budget": budget, "text": text, "against": saved / "model.onnx", "shapes": SHAPES}
    report = check_export(moved_away(tiny_model("llama")), **options)
    assert report, str(report)
    assert "on 35 tokens (at most 1e-05)" in report["matches"].found
    shared = first_for_all(saved / "model.onnx", tmp_path / "shared.onnx", "present.1.value")
    other = check_export(moved_away(tiny_model("llama")), **options | {"against": shared})
    assert other.failure().stage == "decodes"


@pytest.mark.usefixtures("elsewhere")
def test_the_other_device_is_unlike_the_processor():
    away = torch.ones(3).to(DEVICE)
    with pytest.raises(RuntimeError, match="on the same device"):
        away + torch.ones(3)
    with pytest.raises(RuntimeError):
        away.numpy()
    with pytest.raises(TypeError, match="no float64"):
        away.double()
    assert discrepancy({"logits": away}, {"logits": torch.ones(3)}).largest() == 0


@pytest.mark.usefixtures("elsewhere")
def test_inputs_are_moved_with_their_cache_and_left_alone():
    cache = transformers.DynamicCache([(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2))])
    inputs = {"input_ids": torch.ones(1, 2, dtype=torch.int64), "cache": cache}
    there = moved(inputs, DEVICE)
    assert {one.device for one in name_tensors(there).values()} == {DEVICE}
    assert {one.device.type for one in name_tensors(inputs).values()} == {"cpu"}
    wide = name_tensors(widened(there))
    assert {str(one.dtype) for one in wide.values()} == {"torch.int64", "torch.float64"}
    assert {one.device.type for one in wide.values()} == {"cpu"}


@pytest.mark.usefixtures("elsewhere")
def test_a_session_gets_arrays():
    session = SimpleNamespace(
        get_inputs=lambda: [SimpleNamespace(name="x")],
        get_outputs=lambda: [SimpleNamespace(name="y")],
        run=lambda _, feed: [feed["x"] + 1],
    )
    assert run_session(session, {"x": torch.ones(2).to(DEVICE)})["y"].tolist() == [2, 2]


class WithoutCache(torch.nn.Module):
    """A model of one's own, which :func:`torch.export.export` exports."""

    def __init__(self):
        super().__init__()
        self.inside = tiny_model("llama")
        self.config = self.inside.config

    def forward(self, input_ids, attention_mask=None):
        """Return the logits."""
        return {"logits": self.inside(input_ids, attention_mask, use_cache=False).logits}


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("build", [WithoutCache, lambda: tiny_model("llama")])
def test_a_file_is_made_of_copies_on_the_processor(tmp_path, monkeypatch, build):
    given = moved_away(build().eval())
    check = ExportCheck(given, None, tmp_path)
    for stage in (check.built, check.ran):
        stage()
    check.program = "a program elsewhere"
    found = {}

    def export_onnx(model, program, under_test, example):
        is_own = isinstance(model, transformers.PreTrainedModel)
        found["weights"] = {one.device.type for one in model.parameters()} if is_own else program
        found["names"] = {one.device.type for one in under_test.run(example).values()}
        found["inputs"] = {one.device.type for one in name_tensors(example).values()}
        raise InterruptedError

    monkeypatch.setattr("smallport.export.exporters.export_onnx", export_onnx)
    monkeypatch.setattr("smallport.export.stages.move_to_device_pass", lambda _, place: {place})
    with pytest.raises(InterruptedError):
        check._translate()  # noqa: SLF001 - the stage opens the file, too
    assert found == {"weights": {"cpu"}, "names": {"cpu"}, "inputs": {"cpu"}}
    assert {one.device for one in given.parameters()} == {DEVICE}, "the model was moved"


@pytest.mark.parametrize(
    ("name", "built", "count", "problem"),
    [
        ("cuda", None, 0, "there is no CUDA device here: PyTorch .* is built without CUDA"),
        ("cuda", "13.0", 0, "there is no CUDA device here: PyTorch finds no graphics processor"),
        ("cuda:2", "13.0", 2, "there is no cuda:2 here: CUDA devices count from 0 to 1"),
        ("mps", None, 0, "there is no MPS device here"),
        ("cuda:x", None, 0, "'cuda:x' is no device that models are checked on"),
        ("tpu", None, 0, "name cpu, cuda, cuda:1 or mps"),
    ],
)
def test_a_device_that_is_not_there_is_named(monkeypatch, name, built, count, problem):
    monkeypatch.setattr(torch.version, "cuda", built)
    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=problem):
        available_device(name)


def test_a_device_that_is_there_is_found(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert available_device("cuda:1") == torch.device("cuda:1")


def test_the_command_names_a_missing_device(monkeypatch, capsys):
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    assert main(["check", "llama", "--device", "cuda"]) == 2
    assert "there is no CUDA device here" in capsys.readouterr().err


@pytest.mark.parametrize(
    "dtype",
    [pytest.param(dtype, marks=cuda) for dtype in (torch.float32, torch.bfloat16, torch.float16)],
)
def test_a_model_on_cuda_passes_and_a_wrong_file_of_it_fails(dtype, tmp_path):
    until = None if dtype == torch.float32 else "decodes"
    model = tiny_model("llama").to("cuda", dtype)
    report = check_export(model, save=tmp_path, until=until)
    assert report, str(report)
    assert report.coverage.compared["device"] == ["cuda:0"]
    assert {one.device.type for one in model.parameters()} == {"cuda"}
    wrong = tiny_model("llama", seed=1).to("cuda", dtype)
    other = check_export(wrong, against=tmp_path / "model.pt2")
    assert other.failure().stage == "matches"

"""Files of other exporters get a verdict, a right one and a wrong one of each."""

import copy
import warnings

import onnx
import pytest
import torch
import transformers
from onnxruntime.quantization import QuantType, quantize_dynamic

from smallport import check_export
from smallport.architectures.tiny import tiny_model
from smallport.export import Budget
from smallport.parity import cache_argument
from smallport.quantize.onnx.blocks import blocks_4bit
from tests.onnx_faults import first_for_all

LOGITS = "logits"


class WithTensors(torch.nn.Module):
    """A model whose cache is a pair of tensors, as people write it who export by hand."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask, positions, keys, values):
        """Return the logits, and the cache as two tensors."""
        cache = transformers.DynamicCache([(keys, values)])
        outputs = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            **{cache_argument(): cache},
            use_cache=True,
        )
        layer = outputs[cache_argument()].layers[0]
        return outputs.logits, layer.keys, layer.values


def one_layer(seed=0):
    model = tiny_model("llama", seed=seed)
    del model.model.layers[1:]
    model.config.num_hidden_layers = 1
    return model.eval()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Check a model, and keep its files."""
    folder = tmp_path_factory.mktemp("saved")
    report = check_export(tiny_model("llama"), save=folder)
    assert report, str(report)
    return folder


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    """Export by hand, with names of one's own and another order of the results."""
    folder = tmp_path_factory.mktemp("hand")
    batch, length, cached = (torch.export.Dim(name) for name in ("batch", "length", "cached"))
    config = one_layer().config
    cache = torch.randn(
        2, config.num_key_value_heads, 5, config.hidden_size // config.num_attention_heads
    )
    inputs = (
        torch.ones(2, 3, dtype=torch.int64),
        torch.ones(2, 8, dtype=torch.int64),
        torch.arange(3).expand(2, 3).contiguous() + 5,
        cache,
        cache.clone(),
    )
    files = {}
    for name, model in {"right": one_layer(), "other": one_layer(seed=1)}.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of its own calls
            program = torch.onnx.export(
                WithTensors(model).eval(),
                inputs,
                dynamo=True,
                verbose=False,
                input_names=["tokens", "mask", "positions", "past_k_0_key", "past_v_0_value"],
                output_names=["scores", "new_key", "new_value"],
                dynamic_shapes=(
                    {0: batch, 1: length},
                    {0: batch, 1: torch.export.Dim.DYNAMIC},
                    {0: batch, 1: length},
                    {0: batch, 2: cached},
                    {0: batch, 2: cached},
                ),
            )
        files[name] = folder / f"{name}.onnx"
        program.save(files[name])
    return files


def test_what_was_checked_is_kept_with_its_report(saved):
    assert {"model.pt2", "model.onnx", "report.json"} <= {file.name for file in saved.iterdir()}


@pytest.mark.parametrize("name", ["model.onnx", "model.pt2"])
def test_a_kept_file_passes_and_one_of_other_weights_fails(name, saved):
    report = check_export(tiny_model("llama"), against=saved / name)
    assert report, str(report)
    assert report.coverage.compared["decoding steps"] == [8]
    other = check_export(tiny_model("llama", seed=1), against=saved / name)
    assert other.failure().stage == "matches"
    assert "differs from the model" in other["matches"].found


def test_a_file_without_one_of_the_layers_is_named(saved):
    model = tiny_model("llama")
    deeper = copy.deepcopy(model.config)
    deeper.num_hidden_layers += 1
    report = check_export(type(model)(deeper).eval(), against=saved / "model.onnx")
    assert report.failure().stage == "read"
    assert "matches present.2.key, present.2.value of the model" in report["read"].found


def test_a_cache_of_the_first_text_for_all_is_found(saved, tmp_path):
    file = first_for_all(saved / "model.onnx", tmp_path / "first.onnx", "present.0.key")
    report = check_export(tiny_model("llama"), against=file)
    assert report.failure().stage == "matches"
    assert "present.0.key[1" in report["matches"].where


def test_names_of_one_s_own_are_matched_and_other_weights_found(by_hand):
    report = check_export(one_layer(), against=by_hand["right"])
    assert report, str(report)
    assert check_export(one_layer(), against=by_hand["other"]).failure().stage == "matches"


def bits8(file, target):
    quantize_dynamic(file, target, weight_type=QuantType.QInt8, per_channel=True)


def bits4(file, target):
    blocks_4bit(file, target, "MatMul", block_size=16)


@pytest.mark.parametrize(
    ("quantize", "budget"), [(bits8, Budget(0.8, 0.01)), (bits4, Budget(0.4, 0.15))]
)
def test_a_quantized_file_is_judged_within_a_budget(saved, tmp_path, quantize, budget):
    file = tmp_path / "quantized.onnx"
    quantize(saved / "model.onnx", file)
    strict = check_export(tiny_model("llama"), against=file)
    assert strict.failure().stage == "matches"
    report = check_export(tiny_model("llama"), against=file, budget=budget)
    assert report, str(report)
    assert "next tokens agree at" in report["decodes"].found
    assert "single numbers" in report.coverage.not_compared["numbers"]
    shared = first_for_all(file, tmp_path / "shared.onnx", "present.0.value")
    other = check_export(tiny_model("llama"), against=shared, budget=budget)
    assert other.failure().stage == "decodes"
    other = check_export(tiny_model("llama", seed=1), against=file, budget=budget)
    assert other.failure().stage == "matches"
    assert "beyond the budget" in other["matches"].found


def test_what_cannot_be_matched_is_named(tmp_path):
    file = tmp_path / "other.onnx"
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", 3])
        for name in ("image", "scores")
    ]
    node = onnx.helper.make_node("Identity", ["image"], ["scores"])
    graph = onnx.helper.make_graph([node], "graph", values[:1], values[1:])
    onnx.save(
        onnx.helper.make_model(
            graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10
        ),
        file,
    )
    report = check_export(tiny_model("llama"), against=file, require=())
    assert report.failure().stage == "read"
    assert "it takes image, which match nothing that the model takes" in report["read"].found


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"budget": Budget()}, "a budget is for a file"),
        ({"against": "nowhere.onnx"}, "there is no file nowhere.onnx"),
        ({"against": __file__}, "neither an ONNX file"),
        ({"against": __file__, "save": "here"}, "leave out inputs and save"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        check_export(tiny_model("llama"), **arguments)


@pytest.mark.parametrize("share", [0, 1.1])
def test_a_budget_has_a_range(share):
    with pytest.raises(ValueError, match="agreement is above 0"):
        Budget(agreement=share)

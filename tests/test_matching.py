"""Programs are matched with models by name and shape, in the layout that they have."""

import re

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from smallport import check_export
from smallport.export import Budget, RecurrentAdapter
from smallport.export.file_formats import Slot
from smallport.export.matching import match, matched
from smallport.lstm import LSTMConfig, WordLanguageModel
from smallport.quantize import onnx as route
from smallport.quantize.onnx.blocks import blocks_4bit
from tests.onnx_faults import first_for_all, ignored

QUANTIZED = Budget(agreement=0.7, divergence=0.002)
"""A budget for 4 bits of a model that was not trained, whose predictions are flat."""

FILES = {"float": None, "int8": QUANTIZED, "4bit": QUANTIZED}


def words(seed=0, layers=2):
    """Make a word language model that uses its state; an export has as many texts as layers."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = WordLanguageModel(60, LSTMConfig(64, 32, layers=layers)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4)
    return model


def adapted(**changes):
    return RecurrentAdapter(words(**changes))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Write the files of this site's routes."""
    folder = tmp_path_factory.mktemp("lstm")
    names = ("exported", "embedding", *FILES)
    exported, embedding, folded, int8, bits4 = (folder / f"{name}.onnx" for name in names)
    route.export_lstm(words(), exported)
    route.fold_constants(exported, folded)
    route.quantize_file(folded, int8)
    blocks_4bit(folded, embedding, "Gather", block_size=16)
    blocks_4bit(embedding, bits4, "MatMul", block_size=16)
    return {"float": folded, "int8": int8, "4bit": bits4}


@pytest.mark.parametrize("name", FILES)
def test_a_recurrent_file_passes_with_its_state_and_one_of_other_weights_fails(files, name):
    report = check_export(adapted(), against=files[name], budget=FILES[name])
    assert report, str(report)
    assert "3 inputs and 3 outputs match" in report["read"].found
    assert report.coverage.compared["decoding steps"] == [8]
    other = check_export(adapted(seed=1), against=files[name], budget=FILES[name])
    assert other.failure().stage == "matches"


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("lost", ["hidden", "cell", "cell_out"])
def test_a_lost_state_and_that_of_the_first_text_are_found(files, tmp_path, name, lost):
    shared = lost == "cell_out"
    spoilt = tmp_path / "spoilt.onnx"
    if shared:
        first_for_all(files[name], spoilt, lost, axis=1)
    else:
        ignored(files[name], spoilt, lost)
    failed = check_export(adapted(), against=spoilt, budget=FILES[name]).failure()
    assert failed.stage == ("decodes" if shared and FILES[name] else "matches")
    if FILES[name]:
        assert "it is beyond the budget: next tokens agree at" in failed.found
        assert re.search(r"nats at (batch \d, \d+ \+ \d+ tokens|step \d) ", failed.found)
    else:
        assert re.match(r"(present\.0\.recurrent_states\.[01]|logits)\[", failed.where)
        assert " at batch " in failed.where


def test_a_file_with_fewer_layers_is_rejected(files):
    report = check_export(adapted(layers=3), against=files["float"])
    assert report.failure().stage == "read"
    assert "it takes hidden, cell, which match nothing that the model takes" in report["read"].found


def test_a_file_of_the_adapter_has_its_layout(tmp_path):
    from torch.export._patches import register_lstm_while_loop_decomposition  # noqa: PLC0415

    with register_lstm_while_loop_decomposition():
        assert check_export(adapted(), save=tmp_path)
    report = check_export(adapted(), against=tmp_path / "model.onnx")
    assert report, str(report)


def test_slots_are_matched_by_words_and_by_what_is_left():
    pair = torch.zeros(2, 3, 4, 5)
    tensors = {
        "input_ids": torch.zeros(2, 3, dtype=torch.int64),
        "past_key_values.0.key": pair,
        "past_key_values.0.value": pair,
    }
    slots = [
        Slot("x", torch.int64, None),
        Slot("b_value", None, None),
        Slot("a", torch.float32, None),
    ]
    assert matched(slots, tensors)["x"] == "input_ids"


@pytest.mark.parametrize("cached", [0, 3])
def test_a_merged_decoder_is_told_whether_there_is_a_cache(tmp_path, cached):
    from smallport.export.file_formats import ONNXProgram  # noqa: PLC0415

    ids, branch = (
        helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "new"]),
        helper.make_tensor_value_info("use_cache_branch", TensorProto.BOOL, [1]),
    )
    past, logits, present = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)
        for name, sizes in [
            ("past_key_values.0.key", ["batch", 1, "past", 2]),
            ("logits", ["batch", "new"]),
            ("present.0.key", ["batch", 1, "past", 2]),
        ]
    )
    nodes = [
        helper.make_node("Cast", ["use_cache_branch"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["input_ids"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "number"], ["logits"]),
        helper.make_node("Identity", ["past_key_values.0.key"], ["present.0.key"]),
    ]
    graph = helper.make_graph(nodes, "merged", [ids, past, branch], [logits, present])
    opset = [helper.make_opsetid("", 20)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), tmp_path / "it.onnx")
    inputs = {
        "input_ids": torch.ones(2, 4, dtype=torch.int64),
        "past_key_values.0.key": torch.zeros(2, 1, cached, 2),
    }
    like = {"logits": torch.zeros(2, 4), "present.0.key": torch.zeros(2, 1, cached, 2)}
    program = match(ONNXProgram(tmp_path / "it.onnx"), inputs, like)
    assert program.branch == "use_cache_branch"
    assert program.run(inputs, like)["logits"].unique().tolist() == [float(cached > 0)]

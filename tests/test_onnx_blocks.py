"""Weights in blocks of few bits stand for the weights that they were made from."""

import logging
import subprocess
import sys

import onnx
import pytest
import torch

from smallport.lstm import LSTMConfig, WordLanguageModel
from smallport.quantize import onnx as route
from smallport.quantize import quantize_blocks
from smallport.quantize.onnx.blocks import blocks_4bit, embedding_by_frequency

WORDS = 60


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return WordLanguageModel(
            WORDS, LSTMConfig(embedding_size=64, hidden_size=32, layers=1)
        ).eval()


@pytest.fixture(scope="module")
def folded(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blocks")
    route.export_lstm(model, folder / "exported.onnx")
    route.fold_constants(folder / "exported.onnx", folder / "folded.onnx")
    return folder / "folded.onnx"


def logits(file, tokens):
    model = route.ONNXLanguageModel(file, threads=1)
    return model(tokens, model.initial_state(tokens.shape[1]))[0]


def with_embedding(model, weight):
    changed = WordLanguageModel(
        WORDS, LSTMConfig(embedding_size=64, hidden_size=32, layers=1)
    ).eval()
    changed.load_state_dict(model.state_dict() | {"encoder.weight": weight})
    return changed


@torch.no_grad()
@pytest.mark.parametrize(("frequent", "block_size"), [(15, 16), (1, 32), (59, 64)])
def test_every_word_is_looked_up_in_its_part_of_the_embedding(
    model, folded, tmp_path, frequent, block_size
):
    target = tmp_path / "by_frequency.onnx"
    embedding_by_frequency(folded, target, frequent, block_size=block_size)
    parts = [(model.encoder.weight[:frequent], 4), (model.encoder.weight[frequent:], 2)]
    rounded = torch.cat(
        [
            quantize_blocks(part, bits, block_size=block_size, symmetric=False).dequantize()
            for part, bits in parts
        ]
    )
    tokens = torch.arange(WORDS).view(-1, 2)
    expected, _ = with_embedding(model, rounded)(tokens, model.initial_state(2))
    torch.testing.assert_close(logits(target, tokens), expected, rtol=0, atol=1e-5)
    plain, _ = model(tokens, model.initial_state(2))
    assert (plain - expected).abs().max() > 1e-4, "2 bits change nothing"


@torch.no_grad()
def test_four_bits_take_the_place_of_embedding_and_decoder(model, folded, tmp_path):
    embedding, both = tmp_path / "embedding.onnx", tmp_path / "both.onnx"
    blocks_4bit(folded, embedding, "Gather", block_size=16)
    blocks_4bit(embedding, both, "MatMul", block_size=16)
    counts = route.operator_counts(both)
    assert counts["GatherBlockQuantized"] == counts["MatMulNBits"] == 1
    assert "MatMul" not in counts
    tokens = torch.arange(WORDS).view(-1, 1)
    expected, _ = model(tokens, model.initial_state(1))
    found = logits(both, tokens)
    assert 1e-4 < (found - expected).abs().max() < 0.2 * expected.std() + 0.05
    levels = {
        attribute.i
        for node in onnx.load(both).graph.node
        for attribute in node.attribute
        if attribute.name == "accuracy_level"
    }
    assert levels == {4}, "activations are not rounded to int8"


@pytest.mark.parametrize("operator", ["Conv", "Gather"])
def test_a_file_without_such_weights_is_refused(folded, tmp_path, operator):
    once = tmp_path / "once.onnx"
    blocks_4bit(folded, once, "Gather", block_size=16)
    with pytest.raises(ValueError, match=f"has no {operator} whose weights are in the file"):
        blocks_4bit(once, tmp_path / "twice.onnx", operator, block_size=16)
    assert not (tmp_path / "twice.onnx").exists()


@pytest.mark.parametrize("frequent", [0, WORDS, -1])
def test_an_empty_part_of_the_embedding_is_refused(folded, tmp_path, frequent):
    with pytest.raises(ValueError, match=f"between 1 and {WORDS - 1}.* not {frequent}"):
        embedding_by_frequency(folded, tmp_path / "none.onnx", frequent)
    assert list(tmp_path.iterdir()) == []


def test_blocks_that_do_not_divide_a_row_are_refused(folded, tmp_path):
    with pytest.raises(ValueError, match="blocks of 128 do not divide rows of 64 weights"):
        embedding_by_frequency(folded, tmp_path / "none.onnx", 10, block_size=128)


def test_an_embedding_that_is_quantized_already_is_refused(folded, tmp_path):
    blocks_4bit(folded, tmp_path / "once.onnx", "Gather", block_size=16)
    with pytest.raises(ValueError, match="before it is quantized"):
        embedding_by_frequency(tmp_path / "once.onnx", tmp_path / "twice.onnx", 10)


def test_the_tool_leaves_the_logging_of_the_process_alone():
    code = (
        "import logging; from smallport.quantize.onnx.blocks import nbits_tool; nbits_tool();"
        "root = logging.getLogger(); print(root.handlers, root.level)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"[] {logging.WARNING}"

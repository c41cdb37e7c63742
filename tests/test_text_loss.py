"""The loss of a quantized file on a text is at most so much above its model's."""

import json

import pytest
import tokenizers
import torch
import transformers
from onnxruntime.quantization import QuantType, quantize_dynamic

from smallport import check_export
from smallport.architectures.by_name import ModelError
from smallport.architectures.text import text_ids
from smallport.architectures.tiny import tiny_model
from smallport.commands.main import main
from smallport.export import Budget, RecurrentAdapter
from smallport.export.examine import examine_model
from smallport.export.text_loss import TextLosses, text_losses
from smallport.lstm import LSTMConfig, WordLanguageModel
from tests.onnx_faults import ignored, other_weights

WIDE = {"agreement": 0.01, "divergence": 9.0}
"""Limits that hold for any file, so that only the loss decides."""

WORDS = [f"word{number}" for number in range(500)]


def trained():
    """Make a model that knows a text by heart, so that another model's loss on it is higher."""
    model = tiny_model("llama")
    tokens = text()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(20):
        optimizer.zero_grad()
        model(input_ids=tokens[None], labels=tokens[None]).loss.backward()
        optimizer.step()
    return model.requires_grad_(requires_grad=False)


def text():
    generator = torch.Generator().manual_seed(3)
    return torch.randint(4, 500, (300,), generator=generator)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Save a checkpoint with a tokenizer, a text, its ONNX file, one in int8 and a wrong one."""
    folder = tmp_path_factory.mktemp("loss")
    model = trained()
    assert check_export(model, save=folder)
    model.save_pretrained(folder)
    words = {word: number for number, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token=WORDS[0]))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)
    (folder / "text.txt").write_text(" ".join(WORDS[token] for token in text()))
    quantize_dynamic(
        folder / "model.onnx", folder / "int8.onnx", weight_type=QuantType.QInt8, per_channel=True
    )
    return folder


def check(folder, file, loss, **options):
    """Check a file of the checkpoint on its text."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    budget = Budget(**WIDE, loss=loss)
    return check_export(model, against=folder / file, budget=budget, text=text(), **options)


def test_a_file_within_the_limit_passes_with_both_losses(folder):
    report = check(folder, "int8.onnx", 0.05)
    assert report, str(report)
    found = report["matches"].found
    assert "its loss on the text is" in found
    assert found.endswith("on 299 tokens (at most 0.05)")
    assert "0.05 nats of loss" in report.coverage.compared["budget"]


def test_a_loss_above_the_limit_is_found(folder):
    report = check(folder, "int8.onnx", 0)
    exact = check(folder, "model.onnx", 1e-5)
    assert exact, str(exact)
    assert report.failure().stage == "matches"
    assert "it is beyond the budget: its loss on the text is" in report["matches"].found


def test_other_weights_are_found_by_the_loss_alone(folder, tmp_path):
    report = check(folder, other_weights(folder / "model.onnx", tmp_path / "other.onnx"), 0.5)
    assert report.failure().stage == "matches"
    assert "it is beyond the budget: its loss on the text is" in report["matches"].found
    assert " more, on 299 tokens (at most 0.5)" in report["matches"].found


def test_the_command_reads_a_text_with_the_checkpoint_s_tokenizer(folder, capsys):
    call = ["check", str(folder), "--against", str(folder / "int8.onnx"), "--json"]
    limits = ["--least-agreement", "0.01", "--most-divergence", "9", "--most-loss"]
    given = ["--text", str(folder / "text.txt")]
    assert main([*call, *limits, "0.05", *given]) == 0
    report = json.loads(capsys.readouterr().out)
    assert any("on 299 tokens (at most 0.05)" in stage["found"] for stage in report["stages"])
    assert f"--text {folder / 'text.txt'}" in report["command"]
    assert "--most-loss 0.05" in report["command"]
    assert main([*call, *limits, "0", *given]) == 1
    capsys.readouterr()
    assert main([*call, "--most-loss", "0.1"]) == 2
    assert "--text FILE and --most-loss NATS" in capsys.readouterr().out


def test_long_texts_are_read_in_chunks_that_begin_anew(folder):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    whole, short = (
        check(folder, "model.onnx", 0.1, max_tokens=most)["matches"].found for most in (600, 50)
    )
    assert "on 299 tokens" in whole
    assert "on 294 tokens" in short
    with torch.no_grad():
        expected = model(input_ids=text()[None], labels=text()[None]).loss
    assert f"the model's {float(expected):.4g}" in whole


def test_a_recurrent_model_begins_with_its_state():
    model = RecurrentAdapter(WordLanguageModel(60, LSTMConfig(8, 6, layers=1)).eval())
    under_test = examine_model(model)
    losses = text_losses(under_test, under_test.call_with, torch.arange(30))
    assert losses.rise == 0
    assert len(losses.own) == 28, "the first token is in the state, and nothing predicts the next"


def test_a_file_without_its_cache_is_no_matter_of_a_text(folder, tmp_path):
    """Chunks begin with an empty cache, so the loss does not see it; the shapes do."""
    lost = ignored(folder / "model.onnx", tmp_path / "lost.onnx", "past_key_values.0.value")
    report = check(folder, lost, 0.05)
    assert "on 299 tokens" in report["matches"].found
    model = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    tight = Budget(0.01, 0.01, loss=0.05)
    report = check_export(model, against=lost, budget=tight, text=text())
    assert "it is beyond the budget: next tokens agree" in report["matches"].found


def test_nan_is_beyond_every_limit():
    losses = TextLosses(torch.ones(3), torch.tensor([1.0, torch.nan, 1.0]))
    assert not losses.rise <= 1e9


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"text": [1, 2]}, "go together"),
        ({"budget": Budget(loss=0.1)}, "go together"),
        ({"budget": Budget(loss=0.1), "text": [1]}, "at least two token ids"),
        ({"budget": Budget(loss=0.1), "text": torch.ones(2, 2)}, "of the shape"),
    ],
)
def test_a_text_and_its_limit_go_together(folder, arguments, problem):
    with pytest.raises(ValueError, match=problem):
        check_export(tiny_model("llama"), against=folder / "model.onnx", **arguments)


def test_tokens_of_another_vocabulary_are_named(folder):
    budget = Budget(loss=0.1)
    report = check_export(
        trained(), against=folder / "model.onnx", budget=budget, text=[1, 2, 99_999]
    )
    assert "the text has tokens from 1 to 99999, and the model those from 0 to 511" in (
        report["matches"].found
    )


def test_a_negative_limit_is_refused():
    with pytest.raises(ValueError, match="loss is 0 or above"):
        Budget(loss=-0.1)


def test_a_missing_tokenizer_and_a_file_that_is_no_text_are_named(folder, tmp_path):
    with pytest.raises(ModelError, match="llama is checked by a tiny untrained model"):
        text_ids("llama", folder / "text.txt")
    with pytest.raises(ModelError, match="cannot be read as a text: No such file"):
        text_ids(str(folder), tmp_path / "none.txt")
    with pytest.raises(ModelError, match="it is not in UTF-8"):
        text_ids(str(folder), folder / "model.safetensors")
    tiny_model("llama").save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="has no tokenizer that can be loaded"):
        text_ids(str(tmp_path), folder / "text.txt")

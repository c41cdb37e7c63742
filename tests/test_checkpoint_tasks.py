"""Checkpoints are loaded with the class that they were saved by."""

import json

import pytest
import torch
import transformers

from smallport.architectures.by_name import ModelError, count_parameters, model_builder
from smallport.architectures.checkpoint_tasks import loader_of
from smallport.commands import main as cli

BERT = {"hidden_size": 16, "intermediate_size": 16, "vocab_size": 50, "num_hidden_layers": 1}
BERT |= {"num_attention_heads": 2, "max_position_embeddings": 40}
T5 = {"d_model": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8, "d_ff": 16, "vocab_size": 50}
BART = dict.fromkeys(
    ["encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads"], 1
) | {"d_model": 16, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "vocab_size": 50}


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("BertForMaskedLM", BERT),
        ("BertForSequenceClassification", BERT),
        ("BertForTokenClassification", BERT),
        ("BertForQuestionAnswering", BERT),
        ("BertModel", BERT),
        ("BertLMHeadModel", BERT),
        ("T5ForConditionalGeneration", T5),
        ("T5EncoderModel", T5),
        ("BartForConditionalGeneration", BART),
        ("BartForCausalLM", BART),
    ],
)
def test_a_checkpoint_is_loaded_as_it_was_saved(tmp_path, name, sizes):
    cls = getattr(transformers, name)
    saved = cls(cls.config_class(**sizes)).eval()
    saved.save_pretrained(tmp_path)
    loaded = model_builder(str(tmp_path))()
    assert type(loaded) is cls
    assert not loaded.training
    for key, weight in saved.state_dict().items():
        assert torch.equal(weight, loaded.state_dict()[key])
    entries = json.loads((tmp_path / "config.json").read_text())
    assert count_parameters(entries) == saved.num_parameters()


@pytest.mark.parametrize(
    ("model_type", "auto"),
    [
        ("bert", "AutoModelForCausalLM"),
        ("t5", "AutoModelForSeq2SeqLM"),
        ("distilbert", "AutoModelForMaskedLM"),
        ("vit", "AutoModelForCausalLM"),
    ],
)
def test_without_a_class_the_model_type_decides(model_type, auto):
    assert loader_of({"model_type": model_type}).auto == auto


def test_an_image_model_is_named(tmp_path):
    entries = {"model_type": "vit", "architectures": ["ViTForImageClassification"]}
    (tmp_path / "config.json").write_text(json.dumps(entries))
    with pytest.raises(ModelError, match="'vit', an image model that transformers"):
        model_builder(str(tmp_path))


def test_the_command_checks_an_encoder(tmp_path, capsys):
    folder = tmp_path / "encoder"
    transformers.BertForMaskedLM(transformers.BertConfig(**BERT)).save_pretrained(folder)
    assert cli.main(["check", str(folder), "--until", "matches"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "an encoder, checked for masked-lm" in printed
    assert "passes until matches as masked-lm within 1 tensor, texts of 4 to 40 tokens" in printed

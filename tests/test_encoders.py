"""Encoders: how they are called, what is compared of them, and which wrong programs are found."""

import pytest
import torch
import transformers
from torch import nn

from smallport.export import check_export
from smallport.export.comparisons import StageFailure, compare_shapes
from smallport.export.encoders import EncoderShape
from smallport.export.examine import examine_model, task_of
from smallport.export.report import ENCODER_STAGES, ExportReport

SIZES = {"hidden_size": 16, "intermediate_size": 24, "vocab_size": 50}
SIZES |= {"num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 200}


def bert(head="ForMaskedLM", **entries):
    """Build a tiny BERT with a head."""
    torch.manual_seed(0)
    configuration = transformers.BertConfig(**SIZES, **entries)
    return getattr(transformers, f"Bert{head}")(configuration).eval()


@pytest.fixture(scope="module")
def report():
    return check_export(bert())


def test_an_encoder_passes_every_stage_that_it_has(report):
    assert report
    assert tuple(one.stage for one in report.stages) == ENCODER_STAGES
    assert "decodes" not in ENCODER_STAGES
    assert "it uses its mask" in report["ran"].found
    assert "it reads in both directions" in report["ran"].found
    assert "model's doing" not in report["ran"].found
    assert report["ONNX Runtime matches"].error_ratio is not None
    assert ExportReport.from_json(report.to_json()) == report


def test_the_report_has_the_task_and_the_padding(report):
    compared = report.coverage.compared
    assert compared["task"] == ["masked-lm"]
    assert compared["padding"][-1] > 0
    assert compared["padding on the right"][-1] > 0
    assert compared["model itself"] == ["mask", "text alone"]
    assert "passes every stage as masked-lm within 1 tensor, texts of" in " ".join(
        str(report).split()
    )


@pytest.mark.parametrize(
    ("head", "task", "outputs"),
    [
        ("ForSequenceClassification", "sequence-classification", ["logits"]),
        ("ForTokenClassification", "token-classification", ["logits"]),
        ("ForQuestionAnswering", "token-classification", ["end_logits", "start_logits"]),
        ("Model", "embedding", ["last_hidden_state", "pooler_output"]),
    ],
)
def test_heads_are_told_apart_and_compared(head, task, outputs):
    report = check_export(bert(head), until="stays dynamic")
    assert report
    assert report.coverage.compared["task"] == [task]
    assert report.coverage.compared["outputs"] == outputs


def test_asked_until_decoding_an_encoder_goes_as_far_as_before():
    report = check_export(bert(), until="decodes")
    assert report.until == "stays dynamic"
    assert report
    assert report["ONNX"].status == "not reached"


def test_the_encoder_of_a_text_to_text_model_is_an_embedding():
    sizes = {"d_model": 16, "num_layers": 1, "num_heads": 2, "d_kv": 8, "d_ff": 16}
    model = transformers.T5EncoderModel(transformers.T5Config(**sizes, vocab_size=50)).eval()
    report = check_export(model, until="ran")
    assert report
    assert examine_model(model).task == "embedding"


def test_a_decoder_that_scores_texts_is_no_language_model():
    model = transformers.GPT2ForSequenceClassification(
        transformers.GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50, pad_token_id=0)
    ).eval()
    assert task_of(model) == "sequence-classification"
    assert check_export(model, until="matches")


class Sentence(nn.Module):
    """The mean of the results of a text's tokens."""

    def __init__(self):
        super().__init__()
        self.encoder = bert("Model")
        self.config = self.encoder.config

    def forward(self, input_ids, attention_mask):
        """Average over what is no padding."""
        hidden = self.encoder(input_ids, attention_mask).last_hidden_state
        weights = attention_mask[..., None].to(hidden.dtype)
        return {"sentence_embedding": (hidden * weights).sum(1) / weights.sum(1)}


def test_a_module_of_ones_own_that_embeds_sentences_is_checked():
    report = check_export(Sentence().eval(), until="matches")
    assert report
    assert report.coverage.compared["outputs"] == ["sentence_embedding"]


def test_in_half_precision_errors_are_compared():
    report = check_export(bert().bfloat16(), until="matches")
    assert report
    assert report["matches"].error_ratio <= 1.5


def wrong(change):
    """Make a wrong program of a model: one that is given other inputs, or returns others."""
    model = bert()

    def run(inputs):
        with torch.no_grad():
            return change(model, dict(inputs))

    return run


def without_mask(model, inputs):
    """Read padding, too."""
    return model(**inputs | {"attention_mask": torch.ones_like(inputs["attention_mask"])})


def padded_on_the_left_only(model, inputs):
    """Read padding on the right as if it were text."""
    mask = inputs["attention_mask"]
    return model(**inputs | {"attention_mask": (mask.cumsum(1) > 0).long()})


def without_segments(model, inputs):
    """Take all for the first part of a text."""
    return model(**inputs | {"token_type_ids": torch.zeros_like(inputs["token_type_ids"])})


def in_one_direction(model, inputs):
    """Read as a decoder does."""
    mask = inputs["attention_mask"].bool()
    length = mask.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    whole = mask[:, None, None, :] & (causal | torch.eye(length, dtype=torch.bool))
    return model(**inputs | {"attention_mask": whole})


@pytest.mark.parametrize(
    "change", [without_mask, padded_on_the_left_only, without_segments, in_one_direction]
)
def test_a_wrong_program_is_found(change):
    under_test = examine_model(bert())
    with pytest.raises(StageFailure, match="it differs from the model at"):
        compare_shapes(under_test, wrong(change), under_test.test_shapes())


def test_what_only_padding_differs_in_is_no_difference():
    under_test = examine_model(bert())

    def zero_padding(model, inputs):
        outputs = model(**inputs)
        return {"logits": outputs.logits * inputs["attention_mask"][..., None] * (1 + 1e-6)}

    shapes = [EncoderShape(3, 0, 14, padding=3, padding_after=5)]
    assert compare_shapes(under_test, wrong(zero_padding), shapes).difference


def test_an_encoder_that_ignores_its_mask_is_described():
    class Unmasked(transformers.BertForMaskedLM):
        def forward(self, input_ids, attention_mask=None):  # noqa: ARG002 - which is the mistake
            return super().forward(input_ids)

    torch.manual_seed(0)
    model = Unmasked(transformers.BertConfig(**SIZES)).eval()
    report = check_export(model, until="ran")
    assert "it ignores its mask" in report["ran"].found
    assert "other results alone than in a batch" in report["ran"].found


def test_a_file_is_not_compared_with_an_encoder(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    report = check_export(bert(), against=tmp_path / "model.onnx")
    assert "files are compared with decoders" in report["read"].found
    assert "masked-lm" in report["read"].found

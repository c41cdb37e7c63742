"""Tests of :mod:`smallport.export.adapters`, with the models that the README names."""

import pytest
import torch
from torch import nn
from torch.export._patches import (
    register_gru_while_loop_decomposition,
    register_lstm_while_loop_decomposition,
)

from smallport import check_export
from smallport.export import RecurrentAdapter
from smallport.lstm import LSTMConfig, WordLanguageModel


class Recurrent(nn.Module):
    """A language model whose texts come first, and whose state is that of its layer."""

    def __init__(self, rnn, width):
        super().__init__()
        self.table, self.rnn, self.head = nn.Embedding(50, 8), rnn, nn.Linear(width, 50)
        self.eval()

    def forward(self, tokens, state):
        """Score the words, from a state on."""
        hidden, state = self.rnn(self.table(tokens), state)
        return self.head(hidden), state


def test_the_word_language_model_passes_every_stage_with_its_state():
    model = WordLanguageModel(50, LSTMConfig(8, 6, layers=2)).eval()
    assert "wrap it in smallport.export.RecurrentAdapter" in (
        check_export(model, until="ran")["ran"].error
    )
    with register_lstm_while_loop_decomposition():
        report = check_export(RecurrentAdapter(model))
    assert report.passed(), report
    assert "with its cache it computes what it computes without" in report["ran"].found
    assert report.coverage.compared["number of tensors"] == [3]
    assert report.coverage.compared["outputs"] == ["logits", "present"]
    assert not report.coverage.not_compared


@pytest.mark.parametrize(
    ("rnn", "width", "loop"),
    [
        (nn.GRU(8, 6, batch_first=True), 6, register_gru_while_loop_decomposition),
        (nn.LSTM(8, 6, proj_size=4, batch_first=True), 4, register_lstm_while_loop_decomposition),
    ],
)
def test_other_layers_with_a_state_are_compared_step_by_step(rnn, width, loop):
    with loop():
        model = RecurrentAdapter(Recurrent(rnn, width), batch_first=True)
        report = check_export(model, until="decodes")
    assert report.passed(), report
    assert report.coverage.compared["outputs"] == ["logits", "present"]
    assert report.coverage.compared["padding"] == [], "no text is padded where there is no mask"


@pytest.mark.parametrize("first", [True, False])
def test_the_wrong_order_of_axes_is_asked_for(first):
    model = RecurrentAdapter(Recurrent(nn.LSTM(8, 6, batch_first=first), 6), batch_first=not first)
    report = check_export(model, until="ran")
    assert report.name == "Recurrent"
    assert f"Is batch_first={not first} right for it?" in report["ran"].found


def test_a_model_that_reads_in_both_directions_is_told():
    model = Recurrent(nn.LSTM(8, 6, batch_first=True, bidirectional=True), 12)
    found = check_export(RecurrentAdapter(model, batch_first=True), until="ran")["ran"].found
    assert "a token changes the logits before it, which is the model's doing" in found
    assert "its logits change by" in found


class Pixels(nn.Linear):
    """A model of images."""

    def forward(self, pixel_values):
        """Change their colours."""
        return super().forward(pixel_values)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Pixels, "a model of images or sound (pixel_values)"),
        (nn.Linear, "wrap it in a module whose forward method takes input_ids"),
        (nn.GRU, "wrap it in smallport.export.RecurrentAdapter"),
    ],
)
def test_a_model_that_takes_no_tokens_gets_advice(model, said):
    assert said in check_export(model(2, 2).eval(), until="ran")["ran"].error


class Classifier(nn.Linear):
    """One result for each text, from a tensor under a name that is passed on."""

    def forward(self, x):
        """Score the classes of a text."""
        return super().forward(x)


class TokenClassifier(nn.Embedding):
    """One result for each text, from tokens."""

    def forward(self, input_ids):
        """Score the classes of a text, under the name of the logits of tokens."""
        return {"logits": super().forward(input_ids).mean(dim=1)}


@pytest.mark.parametrize(
    ("model", "inputs", "said"),
    [
        (Classifier(4, 2), {"x": torch.ones(3, 4)}, "Classifier takes x."),
        (TokenClassifier(4, 2), None, "TokenClassifier are (2, 2) for tokens of the shape (2, 5)"),
    ],
)
def test_a_classifier_is_out_of_scope_however_it_is_passed(model, inputs, said):
    error = check_export(model.eval(), inputs, until="ran")["ran"].error
    assert said in error
    assert "Classifiers and encoders are checked only as classes" in error
    assert "pass inputs=" not in error

"""The checks of an eager model find each kind of error, and nothing in a right model."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smallport.lstm import LSTMConfig, WordLanguageModel
from smallport.lstm.soundness import verify_reference as verify_lstm
from smallport.soundness import draw_texts, require_sound
from smallport.tiny_llm import untrained_tiny_llm, verify_reference

WORDS = 40
TABLE = torch.randn(WORDS, 6, generator=torch.Generator().manual_seed(0))


def read(ids, mask):
    """Add up the vectors of a text so far; padding adds nothing."""
    return (TABLE[ids] * mask[..., None]).cumsum(dim=1)


def of_both_directions(ids, mask):
    return read(ids, mask) + read(ids, mask)[:, -1:]


def of_all_texts(ids, mask):
    return read(ids, mask) + read(ids, mask).mean(dim=0, keepdim=True)


def without_mask(ids, mask):
    return read(ids, torch.ones_like(mask))


def by_chance(ids, mask):
    return read(ids, mask) + torch.rand(1)


def token_alone(ids, mask):
    return TABLE[ids] * mask[..., None]


WRONG = [
    ((by_chance, read, read), "two equal calls return different logits"),
    ((of_all_texts, of_all_texts, of_all_texts), "a text alone has other logits"),
    ((without_mask, without_mask, without_mask), "a text alone has other logits"),
    ((of_both_directions, read, read), "the last token changes the logits before it"),
    ((read, token_alone, read), "step by step"),
    ((token_alone, token_alone, read), "NumPy computes other logits"),
]


def test_a_right_model_is_sound():
    require_sound(read, read, read, *draw_texts(WORDS))


@pytest.mark.parametrize(("readers", "cause"), WRONG)
def test_a_wrong_model_is_told_with_its_cause(readers, cause):
    with pytest.raises(AssertionError, match=f"is wrong: {cause}"):
        require_sound(*readers, *draw_texts(WORDS))


@settings(max_examples=10, deadline=None)
@given(
    layers=st.integers(1, 3),
    groups=st.integers(1, 2),
    pairs=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_numpy_agrees_with_every_llama(layers, groups, pairs, seed):
    sizes = {"hidden_size": 16, "intermediate_size": 24, "vocab_size": WORDS}
    heads = {"num_attention_heads": groups * pairs, "num_key_value_heads": groups}
    made = untrained_tiny_llm(seed=seed, num_hidden_layers=layers, head_dim=8, **sizes, **heads)
    verify_reference(made.model)


@settings(max_examples=10, deadline=None)
@given(layers=st.integers(1, 3), hidden=st.integers(1, 9), seed=st.integers(0, 99))
def test_numpy_agrees_with_every_lstm(layers, hidden, seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = WordLanguageModel(WORDS, LSTMConfig(5, hidden, layers)).eval()
    verify_lstm(model)


@pytest.mark.parametrize("name", ["encoder.weight", "rnn.bias_hh_l1", "rnn.weight_hh_l0"])
def test_numpy_notices_a_weight_that_a_forward_pass_does_not_use(name, monkeypatch):
    model = WordLanguageModel(WORDS, LSTMConfig(5, 4, layers=2)).eval()
    weights = dict(model.state_dict())
    monkeypatch.setattr(model, "state_dict", lambda: weights | {name: weights[name] * 2})
    with pytest.raises(AssertionError, match="NumPy computes other logits"):
        verify_lstm(model)


def test_a_model_in_training_mode_is_told():
    model = WordLanguageModel(WORDS, LSTMConfig(5, 4, layers=1, dropout=0.5)).train()
    with pytest.raises(AssertionError, match="two equal calls return different logits"):
        verify_lstm(model)

"""Losses are those of every word, and texts are written from what the model predicts."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smallport.lstm import (
    LSTMConfig,
    Vocabulary,
    WordLanguageModel,
    evaluate,
    generate,
    losses,
    require_drawn,
    tokens_read,
)


@pytest.fixture(scope="module")
def two_layers():
    config = LSTMConfig(embedding_size=8, hidden_size=6, layers=2, dropout=0.5)
    torch.manual_seed(0)
    return WordLanguageModel(12, config).eval()


@pytest.fixture(scope="module")
def trained(tiny_corpus, good_weights):
    config = LSTMConfig(embedding_size=16, hidden_size=16, layers=1, dropout=0.1)
    model = WordLanguageModel(len(tiny_corpus.vocabulary), config)
    model.load_state_dict(torch.load(good_weights, weights_only=True))
    return model


def test_losses_are_the_cross_entropies_of_the_words_that_follow(two_layers):
    tokens = torch.randint(12, (60,), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits, _ = two_layers(tokens[:-1].view(-1, 1), two_layers.initial_state(1))
    probabilities = logits.squeeze(1).softmax(-1)[torch.arange(59), tokens[1:]]
    torch.testing.assert_close(losses(two_layers, tokens), -probabilities.log())


@settings(max_examples=30)
@given(chunk=st.integers(1, 70), batch_size=st.integers(1, 4))
def test_evaluation_is_the_mean_and_independent_of_the_chunk(two_layers, chunk, batch_size):
    tokens = torch.randint(12, (61,), generator=torch.Generator().manual_seed(2))
    found = losses(two_layers, tokens, batch_size=batch_size, chunk=chunk)
    torch.testing.assert_close(found, losses(two_layers, tokens, batch_size=batch_size, chunk=61))
    assert len(found) == (61 // batch_size - 1) * batch_size
    mean = evaluate(two_layers, tokens, batch_size=batch_size, chunk=chunk)
    assert mean == pytest.approx(float(found.mean()))


def test_evaluation_switches_dropout_off(two_layers):
    two_layers.train()
    tokens = torch.arange(12)
    assert evaluate(two_layers, tokens) == evaluate(two_layers, tokens)
    assert not two_layers.training


def test_a_text_too_short_to_evaluate_is_refused(two_layers):
    with pytest.raises(ValueError, match=r"the text is too short for batch_size 1, .* not 1,"):
        evaluate(two_layers, torch.tensor([3]))


class Returning(torch.nn.Module):
    """A model that returns the same at every call."""

    def __init__(self, outputs):
        super().__init__()
        self.outputs = outputs

    def initial_state(self, _):
        """Make no state."""

    def forward(self, *_):
        """Return the outputs."""
        return self.outputs


@pytest.mark.parametrize(
    ("outputs", "problem"),
    [
        (torch.zeros(11, 1, 12), "returns only a Tensor of shape (11, 1, 12) for"),
        (None, "returns only a NoneType of shape () for"),
        ((torch.zeros(1, 11, 12), None), "returns a Tensor of shape (1, 11, 12) for"),
    ],
)
def test_a_model_that_returns_something_else_is_refused(outputs, problem):
    with pytest.raises(TypeError) as failure:
        evaluate(Returning(outputs), torch.arange(12))
    assert f"{problem} tokens of shape (11, 1). Change its forward" in str(failure.value)


def test_a_model_that_takes_other_arguments_gets_a_note(monkeypatch):
    monkeypatch.setattr(Returning, "forward", lambda _: None)
    with pytest.raises(TypeError) as failure:
        evaluate(Returning(None), torch.arange(12))
    assert failure.value.__notes__[0].startswith("losses called Returning as follows: initial_st")


def test_generation_is_chosen_by_its_seed_alone(two_layers):
    vocabulary = Vocabulary(tuple("abcdefghijkl"))
    before = torch.get_rng_state()
    text = generate(two_layers, vocabulary, 40, seed=3)
    assert len(text) == 40
    assert set(text) <= set(vocabulary.words)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert generate(two_layers, vocabulary, 40, seed=3) == text
    assert generate(two_layers, vocabulary, 40, seed=4) != text
    assert generate(two_layers, vocabulary, 15, seed=3) == text[:15]
    assert generate(two_layers, vocabulary, 0, seed=3) == []


def test_a_trained_model_writes_what_it_has_learned(trained, tiny_corpus):
    words = tiny_corpus.vocabulary.words
    text = generate(trained, tiny_corpus.vocabulary, 60, seed=0, temperature=0.1)
    settled = text[20:]
    start = words.index(settled[0])
    assert settled == [words[(start + step) % len(words)] for step in range(len(settled))]


def test_a_high_temperature_makes_a_model_stray(trained, tiny_corpus):

    def variety(temperature):
        text = generate(trained, tiny_corpus.vocabulary, 200, seed=0, temperature=temperature)
        return len(set(itertools.pairwise(text)))

    assert variety(0.1) < variety(10.0)


@pytest.mark.parametrize("temperature", [0, -1.5])
def test_a_temperature_that_is_not_positive_is_refused(two_layers, temperature):
    with pytest.raises(ValueError, match=f"temperature must be positive, not {temperature}"):
        generate(two_layers, Vocabulary(("a",)), 1, seed=0, temperature=temperature)


def test_all_tokens_but_the_last_are_read(two_layers):
    tokens = torch.randint(12, (60,), generator=torch.Generator().manual_seed(3))
    with tokens_read(two_layers) as read:
        evaluate(two_layers, tokens)
    assert torch.equal(torch.cat(read), tokens[:-1])


def test_nothing_is_recorded_afterwards(two_layers):
    with tokens_read(two_layers) as read:
        pass
    evaluate(two_layers, torch.arange(12))
    assert read == []


def test_a_model_without_a_first_state_is_told_what_is_missing():
    with pytest.raises(TypeError, match=r"Linear has no method initial_state\. Add it, or wrap"):
        evaluate(torch.nn.Linear(2, 2), torch.arange(10))


@pytest.fixture(scope="module")
def uneven():
    """Make a model whose predictions differ from word to word."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WordLanguageModel(12, LSTMConfig(embedding_size=16, hidden_size=16, layers=1))
    with torch.no_grad():
        model.decoder.weight.mul_(100)
    return model.eval(), Vocabulary(tuple("abcdefghijkl"))


def test_a_text_that_was_drawn_is_believed_at_its_temperature_only(uneven):
    model, vocabulary = uneven
    for temperature, other in ((1.0, 0.6), (0.6, 1.0), (1.5, 1.0)):
        words = generate(model, vocabulary, 600, seed=0, temperature=temperature)
        require_drawn(model, vocabulary, words, temperature=temperature)
        with pytest.raises(AssertionError, match="the words have a mean surprise of"):
            require_drawn(model, vocabulary, words, temperature=other)


def test_the_most_probable_words_were_not_drawn(uneven):
    model, vocabulary = uneven
    words = generate(model, vocabulary, 600, seed=0, temperature=1e-3)
    with pytest.raises(AssertionError, match="were not drawn from them"):
        require_drawn(model, vocabulary, words)

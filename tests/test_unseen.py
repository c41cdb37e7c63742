"""A corpus whose parts repeat each other, and a model that has seen the test text, are refused."""

import dataclasses

import pytest
import torch

from smallport.assets.unseen import PartLosses, require_separate_parts, require_unseen_text
from smallport.assets.weights import load_weights
from smallport.lstm import (
    Corpus,
    LSTMConfig,
    TrainingConfig,
    Vocabulary,
    WordLanguageModel,
    train,
)
from tests.asset_helpers import TINY, error_of

WORDS = 60
"""The distinct words of the generated texts."""


def lines_of(seed, lines=60):
    """Draw lines in which a word is mostly followed by one of two others."""
    generator = torch.Generator().manual_seed(seed)
    word, text = 0, []
    for _ in range(lines):
        row = []
        for _ in range(12):
            word = (3 * word + int(torch.randint(1, 5, (), generator=generator))) % WORDS
            row.append(f"w{word}")
        text.append(" ".join(row))
    return text


@pytest.fixture(scope="module")
def corpus():
    return Corpus.from_lines("walks", train=lines_of(1), valid=lines_of(2), test=lines_of(3))


def trained_on(corpus, text):
    """Train a model until it knows a text by heart."""
    torch.manual_seed(0)
    config = LSTMConfig(embedding_size=32, hidden_size=64, layers=1, dropout=0.0)
    model = WordLanguageModel(len(corpus.vocabulary), config)
    schedule = TrainingConfig(epochs=40, batch_size=4, chunk=10, peak_learning_rate=2e-2)
    train(model, dataclasses.replace(corpus, train=text), schedule)
    return model


def test_separate_parts_are_believed(corpus):
    require_separate_parts(corpus)


@pytest.mark.parametrize(
    ("part", "changes", "share"),
    [
        ("test", lambda c: {"test": torch.cat([c.test, c.train])}, "50%"),
        ("test", lambda c: {"test": c.valid}, "100%"),
        ("valid", lambda c: {"valid": c.train[100:]}, "100%"),
    ],
)
def test_parts_that_repeat_each_other_are_refused(corpus, part, changes, share):
    message = error_of(require_separate_parts, dataclasses.replace(corpus, **changes(corpus)))
    assert message.startswith(f"walks: {share} of the {part} text is also in the")


def test_words_that_do_not_occur_are_refused(corpus):
    more = Vocabulary((*corpus.vocabulary.words, "unheard"))
    message = error_of(require_separate_parts, dataclasses.replace(corpus, vocabulary=more))
    assert f"has {len(corpus.vocabulary)} distinct words, and its vocabulary {len(more)}" in message


def test_a_search_that_finds_nothing_is_noticed(corpus, monkeypatch):
    monkeypatch.setattr(Corpus, "seen", lambda _, tokens, __: torch.zeros(len(tokens)))
    assert "was not found in itself" in error_of(require_separate_parts, corpus)


def test_a_model_that_saw_only_the_training_text_is_believed(corpus):
    require_unseen_text(trained_on(corpus, corpus.train), corpus, "here")


@pytest.mark.parametrize("part", ["valid", "test"])
def test_a_model_that_was_trained_on_another_part_is_refused(corpus, part):
    model = trained_on(corpus, torch.cat([corpus.train, corpus.parts[part]]))
    message = error_of(require_unseen_text, model, corpus, "weights.pth")
    assert message.startswith("weights.pth: compared with word frequencies, the model is only ")
    assert f"It was probably trained on the {part} text, too" in message


def test_margins_are_those_of_the_unigram_model(corpus):
    model = trained_on(corpus, corpus.train)
    found = PartLosses.of(model, corpus)
    for part, tokens in corpus.parts.items():
        assert found.margins[part] + found.losses[part] == corpus.unigram_loss(tokens)


def test_weights_for_another_numbering_of_the_words_are_refused(tiny_corpus, good_weights):
    model = load_weights(good_weights, len(tiny_corpus.vocabulary), TINY)
    order = torch.tensor([0, 2, 4, 6, 8, 1, 3, 5, 7])
    for parameter in (model.encoder.weight, model.decoder.weight, model.decoder.bias):
        parameter.data = parameter.data[order]
    message = error_of(require_unseen_text, model, tiny_corpus, good_weights)
    assert f"{good_weights} does not belong to counting" in message
    assert "words numbered in another order" in message


def test_weights_that_are_not_finite_are_refused(tiny_corpus, good_weights):
    model = load_weights(good_weights, len(tiny_corpus.vocabulary), TINY)
    torch.nn.init.constant_(model.decoder.bias, torch.nan)
    assert "loss is nan nats" in error_of(require_unseen_text, model, tiny_corpus, good_weights)

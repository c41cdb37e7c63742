"""A corpus holds its text, whole and in order."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallport.lstm import END_OF_LINE, Corpus, Vocabulary
from smallport.lstm.text import tokens_of_lines

WORDS = st.text("abcé<>", min_size=1, max_size=3)
LINES = st.lists(st.lists(WORDS, max_size=5).map(" ".join), min_size=1, max_size=8)


@given(st.lists(WORDS, max_size=30))
def test_encoding_is_undone_by_decoding(tokens):
    vocabulary = Vocabulary.from_tokens(tokens)
    indices = vocabulary.encode(tokens)
    assert indices.dtype == torch.int64
    assert indices.shape == (len(tokens),)
    assert vocabulary.decode(indices) == tokens
    assert vocabulary.decode(indices.tolist()) == tokens


@given(st.lists(WORDS, min_size=1, max_size=30))
def test_words_are_numbered_in_order_of_first_appearance(tokens):
    vocabulary = Vocabulary.from_tokens(tokens)
    assert len(vocabulary) == len(set(tokens))
    assert list(vocabulary.words) == sorted(set(tokens), key=tokens.index)


def test_an_unknown_word_is_named():
    with pytest.raises(KeyError, match="zebra"):
        Vocabulary.from_tokens(["a", "b"]).encode(["a", "zebra"])


@given(LINES)
def test_each_line_keeps_its_words_and_gets_an_end(lines):
    tokens = tokens_of_lines(lines)
    assert tokens == " ".join(f"{line} {END_OF_LINE}" for line in lines).split()
    assert tokens[-1] == END_OF_LINE


@given(LINES, LINES, LINES)
def test_a_corpus_holds_its_three_splits(train, valid, test):
    corpus = Corpus.from_lines("toy", train=train, valid=valid, test=test)
    for split, lines in (("train", train), ("valid", valid), ("test", test)):
        assert corpus.vocabulary.decode(getattr(corpus, split)) == tokens_of_lines(lines)
    assert corpus.vocabulary == Vocabulary.from_tokens(tokens_of_lines([*train, *valid, *test]))


def test_the_checksum_is_that_of_the_text_and_its_splits():
    def checksum(train, valid, test, name="toy"):
        return Corpus.from_lines(name, train=train, valid=valid, test=test).checksum

    whole = checksum(["a b"], ["c"], ["d"])
    assert whole == checksum(["a  b\n"], ["c"], ["d"], name="another name")
    others = {
        checksum(["b a"], ["c"], ["d"]),
        checksum(["a", "b"], ["c"], ["d"]),
        checksum(["a b", "c"], [], ["d"]),
        checksum(["a b"], ["d"], ["c"]),
    }
    assert len(others) == 4
    assert whole not in others


def test_unigram_loss_of_a_text_counted_by_hand():
    corpus = Corpus.from_lines("toy", train=["a a b"], valid=["c"], test=["c"])
    # a, b, <eos> and c, once more than in train each: 3 + 2 + 2 + 1 of 8.
    assert corpus.unigram_loss() == pytest.approx(-(math.log(1 / 8) + math.log(2 / 8)) / 2)
    assert corpus.unigram_loss(corpus.train) == pytest.approx(
        -(2 * math.log(3 / 8) + 2 * math.log(2 / 8)) / 4
    )


@given(LINES, LINES)
def test_unigram_loss_is_finite_and_at_least_the_entropy(train, test):
    corpus = Corpus.from_lines("toy", train=train, valid=[], test=test)
    frequencies = [n / len(corpus.test) for n in Counter(corpus.test.tolist()).values()]
    entropy = -sum(p * math.log(p) for p in frequencies)
    assert math.isfinite(corpus.unigram_loss())
    assert corpus.unigram_loss() >= entropy - 1e-9


@given(LINES, LINES, st.integers(1, 4))
def test_passages_are_found_wherever_lines_end(train, test, length):
    corpus = Corpus.from_lines("toy", train=train, valid=[], test=[*test, "x"])
    words = [word for line in train for word in line.split()]
    known = {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}
    read = [word for line in [*test, "x"] for word in line.split()]
    found = [False] * len(read)
    for at in range(len(read) - length + 1):
        if tuple(read[at : at + length]) in known:
            found[at : at + length] = [True] * length
    seen = corpus.seen(corpus.test, corpus.train, length=length)
    is_word = corpus.test != corpus.vocabulary.index["<eos>"]
    if len(read) >= length:
        assert seen[is_word].tolist() == found
    assert len(seen) == len(corpus.test)


def test_a_text_that_is_wrapped_differently_was_seen():
    words = [f"w{number}" for number in range(100)]
    train = [" ".join(words[at : at + 10]) for at in range(0, 100, 10)]
    test = [" ".join(words[at : at + 7]) for at in range(0, 100, 7)]
    corpus = Corpus.from_lines("toy", train=train, valid=[" ".join(reversed(words))], test=test)
    assert corpus.seen(corpus.test, corpus.train).all()
    assert not corpus.seen(corpus.valid, corpus.train).any()


def test_a_text_shorter_than_a_passage_was_not_seen():
    corpus = Corpus.from_lines("toy", train=["a b c"], valid=["a b"], test=["a b c"])
    assert corpus.seen(corpus.test, corpus.train).tolist() == [False] * 4

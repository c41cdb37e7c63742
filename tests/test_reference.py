"""The embedded text is clean, and its splits do not quote each other."""

import itertools
import os
import re
import subprocess
import sys
from pydoc_data.topics import topics

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallport.assets import reference
from smallport.assets.reference import distinct_paragraphs, reference_corpus, tokenize
from smallport.lstm import Corpus


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return reference_corpus()


def words_of(corpus, split):
    return corpus.vocabulary.decode(getattr(corpus, split))


def test_the_text_is_of_a_size_that_trains_in_a_minute(corpus):
    total = len(corpus.train) + len(corpus.valid) + len(corpus.test)
    assert 60_000 < total < 130_000
    assert 3_000 < len(corpus.vocabulary) < 6_000
    assert len(corpus.train) > 0.7 * total
    assert len(corpus.valid) > 0.05 * total
    assert len(corpus.test) > 0.05 * total


@pytest.mark.parametrize("split", ["valid", "test"])
def test_hardly_any_of_it_was_seen_in_training(corpus, split):
    assert corpus.seen(corpus.parts[split], corpus.train).double().mean() < 0.15


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_no_mark_dominates_it(corpus, split):
    words = words_of(corpus, split)
    shares = {word: words.count(word) / len(words) for word in set(words)}
    assert max(shares.values()) < 0.15
    assert sum(share for word, share in shares.items() if re.fullmatch(r"[-=*~^+|]+", word)) < 0.06


def test_every_word_of_the_reference_is_kept(corpus):
    kept = set(corpus.vocabulary.words)
    assert set(re.findall(r"\w+", "\n".join(topics.values()))) <= kept


def test_it_is_the_same_every_time(corpus):
    again = reference_corpus()
    assert again.checksum == corpus.checksum
    assert again.vocabulary == corpus.vocabulary
    assert torch.equal(again.train, corpus.train)


def test_it_is_the_same_in_another_process(corpus):
    program = "from smallport import assets; print(assets.corpus().checksum)"
    other = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": "12345"},
    )
    assert other.stdout.strip() == corpus.checksum


def test_each_block_is_in_one_split_and_none_is_lost(monkeypatch):
    texts = {
        f"topic{number:03}": f"word{number} x_1,\n\n  the same everywhere\n\n"
        for number in range(240)
    }
    monkeypatch.setattr(reference, "topics", dict(reversed(texts.items())))
    corpus = reference_corpus()
    numbers = {}
    for split in ("train", "valid", "test"):
        words = words_of(corpus, split)
        numbers[split] = [int(word[4:]) for word in words if word.startswith("word")]
        assert words[words.index("x_1") :][:3] == ["x_1", ",", "<eos>"]
    # The paragraph that all topics share comes second and is kept once.
    assert numbers["test"] == [*range(39, 59), *range(239, 240)]
    assert numbers["valid"] == list(range(139, 159))
    assert sorted(itertools.chain(*numbers.values())) == list(range(240))
    assert words_of(corpus, "train").count("everywhere") == 1
    assert "everywhere" not in words_of(corpus, "valid") + words_of(corpus, "test")


def test_a_paragraph_is_kept_once_however_it_is_spaced():
    first = "One\n===\n\n   See also the\n   module.\n"
    second = "Two\n---\n\nSee  also the\nmodule.\n\n\n \nEnd"
    assert distinct_paragraphs([first, second]) == [
        ("One",),
        ("See also the", "module ."),
        ("Two",),
        ("End",),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "   ",
        "====",
        "   ~~~~~~~~~~~",
        "****************",
        "+-----------+----------------+",
        "   |===========|=============|",
        "|           |                |",
    ],
)
def test_rules_and_borders_are_dropped(line):
    assert tokenize(line) == ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("|           | of *s* with      | (1)  |", "of * s * with ( 1 )"),
        ('| "|"       | Bitwise OR       |', '" | " Bitwise OR'),
        ('   a_expr ::= m_expr | a_expr "+" m_expr', 'a_expr :: = m_expr | a_expr " + " m_expr'),
        ('   m_expr "//" u_expr |', 'm_expr " // " u_expr |'),
        ("   | NEWLINE INDENT", "| NEWLINE INDENT"),
        ("   >>> x = -1  # so-called", ">>> x = - 1 # so - called"),
        ("   ...", "..."),
        ("   }", "}"),
        ("* a bullet", "* a bullet"),
        ("**kwargs -- the rest", "** kwargs -- the rest"),
    ],
)
def test_code_and_punctuation_are_kept(line, expected):
    assert tokenize(line) == expected


@given(st.text(alphabet="ab_1 |+-=*.\"'>", max_size=30))
def test_no_word_is_lost_and_marks_are_never_glued_to_words(line):
    tokens = tokenize(line).split()
    assert [token for token in tokens if re.search(r"\w", token)] == re.findall(r"\w+", line)
    assert all(re.fullmatch(r"\w+|([^\w\s])\1*", token) for token in tokens)

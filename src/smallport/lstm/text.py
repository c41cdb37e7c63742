"""Turn texts into the token streams that a word language model reads."""

import hashlib
import itertools
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

END_OF_LINE = "<eos>"
"""The token that ends every line of a corpus."""

PASSAGE = 8
"""The number of words in a row that hardly ever occur in two independent texts."""


@dataclass(frozen=True)
class Vocabulary:
    """The words that a model knows, numbered from 0.

    Parameters
    ----------
    words
        The distinct words, in the order of their indices.

    Examples
    --------
    >>> vocabulary = Vocabulary.from_tokens(["to", "be", "or", "not", "to", "be"])
    >>> len(vocabulary)
    4
    >>> vocabulary.encode(["not", "to", "be"])
    tensor([3, 0, 1])
    >>> vocabulary.decode([3, 0, 1])
    ['not', 'to', 'be']
    """

    words: tuple[str, ...]

    @classmethod
    def from_tokens(cls, tokens: Iterable[str]) -> "Vocabulary":
        """Collect the distinct tokens, numbered in the order of their first appearance."""
        return cls(tuple(dict.fromkeys(tokens)))

    @cached_property
    def index(self) -> dict[str, int]:
        """The index of each word."""
        return {word: number for number, word in enumerate(self.words)}

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, tokens: Iterable[str]) -> Tensor:
        """Look up the indices of some tokens.

        Parameters
        ----------
        tokens
            Words of this vocabulary.

        Returns
        -------
        torch.Tensor
            Their indices, of dtype ``int64`` and shape ``(tokens,)``.

        Raises
        ------
        KeyError
            When a token is not a word of this vocabulary; it is the exception's argument.
        """
        return torch.tensor([self.index[token] for token in tokens], dtype=torch.int64)

    def decode(self, indices: Iterable[int] | Tensor) -> list[str]:
        """Look up the words that some indices stand for."""
        return [self.words[int(index)] for index in indices]


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text in three splits, as streams of word indices.

    Parameters
    ----------
    name
        A description of the corpus.
    vocabulary
        The words of all three splits.
    train, valid, test
        Indices into the vocabulary, of dtype ``int64`` and shape ``(tokens,)``.
    checksum
        SHA-256 over the three token streams: two corpora of the same checksum hold the same text.

    Examples
    --------
    >>> corpus = Corpus.from_lines("toy", train=["a b a"], valid=["a b"], test=["b a"])
    >>> corpus.vocabulary.words
    ('a', 'b', '<eos>')
    >>> corpus.test
    tensor([1, 0, 2])
    """

    name: str
    vocabulary: Vocabulary
    train: Tensor
    valid: Tensor
    test: Tensor
    checksum: str

    @classmethod
    def from_lines(
        cls, name: str, *, train: Iterable[str], valid: Iterable[str], test: Iterable[str]
    ) -> "Corpus":
        """Split lines at white space, end each with ``<eos>``, and number the words.

        The words are numbered in the order in which they appear in train, valid and test: the
        preprocessing of PyTorch's word language model example [1]_, so that weights trained there
        fit.

        References
        ----------
        .. [1] https://github.com/pytorch/examples/blob/main/word_language_model/data.py
        """
        streams = {
            split: tokens_of_lines(lines)
            for split, lines in (("train", train), ("valid", valid), ("test", test))
        }
        vocabulary = Vocabulary.from_tokens(itertools.chain.from_iterable(streams.values()))
        digest = hashlib.sha256("\0".join(" ".join(stream) for stream in streams.values()).encode())
        return cls(
            name,
            vocabulary,
            **{split: vocabulary.encode(stream) for split, stream in streams.items()},
            checksum=digest.hexdigest(),
        )

    def unigram_loss(self, tokens: Tensor | None = None) -> float:
        """Cross-entropy of the unigram model, which knows how frequent words are and nothing else.

        A language model that has learned nothing about order cannot do better, so a loss means
        something only if it is lower. Counts come from the training split, with one
        added to each (Laplace smoothing), since some words appear in the other splits only.

        Parameters
        ----------
        tokens
            The text to predict, of shape ``(tokens,)``; the test split if left out.

        Returns
        -------
        float
            Mean negative log-likelihood, in nats a token.
        """
        tokens = self.test if tokens is None else tokens
        counts = torch.bincount(self.train, minlength=len(self.vocabulary)).double() + 1
        return -float((counts / counts.sum()).log()[tokens].mean())

    @property
    def parts(self) -> dict[str, Tensor]:
        """The three splits by their names: ``train``, ``valid`` and ``test``."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    def seen(self, tokens: Tensor, source: Tensor, *, length: int = PASSAGE) -> Tensor:
        """Find the passages of a text that another text contains, wherever their lines end.

        If a text repeats what a model has read, the model looks better than it is: it can remember
        there instead of predict.

        Parameters
        ----------
        tokens
            A text, of shape ``(tokens,)``.
        source
            The text to look in.
        length
            How many words in a row make a passage.

        Returns
        -------
        torch.Tensor
            Of dtype ``bool`` and shape ``(tokens,)``: whether the token belongs to a passage that
            the source contains. The end of a line counts with the word before it.

        Examples
        --------
        >>> test = ["x a", "b c"]
        >>> corpus = Corpus.from_lines("toy", train=["a b c", "d"], valid=["c"], test=test)
        >>> corpus.seen(corpus.test, corpus.train, length=3)
        tensor([False,  True,  True,  True,  True,  True])
        """
        is_word = tokens != self.vocabulary.index[END_OF_LINE]
        words = tokens[is_word]
        found = torch.zeros(len(words), dtype=torch.bool)
        passages, known = self._passages(words, length), self._passages(source, length)
        for start in torch.isin(passages, known).nonzero().flatten().tolist():
            found[start : start + length] = True
        if len(words) < length:
            return torch.zeros(len(tokens), dtype=torch.bool)
        return found[(is_word.cumsum(0) - 1).clamp(min=0)]

    def _passages(self, tokens: Tensor, length: int) -> Tensor:
        """Compute a hash of each passage, from the words alone."""
        words = tokens[tokens != self.vocabulary.index[END_OF_LINE]]
        if len(words) < length:
            return words[:0]
        generator = torch.Generator().manual_seed(0)
        factors = torch.randint(1, 2**62, (length,), generator=generator)
        return (words.unfold(0, length, 1) * factors).sum(1)


def tokens_of_lines(lines: Iterable[str]) -> list[str]:
    """Split each line at white space and end it with ``<eos>``.

    Examples
    --------
    >>> tokens_of_lines(["a small port", ""])
    ['a', 'small', 'port', '<eos>', '<eos>']
    """
    return [token for line in lines for token in (*line.split(), END_OF_LINE)]


def readable(words: Iterable[str], width: int = 80) -> str:
    """Join words to lines of text, broken after every ``<eos>`` and where they get too long.

    Examples
    --------
    >>> print(readable(["a", "small", "<eos>", "port"]))
    a small
    port
    """
    lines = " ".join(words).split(END_OF_LINE)
    return "\n".join(textwrap.fill(line.strip(), width) for line in lines)

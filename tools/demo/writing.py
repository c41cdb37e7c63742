"""Write with the exported model in Python, which is what a browser's words are compared with."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smallport.lstm import Vocabulary
from smallport.quantize.onnx import ONNXLanguageModel

BEGINNING = ("The", "value", "of", "the")
"""The beginning of the text that the build writes, in words of both corpora."""

WORDS = 100


@dataclass(frozen=True)
class Word:
    """A word that the model wrote.

    Parameters
    ----------
    token
        Its index in the vocabulary.
    word
        The word of the index.
    probability
        How probable the model found it.
    milliseconds
        How long the model took.
    """

    token: int
    word: str
    probability: float
    milliseconds: float


def random_numbers() -> list[float]:
    """Draw the numbers that choose the words; the same each time."""
    generator = torch.Generator().manual_seed(0)
    numbers = torch.rand(WORDS, generator=generator, dtype=torch.float64)
    return [round(number, 9) for number in numbers.tolist()]


def write(
    model: ONNXLanguageModel, vocabulary: Vocabulary, numbers: Sequence[float] | None
) -> list[Word]:
    """Let the model continue the beginning.

    Parameters
    ----------
    model
        The model.
    vocabulary
        Its words.
    numbers
        A number from 0 to 1 for each word, which draws it; left out, each word is the most
        probable one.
    """
    tokens, state = vocabulary.encode(BEGINNING), model.initial_state(1)
    written = []
    for place in range(WORDS):
        start = time.perf_counter()
        logits, state = model(tokens[:, None], state)
        elapsed = time.perf_counter() - start
        probabilities = logits[-1, 0].double().softmax(-1)
        token = int(probabilities.argmax())
        if numbers is not None:
            token = drawn(probabilities, numbers[place])
        probability = float(probabilities[token])
        written.append(Word(token, vocabulary.words[token], probability, elapsed * 1e3))
        tokens = torch.tensor([token])
    return written


def drawn(probabilities: Tensor, number: float) -> int:
    """Choose the word at which the sum of the probabilities passes a number.

    Examples
    --------
    >>> probabilities = torch.tensor([0.2, 0.5, 0.3])
    >>> [drawn(probabilities, number) for number in (0.1, 0.2, 0.69, 0.999999999)]
    [0, 1, 1, 2]
    """
    sums = probabilities.cumsum(-1)
    place = int(torch.searchsorted(sums, torch.tensor(number, dtype=sums.dtype), right=True))
    return min(place, len(sums) - 1)

"""Write with the exported model in Python, which is what a browser's words are compared with."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
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
        A number from 0 to 1 for each word, by which it is drawn; left out, each word is the most
        probable one.
    """
    tokens, state = vocabulary.encode(BEGINNING), model.initial_state(1)
    written = []
    for place in range(WORDS):
        start = time.perf_counter()
        logits, state = model(tokens[:, None], state)
        elapsed = time.perf_counter() - start
        probabilities = logits[-1, 0].double().softmax(-1)
        number = None if numbers is None else [numbers[place]]
        token = int(chosen(probabilities[None], number))
        probability = float(probabilities[token])
        written.append(Word(token, vocabulary.words[token], probability, elapsed * 1e3))
        tokens = torch.tensor([token])
    return written


def chosen(probabilities: Tensor, numbers: Sequence[float] | None) -> Tensor:
    """Choose the most probable word of each row, or draw one by its number.

    Examples
    --------
    >>> probabilities = torch.tensor([[0.2, 0.5, 0.3], [0.9, 0.1, 0.0]])
    >>> chosen(probabilities, None), chosen(probabilities, [0.1, 0.2]).shape
    (tensor([1, 0]), torch.Size([2]))
    """
    if numbers is None:
        return probabilities.argmax(-1)
    rows = zip(probabilities, numbers, strict=True)
    return torch.tensor([drawn(row, number) for row, number in rows])


def drawn(probabilities: Tensor, number: float) -> int:
    """Draw a word; two models that find words about equally probable draw the same one.

    Each word waits a random time, on average the shorter the more probable it is, and the first one
    is drawn. The number is the seed of these times.

    Examples
    --------
    >>> probabilities = torch.tensor([0.2, 0.5, 0.3])
    >>> words = [drawn(probabilities, number / 1000) for number in range(1000)]
    >>> [round(words.count(word) / 1000, 1) for word in range(3)]
    [0.2, 0.5, 0.3]
    """
    tokens = np.arange(len(probabilities), dtype=np.uint32)
    bits = np.uint32(int(number * 2**32) % 2**32) + tokens * np.uint32(0x9E3779B9)
    bits = (bits ^ (bits >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    uniform = ((bits ^ (bits >> np.uint32(16))) + 0.5) / 2**32
    with np.errstate(divide="ignore"):  # a probability of zero waits for ever
        waits = -np.log(uniform) / probabilities.numpy()
    return int(waits.argmin())

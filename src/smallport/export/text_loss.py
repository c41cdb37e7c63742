"""Measure by how much the loss of a file on a text is above its model's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smallport.export.comparisons import Run, StageFailure, own_result
from smallport.export.under_test import ModelUnderTest
from smallport.parity.inputs import InputShape, copy_inputs, text_inputs
from smallport.parity.names import Inputs, name_outputs

DEVIATIONS = 1.96
"""The standard errors on either side of a mean that hold it in 95 of 100 cases."""

FEWEST = 2
"""The fewest tokens of a text, the second of which is predicted."""


@dataclass(frozen=True, eq=False)
class TextLosses:
    """The losses of a model and of a file on each token of a text that both predict.

    Parameters
    ----------
    own, other
        The losses of the model and of the file, in nats.

    Examples
    --------
    >>> losses = TextLosses(torch.tensor([1.0, 3.0]), torch.tensor([1.0, 3.5]))
    >>> losses.rise
    0.25
    >>> print(losses)
    its loss on the text is 2.25 nats a token and the model's 2, 0.25 ± 0.49 more, on 2 tokens
    """

    own: Tensor
    other: Tensor

    @property
    def rise(self) -> float:
        """By how much the mean loss of the file is above the model's; NaN where it returns NaN."""
        return float((self.other - self.own).mean())

    @property
    def uncertainty(self) -> float:
        """The half width of the rise's 95% interval over tokens; infinite for a single one."""
        number = len(self.own)
        spread = (self.other - self.own).std() if number > 1 else math.inf
        return DEVIATIONS * float(spread) / math.sqrt(number)

    def __str__(self) -> str:
        own, other = float(self.own.mean()), float(self.other.mean())
        more = (
            f"{abs(self.rise):.2g} ± {self.uncertainty:.2g} {'less' if self.rise < 0 else 'more'}"
        )
        return (
            f"its loss on the text is {other:.5g} nats a token and the model's {own:.5g}, {more}, "
            f"on {len(self.own):,} tokens"
        )


def text_tokens(text: Tensor | Sequence[int]) -> Tensor:
    """Take the tokens of a text as a tensor, of shape ``(tokens,)``.

    Raises
    ------
    ValueError
        When these are no tokens of one text, or fewer than two.

    Examples
    --------
    >>> text_tokens([5, 2, 9])
    tensor([5, 2, 9])
    """
    tokens = torch.as_tensor(text).detach().cpu()
    if tokens.dim() != 1 or tokens.is_floating_point() or len(tokens) < FEWEST:
        raise ValueError(
            "check_export: a text is a list or tensor of at least two token ids, of the shape "
            f"(tokens,), and not of {tuple(tokens.shape)} in {tokens.dtype}"
        )
    return tokens.long()


def text_losses(under_test: ModelUnderTest, run: Run, tokens: Tensor) -> TextLosses:
    """Measure the losses of the model under test and of a program on a text.

    A long text is read in chunks of the longest text of the check, and each chunk begins a text of
    its own.
    """
    size = under_test.vocabulary.size
    if not 0 <= int(tokens.min()) <= int(tokens.max()) < size:
        raise StageFailure(
            f"the text has tokens from {int(tokens.min())} to {int(tokens.max())}, and the model "
            f"those from 0 to {size - 1}; encode it with the tokenizer of the model"
        )
    if under_test.one_by_one:
        raise StageFailure(
            "the model continues from its cache by single tokens only, so no loss on a text is "
            "measured; leave out the text and the limit of its loss"
        )
    own, other = [], []
    for chunk in torch.split(tokens, under_test.longest):
        shape = under_test.clamp(InputShape(1, cache_length=0, new_tokens=len(chunk)))
        targets = chunk[1 + shape.cache_length :]
        if not len(targets):  # the only token of the last chunk, say
            continue
        ids = chunk[None].to(under_test.weight.device)
        text = text_inputs(ids, torch.ones_like(ids))
        inputs = under_test.inputs_of(text, past=shape.cache_length)
        own.append(_losses(own_result(under_test, copy_inputs(inputs)), targets))
        other.append(_losses(_run(run, inputs, shape), targets))
    if not own:
        raise StageFailure("the text is too short for the model: no token of it is predicted")
    return TextLosses(torch.cat(own), torch.cat(other))


def _run(run: Run, inputs: Inputs, shape: InputShape) -> object:
    try:
        return run(copy_inputs(inputs))
    except Exception as error:
        raise StageFailure(f"it rejects a part of the text, {shape}", error=error) from error


def _losses(outputs: object, targets: Tensor) -> Tensor:
    """Compute the loss of each target, the logits of the last token aside."""
    logits = name_outputs(outputs)["logits"][0, :-1].cpu().double()
    if len(logits) != len(targets):
        raise StageFailure(
            f"it returns logits for {len(logits) + 1} tokens of a text, and should for "
            f"{len(targets) + 1}"
        )
    return torch.nn.functional.cross_entropy(logits, targets, reduction="none")

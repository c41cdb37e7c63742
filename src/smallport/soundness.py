"""Check an eager model in ways in which no program that is exported from it takes part.

A program that is exported from a wrong model is wrong in the same way, and agrees with it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

TOLERANCE = 1e-4
"""The largest difference that is put down to rounding, as a share of the spread of the logits."""

Read = Callable[[Tensor, Tensor], Tensor]
"""Reads texts in one go: tokens and mask, of shape ``(batch, length)``. It returns logits of shape
``(batch, length, vocabulary)``."""

Pair = tuple[Tensor, Tensor]
"""Logits that should be equal, each of shape ``(..., vocabulary)``."""

ALONE, EARLIER, STEPS, BY_HAND = "text alone", "earlier logits", "step by step", "by hand"
MASK = "mask"
"""The names of the checks; that of the mask is one of :func:`smallport.check_export`."""

WRONG = {
    "equal calls": "two equal calls return different logits (random numbers, or a state that the "
    "first call leaves behind)",
    ALONE: "a text alone has other logits than in a batch (an ignored mask, or a state that the "
    "texts of a batch share)",
    EARLIER: "the last token changes the logits before it (no causal mask)",
    STEPS: "step by step, its logits differ from those of one call (a lost cache or state, or "
    "shifted positions)",
    BY_HAND: "NumPy computes other logits from the same weights (positions, normalization, "
    "activations or dropped units)",
}
"""The error of a model in which a check finds a difference, and the usual causes."""


def draw_texts(vocab_size: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Draw two texts of eight tokens, the first one with padding on the left, and their mask.

    Examples
    --------
    >>> ids, mask = draw_texts(50)
    >>> tuple(ids.shape), mask.sum(dim=1).tolist()
    ((2, 8), [5, 8])
    """
    ids = torch.randint(vocab_size, (2, 8), generator=torch.Generator().manual_seed(seed))
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    return ids, mask


def alone_and_in_batch(read: Read, ids: Tensor, mask: Tensor) -> Pair:
    """Compute the logits of the first text without the others and without its padding, and with.

    Parameters
    ----------
    read
        Reads texts in one go.
    ids, mask
        The batch, of shape ``(batch, length)``.
    """
    begin = int(mask[0].argmax())
    return read(ids[:1, begin:], mask[:1, begin:]), read(ids, mask)[:1, begin:]


def before_a_change(read: Read, ids: Tensor, mask: Tensor) -> Pair:
    """Compute all logits except the last ones, and those of texts that differ in the last token."""
    changed = ids.clone()
    changed[:, -1] = torch.where(ids[:, -1] > 0, ids[:, -1] - 1, 1)
    is_text = mask[:, :-1] == 1
    return read(ids, mask)[:, :-1][is_text], read(changed, mask)[:, :-1][is_text]


def require_sound(read: Read, steps: Read, by_hand: Read, ids: Tensor, mask: Tensor) -> None:
    """Compare a model's logits with those that it or NumPy computes in another way.

    Parameters
    ----------
    read, steps, by_hand
        The model in one call, the model token by token, and the same model in NumPy.
    ids, mask
        Texts of shape ``(batch, length)``; the first one may have padding.

    Raises
    ------
    AssertionError
        When a difference is larger than rounding explains. The message says what is wrong.

    Examples
    --------
    >>> ids, mask = draw_texts(50)
    >>> def read(ids, mask):
    ...     return torch.nn.functional.one_hot(ids, 50).double() * mask[..., None]
    >>> require_sound(read, read, read, ids, mask)
    >>> def read_both_ways(ids, mask):
    ...     return read(ids, mask) + read(ids, mask).sum(dim=1, keepdim=True)
    >>> require_sound(read_both_ways, read_both_ways, read, ids, mask)
    Traceback (most recent call last):
        ...
    AssertionError: the eager model, with which programs are compared, is wrong: the last token \
changes the logits before it (no causal mask); the largest difference is 2.4 times their spread
    """
    is_text = mask == 1
    logits = read(ids, mask)[is_text]
    pairs = {
        "equal calls": (logits, read(ids, mask)[is_text]),
        ALONE: alone_and_in_batch(read, ids, mask),
        EARLIER: before_a_change(read, ids, mask),
        STEPS: (logits, steps(ids, mask)[is_text]),
        BY_HAND: (by_hand(ids, mask)[is_text], logits),
    }
    for name, (expected, actual) in pairs.items():
        apart = float((actual - expected).abs().max() / expected.std())
        if not apart <= TOLERANCE:  # NaN, too
            raise AssertionError(
                f"the eager model, with which programs are compared, is wrong: {WRONG[name]}; the "
                f"largest difference is {apart:.2g} times their spread"
            )

"""Lay a stream of tokens out as the batches that a word language model reads."""

import math
from collections.abc import Iterator

from torch import Tensor


def batchify(tokens: Tensor, batch_size: int) -> Tensor:
    """Lay a stream of tokens out as parallel columns.

    Parameters
    ----------
    tokens
        Shape ``(tokens,)``.
    batch_size
        How many columns; the tokens that do not fill a last row are dropped.

    Returns
    -------
    torch.Tensor
        Shape ``(tokens // batch_size, batch_size)``, each column a run of consecutive tokens.

    Raises
    ------
    ValueError
        When there are not enough tokens for two rows, an input and its target.

    Examples
    --------
    >>> import torch
    >>> batchify(torch.arange(7), batch_size=2)
    tensor([[0, 3],
            [1, 4],
            [2, 5]])
    """
    rows = len(tokens) // batch_size
    if rows < 2:  # noqa: PLR2004 - an input and a target
        raise ValueError(
            f"batchify: the text is too short for batch_size {batch_size}, with two rows in each "
            f"column; pass at least {2 * batch_size} tokens, not {len(tokens)}, or a smaller "
            "batch_size"
        )
    return tokens[: rows * batch_size].view(batch_size, rows).t().contiguous()


def chunks(batches: Tensor, length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Cut columns of tokens into inputs and the targets that follow them.

    Parameters
    ----------
    batches
        Shape ``(rows, batch)``, as :func:`batchify` gives it.
    length
        How many rows a chunk has; the last one may be shorter.

    Yields
    ------
    inputs, targets : torch.Tensor
        Both of shape ``(length, batch)``; the targets are the inputs one row further on.

    Examples
    --------
    >>> import torch
    >>> for inputs, targets in chunks(torch.arange(4).view(4, 1), length=2):
    ...     print(inputs.flatten().tolist(), targets.flatten().tolist())
    [0, 1] [1, 2]
    [2] [3]
    """
    last = len(batches) - 1
    for start in range(0, last, length):
        stop = min(start + length, last)
        yield batches[start:stop], batches[start + 1 : stop + 1]


def chunk_count(batches: Tensor, length: int) -> int:
    """Count the chunks that :func:`chunks` yields."""
    return math.ceil((len(batches) - 1) / length)

"""Plant errors in results, and look whether a comparison finds each of them and nothing else."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
from torch import Tensor

from smallport.parity.closeness import (
    NOTICEABLE,
    TOLERANCE,
    Discrepancy,
    is_exact,
    typical,
    usual_of_rows,
    with_row,
)
from smallport.parity.names import TOKEN_AXES, NamedTensors, TokenAxes, token_axis

DRAWS = 100
"""The most elements that are drawn until one is of typical size."""

Measure = Callable[[NamedTensors, NamedTensors], Discrepancy]
"""Compares the results of one call, as the comparison that is tested does."""


def require_planted_errors_found(
    measure: Measure,
    expected: NamedTensors,
    mask: Tensor | None = None,
    *,
    tolerance: float = TOLERANCE,
    seed: int | None = None,
    token_axes: TokenAxes = TOKEN_AXES,
) -> None:
    """Change one element of each tensor in each text, and require that exactly these are found.

    A comparison that finds nothing has to show that it can find something. Each call draws
    other elements, among those of typical size, so that no place is left out for long.

    Parameters
    ----------
    measure
        The comparison.
    expected
        A result; it is not changed.
    mask
        The attention mask of the call, of shape ``(batch, length)``. Nothing is planted at padding.
        Without a mask, one error is planted in each tensor, whatever the text.
    tolerance
        The largest relative difference that counts as rounding.
    seed
        Of the places; drawn if left out.
    token_axes
        Along which axis each tensor has a place for each token, by its name or the last part of it.

    Raises
    ------
    RuntimeError
        When the comparison misses an error, tolerates it, or finds something else. The message
        names the place and the seed.

    Examples
    --------
    >>> from smallport.parity import discrepancy
    >>> result = {"logits": torch.tensor([[[1.0, -2.0, 3.0]]])}
    >>> require_planted_errors_found(discrepancy, result)
    >>> require_planted_errors_found(lambda one, _: discrepancy(one, one), result, seed=0)
    Traceback (most recent call last):
        ...
    RuntimeError: the comparison does not find an error of 0.004 that was planted at \
logits[0, 0, 0] (seed 0): it finds 0 at no place. So nothing that it compares counts
    """
    seed = random.SystemRandom().getrandbits(32) if seed is None else seed
    generator = torch.Generator().manual_seed(seed)
    usual = {name: usual_of_rows(with_row(tensor)) for name, tensor in expected.items()}
    for text in range(1 if mask is None else len(mask)):
        changed, planted = dict(expected), {}
        for name, tensor in expected.items():
            for _ in range(DRAWS if tensor.numel() else 0):
                axis = token_axis(name, token_axes)
                place = _draw(with_row(tensor), mask, text, axis, generator)
                if error := _error(with_row(tensor), place, usual[name]):
                    copied = with_row(tensor.clone(memory_format=torch.contiguous_format))
                    old = copied[place].item()
                    copied[place] = not old if isinstance(old, bool) else old + error
                    changed[name] = copied.reshape(tensor.shape)
                    planted[name] = (list(place), abs(copied[place].item() - old))
                    break
        found = measure(expected, changed)
        for name in expected:
            _require_found(name, found, planted.get(name), tolerance, seed)


def _require_found(
    name: str,
    found: Discrepancy,
    planted: tuple[list[int], float] | None,
    tolerance: float,
    seed: int,
) -> None:
    """Raise a RuntimeError where a comparison found something else in a tensor than was planted."""
    at, size = planted or ([], 0.0)
    where, apart = found.places.get(name, ""), found.by_tensor.get(name, 0.0)
    is_there = where.startswith(f"{name}{at} is ") if planted else not where
    noticed = not planted or not (found.shares[name] <= tolerance or found.within(tolerance))
    if is_there and noticed and abs(apart - size) <= size / 1000:
        return
    said = f"it finds {apart:.3g} at {where or 'no place'}"
    raise RuntimeError(
        (
            f"the comparison tolerates an error of {size:.3g} at {name}{at}, with a tolerance of "
            f"{tolerance:g} (seed {seed}). So"
            if planted and is_there and not noticed
            else f"the comparison does not find an error of {size:.3g} that was planted at "
            f"{name}{at} (seed {seed}): {said}. So"
            if planted
            else f"the comparison finds an error in {name}, where none was planted (seed {seed}): "
            f"{said}. So"
        )
        + " nothing that it compares counts"
    )


def _draw(
    tensor: Tensor, mask: Tensor | None, text: int, axis: int | None, generator: torch.Generator
) -> tuple[int, ...]:
    """Draw an element of a text that is not at its padding, if the tensor tells texts apart."""
    place = [int(torch.randint(size, (), generator=generator)) for size in tensor.shape]
    if mask is not None and len(tensor) == len(mask):
        place[0] = text
        if axis is not None and axis < tensor.dim() and tensor.shape[axis] <= mask.shape[1]:
            tokens = mask[text, -tensor.shape[axis] :].nonzero().flatten()
            place[axis] = int(tokens[int(torch.randint(len(tokens), (), generator=generator))])
    return tuple(place)


def _error(tensor: Tensor, place: tuple[int, ...], usual: float) -> float:
    """Find by how much an element has to change to be noticed; 0 if it is not of typical size."""
    if is_exact(tensor):
        return 1
    least = max(NOTICEABLE, torch.finfo(tensor.dtype).eps)  # of a coarse type, the next number
    usual = max(usual, float(typical(tensor[place[:-1]])))
    return 2 * least * usual if abs(tensor[place].item()) <= usual else 0

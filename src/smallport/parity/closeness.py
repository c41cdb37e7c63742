"""Say how far two results are apart, measured by how large their numbers are, and where."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from smallport.parity.compare import discrepancy
from smallport.parity.names import NamedTensors

TOLERANCE = 1e-4
"""The largest relative difference that is put down to rounding.

Numbers of 32 bits are spaced by 1.2e-7 of their size, so this is the room of some eight hundred
roundings. Kernels that add the same numbers up in another order stay below a hundredth of it in
models of two layers, and the rest is left to deep ones. A mistake, such as an ignored mask or a
shifted position, changes the first or the second digit.
"""

NOTICEABLE = 1e-3
"""A relative difference that is a mistake, and that a comparison has to notice."""

NEVER = 1e30
"""Numbers of this size stand for minus infinity: "never this token". They are no measure."""


@dataclass(frozen=True)
class Difference:
    """The largest difference between two results, and where it is.

    Parameters
    ----------
    relative
        The difference of the two elements, as a share of the largest element of their tensor; NaN
        where one of the elements is none.
    where
        The tensor, the element, the two numbers, and the inputs that they were computed from.
    """

    relative: float
    where: str

    @property
    def tolerable(self) -> bool:
        """Whether rounding explains it; NaN is explained by nothing."""
        return self.relative <= TOLERANCE

    def __str__(self) -> str:
        return f"largest relative difference {self.relative:.2g}"


def difference(expected: NamedTensors, actual: NamedTensors, inputs: str = "") -> Difference:
    """Find the element of all tensors in which two results differ most.

    Parameters
    ----------
    expected, actual
        Results as :func:`smallport.parity.name_outputs` names them.
    inputs
        What they were computed from, in words.

    Returns
    -------
    Difference
        The largest, tensors of all sizes on the same scale.

    Raises
    ------
    ValueError
        When the tensors are not the same, or of other shapes or types; see
        :func:`smallport.parity.discrepancy`.

    Examples
    --------
    >>> expected = {"logits": torch.tensor([1.0, -4.0]), "present.0.key": torch.tensor([100.0])}
    >>> found = difference(expected, expected | {"logits": torch.tensor([1.5, -4.0])}, "batch 1")
    >>> found.relative, found.where
    (0.125, 'logits[0] is 1.5 instead of 1 at batch 1')
    """
    found = discrepancy(expected, actual)
    shares = {
        name: absolute / scale(expected[name]) if absolute else 0.0
        for name, absolute in found.by_tensor.items()
    }
    name = max(shares, key=lambda name: math.inf if math.isnan(shares[name]) else shares[name])
    if not shares[name]:
        return Difference(0.0, "")
    apart = (expected[name].double() - actual[name].double()).abs()
    place = torch.unravel_index(apart.argmax(), apart.shape)
    element = [int(index) for index in place]
    wanted, got = float(expected[name][place]), float(actual[name][place])
    where = f"{name}{element} is {got:.6g} instead of {wanted:.6g}"
    return Difference(shares[name], f"{where} at {inputs}" if inputs else where)


def worst(differences: Iterable[Difference]) -> Difference | None:
    """Pick the largest of some differences, NaN before any number; None where there are none."""
    return max(
        differences,
        key=lambda one: math.inf if math.isnan(one.relative) else one.relative,
        default=None,
    )


def scale(tensor: Tensor) -> float:
    """Find the largest magnitude in a tensor; 1 where there is nothing to measure by.

    Examples
    --------
    >>> scale(torch.tensor([0.5, -2.0, torch.finfo(torch.float32).min])), scale(torch.zeros(3))
    (2.0, 1.0)
    """
    sizes = tensor.double().abs().flatten()
    sizes = sizes[(sizes > 0) & (sizes < NEVER)]
    return float(sizes.max()) if sizes.numel() else 1.0


def require_that_differences_are_noticed(expected: NamedTensors) -> None:
    """Change one element of each tensor, and look whether the comparison finds it intolerable.

    A comparison that finds nothing has to show that it can find something.

    Parameters
    ----------
    expected
        Some result; it is not changed.

    Raises
    ------
    RuntimeError
        When a changed element goes unnoticed or is tolerated: no result of this check is worth
        anything.
    """
    for name, tensor in expected.items():
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        changed = tensor.clone()
        changed.view(-1)[-1] += 2 * NOTICEABLE * scale(tensor)
        found = difference(expected, expected | {name: changed})
        if found.tolerable or not found.where.startswith(name):
            raise RuntimeError(
                f"the comparison does not notice a changed element of {name}: it found {found} "
                f"({found.where or 'nowhere'}), and tolerates {TOLERANCE:g}. Nothing that it "
                "compares counts; is smallport.parity.compare changed?"
            )

"""Say how far two results are apart, in absolute numbers and by the size of their tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from smallport.parity.names import NamedTensors, listed

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
class Discrepancy:
    """The differences between two results of the same call.

    Parameters
    ----------
    by_tensor
        For each tensor, by its name, the largest absolute difference between two elements; NaN
        where either holds one. Zero means equal in every element.
    shares
        The same as a share of the largest element of the tensor.
    places
        Where each of these differences is: the element, the two numbers, and the inputs.

    Examples
    --------
    >>> discrepancy = Discrepancy({"logits": 1e-7, "present.0.key": 0.0, "present.0.value": 0.5})
    >>> discrepancy.largest(), discrepancy.worst()
    (0.5, 'present.0.value')
    >>> discrepancy.largest("logits")
    1e-07
    """

    by_tensor: Mapping[str, float]
    shares: Mapping[str, float] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)

    def largest(self, group: str = "") -> float:
        """Look up the largest difference, of all tensors or of those of one group.

        Parameters
        ----------
        group
            The first part of the tensors' names, such as ``logits`` or ``present``.

        Raises
        ------
        KeyError
            When there is no such tensor: nothing was compared.
        """
        return self.by_tensor[self.worst(group)]

    def worst(self, group: str = "") -> str:
        """Name the tensor that differs most, of all or of one group.

        Raises
        ------
        KeyError
            When there is no such tensor: nothing was compared.
        """
        names = [name for name in self.by_tensor if group in ("", group_of(name))]
        if not names:
            raise KeyError(f"no tensor of {group!r} was compared, only {listed(self.by_tensor)}")
        return max(names, key=lambda name: _nan_last(self.by_tensor[name]))

    @property
    def relative(self) -> float:
        """The largest share of all tensors: a size in which small and large ones compare."""
        return max(self.shares.values(), key=_nan_last)

    @property
    def where(self) -> str:
        """The place of the largest share; empty where nothing differs."""
        return self.places[max(self.shares, key=lambda name: _nan_last(self.shares[name]))]

    @property
    def tolerable(self) -> bool:
        """Whether rounding explains it; NaN is explained by nothing."""
        return self.relative <= TOLERANCE

    def __str__(self) -> str:
        largest = self.largest()
        return (
            f"largest difference {largest:.3g}, in {self.worst()}" if largest else "no difference"
        )


def discrepancy(expected: NamedTensors, actual: NamedTensors, inputs: str = "") -> Discrepancy:
    """Compare two results, tensor by tensor.

    Parameters
    ----------
    expected, actual
        Results as :func:`smallport.parity.name_outputs` names them.
    inputs
        What they were computed from, in words.

    Returns
    -------
    Discrepancy
        Zero means bit-equal, up to the sign of zero.

    Raises
    ------
    ValueError
        When a tensor is missing, is there unasked, or has another shape or dtype, or when there are
        no tensors: then there is nothing to subtract.

    Examples
    --------
    >>> expected = {"logits": torch.tensor([1.0, -4.0]), "present.0.key": torch.tensor([100.0])}
    >>> found = discrepancy(expected, expected | {"logits": torch.tensor([1.5, -4.0])}, "batch 1")
    >>> found.by_tensor
    {'logits': 0.5, 'present.0.key': 0.0}
    >>> found.relative, found.where
    (0.125, 'logits[0] is 1.5 instead of 1 at batch 1')
    """
    if not expected or expected.keys() != actual.keys():
        raise ValueError(
            f"discrepancy: expected the tensors {listed(expected)}, found {listed(actual)}; "
            "the program was exported from another model or with other output names"
        )
    for name, tensor in expected.items():
        found = actual[name]
        if (tensor.shape, tensor.dtype) != (found.shape, found.dtype):
            raise ValueError(
                f"discrepancy: {name} should have the shape {tuple(tensor.shape)} and hold "
                f"{tensor.dtype}, and has the shape {tuple(found.shape)} and holds {found.dtype}; "
                "a size was probably burnt into the program"
            )
    by_tensor, shares, places = {}, {}, {}
    for name, tensor in expected.items():
        apart = (tensor.double() - actual[name].double()).abs()  # NaN for infinity at once, too
        largest = by_tensor[name] = float(apart.max()) if apart.numel() else 0.0
        shares[name] = largest / scale(tensor) if largest else 0.0
        places[name] = ""
        if largest:
            place = torch.unravel_index(apart.argmax(), apart.shape)
            wanted, got = float(tensor[place]), float(actual[name][place])
            element = [int(index) for index in place]
            places[name] = f"{name}{element} is {got:.6g} instead of {wanted:.6g}"
            places[name] += f" at {inputs}" if inputs else ""
    return Discrepancy(by_tensor, shares, places)


def group_of(name: str) -> str:
    """Take the first part of a tensor's name: ``logits`` or ``present``."""
    return name.partition(".")[0]


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


def _nan_last(difference: float) -> float:
    """Make NaN the largest of all: it compares as false with everything, so max would lose it."""
    return math.inf if math.isnan(difference) else difference


def worst_of(discrepancies: Iterable[Discrepancy]) -> Discrepancy:
    """Collect the largest difference of each tensor over several calls.

    Parameters
    ----------
    discrepancies
        At least one. NaN counts as larger than any number.

    Raises
    ------
    ValueError
        When there are none: nothing was compared.

    Examples
    --------
    >>> worst_of([Discrepancy({"logits": 0.1}), Discrepancy({"logits": 0.2})]).by_tensor
    {'logits': 0.2}
    """
    by_tensor: dict[str, float] = {}
    shares: dict[str, float] = {}
    places: dict[str, str] = {}
    for one in discrepancies:
        for name, difference in one.by_tensor.items():
            by_tensor[name] = max(by_tensor.get(name, 0.0), difference, key=_nan_last)
        for name, share in one.shares.items():
            if name not in shares or _nan_last(share) > _nan_last(shares[name]):
                shares[name], places[name] = share, one.places[name]
    if not by_tensor:
        raise ValueError("worst_of: no differences, so nothing was compared; pass at least one")
    return Discrepancy(by_tensor, shares, places)


def self_test(expected: NamedTensors) -> None:
    """Change one element of each tensor, and look whether the comparison finds it intolerable.

    A comparison that finds nothing has to show that it can find something. Where a changed element
    goes unnoticed, or is tolerated, this raises a RuntimeError.
    """
    for name, tensor in expected.items():
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        changed = tensor.clone()
        changed.view(-1)[-1] += 2 * NOTICEABLE * scale(tensor)
        found = discrepancy(expected, expected | {name: changed})
        if found.tolerable or not found.where.startswith(name):
            raise RuntimeError(
                f"the comparison does not notice a changed element of {name}: it found {found} "
                f"({found.where or 'nowhere'}), and tolerates {TOLERANCE:g}. Nothing that it "
                "compares counts; is smallport.parity.closeness changed?"
            )

"""Compare what an exporter made of a model with the model itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any, TypeVar

import pandas as pd
import torch
from torch import Tensor

from smallport.parity.inputs import Inputs, copy_inputs
from smallport.parity.names import NamedTensors, listed, name_outputs

Shape = TypeVar("Shape", bound=Hashable)
"""What says how large the inputs of a call are; an :class:`smallport.parity.InputShape`, say."""


@dataclass(frozen=True)
class Discrepancy:
    """How far two results of the same call are apart.

    Parameters
    ----------
    by_tensor
        For each tensor, by its name, the largest absolute difference between two elements; NaN
        where either holds one. Zero means equal in every element.

    Examples
    --------
    >>> discrepancy = Discrepancy({"logits": 1e-7, "present.0.key": 0.0, "present.0.value": 0.5})
    >>> discrepancy.largest(), discrepancy.worst()
    (0.5, 'present.0.value')
    >>> discrepancy.largest("logits")
    1e-07
    """

    by_tensor: Mapping[str, float]

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
        names = [name for name in self.by_tensor if group in ("", _group(name))]
        if not names:
            raise KeyError(f"no tensor of {group!r} was compared, only {listed(self.by_tensor)}")
        return max(names, key=lambda name: _nan_last(self.by_tensor[name]))

    def __str__(self) -> str:
        largest = self.largest()
        return (
            f"largest difference {largest:.3g}, in {self.worst()}" if largest else "no difference"
        )


def discrepancy(expected: NamedTensors, actual: NamedTensors) -> Discrepancy:
    """Compare two results, tensor by tensor.

    Parameters
    ----------
    expected, actual
        Results as :func:`smallport.parity.name_outputs` names them.

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
    >>> expected = {"logits": torch.zeros(2), "present.0.key": torch.zeros(3)}
    >>> discrepancy(expected, expected | {"present.0.key": torch.ones(3)}).by_tensor
    {'logits': 0.0, 'present.0.key': 1.0}
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
    return Discrepancy(
        {name: _largest_difference(tensor, actual[name]) for name, tensor in expected.items()}
    )


def _group(name: str) -> str:
    return name.partition(".")[0]


def _largest_difference(expected: Tensor, actual: Tensor) -> float:
    """Largest absolute difference; NaN if one of the tensors holds NaN, or infinity at once."""
    if expected.numel() == 0:
        return 0.0
    return float((expected.double() - actual.double()).abs().max())


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
    >>> worst_of([Discrepancy({"logits": 0.1}), Discrepancy({"logits": 0.2})])
    Discrepancy(by_tensor={'logits': 0.2})
    """
    worst: dict[str, float] = {}
    for one in discrepancies:
        for name, difference in one.by_tensor.items():
            worst[name] = max(worst.get(name, 0.0), difference, key=_nan_last)
    if not worst:
        raise ValueError("worst_of: no differences, so nothing was compared; pass at least one")
    return Discrepancy(worst)


def compare(
    reference: Callable[..., Any],
    run: Callable[[Inputs], Any],
    shapes: Iterable[Shape],
    *,
    make_inputs: Callable[[Shape], Inputs],
) -> dict[Shape, Discrepancy]:
    """Run a model and what was exported from it at several shapes, and compare every tensor.

    Parameters
    ----------
    reference
        The model, eager; called with the inputs as keyword arguments. It must not share its weights
        with the exported program: in two programs that hold the same tensor, a changed weight
        makes no difference.
    run
        Runs the exported program on inputs, of which it gets a copy of its own.
    shapes
        The shapes to run at.
    make_inputs
        Makes the inputs of one shape.

    Returns
    -------
    dict
        A :class:`Discrepancy` for each shape.

    Raises
    ------
    ValueError
        When the two results do not hold the same tensors; see :func:`discrepancy`.

    Examples
    --------
    >>> double = lambda x: {"y": 2 * x}
    >>> found = compare(double, lambda inputs: {"y": inputs["x"] + inputs["x"]}, [1, 5],
    ...                 make_inputs=lambda length: {"x": torch.arange(length)})
    >>> {length: one.largest() for length, one in found.items()}
    {1: 0.0, 5: 0.0}
    """
    found = {}
    for shape in shapes:
        inputs = make_inputs(shape)
        with torch.no_grad():
            expected = name_outputs(reference(**copy_inputs(inputs)))
            found[shape] = discrepancy(expected, name_outputs(run(copy_inputs(inputs))))
    return found


def discrepancies_table(discrepancies: Mapping[Shape, Discrepancy]) -> pd.DataFrame:
    """Put the differences at several shapes into a table, a row for each shape.

    Parameters
    ----------
    discrepancies
        As :func:`compare` gives them.

    Returns
    -------
    pandas.DataFrame
        The sizes, the largest difference of each group of tensors, and the tensor that differs
        most; no name where none differs.
    """
    rows = []
    for shape, one in discrepancies.items():
        sizes = (
            {name.replace("_", " "): size for name, size in asdict(shape).items()}
            if is_dataclass(shape) and not isinstance(shape, type)
            else {"shape": shape}
        )
        groups = dict.fromkeys(_group(name) for name in one.by_tensor)
        differences = {f"difference of {group}": one.largest(group) for group in groups}
        worst = one.worst() if one.largest() != 0 else ""
        rows.append({**sizes, **differences, "worst tensor": worst})
    return pd.DataFrame(rows)

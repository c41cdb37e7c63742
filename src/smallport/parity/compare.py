"""Run a model and what an exporter made of it side by side, and compare what they return."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import asdict, is_dataclass
from typing import Any, TypeVar

import pandas as pd
import torch
from torch import Tensor

from smallport.parity.closeness import Discrepancy, discrepancy, group_of
from smallport.parity.inputs import copy_inputs
from smallport.parity.names import Inputs, NamedTensors, name_outputs

Shape = TypeVar("Shape", bound=Hashable)
"""The sizes of a call's inputs, such as an :class:`smallport.parity.InputShape`."""

TOKEN_AXES = {"logits": 1, "key": 2, "value": 2}
"""Along which axis a tensor has a place for each token, by the last part of its name."""


def compare(
    reference: Callable[..., Any],
    run: Callable[[Inputs], Any],
    shapes: Iterable[Shape],
    *,
    make_inputs: Callable[[Shape], Inputs],
    errors: dict[Shape, Exception] | None = None,
) -> dict[Shape, Discrepancy]:
    """Run a model and what was exported from it at several shapes, and compare every tensor.

    Logits and caches at the places of padding are left out: a token of padding attends to nothing,
    so its result is undefined, and no other token depends on it.

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
    errors
        Where to put what ``run`` raises at a shape, or what keeps its result from being compared.
        Left out, it is raised.

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
        mask = inputs.get("attention_mask")
        with torch.no_grad():
            expected = without_padding(name_outputs(reference(**copy_inputs(inputs))), mask)
            try:
                actual = without_padding(name_outputs(run(copy_inputs(inputs))), mask)
                found[shape] = discrepancy(expected, actual, str(shape))
            except Exception as error:
                if errors is None:
                    raise
                errors[shape] = error
    return found


def without_padding(outputs: NamedTensors, mask: Tensor | None) -> NamedTensors:
    """Put zeros where logits and caches belong to padding, which the mask of the call tells."""
    if mask is None:
        return outputs
    return {name: _zeroed(name, tensor, mask == 0) for name, tensor in outputs.items()}


def _zeroed(name: str, tensor: Tensor, padding: Tensor) -> Tensor:
    """Put zeros at the places of padding, if the tensor has an axis of tokens."""
    axis = TOKEN_AXES.get(name.rpartition(".")[2], tensor.dim())
    if tensor.dim() <= axis or len(tensor) != len(padding):
        return tensor
    older = padding.shape[1] - tensor.shape[axis]  # a sliding window has dropped these
    if older < 0:
        return tensor
    sizes = [1] * tensor.dim()
    sizes[0], sizes[axis] = tensor.shape[0], tensor.shape[axis]
    return tensor.masked_fill(padding[:, older:].reshape(sizes), 0)


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
        groups = dict.fromkeys(group_of(name) for name in one.by_tensor)
        differences = {f"difference of {group}": one.largest(group) for group in groups}
        worst = one.worst() if one.largest() != 0 else ""
        rows.append({**sizes, **differences, "worst tensor": worst})
    return pd.DataFrame(rows)

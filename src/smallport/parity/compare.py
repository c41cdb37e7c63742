"""Run a model and what an exporter made of it side by side, and compare what they return."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import asdict, is_dataclass, replace
from functools import partial
from typing import Any, TypeVar

import pandas as pd
import torch
from torch import Tensor

from smallport.parity.closeness import Discrepancy, discrepancy, group_of
from smallport.parity.engines import modules_called, require_two_engines
from smallport.parity.inputs import copy_inputs
from smallport.parity.names import (
    TOKEN_AXES,
    Inputs,
    NamedTensors,
    TokenAxes,
    name_inputs,
    name_outputs,
    on_cpu,
    token_axis,
)
from smallport.parity.planted import require_planted_errors_found
from smallport.parity.yardstick import error_ratios, require_errors_found, widened

Shape = TypeVar("Shape", bound=Hashable)
"""The sizes of a call's inputs, such as an :class:`smallport.parity.InputShape`."""


def compare(
    reference: Callable[..., Any],
    run: Callable[[Inputs], Any],
    shapes: Iterable[Shape],
    *,
    make_inputs: Callable[[Shape], Inputs],
    errors: dict[Shape, Exception] | None = None,
    eager: bool = False,
    exact: Callable[..., Any] | None = None,
    token_axes: TokenAxes = TOKEN_AXES,
) -> dict[Shape, Discrepancy]:
    """Run a model and what was exported from it at several shapes, and compare every tensor.

    Logits and caches at the places of padding are left out: a token of padding attends to nothing,
    so its result is undefined, and no other token depends on it. At each shape, the comparison also
    has to find errors that are planted in the reference's results, one in each tensor of each text.

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
    eager
        Whether ``run`` calls modules of the reference, too. If not, and nothing differs at all,
        these modules are a sign that the model is compared with itself.
    exact
        A copy of the model in double precision, or None of a call that it cannot compute. With it,
        the differences say by how many times the program's errors are larger than the model's own.
    token_axes
        Along which axis each result has a place for each token, by its name or the last part of it.
        Results that are not in it have none, and are compared in full.

    Returns
    -------
    dict
        A :class:`Discrepancy` for each shape.

    Raises
    ------
    ValueError
        When the two results do not hold the same tensors; see :func:`discrepancy`. When the model
        is compared with itself.
    RuntimeError
        When the comparison does not find a planted error.

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
        mask = inputs["attention_mask"].cpu() if "attention_mask" in inputs else None
        with torch.no_grad():
            with modules_called() as ours:
                expected = on_cpu(name_outputs(reference(**copy_inputs(inputs))))
            try:
                with modules_called() as theirs:
                    actual = on_cpu(name_outputs(run(copy_inputs(inputs))))
                one = difference(expected, actual, mask, str(shape), token_axes)
                if exact and (true := exact(**widened(inputs))) is not None:
                    named = on_cpu(name_outputs(true))
                    one = with_ratios(one, named, expected, actual, mask, token_axes=token_axes)
            except Exception as error:
                if errors is None:
                    raise
                errors[shape] = error
                continue
        measure = partial(difference, mask=mask, token_axes=token_axes)
        require_planted_errors_found(measure, expected, mask, token_axes=token_axes)
        sizes = [tuple(tensor.shape) for tensor in name_inputs(inputs).values()]
        found[shape] = replace(one, ran=f"{shape}: {sizes}")
        modules = (ours, theirs)
    if found and not eager:
        require_two_engines("compare", found.values(), *modules)
    return found


def difference(
    expected: NamedTensors,
    actual: NamedTensors,
    mask: Tensor | None,
    inputs: str = "",
    token_axes: TokenAxes = TOKEN_AXES,
) -> Discrepancy:
    """Compare the results of one call, except at the places of padding."""
    wanted, found = (without_padding(one, mask, token_axes) for one in (expected, actual))
    return discrepancy(wanted, found, inputs)


def with_ratios(
    found: Discrepancy,
    exact: NamedTensors,
    expected: NamedTensors,
    actual: NamedTensors,
    mask: Tensor | None,
    *,
    token_axes: TokenAxes = TOKEN_AXES,
) -> Discrepancy:
    """Add the errors of a program in multiples of its model's, except at the places of padding."""
    results = [without_padding(one, mask, token_axes) for one in (exact, expected, actual)]
    require_errors_found(*results[:2])
    return replace(found, ratios=error_ratios(*results))


def without_padding(
    outputs: NamedTensors, mask: Tensor | None, token_axes: TokenAxes = TOKEN_AXES
) -> NamedTensors:
    """Put zeros where results of tokens belong to padding, which the mask of the call tells."""
    if mask is None:
        return outputs
    return {
        name: _zeroed(tensor, mask == 0, token_axis(name, token_axes))
        for name, tensor in outputs.items()
    }


def _zeroed(tensor: Tensor, padding: Tensor, axis: int | None) -> Tensor:
    """Put zeros at the places of padding, if the tensor has an axis of tokens."""
    if axis is None or tensor.dim() <= axis or len(tensor) != len(padding):
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

"""Measure a program's errors in multiples of those that its model makes in the same precision.

In half precision, a right program differs from its model by more than many a mistake changes in
float32. Both are compared with what a copy of the model computes in float64 from the same weights.
"""

from __future__ import annotations

import math
import random

import torch
from torch import Tensor

from smallport.parity.closeness import is_exact
from smallport.parity.inputs import copy_inputs
from smallport.parity.names import Inputs, NamedTensors, listed, name_tensors

MULTIPLE = 1.5
"""The most times by which a right program's errors are larger than those of its model."""

HALF = (torch.bfloat16, torch.float16)
"""The types in which a comparison of numbers says too little."""

UNSEEN = (
    "errors below the rounding of {dtype}, such as one wrong weight; check model.float(), too "
    "(--dtype float32)"
)
"""A sentence on the errors that a check in half precision cannot see."""


def error_ratios(
    exact: NamedTensors, expected: NamedTensors, actual: NamedTensors
) -> dict[str, float]:
    """Divide a program's errors by its model's, tensor by tensor.

    Parameters
    ----------
    exact
        Results in double precision.
    expected
        Those of the model.
    actual
        Those of the program.

    Returns
    -------
    dict
        The larger of two ratios: of the root mean squares of the errors, and of the largest errors.
        The model's errors count as no smaller than half the distance between two numbers of its
        type, so that a model that is exact by chance rejects no program. Integers and truth values
        have 0 if they are equal, and infinity if not, as has NaN.

    Raises
    ------
    ValueError
        When the results are not of the same tensors.

    Examples
    --------
    >>> exact = {"logits": torch.tensor([0.1, 0.7], dtype=torch.float64)}
    >>> model = {"logits": torch.tensor([0.1, 0.7], dtype=torch.bfloat16)}
    >>> error_ratios(exact, model, model)["logits"] <= 1
    True
    >>> wrong = {"logits": torch.tensor([0.1, 0.72], dtype=torch.bfloat16)}
    >>> round(error_ratios(exact, model, wrong)["logits"])
    14
    """
    if not exact.keys() == expected.keys() == actual.keys():
        raise ValueError(
            f"error_ratios: the results are of {listed(exact)}, {listed(expected)} and "
            f"{listed(actual)}; compare the same tensors"
        )
    return {name: _ratio(one, expected[name], actual[name]) for name, one in exact.items()}


def _ratio(exact: Tensor, expected: Tensor, actual: Tensor) -> float:
    if is_exact(expected):
        return 0.0 if torch.equal(expected, actual) else math.inf
    own, other = _error(exact, expected), _error(exact, actual)
    if not own.numel():
        return 0.0
    step = torch.finfo(expected.dtype).eps / 2
    sizes = exact.double().abs().nan_to_num(0, 0)
    ratios = [
        of_other / max(of_own, least, torch.finfo(torch.float64).tiny)
        for of_other, of_own, least in (
            (_rms(other), _rms(own), step * _rms(sizes) / 2),
            (float(other.max()), float(own.max()), step * float(sizes.max())),
        )
    ]
    return math.inf if any(map(math.isnan, ratios)) else max(ratios)


def _error(exact: Tensor, found: Tensor) -> Tensor:
    """Subtract, where they are not the same infinity."""
    exact, found = exact.double(), found.double().to(exact.device)
    return (found - exact).abs().masked_fill(found == exact, 0)


def _rms(numbers: Tensor) -> float:
    return float(numbers.square().mean().sqrt())


def require_errors_found(exact: NamedTensors, expected: NamedTensors) -> None:
    """Plant an error in each tensor, and require that its ratio is above the limit.

    Parameters
    ----------
    exact, expected
        Results of the same call, in double precision and of the model.

    Raises
    ------
    RuntimeError
        When an error of twice the largest of the model's is not found, or one is found where none
        was planted.
    """
    for name, tensor in expected.items():
        if is_exact(tensor):
            continue
        flat, true = tensor.double().flatten(), exact[name].double().flatten()
        finite = true.isfinite().nonzero().flatten().tolist()
        if not finite:
            continue
        place = random.SystemRandom().choice(finite)
        step = torch.finfo(tensor.dtype).eps / 2 * float(true.abs().nan_to_num(0, 0).max())
        flat[place] = true[place] + 2 * (max(float(_error(true, flat).max()), step) or 1.0)
        planted = error_ratios(exact, expected, {**expected, name: flat.reshape(tensor.shape)})
        if [one for one, ratio in planted.items() if ratio > MULTIPLE] != [name]:
            raise RuntimeError(
                f"an error of twice the largest of the model's own was planted in {name}[{place}], "
                f"and the ratios are {planted}: nothing that is compared counts"
            )


def widened(inputs: Inputs) -> Inputs:
    """Copy a model's inputs with their numbers in double precision, those in a cache included."""
    copied = copy_inputs(inputs)
    for tensor in name_tensors(copied).values():
        if tensor.is_floating_point():
            tensor.data = tensor.data.double()
    return copied

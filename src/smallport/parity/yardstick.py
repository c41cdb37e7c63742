"""Measure a program's errors in multiples of those that its model makes in the same precision.

In half precision, a right program differs from its model by more than many a mistake changes in
float32. Both are compared with what a copy of the model computes in float64 from the same weights.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
from torch import Tensor

from smallport.parity.closeness import is_exact
from smallport.parity.inputs import replaced
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
    """Plant errors in half of the tensors, then in the others, and require that these are found.

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
    planted = {name: one for name in expected if (one := _planted(exact[name], expected[name]))}
    drawn = random.SystemRandom().sample(sorted(planted), len(planted))
    for half in (drawn[::2], drawn[1::2]):
        changed = {name: planted[name].tensor for name in half}
        ratios = error_ratios(exact, expected, {**expected, **changed})
        if {name for name, ratio in ratios.items() if ratio > MULTIPLE} != {*half}:
            places = ", ".join(f"{name}[{planted[name].place}]" for name in half) or "no tensor"
            raise RuntimeError(
                f"errors of twice the largest of the model's own were planted in {places}, and the "
                f"ratios are {ratios}: nothing that is compared counts"
            )


@dataclass(frozen=True, eq=False)
class _Planted:
    """A tensor with an error, and its place."""

    tensor: Tensor
    place: int


def _planted(exact: Tensor, expected: Tensor) -> _Planted | None:
    """Change a finite number of a tensor, drawn by chance; None where there is none."""
    flat, true = expected.double().flatten(), exact.double().flatten()
    finite = true.isfinite().nonzero().flatten()
    if is_exact(expected) or not len(finite):
        return None
    place = int(finite[random.SystemRandom().randrange(len(finite))])
    step = torch.finfo(expected.dtype).eps / 2 * float(true.abs().nan_to_num(0, 0).max())
    flat[place] = true[place] + 2 * (max(float(_error(true, flat).max()), step) or 1.0)
    return _Planted(flat.reshape(expected.shape), place)


def without_double(device: torch.device) -> bool:
    """Say whether a device has no double precision, as Apple's graphics processors."""
    return device.type == "mps"


def widened(inputs: Inputs) -> Inputs:
    """Copy a model's inputs with their numbers in double precision, those in a cache included.

    Those on a device without double precision go to the processor.
    """

    def wide(tensor: Tensor) -> Tensor:
        there = tensor.cpu() if any_without_double else tensor
        return there.double() if there.is_floating_point() else there.clone()

    any_without_double = any(without_double(one.device) for one in name_tensors(inputs).values())
    return replaced(inputs, wide)

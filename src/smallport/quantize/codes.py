"""Require that int8 weights are the integers of weights in floats, and that they are multiplied.

A class name, a dtype and a size do not say so: weights of 32 levels, or of another model, have
them, too, and a layer may restore its weights and multiply floats.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

LEAST_CODES = 65
"""The fewest distinct integers in a large weight of 8 bits; 64 of them would be 6 bits."""

LARGE = 10_000
"""From how many elements on a weight should use most integers."""

EXACT = 1e-3
"""A product by hand is this much nearer to that of the layer than the product in floats is."""


def require_codes(
    name: str, weight: Tensor, codes: Tensor, scale: Tensor | float, zero_point: Tensor | float
) -> None:
    """Require that integers are those of a weight, each rounded to the nearest.

    Parameters
    ----------
    name
        The name of the weight, for the message.
    weight
        The weight in floats, of any shape.
    codes
        Its integers, of the same shape.
    scale, zero_point
        The step between two integers, and the integer of zero; numbers, or tensors that broadcast
        to the shape.

    Raises
    ------
    AssertionError
        When an element is further from its integer than half a step, or the integers of a large
        weight have 64 distinct values or fewer.

    Examples
    --------
    >>> weight = torch.tensor([0.5, -1.0, 0.26])
    >>> require_codes("weight", weight, torch.tensor([1, -2, 1]), 0.5, 0)
    >>> require_codes("weight", weight, torch.tensor([1, -1, 1]), 0.5, 0)
    Traceback (most recent call last):
    ...
    AssertionError: weight: an element is 1.0 steps from its integer, and rounding is at most \
half a step: the integers are those of another weight, or of another scale
    """
    steps = ((codes.double() - zero_point) - weight.detach().double() / scale).abs().max().item()
    if not steps <= 0.501:  # noqa: PLR2004 - half a step, and the rounding of the scale
        raise AssertionError(
            f"{name}: an element is {steps:.1f} steps from its integer, and rounding is at most "
            "half a step: the integers are those of another weight, or of another scale"
        )
    distinct = len(np.unique(codes.numpy()))
    if weight.numel() >= LARGE and distinct < LEAST_CODES:
        raise AssertionError(
            f"{name}: {weight.numel():,} weights have only {distinct} distinct integers, and 8 "
            "bits have 256: it was quantized more coarsely than its type says"
        )


def require_integers(model: nn.Module, quantized: nn.Module) -> None:
    """Require that a model's eager int8 copy has its weights as integers, and multiplies these.

    Parameters
    ----------
    model
        A model in floats.
    quantized
        What :func:`smallport.quantize.quantize_model`, or PyTorch's ``quantize_dynamic``, made of
        it. Layers that are of the same kind in both are passed over.

    Raises
    ------
    AssertionError
        When the integers of a layer are not those of its weight, each rounded to the nearest. Also
        when a linear layer does not compute the product of integers that is computed here by hand,
        or when no layer was quantized.

    Examples
    --------
    >>> from smallport.quantize import quantize_model
    >>> model = nn.Sequential(nn.Linear(16, 4))
    >>> require_integers(model, quantize_model(model))
    """
    layers = dict(quantized.named_modules())
    checked = 0
    for name, layer in model.named_modules():
        other = layers.get(name)
        if other is None or type(other) is type(layer):
            continue
        for part, weight, integers in _weights(layer, other):
            require_codes(f"{name}.{part}", weight, *_codes(integers))
            checked += 1
        if isinstance(layer, nn.Linear):
            _require_product(name, cast("Any", other))
    if not checked:
        raise AssertionError("the model has no layer with weights in 8 bits")


def _weights(layer: nn.Module, quantized: Any) -> list[tuple[str, Tensor, Tensor]]:
    """Pair the weights of a layer with those of its quantized copy, by their names."""
    if isinstance(layer, nn.RNNBase):
        packed = [one.param.__getstate__()[0][4] for one in quantized._all_weight_values]  # noqa: SLF001
        integers = [torch.ops.quantized.linear_unpack(each)[0] for pair in packed for each in pair]
        names = [name for name in layer._flat_weights_names if name.startswith("weight")]  # noqa: SLF001
        return [
            (name, getattr(layer, name), each) for name, each in zip(names, integers, strict=True)
        ]
    return [("weight", cast("Tensor", layer.weight), quantized.weight())]


def _codes(weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Take a quantized tensor apart: integers, scale and zero point."""
    if weight.qscheme() == torch.per_tensor_affine:
        scale, zero = torch.tensor(weight.q_scale()), torch.tensor(weight.q_zero_point())
    else:
        scale, zero = weight.q_per_channel_scales()[:, None], weight.q_per_channel_zero_points()
        zero = zero[:, None]
    return weight.int_repr(), scale.double(), zero.double()


def _require_product(name: str, layer: Any) -> None:
    """Compute a linear layer's product by hand, with activations of 7 and of 8 bits."""
    codes, scale, zero = _codes(layer.weight())
    inputs = torch.randn(8, codes.shape[1], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = layer(inputs).double() - layer.bias().double()
    integers = codes.double() - zero
    by_hand = [
        step * (inputs_codes @ integers.t()) * scale.flatten()
        for step, inputs_codes in (quantize_activation(inputs, top) for top in (127, 255))
    ]
    require_near(name, found, by_hand, inputs.double() @ (integers * scale).t())


def quantize_activation(values: Tensor, top: int) -> tuple[float, Tensor]:
    """Round activations to integers up to ``top``: the step, and the integers less their zero."""
    low, high = min(0.0, values.min().item()), max(0.0, values.max().item())
    step = (high - low) / top
    zero = round(-low / step)
    return step, ((values / step).round() + zero).clamp(0, top).double() - zero


def require_near(name: str, found: Tensor, by_hand: list[Tensor], in_floats: Tensor) -> None:
    """Require that a result is one of products of integers, and not the product in floats.

    Sums that saturate, as on processors without int8 dot products, may differ; most must not.
    """
    distances = [(found - each).abs().quantile(0.9).item() for each in by_hand]
    from_floats = (found - in_floats).abs().median().item()
    if not min(distances) <= EXACT * max(from_floats, 1e-30):
        raise AssertionError(
            f"{name}: its result is {min(distances):.2g} from the product of its integers, and "
            f"{from_floats:.2g} from the product in floats: it does not multiply integers"
        )

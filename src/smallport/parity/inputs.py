"""Make and copy the inputs of a causal language model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from smallport.parity.names import Inputs, listed, name_tensors

DynamicShapes = dict[str, Any]
"""The axes of each input that may change, in the form of :func:`torch.export.export`."""


@dataclass(frozen=True)
class InputShape:
    """The sizes of one call of a model's forward method.

    Parameters
    ----------
    batch_size
        How many texts.
    cache_length
        How many tokens of each are in the cache.
    new_tokens
        How many tokens of each are new.
    padding
        How many tokens at the beginning of the first text are padding.
    """

    batch_size: int = 2
    cache_length: int = 30
    new_tokens: int = 3
    padding: int = 0

    def __str__(self) -> str:
        sizes = f"batch {self.batch_size}, {self.cache_length} + {self.new_tokens} tokens"
        return f"{sizes}, {self.padding} padded" if self.padding else sizes


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that random texts are made of.

    Parameters
    ----------
    size
        How many there are.
    first
        The one that every second text begins with, the first text included.
    padding
        The one at the places of padding; any token if left out.
    special
        Tokens that models or programs treat apart, and that chance hardly ever draws. Each text
        holds as many as half of it has room for.
    unused
        Tokens that stand for something else than text, such as an image; no text holds them.
    """

    size: int
    first: int | None = None
    padding: int | None = None
    special: tuple[int, ...] = ()
    unused: frozenset[int] = frozenset()


def text_inputs(ids: Tensor, mask: Tensor) -> Inputs:
    """Make the inputs of whole texts; positions count from the first token that is no padding."""
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions}


def random_text(vocabulary: Vocabulary, shape: InputShape, *, seed: int = 0) -> Inputs:
    """Draw random tokens, as many as there are in the cache and new ones together."""
    generator = torch.Generator().manual_seed(seed)
    sizes = (shape.batch_size, shape.cache_length + shape.new_tokens)
    ids = torch.randint(vocabulary.size, sizes, generator=generator)
    if vocabulary.unused:
        used = torch.tensor([*{*range(vocabulary.size)} - vocabulary.unused])
        ids = used[torch.randint(len(used), sizes, generator=generator)]
    mask = torch.ones_like(ids)
    mask[0, : shape.padding] = 0
    if vocabulary.padding is not None:
        ids[mask == 0] = vocabulary.padding
    for row, beginning in enumerate(mask.argmax(dim=1).tolist()):
        text, special = ids[row, beginning:], torch.tensor(vocabulary.special, dtype=torch.int64)
        number = min(len(special), (len(text) - 1) // 2)
        places = 1 + torch.randperm(max(len(text) - 1, 0), generator=generator)[:number]
        text[places] = special[torch.randperm(len(special), generator=generator)[:number]]
        if vocabulary.first is not None and row % 2 == 0:
            text[0] = vocabulary.first
    return text_inputs(ids, mask)


def after_cache(text: Inputs, cache_length: int) -> Inputs:
    """Leave out the tokens that are in the cache; only the mask still has a place for them."""
    return {
        name: value if name == "attention_mask" else value[:, cache_length:].contiguous()
        for name, value in text.items()
    }


def dynamic_shapes(one: Inputs, other: Inputs) -> DynamicShapes:
    """Find the axes that change from one call to the next, by comparing inputs of two shapes.

    Parameters
    ----------
    one, other
        Inputs of the same model. An axis is dynamic where their sizes differ.

    Returns
    -------
    dict
        For each tensor its dynamic axes, as :func:`torch.export.export` wants them; for the cache,
        one flat list with an entry for each key and each value.

    Raises
    ------
    ValueError
        When they do not hold the same tensors.

    Examples
    --------
    >>> from smallport.parity import cache_argument
    >>> from smallport.tiny_llm import make_inputs, tiny_llm_config
    >>> shapes = (InputShape(2, cache_length=30, new_tokens=3), InputShape(3, 31, 4))
    >>> one, other = (make_inputs(tiny_llm_config(), shape) for shape in shapes)
    >>> dynamic_shapes(one, other)[cache_argument()]
    [{0: DimHint(DYNAMIC), 2: DimHint(DYNAMIC)}, {0: DimHint(DYNAMIC), 2: DimHint(DYNAMIC)}]
    """
    tensors, others = name_tensors(one), name_tensors(other)
    if tensors.keys() != others.keys():
        raise ValueError(
            f"the inputs hold {listed(tensors)} at one shape and {listed(others)} at another; "
            "pass a cache whose layers are all filled"
        )
    axes = {name: _changing_axes(tensors[name], others[name]) for name in tensors}
    return {
        name: axes[name]
        if isinstance(value, Tensor)
        else [axes[part] for part in axes if part.startswith(f"{name}.")]
        for name, value in one.items()
    }


def _changing_axes(one: Tensor, other: Tensor) -> dict[int, Any]:
    """Mark the axes in which two tensors differ in size."""
    sizes = enumerate(zip(one.shape, other.shape, strict=True))
    return {axis: torch.export.Dim.DYNAMIC for axis, (here, there) in sizes if here != there}


def moved(inputs: Inputs, device: torch.device | str) -> Inputs:
    """Copy a model's inputs to a device, the cache's tensors included.

    Examples
    --------
    >>> moved({"input_ids": torch.zeros(2, 3)}, "meta")["input_ids"].device
    device(type='meta')
    """
    return replaced(inputs, lambda tensor: tensor.to(device, copy=True))


def replaced(inputs: Inputs, replacement: Callable[[Tensor], Tensor]) -> Inputs:
    """Copy a model's inputs with something else in the place of each tensor, also in the cache."""
    tensors = name_tensors(inputs).values()
    # A copy takes what it finds here in the place of what it would copy.
    return copy.deepcopy(inputs, {id(tensor): replacement(tensor) for tensor in tensors})


def copy_inputs(inputs: Inputs) -> Inputs:
    """Copy a model's inputs, the cache's tensors included.

    A forward pass appends to the cache that it is given, which then no longer fits the other
    inputs: every run needs a copy of its own.

    Parameters
    ----------
    inputs
        As :func:`smallport.tiny_llm.make_inputs` gives them.
    """
    return copy.deepcopy(inputs)

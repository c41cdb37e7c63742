"""Make and copy the inputs of a causal language model."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
import transformers  # whose classes are loaded where they are used, which takes seconds

Inputs = dict[str, Any]
"""What a forward method takes, by name: tensors, and a cache under ``past_key_values``."""

DynamicShapes = dict[str, Any]
"""Which axes of each input may change, in the words of :func:`torch.export.export`."""


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


def make_inputs(
    configuration: transformers.LlamaConfig,
    shape: InputShape = InputShape(),
    *,
    with_cache: bool = True,
    seed: int = 0,
) -> Inputs:
    """Make random inputs of a Llama model's forward method, as a step of generation sees them.

    Parameters
    ----------
    configuration
        Of the model.
    shape
        Their sizes. Padding stands in the cache, where the mask hides it; positions count from the
        first real token.
    with_cache
        Whether the inputs hold a cache. Without one, ``cache_length`` is ignored and the new tokens
        are the beginning of the text.
    seed
        Of the random tokens and cache; the global generator is left alone.

    Returns
    -------
    dict
        ``input_ids`` and ``position_ids`` of shape ``(batch, new)`` and ``attention_mask`` of shape
        ``(batch, cache + new)``, all ``int64``; and, with a cache, ``past_key_values``, a
        :class:`transformers.DynamicCache` whose key and value tensors have the shape ``(batch,
        key-value heads, cache, head size)``.

    Raises
    ------
    ValueError
        When a size is not a positive integer, there is more padding than the cache holds, or the
        text is longer than the model's ``max_position_embeddings``.

    Examples
    --------
    >>> from smallport.tiny_llm import tiny_llm_config
    >>> inputs = make_inputs(tiny_llm_config(), InputShape(3, cache_length=7, new_tokens=5))
    >>> {name: tuple(inputs[name].shape) for name in ("input_ids", "attention_mask")}
    {'input_ids': (3, 5), 'attention_mask': (3, 12)}
    >>> inputs["past_key_values"].layers[0].keys.shape
    torch.Size([3, 1, 7, 96])
    """
    _require_positive("batch_size", shape.batch_size)
    _require_positive("new_tokens", shape.new_tokens)
    if with_cache:
        _require_positive(
            "cache_length", shape.cache_length, "with_cache=False makes inputs without one"
        )
    past = shape.cache_length if with_cache else 0
    length = past + shape.new_tokens
    if length > configuration.max_position_embeddings:
        raise ValueError(
            f"make_inputs: {past} tokens in the cache and {shape.new_tokens} new ones make "
            f"{length}, and the model has {configuration.max_position_embeddings} positions "
            "(max_position_embeddings); ask for fewer tokens or override the configuration"
        )
    if not 0 <= shape.padding <= past:
        raise ValueError(
            f"make_inputs: padding must be between 0 and the {past} tokens in the cache, not "
            f"{shape.padding}; a longer cache_length makes room for more"
        )
    generator = torch.Generator().manual_seed(seed)
    tokens = (shape.batch_size, shape.new_tokens)
    inputs: Inputs = {
        "input_ids": torch.randint(configuration.vocab_size, tokens, generator=generator),
        "attention_mask": torch.ones((shape.batch_size, length), dtype=torch.int64),
        "position_ids": torch.arange(past, length).repeat(shape.batch_size, 1),
    }
    inputs["attention_mask"][0, : shape.padding] = 0
    inputs["position_ids"][0] -= shape.padding
    if with_cache:
        heads = configuration.num_key_value_heads or configuration.num_attention_heads
        head_size = configuration.head_dim or (
            configuration.hidden_size // configuration.num_attention_heads
        )
        sizes = (shape.batch_size, heads, past, head_size)
        cache = transformers.DynamicCache()
        for layer in range(configuration.num_hidden_layers):
            keys = torch.randn(sizes, generator=generator)
            cache.update(keys, torch.randn(sizes, generator=generator), layer)
        inputs["past_key_values"] = cache
    return inputs


def make_dynamic_shapes(
    configuration: transformers.LlamaConfig, *, with_cache: bool = True
) -> DynamicShapes:
    """Say which axes of :func:`smallport.tiny_llm.make_inputs` change from one call to the next.

    Parameters
    ----------
    configuration
        Of the model.
    with_cache
        Whether the inputs hold a cache.

    Returns
    -------
    dict
        For each tensor the axes that are ``torch.export.Dim.DYNAMIC``. For the cache, a list of two
        lists, keys and values, with one entry a layer.

    Examples
    --------
    >>> from smallport.tiny_llm import tiny_llm_config
    >>> shapes = make_dynamic_shapes(tiny_llm_config(num_hidden_layers=2))
    >>> list(shapes["input_ids"]), [len(tensors) for tensors in shapes["past_key_values"]]
    ([0, 1], [2, 2])
    """
    dynamic = torch.export.Dim.DYNAMIC
    shapes: DynamicShapes = {
        "input_ids": {0: dynamic, 1: dynamic},
        "attention_mask": {0: dynamic, 1: dynamic},
        "position_ids": {0: dynamic, 1: dynamic},
    }
    if with_cache:
        layers = range(configuration.num_hidden_layers)
        shapes["past_key_values"] = [
            [{0: dynamic, 2: dynamic} for _ in layers],
            [{0: dynamic, 2: dynamic} for _ in layers],
        ]
    return shapes


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


def _require_positive(name: str, value: int, way_out: str = "") -> None:
    """Refuse a size that is not a positive integer."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        hint = f"; {way_out}" if way_out else ""
        raise ValueError(f"make_inputs: {name} must be a positive integer, not {value!r}{hint}")

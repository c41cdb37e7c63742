"""Look up in a model's configuration how long its texts may be, and what they are made of."""

from __future__ import annotations

import itertools
import re
from typing import Any

import transformers  # whose classes are loaded where they are used, which takes seconds
from torch import Tensor, nn

from smallport.parity.inputs import Vocabulary

POSITION_LIMITS = ("max_position_embeddings", "max_target_positions", "max_seq_len", "n_positions")
"""Fields of a configuration that hold how many tokens a text may have."""

MEDIA_TOKEN = re.compile(r"((image|video|audio|vision|speech).*|[be]o[ai])_token_(id|index)")
"""The names of fields that hold a token in whose place an image or a sound is put."""


def max_length(model: nn.Module) -> int | None:
    """Look up how long a text may be."""
    configuration = text_configuration(model)
    lengths = (getattr(configuration, name, None) for name in POSITION_LIMITS)
    limits = [length for length in lengths if isinstance(length, int) and length > 0]
    # Where padding has a position of its own, those of text begin behind it.
    skipped = (
        one.padding_idx + 1
        for name, one in model.named_modules()
        if "position" in name and isinstance(one, nn.Embedding) and one.padding_idx is not None
    )
    return min(limits) - max(skipped, default=0) if limits else None


def vocabulary(model: nn.Module, size: int) -> Vocabulary:
    """Look up which tokens are special; the unknown one is no field, and one of the first."""
    whole = getattr(model, "config", None)
    places = (text_configuration(model), getattr(model, "generation_config", None), whole)

    def tokens(name: str) -> list[int]:
        found = (getattr(place, name, None) for place in places)
        listed_ones = (one if isinstance(one, list) else [one] for one in found)
        return [
            token
            for token in itertools.chain.from_iterable(listed_ones)
            if isinstance(token, int) and 0 <= token < size
        ]

    fields = {name for place in places for name in getattr(place, "__dict__", {})}
    unused = {token for name in fields if MEDIA_TOKEN.fullmatch(name) for token in tokens(name)}
    first = tokens("bos_token_id") + tokens("decoder_start_token_id")
    padding = tokens("pad_token_id")
    special = [*first, *tokens("eos_token_id"), *padding, *range(4), size - 1]
    return Vocabulary(
        size,
        first=next(iter(first), None),
        padding=next(iter(padding), None),
        special=tuple(one for one in dict.fromkeys(special) if one < size and one not in unused),
        unused=frozenset(unused),
    )


def vocab_size(model: nn.Module, logits: Tensor) -> int:
    """Look up how many tokens there are; the logits of some models are padded beyond that."""
    known, scores = getattr(text_configuration(model), "vocab_size", None), logits.shape[-1]
    if not isinstance(known, int):
        return scores
    if scores < known:
        raise ValueError(
            f"{type(model).__name__} gives each token {scores} logits, and its vocabulary has "
            f"{known} tokens: it is a classifier, and not a language model"
        )
    return known


def text_configuration(model: Any) -> Any:
    """Find the part of the configuration that is about texts."""
    configuration = getattr(model, "config", None)
    if isinstance(configuration, transformers.PreTrainedConfig):
        return configuration.get_text_config(decoder=True)
    return configuration

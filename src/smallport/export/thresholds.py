"""The lengths at which the computation of a model changes, by its configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from smallport.parity.inputs import InputShape

WINDOW_OR_CHUNK = re.compile(
    r"(?!.*(audio|image|speech|video|vision))(.*_)?(window|chunk)(_size|_len|_length)?"
)
"""The names of most fields that hold the length of a window or of a chunk of tokens."""

OTHER_FIELDS = (
    "block_size",
    "floor_scale",
    "index_topk",
    "indexer_budget",
    "local_attention",
    "log_scaling_n_floor",
    "position_bias_max_distance",
    "rel_extent",
    "relative_max_distance",
)
"""Other fields that hold a number of tokens beyond which a model computes something else."""

SWITCHED_OFF_BY = {
    "attention_chunk_size": ("layer_types", "chunked"),
    "block_size": ("attention_type", "block_sparse"),
    "floor_scale": ("attn_temperature_tuning", "True"),
    "sliding_window": ("layer_types", "sliding|compressed"),
    "sliding_window_size": ("layer_types", "sliding"),
    "window_size": ("attention_layers", "local"),
}
"""Fields that count only where another field, if there is one, holds such a word."""

SWITCHING_POSITIONS = ("dynamic", "longrope")
"""The kinds of rotary positions that change with the length; others are scaled once for all."""

LEAST = 4
"""The shortest text that is compared; what only shorter ones would not reach is reached anyway."""


@dataclass(frozen=True, order=True)
class Threshold:
    """A number of tokens beyond which the computation of a model changes.

    Parameters
    ----------
    name
        The field of the configuration.
    length
        The longest text that is not affected.
    """

    name: str
    length: int

    def __str__(self) -> str:
        return f"{self.name} {self.length}"

    def sentence(self) -> str:
        """Say what it is, in words.

        Examples
        --------
        >>> print(Threshold("sliding_window", 4096).sentence())
        a window of 4,096 tokens (sliding_window)
        """
        if "window" in self.name or self.name == "local_attention":
            what = "a window of"
        elif "chunk" in self.name or self.name == "block_size":
            what = "chunks of"
        else:
            what = "a change beyond"
        return f"{what} {self.length:,} tokens ({self.name})"

    def shapes(
        self, longest: int, *, cached: bool = False, least_cached: int = 0
    ) -> list[InputShape]:
        """List texts on both sides, none of them longer than ``longest``.

        Where a token has to be in the cache, one text has as many new ones as go beyond.

        Examples
        --------
        >>> print(*Threshold("sliding_window", 16).shapes(600), sep="; ")
        batch 1, 0 + 16 tokens; batch 1, 0 + 17 tokens; batch 1, 23 + 3 tokens
        """
        beyond = min(self.length + self.length // 8 + 8, longest)
        shapes = [InputShape(1, 0, self.length + more) for more in range(2 + least_cached)]
        if cached:
            shapes.append(InputShape(1, self.length - 1, 3))
        shapes.append(InputShape(1, beyond - 3, 3))
        return [one for one in shapes if LEAST <= one.cache_length + one.new_tokens <= longest]


def thresholds(configuration: Any) -> tuple[Threshold, ...]:
    """Read the lengths at which the computation of a model changes from its configuration.

    Examples
    --------
    >>> import transformers
    >>> print(*thresholds(transformers.MistralConfig(sliding_window=512)))
    sliding_window 512
    >>> thresholds(transformers.Qwen2Config(sliding_window=512, use_sliding_window=False))
    ()
    """
    found = {*_fields(configuration), *_positions(configuration)}
    for name in getattr(configuration, "sub_configs", {}):
        if not re.search("audio|image|speech|video|vision", name):
            found.update(thresholds(getattr(configuration, name, None)))
    return tuple(sorted(found, key=lambda one: (one.length, one.name)))


def _fields(configuration: Any) -> Iterator[Threshold]:
    """Read the fields that hold the length of a window, a chunk or the like."""
    values = getattr(configuration, "__dict__", {})
    for name, length in values.items():
        is_length = isinstance(length, int) and not isinstance(length, bool) and length > 1
        is_threshold = WINDOW_OR_CHUNK.fullmatch(name) or name in OTHER_FIELDS
        if is_length and is_threshold and _is_used(configuration, name):
            yield Threshold(name, length)
    if "index_topk_blocks" in values:  # of which each holds several tokens
        yield Threshold(
            "index_topk_blocks", values["index_topk_blocks"] * values["index_block_size"]
        )


def _is_used(configuration: Any, name: str) -> bool:
    """Say whether a layer uses what a field holds."""
    if getattr(configuration, f"use_{name}", True) is False:
        return False
    switch, word = SWITCHED_OFF_BY.get(name, ("", ""))
    setting = getattr(configuration, switch, None) if switch else None
    return setting is None or bool(re.search(word, str(setting)))


def _positions(configuration: Any) -> Iterator[Threshold]:
    """Read where rotary positions switch to another scaling, of all layers or of one kind."""
    name = "original_max_position_embeddings"
    settings = (getattr(configuration, one, None) for one in ("rope_parameters", "rope_scaling"))
    scaling = next((one for one in settings if isinstance(one, Mapping)), {})
    for part in (scaling, *scaling.values()):
        if not isinstance(part, Mapping):
            continue
        kind = part.get("rope_type", part.get("type"))
        if kind == "dynamic":  # which is scaled beyond what the model was made for
            name, length = "max_position_embeddings", configuration.max_position_embeddings
        else:
            length = part.get(name) or getattr(configuration, name, None)
        switches = kind in SWITCHING_POSITIONS or "llama_4_scaling_beta" in part
        if switches and isinstance(length, int):
            yield Threshold(name, length)

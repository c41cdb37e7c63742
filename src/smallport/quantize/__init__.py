"""The routes from a float model to a smaller one, a module for each."""

from smallport.quantize.blocks import QuantizedBlocks, pack, quantize_blocks, unpack
from smallport.quantize.codes import require_integers
from smallport.quantize.eager import (
    ensure_engine,
    known_warnings_ignored,
    quantize_model,
    state_dict_megabytes,
)

__all__ = [
    "QuantizedBlocks",
    "ensure_engine",
    "known_warnings_ignored",
    "pack",
    "quantize_blocks",
    "quantize_model",
    "require_integers",
    "state_dict_megabytes",
    "unpack",
]

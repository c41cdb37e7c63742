"""The routes from a float model to a smaller one, a module for each."""

from smallport.quantize.blocks import QuantizedBlocks, pack, quantize_blocks, unpack
from smallport.quantize.eager import dynamic_int8, ensure_engine, known_warnings_ignored

__all__ = [
    "QuantizedBlocks",
    "dynamic_int8",
    "ensure_engine",
    "known_warnings_ignored",
    "pack",
    "quantize_blocks",
    "unpack",
]

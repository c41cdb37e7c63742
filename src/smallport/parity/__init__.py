"""Run a program and the model that it was exported from, and compare their results."""

from smallport.parity.closeness import Discrepancy, discrepancy, worst_of
from smallport.parity.compare import compare, discrepancies_table
from smallport.parity.decoding import Decoding, compare_decodings, greedy_decode
from smallport.parity.inputs import DynamicShapes, InputShape, copy_inputs, dynamic_shapes
from smallport.parity.names import (
    Inputs,
    NamedTensors,
    cache_argument,
    name_inputs,
    name_outputs,
    name_tensors,
)
from smallport.parity.session import run_session

__all__ = [
    "Decoding",
    "Discrepancy",
    "DynamicShapes",
    "InputShape",
    "Inputs",
    "NamedTensors",
    "cache_argument",
    "compare",
    "compare_decodings",
    "copy_inputs",
    "discrepancies_table",
    "discrepancy",
    "dynamic_shapes",
    "greedy_decode",
    "name_inputs",
    "name_outputs",
    "name_tensors",
    "run_session",
    "worst_of",
]

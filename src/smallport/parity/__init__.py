"""Run a program beside the model that it came from, and compare what they return."""

from smallport.parity.compare import (
    Discrepancy,
    compare,
    discrepancies_table,
    discrepancy,
    worst_of,
)
from smallport.parity.decoding import (
    Decoding,
    compare_decodings,
    empty_cache,
    greedy_decode,
)
from smallport.parity.inputs import DynamicShapes, Inputs, InputShape, copy_inputs
from smallport.parity.names import NamedTensors, name_inputs, name_outputs, name_tensors
from smallport.parity.session import run_session

__all__ = [
    "Decoding",
    "Discrepancy",
    "DynamicShapes",
    "InputShape",
    "Inputs",
    "NamedTensors",
    "compare",
    "compare_decodings",
    "copy_inputs",
    "discrepancies_table",
    "discrepancy",
    "empty_cache",
    "greedy_decode",
    "name_inputs",
    "name_outputs",
    "name_tensors",
    "run_session",
    "worst_of",
]

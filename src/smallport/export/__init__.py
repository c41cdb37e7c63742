"""Compare what an exporter made of a causal language model with the model itself."""

from smallport.export.check import check_export
from smallport.export.compare import (
    Discrepancy,
    compare,
    discrepancies_table,
    discrepancy,
    worst_of,
)
from smallport.export.decoding import (
    Decoding,
    compare_decodings,
    empty_cache,
    greedy_decode,
)
from smallport.export.inputs import (
    DynamicShapes,
    Inputs,
    InputShape,
    copy_inputs,
    make_dynamic_shapes,
    make_inputs,
)
from smallport.export.logs import caught_logs
from smallport.export.names import NamedTensors, name_inputs, name_outputs, name_tensors
from smallport.export.program import code_excerpt, input_shapes
from smallport.export.registry import caches_unregistered, registering_module
from smallport.export.report import STAGES, ExportReport, StageReport
from smallport.export.session import run_session
from smallport.export.tiny_llm import (
    PARAMETERS,
    UntrainedTinyLLM,
    tiny_llm_config,
    untrained_tiny_llm,
    write_checkpoint,
)

__all__ = [
    "PARAMETERS",
    "STAGES",
    "Decoding",
    "Discrepancy",
    "DynamicShapes",
    "ExportReport",
    "InputShape",
    "Inputs",
    "NamedTensors",
    "StageReport",
    "UntrainedTinyLLM",
    "caches_unregistered",
    "caught_logs",
    "check_export",
    "code_excerpt",
    "compare",
    "compare_decodings",
    "copy_inputs",
    "discrepancies_table",
    "discrepancy",
    "empty_cache",
    "greedy_decode",
    "input_shapes",
    "make_dynamic_shapes",
    "make_inputs",
    "name_inputs",
    "name_outputs",
    "name_tensors",
    "registering_module",
    "run_session",
    "tiny_llm_config",
    "untrained_tiny_llm",
    "worst_of",
    "write_checkpoint",
]

"""Compare what an exporter made of a causal language model with the model itself."""

from smallport.export.check import check_export
from smallport.export.excerpt import code_excerpt, input_shapes
from smallport.export.logs import caught_logs
from smallport.export.registry import caches_unregistered, registering_module
from smallport.export.report import STAGES, ExportReport, StageReport

__all__ = [
    "STAGES",
    "ExportReport",
    "StageReport",
    "caches_unregistered",
    "caught_logs",
    "check_export",
    "code_excerpt",
    "input_shapes",
    "registering_module",
]

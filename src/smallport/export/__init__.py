"""Compare the program that an exporter made of a causal language model with the model."""

import importlib
from typing import TYPE_CHECKING

from smallport.export.coverage import Coverage
from smallport.export.explanation import Cause, Why
from smallport.export.logs import caught_logs
from smallport.export.report import (
    ENCODER_STAGES,
    FILE_STAGES,
    STAGES,
    ExportReport,
    Stage,
    StageReport,
)

if TYPE_CHECKING:
    from smallport.export.adapters import RecurrentAdapter
    from smallport.export.check import check_export
    from smallport.export.excerpt import code_excerpt, input_shapes
    from smallport.export.extent import Budget
    from smallport.export.registry import pytree_owner, without_cache_pytrees

__all__ = [
    "ENCODER_STAGES",
    "FILE_STAGES",
    "STAGES",
    "Budget",
    "Cause",
    "Coverage",
    "ExportReport",
    "RecurrentAdapter",
    "Stage",
    "StageReport",
    "Why",
    "caught_logs",
    "check_export",
    "code_excerpt",
    "input_shapes",
    "pytree_owner",
    "without_cache_pytrees",
]

_MODULES = {
    "Budget": "extent",
    "RecurrentAdapter": "adapters",
    "without_cache_pytrees": "registry",
    "check_export": "check",
    "code_excerpt": "excerpt",
    "input_shapes": "excerpt",
    "pytree_owner": "registry",
}
"""The modules of names that need PyTorch or transformers, whose import takes seconds."""


def __getattr__(name: str) -> object:
    """Import the module of a name when it is first used."""
    if name in _MODULES:
        return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

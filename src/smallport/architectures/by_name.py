"""Find the model that somebody names: an architecture, a checkpoint, a name on the hub."""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers  # whose classes are loaded where they are used, which takes seconds
from torch import nn
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from smallport.architectures.tiny import architectures, tiny_model

COPIES = 4
"""The copies of the weights that a check holds: model, reference, ONNX program, ONNX Runtime."""


class ModelError(ValueError):
    """There is no model of a name that can be checked; the message says what to do."""


def model_builder(name: str) -> Callable[[], nn.Module]:
    """Find a model by its name; what is returned builds it in float32 and in evaluation mode.

    The name is a ``model_type`` that transformers registers for causal language modelling, of which
    a tiny untrained model is built; a folder with a checkpoint; or a name on the Hugging Face hub.
    A ModelError says why none of these can be checked.
    """
    if name in architectures():
        return functools.partial(tiny_model, name)
    if Path(name).exists():
        if not (Path(name) / "config.json").is_file():
            raise ModelError(
                f"{name} has no config.json; name a folder that save_pretrained wrote a model to"
            )
    elif not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        close = difflib.get_close_matches(name, architectures())
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise ModelError(
            f"{name!r} is neither a model_type that transformers {transformers.__version__} "
            f"registers for causal language modelling, nor a folder, nor a name on the hub{hint}"
        )
    configuration = _configuration(name)
    _require_memory(name, configuration)
    return functools.partial(_load, name)


def _configuration(name: str) -> transformers.PreTrainedConfig:
    """Read the configuration of a checkpoint, and refuse what transformers has no class for."""
    try:
        entries, _ = transformers.PreTrainedConfig.get_config_dict(name)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{name} has no configuration that can be read: {str(error).splitlines()[0]}"
        ) from error
    model_type = entries.get("model_type", "")
    if model_type not in CONFIG_MAPPING and "auto_map" in entries:
        raise ModelError(
            f"{name} brings code of its own and wants trust_remote_code=True, which this command "
            "refuses; load it in a script of yours, and call smallport.check_export"
        )
    if model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ModelError(
            f"{name} is of the model_type {model_type!r}, which transformers "
            f"{transformers.__version__} does not register for causal language modelling"
        )
    configuration: transformers.PreTrainedConfig = transformers.AutoConfig.from_pretrained(
        name, trust_remote_code=False
    )
    return configuration


def _require_memory(name: str, configuration: transformers.PreTrainedConfig) -> None:
    """Refuse a model that memory does not suffice for, where the system says how much there is."""
    available = available_memory()
    if available is None:
        return
    with torch.device("meta"):
        model = transformers.AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            configuration, trust_remote_code=False
        )
    number = sum(one.numel() for one in model.parameters())
    needed = COPIES * number * torch.float32.itemsize
    if needed > available:
        raise ModelError(
            f"{name} has {number:,} parameters; to check it in float32 takes about "
            f"{needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are available. "
            f"Check its architecture instead: smallport check {configuration.model_type}"
        )


def available_memory() -> int | None:
    """Look up how many bytes of memory are available; None where the system does not say.

    Where only the size of the whole memory is known, that counts.
    """
    table = Path("/proc/meminfo")
    if table.exists():
        found = re.search(r"MemAvailable: +(\d+) kB", table.read_text(encoding="ascii"))
        if found:
            return int(found[1]) * 1024
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _load(name: str) -> nn.Module:
    """Load a checkpoint; a ModelError names weights that would be random or do not fit."""
    loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
        name,
        dtype=torch.float32,
        trust_remote_code=False,
        ignore_mismatched_sizes=True,  # they are told below, with both shapes
        output_loading_info=True,
    )
    model, report = loaded
    if wrong := report["mismatched_keys"]:
        shapes = [
            f"{key} {tuple(found)} instead of {tuple(due)}" for key, found, due in sorted(wrong)
        ]
        raise ModelError(
            f"{len(wrong)} weights of {name} have other shapes than its config.json says: "
            f"{_first(shapes)}"
        )
    if missing := report["missing_keys"]:
        spare = report["unexpected_keys"]
        raise ModelError(
            f"{len(missing)} of the {len(model.state_dict())} weights of "
            f"{type(model).__name__} are not in {name} and would be random: "
            f"{_first(sorted(missing))}"
            + (f". It holds instead: {_first(sorted(spare))}" if spare else "")
        )
    built: nn.Module = model.train(mode=False)
    return built


def _first(names: list[str], most: int = 3) -> str:
    """Write the first of some names, and how many there are more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more

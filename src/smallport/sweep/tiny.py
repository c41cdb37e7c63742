"""A tiny untrained model of every architecture that transformers registers for language modelling."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
import transformers  # whose classes are loaded where they are used, which takes seconds
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from smallport.sweep.rules import AT_MOST, ENTRIES, LAYER_LISTS, LAYERS, SETTINGS, UNBUILDABLE

MOST_PARAMETERS = 5_000_000
"""How many parameters a tiny model has at most."""


class Unbuildable(Exception):  # noqa: N818 - it is a verdict about an architecture
    """There is no tiny model of an architecture; the message says why."""


def architectures() -> tuple[str, ...]:
    """Name every architecture that transformers registers for causal language modelling.

    Returns
    -------
    tuple of str
        The ``model_type`` of each, sorted.

    Examples
    --------
    >>> "llama" in architectures()
    True
    """
    return tuple(sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES))


def tiny_config(model_type: str) -> transformers.PreTrainedConfig:
    """Shrink the default configuration of an architecture by the tables of the rules.

    Parameters
    ----------
    model_type
        One of :func:`architectures`.

    Returns
    -------
    transformers.PreTrainedConfig
        The configuration, nested ones included.

    Raises
    ------
    ValueError
        When transformers registers no such architecture.
    Unbuildable
        When the tables say that no tiny model of it runs.

    Examples
    --------
    >>> configuration = tiny_config("llama")
    >>> configuration.hidden_size, configuration.num_attention_heads
    (64, 4)
    """
    if model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise ValueError(
            f"tiny_config: transformers {transformers.__version__} registers no {model_type!r} for "
            "causal language modelling; smallport.sweep.architectures() lists what it does"
        )
    if model_type in UNBUILDABLE:
        raise Unbuildable(UNBUILDABLE[model_type])
    return _shrunk(CONFIG_MAPPING[model_type], ENTRIES.get(model_type, {}))


def tiny_model(model_type: str, *, seed: int = 0) -> transformers.PreTrainedModel:
    """Build a tiny untrained model of an architecture.

    Parameters
    ----------
    model_type
        One of :func:`architectures`.
    seed
        Of the random weights; the global generator is left alone.

    Returns
    -------
    transformers.PreTrainedModel
        The model, in ``float32`` and in evaluation mode.

    Raises
    ------
    ValueError
        When transformers registers no such architecture.
    Unbuildable
        When the tables say that no tiny model of it runs.

    Examples
    --------
    >>> tiny_model("llama").num_parameters() < MOST_PARAMETERS
    True
    """
    configuration = tiny_config(model_type)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.AutoModelForCausalLM.from_config(configuration, dtype=torch.float32)
    return model.eval()


def _shrunk(
    config_class: type[transformers.PreTrainedConfig], entry: Mapping[str, Any]
) -> transformers.PreTrainedConfig:
    default = config_class(**entry)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config_class):
        value = getattr(default, field.name, None)
        if value is None:
            continue
        if field.name in SETTINGS:
            values[field.name] = SETTINGS[field.name]
        elif field.name in AT_MOST:
            limit = AT_MOST[field.name]
            values[field.name] = min(value, limit) if isinstance(value, int) else limit
    values |= _layers(default)
    for name in config_class.sub_configs:
        nested = getattr(default, name)
        values[name] = _shrunk(type(nested), entry.get(name, {}))
    return config_class(**values | dict(entry))


def _layers(default: transformers.PreTrainedConfig) -> dict[str, Any]:
    """Keep each kind of layer once, and as many layers as that takes."""
    fields = {field.name for field in dataclasses.fields(default)}
    kinds = {
        name: list(dict.fromkeys(getattr(default, name)))
        for name in LAYER_LISTS
        if name in fields and getattr(default, name)
    }
    number = max([LAYERS, *map(len, kinds.values())])
    return {name: (found * number)[:number] for name, found in kinds.items()} | (
        {"num_hidden_layers": number} if kinds and "num_hidden_layers" in fields else {}
    )

"""A tiny untrained model of every architecture that transformers has a language model of."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
import transformers  # whose classes are loaded where they are used, which takes seconds
from torch import nn
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from smallport.architectures.entries import ENTRIES, OUT_OF_SCOPE, UNBUILDABLE
from smallport.architectures.rules import (
    AT_MOST,
    IMPLIED,
    LAYER_LISTS,
    LAYERS,
    SETTINGS,
    TASK_SETTINGS,
)
from smallport.architectures.tasks import CAUSAL, MASKED, SEQ2SEQ, TASKS, split_name

REGISTERED: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        CAUSAL: modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
        MASKED: modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES,
        SEQ2SEQ: modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
    }
)
"""By task, the name of the class that transformers registers for each ``model_type``."""

MOST_PARAMETERS = 5_000_000
"""The largest number of parameters of a tiny model."""


NOISE = 0.1
"""The standard deviation of the noise that is added to weights that would all be equal."""


class Unbuildable(Exception):  # noqa: N818 - it is a verdict about an architecture
    """An architecture has no tiny model; the message says why."""


def architectures(task: str | None = CAUSAL) -> tuple[str, ...]:
    """Name every architecture that transformers registers for a task.

    Parameters
    ----------
    task
        One of ``causal-lm``, ``masked-lm`` or ``seq2seq-lm``; None for all of them.

    Returns
    -------
    tuple of str
        The names, sorted, task by task: the ``model_type``, followed by the task if it is not
        causal language modelling.

    Examples
    --------
    >>> "llama" in architectures()
    True
    >>> "bert:masked-lm" in architectures("masked-lm")
    True
    """
    if task is None:
        return tuple(name for one in TASKS for name in architectures(one))
    suffix = "" if task == CAUSAL else f":{task}"
    return tuple(sorted(f"{model_type}{suffix}" for model_type in REGISTERED[task]))


def out_of_scope(name: str) -> str:
    """Say why an architecture is not checked; empty where it is.

    A class that is registered for two tasks is checked in the one that its inputs are made for.

    Examples
    --------
    >>> out_of_scope("bart:masked-lm")
    'it is the model of bart:seq2seq-lm, which is checked as such'
    """
    model_type, task = split_name(name)
    found = REGISTERED.get(task, {}).get(model_type)
    if task == MASKED and found and REGISTERED[SEQ2SEQ].get(model_type) == found:
        return f"it is the model of {model_type}:{SEQ2SEQ}, which is checked as such"
    return OUT_OF_SCOPE.get(name, "")


def stale_entries() -> tuple[str, ...]:
    """Name the entries of the tables whose architecture transformers does not register.

    Returns
    -------
    tuple of str
        The names, sorted; empty when the tables fit the installed transformers.
    """
    known = {*architectures(None), *(split_name(name)[0] for name in architectures(None))}
    return tuple(sorted({*ENTRIES, *UNBUILDABLE, *OUT_OF_SCOPE} - known))


def tiny_config(name: str) -> transformers.PreTrainedConfig:
    """Shrink the default configuration of an architecture by the tables of the rules.

    Parameters
    ----------
    name
        One of :func:`architectures`, of any task.

    Returns
    -------
    transformers.PreTrainedConfig
        The configuration that the model's class takes: of an architecture that also sees or hears,
        the part for the language model, if its language model is built from that alone.

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
    model_type, task = split_name(name)
    if model_type not in REGISTERED.get(task, {}):
        raise ValueError(
            f"tiny_config: transformers {transformers.__version__} registers no {model_type!r} for "
            f"{TASKS.get(task, task)}; smallport.architectures.tiny.architectures({task!r}) lists "
            "those that it does"
        )
    if reason := out_of_scope(name) or UNBUILDABLE.get(name):
        raise Unbuildable(reason)
    entry = {**ENTRIES.get(model_type, {}), **ENTRIES.get(name, {})}
    configuration = _shrunk(CONFIG_MAPPING[model_type], entry, {**SETTINGS, **TASK_SETTINGS[task]})
    wanted = getattr(transformers, REGISTERED[task][model_type]).config_class
    parts = [getattr(configuration, part) for part in configuration.sub_configs]
    return next((part for part in parts if type(part) is wanted), configuration)


def tiny_model(name: str, *, seed: int = 0) -> transformers.PreTrainedModel:
    """Build a tiny untrained model of an architecture.

    Parameters
    ----------
    name
        One of :func:`architectures`, of any task.
    seed
        The seed of the random weights; the global generator is left alone.

    Returns
    -------
    transformers.PreTrainedModel
        The model, in ``float32`` and in evaluation mode.

    Raises
    ------
    ValueError
        When transformers registers no such architecture.
    Unbuildable
        When the tables say that no tiny model of it runs, or leave it too many parameters.

    Examples
    --------
    >>> tiny_model("llama").num_parameters() < MOST_PARAMETERS
    True
    """
    configuration = tiny_config(name)
    model_type, task = split_name(name)
    model_class = getattr(transformers, REGISTERED[task][model_type])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: transformers.PreTrainedModel = model_class(configuration)
        _vary_constants(model)
    if model.num_parameters() > MOST_PARAMETERS:
        raise Unbuildable(
            f"the rules leave {name} with {model.num_parameters():,} parameters, more than "
            f"{MOST_PARAMETERS:,}; name the fields that make it large in "
            "smallport.architectures.entries"
        )
    model.eval()  # type: ignore[no-untyped-call]
    return model


def _vary_constants(model: nn.Module) -> None:
    """Add noise to rows of weights that begin all alike: biases, norms, the gates of some routers.

    Experts that a gate of zeros rates alike are chosen by chance, as are the keys that a padding
    token of zeros attends to. A bias of zeros that a program leaves out is missed by nobody.
    """
    for weight in model.state_dict().values():
        if weight.is_floating_point() and weight.dim() > 0:
            constant = (weight == weight[..., :1]).all(dim=-1, keepdim=True)
            weight.add_(constant * torch.randn_like(weight), alpha=NOISE)


def _shrunk(
    config_class: type[transformers.PreTrainedConfig],
    entry: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> transformers.PreTrainedConfig:
    """Apply the general rules to the default of each field, and the entry to the result."""
    default = config_class()
    values = _layers(default)
    default.allow_global_per_layer_attribute_access = True
    for name in config_class.__dataclass_fields__:
        value = getattr(default, name, None)
        if value is None or name in values:
            continue  # what is off by default stays off
        values |= IMPLIED.get(name, {})
        if name in settings:
            values[name] = settings[name]
        elif name in AT_MOST:
            limit = AT_MOST[name]
            values[name] = min(value, limit) if isinstance(value, int) else limit
    for name in config_class.sub_configs:
        if (nested := getattr(default, name)) is not None:
            values[name] = _shrunk(type(nested), entry.get(name, {}), settings)
    own = {name: value for name, value in entry.items() if name not in config_class.sub_configs}
    return config_class(**values | own)


def _layers(default: transformers.PreTrainedConfig) -> dict[str, Any]:
    """Keep each kind of layer once, and as many layers as that takes."""
    kinds = {
        name: list(dict.fromkeys(getattr(default, name)))
        for name in LAYER_LISTS
        if name in default.__dataclass_fields__ and getattr(default, name)
    }
    number = max([LAYERS, *map(len, kinds.values())])
    values: dict[str, Any] = {name: (found * number)[:number] for name, found in kinds.items()}
    if kinds and "num_hidden_layers" in default.__dataclass_fields__:
        values["num_hidden_layers"] = number
    return values

"""Find a model by its name: an architecture, a checkpoint or a name on the hub."""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers  # whose classes are loaded where they are used, which takes seconds
from torch import nn
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from smallport.architectures.checkpoint_tasks import Loader, loader_of
from smallport.architectures.tasks import split_name
from smallport.architectures.tiny import architectures, out_of_scope, tiny_model
from smallport.parity.names import first_of

KINDS = {
    "SEQ_TO_SEQ_CAUSAL_LM": "a sequence-to-sequence model",
    "SPEECH_SEQ_2_SEQ": "a speech model",
    "AUDIO_CLASSIFICATION": "an audio model",
    "CTC": "an audio model",
    "MASKED_LM": "an encoder",
    "TEXT_ENCODING": "an encoder",
    "IMAGE": "an image model",
    "IMAGE_CLASSIFICATION": "an image model",
}
"""The kinds of models that transformers registers for other tasks; the first that fits counts."""

HUB = "hub://"
"""The prefix of repositories on the Hugging Face hub; no other name is sent there."""

WORD = r"[\w-][\w.-]*"

COPIES = 4
"""The copies of the weights that a check holds: model, reference, ONNX program, ONNX Runtime."""

LAYER_BYTES = 100_000
"""The memory that the modules of a layer take in the copies that are modules, weights aside."""

LAYERS = re.compile(r"(num_|n_)?(hidden_|encoder_|decoder_)?layers?")
"""The keys by which configurations say how many layers there are."""

LONGEST = 300
"""The most characters of a message of transformers."""

MOST_LAYERS = 200
"""The largest number of layers that are built to count parameters, a few milliseconds each."""

FEW_LAYERS = (8, 16)
"""The numbers of layers that a larger model is estimated from: layers differ in periods up to 8."""


class ModelError(ValueError):
    """No model of the given name can be checked; the message says why."""


def model_builder(name: str) -> Callable[[], nn.Module]:
    """Find a model by its name, and return a function that builds it in float32, for evaluation.

    The name is that of an architecture, as in :mod:`smallport.architectures.tasks`, of which a tiny
    untrained model is built; a folder with a checkpoint; or, after ``hub://``, a repository
    on the Hugging Face hub. A ModelError says why none of these can be checked.
    """
    if name in architectures(None):
        if reason := out_of_scope(name):
            raise ModelError(f"{name} is not checked: {reason}")
        return functools.partial(tiny_model, name)
    if name.startswith(HUB):
        place = name.removeprefix(HUB)
        if not re.fullmatch(rf"({WORD}/)?{WORD}", place):
            raise ModelError(f"{name} is no name on the hub; write {HUB}OWNER/NAME")
    else:
        place = name
        _require_folder(name)
    entries = _entries(name, place)
    _require_memory(name, entries)
    return functools.partial(_load, name, place, loader_of(entries))


def absolute_name(name: str) -> str:
    """Write the name of a model so that it means the same in every folder."""
    folder = name not in architectures(None) and not name.startswith(HUB)
    return str(Path(name).resolve()) if folder else name


def _require_folder(name: str) -> None:
    """Reject a path that is not a folder with a configuration."""
    folder = Path(name)
    if (folder / "config.json").is_file():
        return
    if folder.is_dir():
        raise ModelError(
            f"{name} has no config.json; name a folder that save_pretrained wrote a model to"
        )
    if folder.exists():
        raise ModelError(f"{name} is a file; name the folder that save_pretrained wrote a model to")
    if "/" not in name:
        known = architectures(None)
        close = [one for one in known if split_name(one)[0] == name]
        close = close or difflib.get_close_matches(name, known)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise ModelError(
            f"{name!r} is neither a folder nor a model_type that transformers "
            f"{transformers.__version__} registers for causal language modelling{hint}"
        )
    hint = f"; for a repository on the Hugging Face hub, write {HUB}{name}"
    raise ModelError(
        f"there is no folder {name}" + (hint if re.fullmatch(f"{WORD}/{WORD}", name) else "")
    )


def _entries(name: str, place: str) -> dict[str, Any]:
    """Read the configuration of a checkpoint, and reject it if transformers has no class for it."""
    with _told_in_a_line(f"{name} has no configuration that can be read"):
        entries, _ = transformers.PreTrainedConfig.get_config_dict(place)
        if not isinstance(entries, dict):
            raise TypeError(f"config.json should hold an object, not {entries!r:.60}")
        model_type = entries.get("model_type", "")
        if not isinstance(model_type, str):
            raise TypeError(f"model_type should be a name, not {model_type!r:.60}")
    if model_type not in CONFIG_MAPPING and "auto_map" in entries:
        raise ModelError(
            f"{name} has its own code (trust_remote_code=True), and this command never runs code "
            "of a checkpoint; load it in a script, and call smallport.check_export"
        )
    loader = loader_of(entries)
    if model_type not in loader.classes:
        kinds = (kind for task, kind in KINDS.items() if model_type in _registered(task))
        raise ModelError(
            f"{name} is of the model_type {model_type!r}, {next(kinds, 'a kind of model')} that "
            f"transformers {transformers.__version__} does not register for {loader.words}. This "
            "command checks models of texts, by the first of architectures in config.json; for "
            "images and sound, smallport.parity.compare compares a model with what was exported "
            "from it"
        )
    return entries


def _registered(task: str) -> Mapping[str, Any]:
    """List the model_types that transformers registers for a task, which a release may rename."""
    registered: Mapping[str, Any] = getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES", {})
    return registered


@contextmanager
def _told_in_a_line(problem: str) -> Iterator[None]:
    """Turn any error of a configuration into a ModelError of one line."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())
        if not isinstance(error, OSError):
            reason = f"{type(error).__name__}: {reason}"
        cut = f"{reason[:LONGEST]} ..." if len(reason) > LONGEST else reason
        raise ModelError(f"{problem}: {cut}") from error


def _require_memory(name: str, entries: dict[str, Any]) -> None:
    """Reject a model that does not fit into memory, if the system says how much there is."""
    with _told_in_a_line(f"no model can be built from the configuration of {name}"):
        number = count_parameters(entries)
    layers = sum(number for _, number in _layers(entries))
    needed = COPIES * number * torch.float32.itemsize + layers * LAYER_BYTES
    available = available_memory()
    if available is not None and needed > available:
        raise ModelError(
            f"{name} has {number:,} parameters in {layers:,} layers; to check it in float32 takes "
            f"about {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB are available. "
            f"Check its architecture instead: smallport check {entries['model_type']}"
        )


def count_parameters(entries: dict[str, Any]) -> int:
    """Count the parameters of the model that a configuration describes, which is not built.

    Where it has more layers than ``MOST_LAYERS``, this is an estimate from models of a few layers.
    """
    many = {path: number for path, number in _layers(entries) if number > MOST_LAYERS}
    if not many:
        return _parameters_on_meta(entries)
    few, more = FEW_LAYERS

    def parameters(numbers: dict[Any, int]) -> int:
        reduced = entries
        for path, number in numbers.items():
            reduced = _with_layers(reduced, path, number)
        return _parameters_on_meta(reduced)

    fewest = dict.fromkeys(many, few)
    total = least = parameters(fewest)
    for path, number in many.items():
        added = parameters(fewest | {path: more}) - least
        total += added * (number - few) // (more - few)
    return total


def _layers(entries: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[Any, int]]:
    """List the numbers of layers in a configuration and those inside it, by the path of keys."""
    for key, value in entries.items():
        if isinstance(value, dict):
            yield from _layers(value, (*path, key))
        elif LAYERS.fullmatch(key) and isinstance(value, int):
            if value < 1:
                raise ValueError(f"{key} is {value}, and should be at least 1")
            yield (*path, key), value


def _with_layers(entries: dict[str, Any], path: tuple[str, ...], number: int) -> dict[str, Any]:
    """Change one number of layers, and cut the lists that have an entry for each layer."""
    key, *rest = path
    if rest:
        return entries | {key: _with_layers(entries[key], tuple(rest), number)}
    before = entries[key]
    lists = {
        name: value[:number]
        for name, value in entries.items()
        if isinstance(value, list) and len(value) == before
    }
    return entries | lists | {key: number}


def _parameters_on_meta(entries: dict[str, Any]) -> int:
    """Count the parameters of a model that is built without memory for them."""
    configuration = CONFIG_MAPPING[entries["model_type"]].from_dict(dict(entries))
    with torch.device("meta"):
        model = loader_of(entries).loads.from_config(configuration, trust_remote_code=False)
    return sum(one.numel() for one in model.parameters())


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


def _load(name: str, place: str, loader: Loader) -> nn.Module:
    """Load a checkpoint; a ModelError names weights that would be random or do not fit."""
    loaded: Any = loader.loads.from_pretrained(
        place,
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
            f"{first_of(shapes)}"
        )
    if missing := report["missing_keys"]:
        spare = report["unexpected_keys"]
        raise ModelError(
            f"{len(missing)} of the {len(model.state_dict())} weights of "
            f"{type(model).__name__} are not in {name} and would be random: "
            f"{first_of(sorted(missing))}"
            + (f". It holds instead: {first_of(sorted(spare))}" if spare else "")
        )
    built: nn.Module = model.train(mode=False)
    return built

"""Take a tiny Llama through one route of the grid, in a separate process: ``ROUTE FILE``.

The outcome is written as JSON. Whatever the route raises is an outcome; where none can be written,
the exit status is not 0.
"""

from __future__ import annotations

import importlib
import math
import resource
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from smallport.files import write_json
from smallport.sweep.limits import exit_when_parent_dies

if TYPE_CHECKING:
    from smallport.parity import Discrepancy, Inputs, InputShape
    from smallport.tiny_llm import UntrainedTinyLLM

MATCHES, EXPORTED, REJECTED, NO_IMPORT = OUTCOMES = (
    "matches",
    "exported",
    "rejected",
    "cannot be imported",
)
"""The outcomes, the best first."""

SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "vocab_size": 300,
}
EXPORT_SHAPE = 2, 30, 3
"""Batch size, tokens in the cache and new tokens of the inputs that programs are exported with."""

TEST_SHAPES = (
    (3, 7, 5),
    (4, 2, 3),
    (2, 200, 20),
    (3, 12, 2, 5),  # five of them padding
    (1, 30, 3),
    (2, 30, 1),
    (1, 64, 1),
)
"""The sizes of the calls that are compared, none of which the export saw."""

LAST_LINES = 12
"""The number of lines of a traceback that are stored."""

Program = Callable[..., Any]
Export = Callable[["UntrainedTinyLLM"], AbstractContextManager[Program]]
"""Exports a model. The program runs within the block."""


class Route(NamedTuple):
    """A way to export a model that has a cache.

    Parameters
    ----------
    packages
        The packages that it needs besides torch and transformers.
    prepare
        Imports what it needs.
    """

    packages: tuple[str, ...]
    prepare: Callable[[], Export]


def plain() -> Export:
    """Call ``torch.export.export``, and nothing else."""
    import torch  # noqa: PLC0415 - an import that fails is an outcome

    @contextmanager
    def export(tiny: UntrainedTinyLLM) -> Iterator[Program]:
        from smallport.parity import copy_inputs  # noqa: PLC0415

        inputs = copy_inputs(tiny.inputs)
        shapes = tiny.dynamic_shapes
        yield torch.export.export(tiny.model, (), inputs, dynamic_shapes=shapes).module()

    return export


def by_hand() -> Export:
    """Register the cache as a pytree node, then call ``torch.export.export``."""
    from torch.utils import _pytree as pytree  # noqa: PLC0415
    from transformers import DynamicCache  # noqa: PLC0415

    def flatten(cache: Any) -> tuple[list[Any], None]:
        return [part for layer in cache.layers for part in (layer.keys, layer.values)], None

    def flatten_with_names(cache: Any) -> tuple[list[Any], None]:
        return [(pytree.SequenceKey(at), one) for at, one in enumerate(flatten(cache)[0])], None

    def unflatten(tensors: Any, _: None) -> DynamicCache:
        cache, tensors = DynamicCache(), list(tensors)
        for layer, (keys, values) in enumerate(zip(tensors[::2], tensors[1::2], strict=True)):
            cache.update(keys, values, layer)
        return cache

    export = plain()

    def register_and_export(tiny: UntrainedTinyLLM) -> AbstractContextManager[Program]:
        pytree.register_pytree_node(
            DynamicCache,
            flatten,
            unflatten,
            serialized_type_name="transformers.DynamicCache",
            flatten_with_keys_fn=flatten_with_names,
        )
        return export(tiny)

    return register_and_export


def patched() -> Export:
    """Call ``torch.export.export`` within all patches of onnx-diagnostic."""
    from onnx_diagnostic.torch_export_patches import torch_export_patches  # noqa: PLC0415

    export = plain()

    @contextmanager
    def within_patches(tiny: UntrainedTinyLLM) -> Iterator[Program]:
        with torch_export_patches(patch_transformers=True), export(tiny) as program:
            yield program

    return within_patches


def patched_without_transformers() -> Export:
    """Do the same without the patches of transformers; only its caches are registered."""
    from onnx_diagnostic.torch_export_patches import (  # noqa: PLC0415
        register_additional_serialization_functions,
        torch_export_patches,
    )

    export = plain()

    @contextmanager
    def within_patches(tiny: UntrainedTinyLLM) -> Iterator[Program]:
        with (
            torch_export_patches(patch_transformers=False),
            register_additional_serialization_functions(patch_transformers=True),
            export(tiny) as program,
        ):
            yield program

    return within_patches


def exporters() -> Export:
    """Call the exporter that comes with transformers."""
    from transformers.exporters.configs import DynamoConfig  # noqa: PLC0415
    from transformers.exporters.exporter_dynamo import DynamoExporter  # noqa: PLC0415

    @contextmanager
    def export(tiny: UntrainedTinyLLM) -> Iterator[Program]:
        from smallport.parity import copy_inputs  # noqa: PLC0415

        config = DynamoConfig(dynamic=True, dynamic_shapes=tiny.dynamic_shapes)
        exporter: Any = DynamoExporter()  # type: ignore[no-untyped-call]
        exported = exporter.export(tiny.model, copy_inputs(tiny.inputs), config=config)
        yield getattr(exported, "program", exported).module()

    return export


# onnx-diagnostic declares no requirements.
PATCHES = "onnx-diagnostic", "onnx", "onnxruntime", "onnxscript", "optree", "scipy"
ROUTES = {
    "plain torch.export": Route((), plain),
    "cache registered by hand": Route((), by_hand),
    "onnx-diagnostic's patches": Route(PATCHES, patched),
    "onnx-diagnostic, patch_transformers=False": Route(PATCHES, patched_without_transformers),
    "transformers' exporters": Route((), exporters),
}


@dataclass(frozen=True)
class Outcome:
    """The outcome of a route.

    Parameters
    ----------
    outcome
        One of ``OUTCOMES``.
    found
        The finding, in a sentence or the first line of an error; empty where everything matches.
    traceback
        The end of the error's traceback.
    shapes, tensors
        How many shapes and tensors were compared, all shapes together.
    largest
        The largest relative difference; None where nothing was compared or it is not finite.
    cpu
        Seconds of processor time.
    versions
        The packages that were imported or that the route needs, with their versions.
    """

    outcome: str
    found: str = ""
    traceback: str = ""
    shapes: int = 0
    tensors: int = 0
    largest: float | None = None
    cpu: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)


def judge(route: Route) -> Outcome:
    """Export a tiny Llama by a route, and compare the program with a model of its own."""
    try:
        from smallport.parity import InputShape, compare, name_outputs  # noqa: PLC0415
        from smallport.tiny_llm import make_inputs, untrained_tiny_llm  # noqa: PLC0415

        importlib.import_module("transformers").LlamaForCausalLM  # noqa: B018 - loaded when used
        export = route.prepare()
    except Exception as error:  # noqa: BLE001 - whatever stops an import
        return failed(NO_IMPORT, error)
    export_shape = InputShape(*EXPORT_SHAPE)
    tiny = untrained_tiny_llm(export_shape, **SIZES)
    reference = untrained_tiny_llm(export_shape, **SIZES).model  # it shares no weights

    def inputs(shape: InputShape) -> Inputs:
        return make_inputs(tiny.configuration, shape, seed=1)

    # Before anything is patched that the model itself calls.
    shapes = [InputShape(*sizes) for sizes in TEST_SHAPES]
    with importlib.import_module("torch").no_grad():
        eager = {shape: name_outputs(reference(**inputs(shape))) for shape in shapes}
    errors: dict[InputShape, Exception] = {}
    found: dict[InputShape, Discrepancy] = {}
    try:
        with export(tiny) as program:
            for shape in shapes:
                found |= compare(
                    lambda _of=eager[shape], **_: _of,
                    lambda arguments: program(**arguments),
                    [shape],
                    make_inputs=inputs,
                    errors=errors,
                )
    except Exception as error:  # noqa: BLE001 - whatever the export raises
        return failed(REJECTED, error)
    return compared(found, errors)


def compared(
    found: Mapping[InputShape, Discrepancy], errors: Mapping[InputShape, Exception]
) -> Outcome:
    """Say whether a program matches, where it differs, or which shapes it rejects."""
    from smallport.parity import worst_of  # noqa: PLC0415

    counts: dict[str, Any] = {
        "shapes": len(found),
        "tensors": sum(len(one.by_tensor) for one in found.values()),
    }
    if found:
        worst = worst_of(found.values())
        counts["largest"] = worst.relative if math.isfinite(worst.relative) else None
        if not worst.tolerable:
            return Outcome(EXPORTED, f"differs: {worst.where or worst.worst()}", **counts)
    for shape, error in errors.items():
        rejects = f"rejects {len(errors)} of {len(errors) + len(found)} shapes, such as {shape}"
        return replace(failed(EXPORTED, error, f"{rejects}: "), **counts)
    return Outcome(MATCHES, **counts)


def failed(outcome: str, error: Exception, where: str = "") -> Outcome:
    """Describe an error by its first line and the end of its traceback."""
    lines = without_folders(str(error)).strip().splitlines() or [""]
    trace = without_folders("".join(traceback.format_exception(error))).splitlines()
    says = f"{where}{type(error).__name__}{lines[0] and ': '}{lines[0]}"
    return Outcome(outcome, says, "\n".join(trace[-LAST_LINES:]))


def without_folders(text: str) -> str:
    """Leave out where this machine has its packages."""
    for folder in sorted(filter(None, sys.path), key=len, reverse=True):
        text = text.replace(f"{folder}/", "")
    return text


def found_versions(route: Route) -> dict[str, str]:
    """Look up the versions of what a route needs, as this process finds them."""
    versions = {}
    for name in ("torch", "transformers", *route.packages):
        try:
            versions[name] = version(name).partition("+")[0]
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def main(arguments: Sequence[str]) -> None:
    """Take the route that the command line names, and write the outcome."""
    name, file = arguments
    exit_when_parent_dies()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    outcome = judge(ROUTES[name])
    used = resource.getrusage(resource.RUSAGE_SELF)
    about = {
        "cpu": round(used.ru_utime + used.ru_stime, 1),
        "versions": found_versions(ROUTES[name]),
    }
    write_json(Path(file), asdict(outcome) | about)


if __name__ == "__main__":
    main(sys.argv[1:])

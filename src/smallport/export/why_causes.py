"""The usual causes of wrong numbers, each with an experiment that can say no."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from smallport.export.explanation import Cause
from smallport.export.under_test import EXPORT_SHAPE
from smallport.export.why_attention import causes_in_attention, numbers_in
from smallport.export.why_case import Case, Origin, Untested
from smallport.parity.inputs import InputShape, copy_inputs
from smallport.parity.names import first_of, name_outputs, name_tensors

CHOICES = ("topk", "sort", "argsort", "argmax", "argmin", "max", "min")
"""The operators that choose places."""

LENGTH = "a branch fixed on a length"

HALVES = (torch.float16, torch.bfloat16)


def output_order(origin: Origin) -> Cause | None:
    """Look whether each wrong tensor is right under another name."""
    case = origin.case
    swapped = {}
    for name, tensor in case.actual.items():
        if name not in case.expected or case.agree({"": case.expected[name]}, {"": tensor}):
            continue
        found = [
            other
            for other, one in case.expected.items()
            if other != name and one.shape == tensor.shape and case.agree({"": one}, {"": tensor})
        ]
        if not found:
            return None
        swapped[name] = found[0]
    if not swapped:
        return None
    pairs = [f"{name} is the model's {other}" for name, other in swapped.items()]
    return Cause("output order", first_of(pairs), "tensors-mixed-up")


def one_text_for_all(origin: Origin) -> Cause | None:
    """Look whether the model computes the same if all texts have the cache of the first."""
    case = origin.case
    cache = case.under_test.cache
    if not cache or len(case.inputs["input_ids"]) == 1:
        return None
    changed = copy_inputs(case.inputs)
    tensors = list(name_tensors(changed[cache]).values())
    if not any(one.numel() for one in tensors):
        return None
    for tensor in tensors:
        if tensor.dim() > 1:
            tensor.copy_(tensor[:1].expand_as(tensor).clone())
    if not case.explains(lambda: case.under_test.call(**changed)):
        return None
    return Cause(
        "one cache for all texts",
        "the model computes the same if every text of the batch has the cache of the first",
        "tensors-mixed-up",
    )


def positions(origin: Origin) -> Cause | None:
    """Look whether the model computes the same at positions that are shifted."""
    case = origin.case
    if (given := case.inputs.get("position_ids")) is None:
        return None
    past = case.under_test.shape_of(case.inputs).cache_length
    for shift in (1, -1, -past):
        if shift and case.model_with(position_ids=(given + shift).clamp(min=0)):
            said = "begin at 0 in each call" if shift == -past else f"are shifted by {shift:+d}"
            return Cause(
                "positions", f"the model computes the same if they {said}", "positions-differ"
            )
    return None


def equal_scores(origin: Origin) -> Cause | None:
    """Look whether the same values are chosen, at other places."""
    origin.inside()
    for pair in origin.of(*CHOICES):
        tensors = [one for one in pair.model.inputs if isinstance(one, Tensor)]
        given = [one for one in pair.program.inputs if isinstance(one, Tensor)]
        places = [one for one in pair.model.outputs if not one.is_floating_point()]
        others = [one for one in pair.program.outputs if not one.is_floating_point()]
        if not (tensors and given and places and others):
            continue
        scores, place, other = tensors[0], places[0], others[0]
        axis = _axis(scores, place)
        if axis is None or other.shape != place.shape or not origin.case.equal(scores, given[0]):
            continue
        if place.dim() < scores.dim():
            place, other = place.unsqueeze(axis), other.unsqueeze(axis)
        values = [
            scores.gather(axis, one.clamp(0, scores.shape[axis] - 1)).sort(axis).values
            for one in (place.long(), other.long())
        ]
        moved = (place.sort(axis).values != other.sort(axis).values).any(axis)
        if bool(moved.any()) and torch.equal(*values):
            return Cause(
                "equal scores",
                f"{pair.model.name} chooses other places in {int(moved.sum())} of {moved.numel()} "
                "rows, with exactly the same scores",
                "equal-scores",
            )
    return None


def _axis(scores: Tensor, places: Tensor) -> int | None:
    """Find the axis along which places were chosen."""
    if places.dim() == scores.dim():
        changed = [
            axis
            for axis, (one, other) in enumerate(zip(scores.shape, places.shape, strict=True))
            if one != other
        ]
        return changed[0] if len(changed) == 1 else scores.dim() - 1
    if places.dim() == scores.dim() - 1 and places.shape == scores.shape[:-1]:
        return scores.dim() - 1
    return None


def half_precision(origin: Origin) -> Cause | None:
    """Look whether the program computes a part in half precision, and is right without."""
    case = origin.case
    module = origin.inside().module
    theirs, ours = (
        {one.dtype for operator in trace.within(module) for one in operator.outputs}
        for trace in (origin.program, origin.model)
    )
    types = [one for one in HALVES if one in theirs - ours]
    if not types:
        return None
    widened = case.run_in_float32(copy_inputs(case.inputs))
    if not case.agree(case.expected, name_outputs(widened)):
        return None
    dtype = str(types[0]).removeprefix("torch.")
    return Cause(
        "half precision",
        f"the program computes in {dtype}, and agrees with the model if it computes in float32",
        "half-precision",
    )


def module_skipped(origin: Origin) -> Cause | None:
    """Look whether the model computes the same without a module: by nothing, or by its input."""
    path, model = origin.inside().module, origin.case.under_test.model
    assert isinstance(model, nn.Module)
    while path:
        for said, change in (
            ("returned its input", _input_of),
            ("returned zeros", lambda _, outputs: outputs * 0),
        ):
            if _explained_by_hook(origin.case, model.get_submodule(path), change):
                return Cause(
                    "module skipped",
                    f"the model computes the same if {path} {said}",
                    "code-differs",
                )
        path = path.rpartition(".")[0]
    return None


def _input_of(inputs: tuple[Tensor, ...], outputs: Tensor) -> Tensor:
    return next(one for one in inputs if one.shape == outputs.shape)


def _explained_by_hook(
    case: Case, module: nn.Module, change: Callable[[Any, Tensor], Tensor]
) -> bool:
    """Say whether the model computes the program's result if a module returns something else."""

    def hook(_: nn.Module, args: Any, options: Any, outputs: Any) -> Any:
        inputs = [one for one in (*args, *options.values()) if isinstance(one, Tensor)]
        if isinstance(outputs, Tensor):
            return change(tuple(inputs), outputs)
        return (change(tuple(inputs), outputs[0]), *outputs[1:])

    handle = module.register_forward_hook(hook, with_kwargs=True)
    try:
        return case.model_with()
    finally:
        handle.remove()


def constant(origin: Origin) -> Cause | None:
    """Look whether the first operator computes the program's result with the program's number."""
    origin.inside()
    if not (pair := origin.first) or pair.model.repeat is None:
        return None
    ours, theirs = numbers_in(pair.model.inputs), numbers_in(pair.program.inputs)
    tensors = [one for one in pair.model.inputs if isinstance(one, Tensor)]
    for number in theirs:
        if number in ours or not ours or not tensors:
            continue
        for replaced in ours:
            arguments = [number if one is replaced else one for one in pair.model.inputs]
            try:
                result = pair.model.repeat(*arguments)
            except Exception:  # noqa: BLE001, S112 - the arguments are not those of a call
                continue
            if isinstance(result, Tensor) and origin.case.equal(result, pair.program.outputs[0]):
                return Cause(
                    "a different number",
                    f"{pair.model.name} has {number:g} in the program and {replaced:g} in the "
                    "model, and computes the same with it",
                    "code-differs",
                )
    return None


def branch_on_length(origin: Origin) -> Cause | None:
    """Export the model for exactly these sizes, and look whether that program is right."""
    case = origin.case
    under_test = case.under_test
    usual, here = under_test.export_shape, under_test.shape_of(case.inputs)
    if not _right_at(case, usual):
        return None
    try:
        again = case.export_again(case.inputs)
        result = name_outputs(again(copy_inputs(case.inputs)))
    except Untested:
        raise
    except Exception:  # noqa: BLE001 - the experiment says nothing
        return None
    if not case.agree(case.expected, result):
        return None
    sizes = _healing(case, here)
    said = f", and the first one is right with {sizes}" if sizes else ""
    return Cause(
        LENGTH,
        f"a program that is exported again for exactly {here} is right there{said}",
        "branch-on-length",
    )


def has_assumed_size(case: Case) -> bool:
    """Say whether a size is 0 or 1, of which an export assumes without a check that none is."""
    shape = case.under_test.shape_of(case.inputs)
    return min(shape.batch_size, shape.new_tokens, shape.cache_length) <= 1


def _right_at(case: Case, shape: InputShape) -> bool:
    """Say whether the program is right at another shape."""
    inputs = case.under_test.make_inputs(shape, seed=7)
    other = replace(case, inputs=inputs)
    try:
        return other.agree(case.under_test.run(inputs), name_outputs(case.run(copy_inputs(inputs))))
    except Exception:  # noqa: BLE001 - a program that rejects a shape is not right there
        return False


def _healing(case: Case, here: InputShape) -> str:
    """Name a size that has to change for the program to be right."""
    mask = case.inputs.get("attention_mask")
    padding = 0 if mask is None else int((mask[0] == 0).sum())
    here = replace(here, padding=padding)
    changes = (
        ("cache_length", EXPORT_SHAPE.cache_length, "tokens in the cache"),
        ("new_tokens", EXPORT_SHAPE.new_tokens, "new tokens"),
        ("batch_size", EXPORT_SHAPE.batch_size, "texts"),
    )
    if _right_at(case, here):
        return ""  # which depends on the text, too
    for name, size, said in changes:
        if getattr(here, name) != size and _right_at(case, replace(here, **{name: size})):
            return f"{size} {said} instead of {getattr(here, name)}"
    return ""


CAUSES: dict[str, Callable[[Origin], Cause | None]] = {
    "output order": output_order,
    "masks, their alignment and windows, fully masked rows": causes_in_attention,
    "equal scores": equal_scores,
    "one cache for all texts": one_text_for_all,
    "positions": positions,
    "half precision": half_precision,
    "module skipped": module_skipped,
    "a different number": constant,
    LENGTH: branch_on_length,
}
"""The experiments by the names of their causes, in their order: the first yes counts.

The last one is the cause of another one, if both say yes.
"""

"""Find out where a program that failed a comparison begins to differ from its model, and why."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

from torch import nn

from smallport.export.comparisons import decode_both, decoding_inputs
from smallport.export.explainable import Explainable
from smallport.export.explanation import Cause, Why
from smallport.export.recipes import error_text
from smallport.export.under_test import MINIMAL_SHAPES
from smallport.export.why_case import Case, Origin, Untested, find_origin
from smallport.export.why_causes import CAUSES, LENGTH, has_assumed_size
from smallport.parity.inputs import InputShape, copy_inputs
from smallport.parity.names import Inputs, name_outputs
from smallport.parity.tracing import Trace, trace_model

IN_ONNX = "ONNX Runtime matches"
"""The stage that compares an ONNX file in every way."""

NOT_FOUND = "no single call differs by more than rounding, as far as the search can tell"


def explain(check: Explainable, stage: str) -> Why:
    """Find where the difference of a check that failed begins, and test the usual causes there.

    Parameters
    ----------
    check
        The check, right after a comparison failed by its numbers.
    stage
        The stage of the comparison.
    """
    begin = time.perf_counter()
    place = "its inputs"
    if check.unsearched:
        return Why(place, remark=check.unsearched)
    try:
        failing = next(_failing(check, stage), None)
        why = _explain(check, *failing) if failing else Why(place, remark=NOT_FOUND)
    except Exception as error:  # noqa: BLE001 - the result of the check counts, explained or not
        why = Why(place, remark=f"the search failed ({error_text(error)})")
    return replace(why, seconds=time.perf_counter() - begin)


def _explain(check: Explainable, place: str, case: Case) -> Why:
    """Find the module and the operator, and test the causes there."""
    origin, remark = _origin(check, case)
    tried: list[str] = []
    causes: list[Cause] = []
    for name, experiment in CAUSES.items():
        if causes and not (name == LENGTH and has_assumed_size(case)):
            continue
        try:
            cause = experiment(origin)
        except Untested:
            continue
        if cause:
            causes.insert(0, cause)
        else:
            tried.append(name)
    module, first = origin.module, origin.first
    return Why(
        place,
        module.module if module else "",
        module.kind if module else "",
        first.model.name if first else "",
        origin.difference,
        tuple(causes),
        tuple(tried),
        remark=remark,
    )


def _origin(check: Explainable, case: Case) -> tuple[Origin, str]:
    """Trace model and program side by side; say why where that is not possible."""
    under_test = case.under_test
    copied, model = copy_inputs(case.inputs), under_test.model
    assert isinstance(model, nn.Module)
    ours = trace_model(model, lambda: under_test.call(**copied))
    try:
        theirs = check.trace_last(copy_inputs(case.inputs))
    except Exception as error:  # noqa: BLE001 - files of other tools need not tell
        said = (str(error).splitlines() or [""])[0]
        remark = f"the program cannot be traced ({type(error).__name__}: {said})"
        return Origin(case, ours, Trace(())), remark
    if not any(one.module for one in theirs.operators):
        remark = "the program does not say which module its operators come from"
        return Origin(case, ours, theirs), remark
    origin = find_origin(case, ours, theirs)
    return origin, "" if origin.first else origin.unmatched()


def _failing(check: Explainable, stage: str) -> Iterator[tuple[str, Case]]:
    """Find calls at which the program differs, those without padding and short ones first."""
    under_test = check.under_test
    numbered: list[tuple[int, InputShape]] = []
    if stage in ("matches", IN_ONNX):
        numbered += enumerate(check.shapes(), 1)
    if stage in ("stays dynamic", IN_ONNX):
        minimal = map(under_test.clamp, MINIMAL_SHAPES)
        numbered += [(1, shape) for shape in minimal if under_test.takes(shape)]

    def cost(numbered: tuple[int, InputShape]) -> tuple[bool, int]:
        shape = numbered[1]
        length = shape.cache_length + shape.new_tokens
        return shape.padding > 0, shape.batch_size * length

    for seed, shape in sorted(numbered, key=cost):
        inputs = under_test.make_inputs(shape, seed=seed)
        if case := _case(check, inputs):
            yield str(shape), case
    if stage not in ("decodes", IN_ONNX):
        return
    try:
        expected, _ = decode_both(replace(under_test, windows={}), check.run_last)
    except Exception:  # noqa: BLE001 - a program that rejects a step does not differ in it
        return
    for step in range(len(expected.steps)):
        if case := _case(check, decoding_inputs(under_test, expected, step)):
            yield f"step {step} of decoding", case


def _case(check: Explainable, inputs: Inputs) -> Case | None:
    """Run both on some inputs; None where they agree, or where the program rejects them."""
    under_test = check.under_test
    try:
        actual = name_outputs(check.run_last(copy_inputs(inputs)))
    except Exception:  # noqa: BLE001 - the report says it already
        return None
    case = Case(
        under_test,
        check.run_last,
        inputs,
        under_test.run(inputs),
        actual,
        check.export_again,
        check.run_in_float32,
    )
    return None if case.agree(case.expected, actual) else case

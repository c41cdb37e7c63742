"""One call at which a program differs from its model, and where in the model that begins."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from smallport.export.under_test import ModelUnderTest
from smallport.parity.closeness import discrepancy
from smallport.parity.compare import without_padding
from smallport.parity.inputs import copy_inputs
from smallport.parity.names import Inputs, NamedTensors, first_of, name_outputs
from smallport.parity.tracing import ModuleResult, Operator, Trace

IN_HALF = 16
"""The tolerance of a model in half precision, in multiples of the distance of its numbers."""

LAYOUT = {
    *("alias", "clone", "contiguous", "detach", "expand", "getitem", "lift_fresh_copy"),
    *("permute", "select", "slice", "squeeze", "to", "transpose", "unsqueeze", "view"),
}
"""Operators that change no number, which programs have more of."""

Run = Callable[[Inputs], Any]


class Untested(Exception):  # noqa: N818 - it is no verdict
    """The experiment on a cause is not possible here, so nothing is known of it."""


@dataclass(frozen=True, eq=False)
class Case:
    """One call at which a program differs from its model.

    Parameters
    ----------
    under_test
        The model.
    run
        Runs the program.
    inputs
        The inputs of the call.
    expected, actual
        The results of the model and of the program.
    export_again
        Exports the model for inputs of only these sizes, and returns what runs the program; or
        raises :class:`Untested`, as ``run_in_float32`` may.
    run_in_float32
        Runs the program without half precision.
    """

    under_test: ModelUnderTest
    run: Run
    inputs: Inputs
    expected: NamedTensors
    actual: NamedTensors
    export_again: Callable[[Inputs], Run]
    run_in_float32: Run

    @property
    def tolerance(self) -> float:
        """The largest relative difference that counts as rounding."""
        if self.under_test.is_half:
            return IN_HALF * torch.finfo(self.under_test.weight.dtype).eps
        return self.under_test.extent.tolerance

    def agree(self, expected: NamedTensors, actual: NamedTensors) -> bool:
        """Say whether two results of the call are equal apart from rounding and padding."""
        mask = self.inputs.get("attention_mask")
        try:
            found = discrepancy(without_padding(expected, mask), without_padding(actual, mask))
        except ValueError:
            return False
        return found.within(self.tolerance)

    def explains(self, run: Callable[[], Any]) -> bool:
        """Say whether some other call of the model returns what the program returns."""
        try:
            return self.agree(name_outputs(run()), self.actual)
        except Exception:  # noqa: BLE001 - a call that fails explains nothing
            return False

    def model_with(self, **changed: Any) -> bool:
        """Say whether the model, called with some other inputs, returns what the program does."""
        return self.explains(
            lambda: self.under_test.call(**copy_inputs({**self.inputs, **changed}))
        )

    def apart(self, expected: Tensor, actual: Tensor) -> float:
        """Measure the relative difference of two tensors inside the call, except at padding."""
        if expected.shape != actual.shape:
            return float("inf")
        ours, theirs = self.unpadded(expected), self.unpadded(actual.to(expected.dtype))
        return discrepancy({"": ours}, {"": theirs}).relative

    def equal(self, expected: Tensor, actual: Tensor) -> bool:
        """Say whether two tensors inside the call are equal apart from rounding and padding."""
        if expected.shape != actual.shape:
            return False
        kinds = {(one.is_floating_point(), one.dtype == torch.bool) for one in (expected, actual)}
        if len(kinds) > 1:
            return False
        return self.apart(expected, actual) <= self.tolerance

    def unpadded(self, tensor: Tensor) -> Tensor:
        """Put zeros where a tensor inside the call belongs to padding."""
        mask = self.inputs.get("attention_mask")
        if mask is None or bool(mask.all()) or not tensor.dim():
            return tensor
        new = mask[:, -self.inputs["input_ids"].shape[1] :] == 0
        texts, tokens = new.shape
        if tensor.shape[:2] == (texts, tokens):
            axes = [texts, tokens, *[1] * (tensor.dim() - 2)]
        elif tensor.dim() > 2 and tensor.shape[0] == texts and tensor.shape[2] == tokens:  # noqa: PLR2004 - an axis of heads
            axes = [texts, 1, tokens, *[1] * (tensor.dim() - 3)]
        elif tensor.shape[0] == texts * tokens:
            axes = [texts * tokens, *[1] * (tensor.dim() - 1)]
        else:
            return tensor
        return tensor.masked_fill(new.reshape(axes), 0)


@dataclass(frozen=True, eq=False)
class Pair:
    """An operator of the model and the same operator of the program."""

    model: Operator
    program: Operator

    def has_other_shapes(self) -> bool:
        """Say whether the program gives its results other shapes."""
        ours, theirs = ([one.shape for one in op.outputs] for op in (self.model, self.program))
        return ours != theirs


@dataclass(frozen=True, eq=False)
class Origin:
    """The place in the model where a difference begins.

    Parameters
    ----------
    case
        The call.
    model, program
        All that either computed in it.
    module
        The first module whose result the program does not compute although it has its inputs; None
        where there is no such module.
    """

    case: Case
    model: Trace
    program: Trace
    module: ModuleResult | None = None
    pairs: Sequence[Pair] = field(default_factory=tuple)

    def inside(self) -> ModuleResult:
        """Return the module; without one, experiments inside it are not possible."""
        if self.module is None:
            raise Untested
        return self.module

    @property
    def first(self) -> Pair | None:
        """The first operator in the module whose results differ."""
        return self.pairs[0] if self.pairs else None

    @property
    def difference(self) -> float | None:
        """The relative difference of the first operator's numbers, or of the module's result."""
        if self.module is None:
            return None
        if self.first:
            both = zip(self.first.model.outputs, self.first.program.outputs, strict=False)
            floats = [self.case.apart(*one) for one in both if one[0].is_floating_point()]
            if max(floats, default=0) > self.case.tolerance:
                return max(floats)
        operators = self.program.within(self.module.module)
        made = [tensor for operator in operators for tensor in operator.outputs]
        for result in self.module.outputs:
            alike = [self.case.apart(result, one) for one in made if one.shape == result.shape]
            if result.is_floating_point() and min(alike, default=0) > self.case.tolerance:
                return alike[-1]
        return None

    def unmatched(self) -> str:
        """List the operators in the module that only one of the two has."""
        if self.module is None:
            return ""
        ours, theirs = (
            {one.name for one in trace.operators if one.module == self.module.module} - LAYOUT
            for trace in (self.model, self.program)
        )
        said = [
            f"only the {whose} has {first_of(sorted(names))} there"
            for whose, names in (("model", ours - theirs), ("program", theirs - ours))
            if names
        ]
        return "; ".join(said)

    def of(self, *names: str) -> Iterator[Pair]:
        """List the operators of some kinds whose results differ."""
        yield from (one for one in self.pairs if one.model.name in names)


def find_origin(case: Case, model: Trace, program: Trace) -> Origin:
    """Find the first module whose result the program does not compute, and its operators."""
    module = _first_module(case, model, program)
    if module is None:
        return Origin(case, model, program)
    pairs = [
        one
        for one in _aligned(module.module, module.call, model, program)
        if not all(
            case.equal(*both) for both in zip(one.model.outputs, one.program.outputs, strict=False)
        )
        and not (one.model.name in LAYOUT and one.has_other_shapes())  # numbers are the same there
    ]
    return Origin(case, model, program, module, tuple(pairs))


def _first_module(case: Case, model: Trace, program: Trace) -> ModuleResult | None:
    """Find the first module with a wrong result and right inputs, or the one around it."""
    computed: dict[tuple[int, ...], list[Tensor]] = {}
    for operator in program.operators:
        for tensor in (*operator.outputs, *operator.inputs, *operator.reads):
            if isinstance(tensor, Tensor):
                computed.setdefault(tuple(tensor.shape), []).append(tensor)

    def has(tensor: Tensor) -> bool:
        if tensor.dtype == torch.bool:  # of a mask, of which there are several forms
            return True
        return any(case.equal(tensor, one) for one in computed.get(tuple(tensor.shape), ()))

    wrong = [one for one in model.modules if not all(map(has, one.outputs))]
    paths = {one.module for one in wrong}
    known = {one.module for one in model.modules}
    for result in wrong:
        around = sorted(
            (one for one in known if one != result.module and _is_in(result.module, one)), key=len
        )
        if not paths.issuperset(around):
            continue  # whatever is wrong there, it is not used
        outwards = [result.module, *reversed(around)]
        innermost = (next(one for one in model.modules if one.module == path) for path in outwards)
        return next(
            (one for one in innermost if _has_inputs(case, one, model, program)), model.modules[-1]
        )
    return _maker_of_state(case, model)


def _has_inputs(case: Case, result: ModuleResult, model: Trace, program: Trace) -> bool:
    """Say whether the program has operators of a module, and the inputs that the model's use."""
    theirs = program.within(result.module)
    given = [
        one
        for operator in theirs
        for one in (*operator.inputs, *operator.reads)
        if isinstance(one, Tensor)
    ]
    used = [
        one
        for operator in model.within(result.module)
        for one in operator.inputs
        if isinstance(one, Tensor)
    ]
    return bool(theirs) and all(
        any(
            case.equal(tensor, one.reshape(tensor.shape))  # a view of it may be made outside
            for one in given
            if one.numel() == tensor.numel()
        )
        for tensor in result.inputs
        if any(one.shape == tensor.shape and torch.equal(one, tensor) for one in used)
    )


def _maker_of_state(case: Case, model: Trace) -> ModuleResult | None:
    """Find the module that makes the first wrong tensor which is not made of other wrong ones."""
    for name, expected in case.expected.items():
        actual = case.actual.get(name)
        if actual is None or case.agree({name: expected}, {name: actual}):
            continue
        for operator in reversed(model.operators):
            if any(torch.equal(expected, one) for one in operator.outputs):
                return next((one for one in model.modules if one.module == operator.module), None)
    return None


def _is_in(module: str, outer: str) -> bool:
    return not outer or module.startswith(f"{outer}.")


def _aligned(module: str, call: int, model: Trace, program: Trace) -> list[Pair]:
    """Match the operators of a module with the program's, by their names and their order.

    All calls of the module are matched together, since a file does not tell them apart.
    """
    ours, theirs = (
        [one for one in trace.operators if one.module == module] for trace in (model, program)
    )
    matcher = difflib.SequenceMatcher(
        None, [one.name for one in ours], [one.name for one in theirs], autojunk=False
    )
    return [
        Pair(ours[block.a + place], theirs[block.b + place])
        for block in matcher.get_matching_blocks()
        for place in range(block.size)
        if ours[block.a + place].call == call
    ]

"""Check a file that another exporter wrote, or that was quantized, against a model."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor, nn

from smallport.export.comparisons import Finding, StageFailure, decode_both, own_result
from smallport.export.coverage import compared_at
from smallport.export.extent import Budget, Extent
from smallport.export.file_formats import Program, TorchProgram, open_program
from smallport.export.matching import Matched, match_any
from smallport.export.program_traces import run_in_float32, trace_file, trace_graph
from smallport.export.stages import ExportCheck
from smallport.export.text_loss import text_losses
from smallport.export.why_case import Untested
from smallport.parity.compare import without_padding
from smallport.parity.inputs import InputShape, copy_inputs
from smallport.parity.names import Inputs, NamedTensors, first_of, name_inputs, name_outputs
from smallport.parity.tracing import Trace
from smallport.quantities import counted


class FileCheck(ExportCheck):
    """A file on its way through the stages; see :class:`smallport.export.stages.ExportCheck`."""

    def __init__(
        self,
        model: nn.Module | Callable[[], nn.Module],
        file: Path,
        budget: Budget | None,
        folder: Path,
        require: Collection[str] | None = None,
        *,
        extent: Extent | None = None,
        text: Tensor | None = None,
    ) -> None:
        super().__init__(model, None, folder, require, extent=extent)
        self._given_file = file
        self._budget = budget
        self._text = text
        self._matched: Matched

    def read(self) -> Finding:
        """Open the file, and match its inputs and outputs with those of the model."""
        under_test = self.under_test
        if under_test.task != "causal-lm":
            raise StageFailure(
                f"files are compared with decoders (causal-lm), and {type(self.model).__name__} is "
                f"for {under_test.task}; leave the file out, and what exporters make is checked"
            )
        program = open_program(self._given_file)
        taken = [slot.name for slot in program.inputs]
        try:
            self._matched = self._match(program)
            without_cache = not self._matched.has_cache
        except ValueError as error:
            if not under_test.cache or len(taken) > len(under_test.token_inputs):
                raise StageFailure(f"{self._given_file.name} cannot be called: {error}") from error
            without_cache = True
        if under_test.cache and without_cache:
            self._leave_out_cache()
            try:
                self._matched = self._match(program)
            except ValueError as error:
                raise StageFailure(f"{self._given_file.name} cannot be called: {error}") from error
        unused = [name for name in name_inputs(self.example) if not self._matched.takes(name)]
        if "attention_mask" in unused:
            self.under_test = replace(
                self.under_test,
                token_inputs=tuple(
                    name for name in self.under_test.token_inputs if name not in unused
                ),
            )
            self.example = self.under_test.make_inputs(self.under_test.export_shape)
        said = f"; it does not take {first_of(unused)}" if unused else ""
        return Finding(
            f"{counted(len(taken), 'input')} and {counted(len(program.outputs), 'output')} match "
            f"those of the model{said}"
        )

    def _match(self, program: Program) -> Matched:
        under_test = self.under_test
        results = name_outputs(own_result(under_test, copy_inputs(self.example)))
        self._like = results
        other = under_test.make_inputs(under_test.grown(under_test.export_shape))
        calls = [name_inputs(inputs) for inputs in (self.example, other)]
        return match_any(program, calls, results, self.model)

    def _leave_out_cache(self) -> None:
        """Have the whole text read in each call, as a file without a cache does."""
        under_test = self.under_test
        sentence = "the cache, which the file does not take"
        self.under_test = replace(
            under_test,
            cache="",
            flags=dict.fromkeys(under_test.flags, False),
            not_compared={"cache": sentence, **under_test.not_compared},
            windows={},
        )
        self.coverage = replace(
            self.coverage, not_compared={"cache": sentence, **self.coverage.not_compared}
        )
        self._require_coverage()
        self.example = self.under_test.make_inputs(self.under_test.export_shape)

    def matches(self) -> Finding:
        """Run the file at several shapes, and compare every tensor, or predictions in a budget."""
        if self._budget is None:
            return super().matches()
        shapes = self._unseen()
        places = []
        for number, shape in enumerate(shapes):
            inputs = self.under_test.make_inputs(shape, seed=1 + number)
            expected = name_outputs(own_result(self.under_test, copy_inputs(inputs)))
            try:
                actual = self._run_program(copy_inputs(inputs))
            except Exception as error:
                raise StageFailure(f"it rejects {shape}", error=error) from error
            mask = inputs.get("attention_mask")
            places.append(_predictions(expected, actual, mask, str(shape)))
        compared = compared_at(self.under_test, shapes, ["logits"], self.under_test.weight)
        budget = _limits(self._budget)
        compared |= {**{limit: [] for limit in self.under_test.limits}, "budget": budget}
        left_out = {"numbers": "single numbers, since the file is compared within a budget"}
        self.coverage = replace(
            self.coverage,
            compared=compared,
            not_compared={**self.coverage.not_compared, **left_out},
        )
        number = sum(len(one.agree) for one in places)
        finding = _within(
            self._budget, places, f"{number:,} places in {counted(len(shapes), 'shape')}"
        )
        if self._text is None:
            return finding
        return replace(finding, found=f"{finding.found}; {self._loss_within(self._budget)}")

    def _loss_within(self, budget: Budget) -> str:
        """Say by how much the loss on the text rises; raise a StageFailure beyond the budget."""
        assert self._text is not None
        losses = text_losses(self.under_test, self._run_program, self._text)
        said = f"{losses} (at most {budget.loss:g})"
        if budget.loss is None or not losses.rise <= budget.loss:
            raise StageFailure(f"it is beyond the budget: {said}")
        return said

    def decodes(self) -> Finding:
        """Decode with the file's own cache; within a budget, continue the model's text."""
        if self._budget is None:
            return super().decodes()
        expected, actual = decode_both(self.under_test, self._run_program)
        places = [
            _predictions(_last(one), _last(other), at=f"step {number}")
            for number, (one, other) in enumerate(zip(expected.steps, actual.steps, strict=True))
        ]
        number = sum(len(one.agree) for one in places)
        compared = {**self.coverage.compared, "decoding steps": [len(places)]}
        self.coverage = replace(self.coverage, compared=compared)
        return _within(
            self._budget, places, f"{number} places in {counted(len(places), 'step')} of decoding"
        )

    def _unseen(self) -> list[InputShape]:
        return self.under_test.test_shapes()

    def _run_program(self, inputs: Inputs) -> NamedTensors:
        return self.run_last(inputs)

    def run_last(self, inputs: Inputs) -> NamedTensors:
        """Run the file."""
        return self._matched.run(name_inputs(inputs), self._like)

    def trace_last(self, inputs: Inputs) -> Trace:
        """Record what each operator of the file computes."""
        program, feed = self._matched.program, self._matched.feed(name_inputs(inputs))
        if isinstance(program, TorchProgram):
            return trace_graph(program.module, [*feed.values()])
        return trace_file(self._given_file, feed)

    def export_again(self, inputs: Inputs) -> NoReturn:  # noqa: ARG002 - as in the class above
        """Raise an error, since another tool exported the file."""
        raise Untested

    def run_in_float32(self, inputs: Inputs) -> NamedTensors:
        """Run the program with all that it computes in half precision in float32."""
        program = self._matched.program
        if not isinstance(program, TorchProgram):
            raise Untested
        feed = self._matched.feed(name_inputs(inputs))
        return self._matched.named(run_in_float32(program.module, [*feed.values()]))


def _limits(budget: Budget) -> list[str]:
    """List the limits of a budget, as a report does."""
    limits = [f"{budget.agreement:.0%} of next tokens", f"{budget.divergence:g} nats of divergence"]
    return limits + ([] if budget.loss is None else [f"{budget.loss:g} nats of loss"])


@dataclass(frozen=True, eq=False)
class _Places:
    """The places at which predictions agree, and the divergence at each place."""

    agree: Tensor
    divergence: Tensor
    at: str


def _last(step: NamedTensors) -> NamedTensors:
    """Take the logits that the next token is chosen by."""
    return {"logits": step["logits"][:, -1:]}


def _predictions(
    expected: NamedTensors,
    actual: NamedTensors,
    mask: Tensor | None = None,
    at: str = "",
) -> _Places:
    """Compare the predictions of the next token at each place that is no padding."""
    mask = None if mask is None else mask.cpu()
    one, other = (
        without_padding({"logits": each["logits"].cpu()}, mask)["logits"].double().log_softmax(-1)
        for each in (expected, actual)
    )
    if one.shape != other.shape:
        raise StageFailure(
            f"its logits have the shape {tuple(other.shape)}, and the model's {tuple(one.shape)}"
            f" at {at}"
        )
    divergence = (one.exp() * (one - other)).sum(-1)
    agree = one.argmax(-1) == other.argmax(-1)
    if mask is None:
        return _Places(agree.flatten(), divergence.flatten(), at)
    is_text = mask[:, -one.shape[1] :] == 1
    return _Places(agree[is_text], divergence[is_text], at)


def _within(budget: Budget, places: list[_Places], where: str) -> Finding:
    """Say how far predictions are from the model's; raise a StageFailure beyond the budget.

    The divergence of each shape or step has to be within it, so that one that is wrong is not lost
    among the others; the tokens of one are too few to count how many agree.
    """
    agreement = float(torch.cat([one.agree for one in places]).double().mean())
    divergence, at = max((float(one.divergence.mean()), one.at) for one in places)
    said = (
        f"next tokens agree at {agreement:.1%} of {where} (at least {budget.agreement:.0%}), with "
        f"a divergence of up to {divergence:.2g} nats at {at} (at most {budget.divergence:g})"
    )
    if not (agreement >= budget.agreement and divergence <= budget.divergence):
        raise StageFailure(f"it is beyond the budget: {said}")
    return Finding(said)

"""The stages that a model is taken through, each of which runs something."""

from __future__ import annotations

import copy
import functools
import gc
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import onnx
import torch
import transformers
from torch import nn
from torch.export import ExportedProgram
from torch.export.passes import move_to_device_pass

from smallport.export import exporters as programs
from smallport.export.comparisons import (
    Finding,
    Run,
    StageFailure,
    compare_decoding,
    compare_shapes,
    compare_where_taken,
    decoding_steps,
    own_result,
    rejection,
    tolerable,
)
from smallport.export.coverage import NOTHING, Coverage, compared_at
from smallport.export.examine import examine_model
from smallport.export.explainable import Explainable
from smallport.export.extent import Extent
from smallport.export.guards import Sizes, read_guards, upper_bounds
from smallport.export.model_kinds import (
    custom_code,
    number_of_parameters,
    quantized_parts,
    unwrapped,
)
from smallport.export.own_results import (
    CONTINUES,
    USES_MASK,
    about_batch,
    about_cache,
    about_chance,
    about_length,
    about_mask,
    about_order,
    in_double_precision,
    parts_in_half,
)
from smallport.export.recipes import recipe_for
from smallport.export.under_test import MINIMAL_SHAPES, ModelUnderTest
from smallport.parity.closeness import discrepancy, worst_of
from smallport.parity.compare import difference
from smallport.parity.inputs import InputShape, copy_inputs, moved
from smallport.parity.names import Inputs, first_of, name_inputs, name_outputs, name_tensors, on_cpu
from smallport.parity.planted import require_planted_errors_found
from smallport.parity.session import Session, run_session
from smallport.parity.yardstick import HALF, UNSEEN
from smallport.quantities import counted
from smallport.soundness import (
    ALONE,
    EARLIER,
    MASK,
    STEPS,
)

LOOPS = {
    nn.LSTM: "register_lstm_while_loop_decomposition()",
    nn.GRU: "register_gru_while_loop_decomposition()",
}
"""The context manager of ``torch.export._patches`` with which a layer keeps its loop."""

MOST_IN_DOUBLE = 100_000_000
"""The most parameters of a model in float32 whose errors are compared with a copy in float64."""

LARGEST_BATCH = 64
"""The largest batch that is tried beyond a bound of the program."""


class ExportCheck(Explainable):
    """One model on its way through the stages, each of which builds on those before it.

    A method for each stage returns what it found, or raises
    :class:`smallport.export.comparisons.StageFailure` or whatever goes wrong.
    """

    model: nn.Module
    example: Inputs
    _in_float32: ModelUnderTest

    def __init__(
        self,
        model: nn.Module | Callable[[], nn.Module],
        inputs: Inputs | None,
        folder: Path,
        require: Collection[str] | None = None,
        *,
        extent: Extent | None = None,
        keep: bool = False,
    ) -> None:
        self.keep = keep
        self._model = model
        self.given = inputs
        self.required = require
        self.extent = extent
        self.coverage = NOTHING
        self._sound: list[str] = []
        self.folder = folder
        self._file = folder / "model.onnx"

    @property
    def generates(self) -> bool:
        """Whether there is something to decode, as far as is known."""
        return not hasattr(self, "under_test") or self.under_test.generates

    def built(self) -> Finding:
        """Build the model, in evaluation mode."""
        model = self._model
        given = model if isinstance(model, nn.Module) else model()
        self.model = unwrapped(given)
        if quantized := quantized_parts(self.model):
            raise StageFailure(
                f"it is quantized already ({', '.join(quantized)}), and such parts cannot leave "
                "PyTorch; check the float model, and quantize the ONNX file that is made of it"
            )
        number = number_of_parameters(self.model)
        weights = [one for one in self.model.parameters() if one.is_floating_point()]
        types = {one.dtype for one in weights}
        if len(types) != 1 or not types <= {torch.float32, *HALF}:
            held = ", ".join(sorted(map(str, types))) or "none"
            raise StageFailure(
                "its weights should all be torch.float32, torch.bfloat16 or torch.float16, in "
                f"which it is exported and compared, and are {held}; check model.float()"
            )
        if len(devices := {str(one.device) for one in weights}) > 1:
            raise StageFailure(
                f"its weights are on several devices ({', '.join(sorted(devices))}); move it to "
                "one of them"
            )
        if self.model.training:
            raise StageFailure("the model is in training mode; call model.eval() first")
        inside = "" if self.model is given else f", inside {type(given).__name__}"
        return Finding(f"{type(self.model).__name__} of {counted(number, 'parameter')}{inside}")

    def ran(self) -> Finding:
        """Run a copy of the model that shares no weight with it, and see which inputs it uses."""
        self.under_test = under_test = self._examined()
        self.coverage = Coverage({}, {**under_test.not_compared, **custom_code(self.model)})
        self.example = under_test.make_inputs(under_test.export_shape)
        if self.given is not None:
            self.example = {name: self.given[name] for name in self.example}
        self._require_usable()
        self._require_coverage()
        cache, mask, order, batch = (
            about(self._in_float32) for about in (about_cache, about_mask, about_order, about_batch)
        )
        held = {STEPS: CONTINUES in cache, MASK: mask == USES_MASK}
        held |= {EARLIER: not order and under_test.generates, ALONE: not batch}
        self._sound = [name for name, holds in held.items() if holds]
        said = [under_test.state, cache, mask, about_length(under_test), order, batch]
        return Finding("; ".join(filter(None, said)))

    def _require_usable(self) -> None:
        """Fail where results of the model itself cannot be compared with: by chance, say."""
        under_test = self.under_test
        result = name_outputs(own_result(under_test, copy_inputs(self.example)))
        half = {} if under_test.is_half else parts_in_half(under_test, self.example)
        if half:
            told = "; ".join(
                f"in {dtype} in {first_of(names, more='more parts')}"
                for dtype, names in half.items()
            )
            raise StageFailure(
                f"its weights are torch.float32, and it computes {told}. Rounding there is coarser "
                "than the tolerance, so a difference would say nothing; check it without autocast"
            )
        again = discrepancy(result, under_test.run(self.example), "the second of two equal calls")
        if not again.tolerable:
            raise StageFailure(
                "two calls of the model itself with the same inputs return different results: "
                f"{about_chance(under_test, self.example)}",
                again,
            )
        mask = moved(self.example, "cpu").get("attention_mask")
        require_planted_errors_found(
            functools.partial(difference, mask=mask, token_axes=under_test.token_axes),
            on_cpu(result),
            mask,
            tolerance=under_test.extent.tolerance,
            token_axes=under_test.token_axes,
        )

    def _examined(self) -> ModelUnderTest:
        """Look at a copy of the model; of one in half precision, at a copy in float32.

        Whether the model itself continues from its cache, say, shows in float32 only.
        """
        model, inputs = copy.deepcopy(self.model), self.given
        weight = next(one for one in model.parameters() if one.is_floating_point())
        if weight.dtype not in HALF:
            found = self._in_float32 = examine_model(model, inputs, extent=self.extent)
            small = number_of_parameters(model) <= MOST_IN_DOUBLE
            return replace(found, exact=in_double_precision(found) if small else None)
        found = examine_model(copy.deepcopy(model).float(), inputs, extent=self.extent)
        self._in_float32 = found
        dtype = str(weight.dtype).removeprefix("torch.")
        return replace(
            found,
            model=model,
            exact=in_double_precision(found) or found.model,
            not_compared={**found.not_compared, "small errors": UNSEEN.format(dtype=dtype)},
        )

    def _require_coverage(self) -> None:
        """Fail where something is left out that has to be compared."""
        left_out = self.coverage.not_compared
        required = {"cache"} if self.under_test.cache_is_required else set()
        if missing := sorted(
            (required if self.required is None else set(self.required)) & {*left_out}
        ):
            raise StageFailure(
                f"not compared: {'; '.join(left_out[name] for name in missing)}. To check the rest "
                "of the model without it, pass require=(), or --require nothing to the command"
            )

    def exported(self) -> Finding:
        """Export the model."""
        try:
            self.program = programs.export_program(self.model, self.under_test, self.example)
        except Exception as error:
            if advice := _about_loop(self.model, error):
                raise StageFailure(advice, error=error) from error
            raise
        if self.keep:
            torch.export.save(self.program, self._file.with_suffix(".pt2"))
        operations = sum(node.op == "call_function" for node in self.program.graph.nodes)
        return Finding(f"a program of {counted(operations, 'operation')}")

    def matches(self) -> Finding:
        """Run the program at shapes that the export never saw, and compare every tensor."""
        shapes = self._unseen()
        finding = compare_shapes(self.under_test, self._run_program, shapes)
        tensors = sorted(finding.difference.by_tensor) if finding.difference else []
        compared = compared_at(self.under_test, shapes, tensors, self.under_test.weight)
        compared["model itself"] = self._sound
        self.coverage = replace(self.coverage, compared=compared)
        if uncrossed := ", ".join(map(str, self.under_test.uncrossed)):
            return replace(finding, found=f"{finding.found}; no text is longer than {uncrossed}")
        return finding

    def stays_dynamic(self) -> Finding:
        """Look for sizes that are burnt in, and for the smallest texts that the program takes."""
        sizes = _input_sizes(self.program, list(name_inputs(self.example)))
        axes, symbols = self._free_axes(), set()
        for name, axis in axes:
            if isinstance(sizes[name][axis], int):
                raise StageFailure(f"axis {axis} of {name} is burnt in as {sizes[name][axis]}")
            symbols.add(str(sizes[name][axis]))
        wanted = self._independent_sizes(axes)
        if len(symbols) < len(wanted):
            raise StageFailure(
                f"{', '.join(wanted)} should be independent of each other, and the program has "
                f"only {', '.join(sorted(symbols))}"
            )
        self._require_no_bounds(wanted, sizes)
        short, rejected = self._compare_beginnings(self._run_program)
        lengths = sorted({*short, *self.coverage.compared["lengths"]})
        compared = {**self.coverage.compared, "lengths": lengths}
        self.coverage = replace(self.coverage, compared=compared)
        free = f"{', '.join(wanted)} are free"
        said = (
            f"; it rejects {counted(len(rejected), 'input')} of one or two tokens, which the model "
            "takes: this is no failure, but begin texts with more tokens, or declare the sizes as "
            f"in: smallport explain {recipe_for('Guard failed')}"
            if rejected
            else ""
        )
        return Finding(free + said, rejected=rejected)

    def _independent_sizes(self, axes: list[tuple[str, int]]) -> list[str]:
        """List what should change by itself, by the axes of inputs that change."""
        wanted = ["batch"]
        wanted += [] if self.under_test.one_by_one else ["new tokens"]
        new = ("input_ids", "position_ids")
        if self.under_test.cache and any(axis and name not in new for name, axis in axes):
            wanted.append("cache length")  # a recurrent state has none
        return wanted

    def _require_no_bounds(self, wanted: Sequence[str], symbols: Mapping[str, torch.Size]) -> None:
        """Fail where the guards of the program reject sizes that the model takes."""
        seen, under_test = self._seen, self.under_test
        tensors = name_tensors(self.example)
        symbols = dict(zip(tensors, symbols.values(), strict=True))
        sizes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        other = under_test.make_inputs(under_test.grown(seen))
        grown = under_test.shape_of(other)
        fields = ["cache_length", "new_tokens"]
        fields += ["source_length"] if hasattr(seen, "source_length") else []
        growth = {field: getattr(grown, field) - getattr(seen, field) for field in fields}
        if len({*growth.values()}) < len(fields):
            return  # texts are too short to tell axes apart
        others = {name: tensor.shape for name, tensor in name_tensors(other).items()}

        def sizes_at(shape: InputShape) -> Sizes:
            """Work out the sizes of all inputs at a shape."""
            more = {
                by: getattr(shape, field) - getattr(seen, field) for field, by in growth.items()
            }
            both = ("cache_length", "new_tokens")  # the mask has a place for each token of these
            whole = sum(getattr(shape, field) - getattr(seen, field) for field in both)
            more.setdefault(sum(growth[field] for field in both), whole)
            return {
                name: tuple(
                    (
                        shape.batch_size
                        if axis == 0 and here != there
                        else here + more.get(there - here, 0)
                    )
                    for axis, (here, there) in enumerate(zip(one, others[name], strict=True))
                )
                for name, one in sizes.items()
            }

        guards = read_guards(self.program, sizes, symbols)
        untried = [f"a guard that cannot be read, {one}" for one in guards.unread[:1]]
        for bound in upper_bounds(guards, sizes_at, seen, wanted):
            length = bound.beyond.cache_length + bound.beyond.new_tokens
            length = max(length, getattr(bound.beyond, "source_length", 0))
            if under_test.max_length and length > under_test.max_length:
                continue  # which is the bound of the model
            if length > under_test.longest or bound.beyond.batch_size > LARGEST_BATCH:
                untried.append(f"a bound that no call went beyond, {bound}")
            elif self._is_bound(bound.beyond):
                raise StageFailure(
                    f"it takes {bound}, and the model takes both",
                    rejected=[f"{bound.beyond} ({bound.says})"],
                )
        if untried:
            left_out = {**self.coverage.not_compared, "bounds": "; ".join(untried)}
            self.coverage = replace(self.coverage, not_compared=left_out)
            self._require_coverage()

    def _is_bound(self, beyond: InputShape) -> bool:
        """Say whether the program rejects a shape that the model takes."""
        if not self.under_test.takes(beyond):
            return False
        try:
            self._run_program(self.under_test.make_inputs(beyond))
        except Exception:  # noqa: BLE001 - the guard says why
            return True
        return False

    def _compare_beginnings(self, run: Run) -> tuple[list[int], tuple[str, ...]]:
        """Compare the shortest texts; list the lengths compared, and what is rejected."""
        under_test = self.under_test
        lengths: list[int] = []
        rejected: list[str] = []
        for shape in map(under_test.clamp, MINIMAL_SHAPES):
            if shape.cache_length < under_test.least_cached or not under_test.takes(shape):
                continue
            found, errors = compare_where_taken(under_test, run, [shape])
            rejected += [rejection(shape, error) for error in errors.values()]
            if found:
                tolerable(list(found.values()), under_test, "shortest texts")
                lengths.append(shape.cache_length + shape.new_tokens)
        return lengths, tuple(rejected)

    def decodes(self) -> Finding:
        """Decode greedily from an empty cache, each step on what the one before it returned."""
        finding = compare_decoding(self.under_test, self._run_program)
        compared = {**self.coverage.compared, "decoding steps": [decoding_steps(self.under_test)]}
        if finding.windowed:
            compared["caches"] = ["plain", "windowed as generate makes it"]
        self.coverage = replace(self.coverage, compared=compared)
        return finding

    def onnx(self) -> Finding:
        """Translate the model to ONNX, and have the file checked."""
        free_axes = self._free_axes()
        self._translate()
        onnx.checker.check_model(self._file)
        graph = onnx.load(self._file, load_external_data=False).graph
        sizes = {value.name: value.type.tensor_type.shape.dim for value in graph.input}
        for name, axis in free_axes:
            if not sizes[name][axis].dim_param:
                raise StageFailure(
                    f"axis {axis} of {name} is burnt in as {sizes[name][axis].dim_value}"
                )
        return Finding(f"a valid file of {counted(len(graph.node), 'node')}")

    def _translate(self) -> None:
        """Write the ONNX file, and keep neither the model nor its program."""
        model, example = self.model, self.example
        program: ExportedProgram | None = self.program
        for name in ("model", "program", "_module"):
            self.__dict__.pop(name, None)
        under_test, ours = self.under_test, list[nn.Parameter]()
        elsewhere = under_test.weight.device.type != "cpu"  # on which the file is run
        if elsewhere:
            on_processor = copy.deepcopy(cast("nn.Module", under_test.model)).cpu()
            under_test, example = replace(under_test, model=on_processor), moved(example, "cpu")
        if isinstance(model, transformers.PreTrainedModel):
            # The first export left fake tensors in some, as in those that switch rotary positions.
            # Its weights are those of the program, and neither is needed any more.
            del model, program
            gc.collect()
            model, program = copy.deepcopy(cast("nn.Module", under_test.model)), None
            ours = list(model.parameters())
        elif elsewhere and program:
            program = move_to_device_pass(program, "cpu")
        translated = programs.export_onnx(model, program, under_test, example)
        programs.save_onnx(translated, self._file)
        del model, program, translated
        gc.collect()
        for weight in ours:  # which the rules of onnxscript's rewriter keep until the next model
            weight.data = torch.empty(0)

    def onnx_runtime_matches(self) -> Finding:
        """Compare what ONNX Runtime makes of the file: at all shapes, and decoding."""
        run = functools.partial(run_session, self._open())
        compared = self._compare_session(run)
        if not self.under_test.generates:
            return compared
        decoded = compare_decoding(self.under_test, run)
        differences = [one.difference for one in (compared, decoded) if one.difference]
        found = f"{compared.found}; {decoded.found}"
        return Finding(found, worst_of(differences), rejected=compared.rejected)

    def _compare_session(self, run: Run) -> Finding:
        """Compare what ONNX Runtime returns at all shapes."""
        compared = compare_shapes(self.under_test, run, self._unseen())
        _, rejected = self._compare_beginnings(run)
        return replace(compared, rejected=rejected)

    def _open(self) -> Session:
        try:
            return programs.open_session(self._file)
        except Exception as error:
            if not self.under_test.is_half or type(error).__name__ != "NotImplemented":
                raise
            dtype = str(self.under_test.weight.dtype).removeprefix("torch.")
            raise StageFailure(
                f"ONNX Runtime has no {dtype} kernels for this processor; check until ONNX, or "
                "export the model in float32",
                error=error,
            ) from error

    def _run_program(self, inputs: Inputs) -> Any:
        return self.run_last(inputs)

    @functools.cached_property
    def _seen(self) -> InputShape:
        return self.under_test.shape_of(self.example)

    def shapes(self) -> list[InputShape]:
        """List the shapes that are compared."""
        return self._unseen()

    def _unseen(self) -> list[InputShape]:
        """List the shapes to compare at, without that of the example."""
        seen = self._seen
        shapes = self.under_test.test_shapes()
        return [shape for shape in shapes if replace(shape, padding=0) != seen]

    def _free_axes(self) -> list[tuple[str, int]]:
        """List the axes of each input that change from one call to the next."""
        shapes = self.under_test.dynamic_shapes(self.example)
        given = (shapes[name] for name in self.example)
        flat = [axes for one in given for axes in (one if isinstance(one, list) else [one])]
        names = name_inputs(self.example)
        return [(name, axis) for name, axes in zip(names, flat, strict=True) for axis in axes]


def _input_sizes(program: ExportedProgram, names: list[str]) -> dict[str, torch.Size]:
    """Look up the sizes of a program's inputs, numbers or symbols."""
    nodes = {node.name: node for node in program.graph.nodes}
    tensors = [name for name in program.graph_signature.user_inputs if isinstance(name, str)]
    return {
        name: nodes[found].meta["val"].shape for name, found in zip(names, tensors, strict=True)
    }


def _about_loop(model: nn.Module, error: Exception) -> str:
    """Say which context manager keeps the loop of a recurrent layer whose length was fixed."""
    layers = [one for one in LOOPS if any(isinstance(part, one) for part in model.modules())]
    if "specialized it to be a constant" not in str(error) or not layers:
        return ""
    names = " and ".join(one.__name__ for one in layers)
    return (
        f"PyTorch unrolls the loop of {names}, which fixes the length; in a new process, call the "
        f"check inside torch.export._patches.{' and '.join(LOOPS[one] for one in layers)}"
    )

"""Compare a program with the model under test, at several shapes and token by token."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from smallport.export.recipes import error_text
from smallport.export.under_test import ModelUnderTest
from smallport.parity.closeness import Discrepancy, worst_of
from smallport.parity.compare import compare
from smallport.parity.decoding import Decoding, compare_decodings, greedy_decode
from smallport.parity.inputs import InputShape, text_inputs
from smallport.parity.names import CACHE, Inputs, find_cache, name_outputs
from smallport.parity.yardstick import MULTIPLE
from smallport.quantities import counted

PROMPT = InputShape(batch_size=2, cache_length=0, new_tokens=7, padding=3)
"""The texts that decoding begins with."""

STEPS = 8
"""The number of tokens that are decoded."""

LONGEST_SAID = 160
"""The most characters of what a program says of inputs that it rejects."""

WINDOWED = "; the model's cache was the one that generate makes, the program's a plain one"
"""The end of the finding of a decoding in which windows of the cache dropped tokens."""

Run = Callable[[Inputs], Any]
"""Runs a program on inputs, and returns what the model returns or its tensors by name."""


@dataclass(frozen=True)
class Finding:
    """A stage's result in a sentence, the largest difference, if it compares, and rejections.

    It is ``windowed`` if windows of the model's own cache dropped tokens.
    """

    found: str
    difference: Discrepancy | None = None
    rejected: tuple[str, ...] = ()
    windowed: bool = False


class StageFailure(Exception):  # noqa: N818 - it is a verdict
    """A stage did not pass; ``error`` is the exception, if one was raised."""

    def __init__(
        self,
        found: str,
        difference: Discrepancy | None = None,
        error: BaseException | None = None,
        rejected: Sequence[str] = (),
    ) -> None:
        super().__init__(found)
        self.found = found
        self.difference = difference
        self.error = error
        self.rejected = tuple(rejected)


class Rejection(Exception):  # noqa: N818 - it is a verdict
    """A program raised an error, which is the cause, on inputs that its model takes."""


def rejecting(run: Run) -> Run:
    """Separate the errors of a program from those of the comparison with it."""

    def run_or_reject(inputs: Inputs) -> Any:
        try:
            return run(inputs)
        except Exception as error:
            raise Rejection from error

    return run_or_reject


def rejection(inputs: object, error: BaseException) -> str:
    """Write which inputs are rejected, and the first line of what the program says."""
    said = error_text(error).splitlines()[0].removeprefix("AssertionError: ")
    cut = said if len(said) <= LONGEST_SAID else f"{said[: LONGEST_SAID - 1]}…"
    return f"{inputs} ({cut})"


def own_result(under_test: ModelUnderTest, inputs: Inputs) -> Any:
    """Call the model that others are compared with; its errors are the model's own.

    Minus infinity is what some models give a token that they forbid.
    """
    shape = under_test.shape_of(inputs)
    try:
        outputs = under_test.call(**inputs)
    except Exception as error:
        raise StageFailure(
            f"the model itself fails at {shape}; if that is longer than its texts may be, have "
            "model.config.max_position_embeddings say how long they are, or pass max_tokens",
            error=error,
        ) from error
    for name, tensor in name_outputs(outputs).items():
        usual = tensor.isfinite() | (tensor.isneginf() if name == "logits" else False)
        if not bool(usual.all()):
            raise StageFailure(f"the model itself returns NaN or infinity in {name} at {shape}")
    return outputs


def compare_where_taken(
    under_test: ModelUnderTest, run: Run, shapes: Sequence[InputShape]
) -> tuple[dict[InputShape, Discrepancy], dict[InputShape, BaseException]]:
    """Compare every element of every tensor with the model's, and collect what is rejected.

    Results that cannot be subtracted, such as those of another shape, differ infinitely.
    """
    errors: dict[InputShape, Exception] = {}
    found = compare(
        lambda **inputs: own_result(under_test, inputs),
        rejecting(run),
        shapes,
        make_inputs=lambda shape: under_test.make_inputs(shape, seed=1 + shapes.index(shape)),
        errors=errors,
        exact=under_test.call_exactly if under_test.exact else None,
        token_axes=under_test.token_axes,
    )
    if missing := [str(shape) for shape in shapes if shape not in found and shape not in errors]:
        raise RuntimeError(f"the comparison left out {'; '.join(missing)}")
    rejected = {}
    for shape, error in errors.items():
        if isinstance(error, Rejection) and error.__cause__:
            rejected[shape] = error.__cause__
        else:
            place = f"{error_text(error)} (at {shape})"
            found[shape] = Discrepancy({"": math.inf}, {"": math.inf}, {"": place})
    return found, rejected


def compare_shapes(under_test: ModelUnderTest, run: Run, shapes: Sequence[InputShape]) -> Finding:
    """Run at some shapes, and compare every element of every tensor with the model's."""
    found, rejected = compare_where_taken(under_test, run, shapes)
    told = tuple(rejection(shape, error) for shape, error in rejected.items())
    number = f"it rejects {len(rejected)} of {len(shapes)} shapes"
    if found:
        note = f"; {number}" if told else ""
        worst = tolerable(list(found.values()), under_test, "shapes", note, told)
        number += ", and agrees at the others"
    if told:
        raise StageFailure(number, None, next(iter(rejected.values())), told)
    one = len(worst.by_tensor) == 1
    agrees = f"{'agrees' if one else 'agree'} in every element"
    if under_test.is_half:
        agrees = f"{'has' if one else 'have'} no larger errors than the model"
    return Finding(
        f"{counted(len(worst.by_tensor), 'tensor')} {agrees} at "
        f"{counted(len(shapes), 'shape')} that the export never saw",
        worst,
    )


def compare_decoding(under_test: ModelUnderTest, run: Run) -> Finding:
    """Decode greedily with the model and with what was made of it, and compare every step.

    Two texts, one of them padded on the left, from an empty cache on. Each feeds its own cache
    back. Where two tokens are level with each other, rounding decides which is chosen, and two
    right programs may write different texts. So what is compared continues the text of the model,
    and has to choose its tokens wherever they are ahead of the second best. The model does it with
    the cache that ``generate`` makes, whose windows drop tokens, and the program with a plain one.
    """
    windowed = bool(under_test.windows)
    expected, actual = decode_both(under_test, run)
    exact = _decode_exactly(under_test, expected, windowed=windowed)
    differences = _compare_in_windows(under_test, expected, actual, exact)
    note = WINDOWED if windowed else ""
    if windowed and not all(map(under_test.accepts, differences)):
        plain = _decode(under_test, under_test.call_with, feed=expected)
        plain = replace(plain, modules=frozenset())  # it may well equal what the model returns
        own = worst_of(_compare_in_windows(under_test, expected, plain, exact))
        if not under_test.accepts(own):
            note = f"; with the cache that generate makes, its results change by {own.relative:.2g}"
            note += ", which is the model's doing, so its cache was a plain one, too"
            windowed, expected = False, plain
            exact = _decode_exactly(under_test, expected)
            differences = compare_decodings(plain, actual, exact=exact)
    worst = tolerable(differences, under_test, "steps of decoding")
    ties = decided_alike(under_test, expected, actual, exact, worst)
    return Finding(
        f"{counted(decoding_steps(under_test), 'token')} of {PROMPT.batch_size} texts are decoded "
        "alike" + (f", but for {ties} that are level with the second best" if ties else "") + note,
        worst,
        windowed=windowed,
    )


def decode_both(under_test: ModelUnderTest, run: Run) -> tuple[Decoding, Decoding]:
    """Decode with the model, with the cache that ``generate`` makes, and with a program.

    The program continues the text of the model, with a plain cache of its own.
    """
    expected = _decode(under_test, under_test.call_with, windowed=bool(under_test.windows))
    try:
        return expected, _decode(under_test, rejecting(run), feed=expected)
    except Rejection as error:
        cause = error.__cause__ or error
        told = [rejection("a step of decoding", cause)]
        raise StageFailure("it rejects a step of decoding", None, cause, told) from error


def decided_alike(
    under_test: ModelUnderTest,
    expected: Decoding,
    actual: Decoding,
    exact: Decoding | None,
    worst: Discrepancy,
) -> int:
    """Count the tokens that differ because rounding decides them; others are a failure."""
    other_tokens = expected.tokens != actual.tokens
    if bool((other_tokens & ~_ties(under_test, expected, exact)).any()):
        raise StageFailure("it chooses other tokens than the model does", worst)
    return int(other_tokens.sum())


def decoding_inputs(under_test: ModelUnderTest, decoded: Decoding, step: int) -> Inputs:
    """Make the inputs of one step of a decoding, with a cache that the model computes at once."""
    shape = under_test.clamp(_prompt(under_test))
    prompt = under_test.make_text(shape)
    ids = torch.cat([prompt["input_ids"], decoded.tokens[:, :step]], dim=1)
    mask = decoded.attention_mask[:, : ids.shape[1]]
    past = ids.shape[1] - 1 if step else shape.cache_length
    return under_test.inputs_of(text_inputs(ids, mask), past=past)


def decoding_steps(under_test: ModelUnderTest, *, prompt: int | None = None) -> int:
    """Count the tokens that are decoded; the last of them is not read, and so needs no room."""
    prompt = _prompt(under_test).new_tokens if prompt is None else prompt
    return min(STEPS, (under_test.max_length or prompt + STEPS) - prompt + 1)


def tolerable(
    differences: Sequence[Discrepancy],
    under_test: ModelUnderTest,
    places: str,
    note: str = "",
    rejected: Sequence[str] = (),
) -> Discrepancy:
    """Collect the largest differences, where rounding explains all of them."""
    worst = worst_of(differences)
    if wrong := [one for one in differences if not under_test.accepts(one)]:
        dtype = str(under_test.weight.dtype).removeprefix("torch.")
        ratio = worst.ratio if under_test.is_half else None  # what has another shape has none
        more = "" if ratio is None else f" in {dtype}, in which {_in_multiples(ratio)}"
        raise StageFailure(
            f"it differs from the model at {len(wrong)} of {len(differences)} {places}, by more "
            f"than rounding explains{more}{note}",
            worst,
            rejected=rejected,
        )
    return worst


def _in_multiples(ratio: float) -> str:
    """Say by how many times a program's errors are larger than the model's."""
    return f"its errors are {ratio:.3g} times the model's own, and may be {MULTIPLE:g} times"


def _ties(under_test: ModelUnderTest, expected: Decoding, exact: Decoding | None) -> Tensor:
    """Mark the steps in which rounding may decide the token."""
    if not (under_test.is_half and exact):
        return expected.ties
    errors = (expected.logits.double() - exact.logits).abs().amax(dim=-1)
    return expected.margins <= (1 + MULTIPLE) * errors


def _decode_exactly(
    under_test: ModelUnderTest, expected: Decoding, *, windowed: bool = False
) -> Decoding | None:
    """Decode in double precision what the model decoded."""
    if not under_test.exact:
        return None
    exactly = replace(under_test, model=under_test.exact, exact=None)
    try:
        return _decode(exactly, exactly.call_with, windowed=windowed, feed=expected)
    except Exception:
        if under_test.is_half:
            raise
        return None


def _compare_in_windows(
    under_test: ModelUnderTest,
    expected: Decoding,
    actual: Decoding,
    exact: Decoding | None,
) -> Sequence[Discrepancy]:
    """Compare two decodings; of layers with a window, what both still have to hold."""

    def within(name: str, tensor: Tensor) -> Tensor:
        layer = name.split(".")[1] if name.startswith("present.") else ""
        window = under_test.windows.get(int(layer)) if layer.isdecimal() else None
        return tensor if window is None else tensor[:, :, 1 - window :]

    def decoding(one: Decoding) -> Decoding:
        held = [
            {
                name: within(name, tensor)
                for name, tensor in step.items()
                if not name.endswith("._sliding_window_tensor")  # the window's length
            }
            for step in one.steps
        ]
        return replace(one, steps=tuple(held))

    true = decoding(exact) if exact else None
    return compare_decodings(decoding(expected), decoding(actual), exact=true)


def _prompt(under_test: ModelUnderTest) -> InputShape:
    """Make the prompt so long that decoding goes beyond the longest window that texts outgrow."""
    ends = [one + STEPS - 3 for one in under_test.windows.values()]
    lengths = [end - STEPS for end in ends if end <= under_test.longest]
    room = max(under_test.longest - STEPS, min(PROMPT.new_tokens, under_test.longest - 1))
    return replace(PROMPT, new_tokens=min(max([PROMPT.new_tokens, *lengths]), room))


def _decode(
    under_test: ModelUnderTest,
    run: Run,
    *,
    windowed: bool = False,
    feed: Decoding | None = None,
) -> Decoding:
    """Decode with a program, from the beginning of a text; continue the model's text, if given."""
    shape = under_test.clamp(_prompt(under_test))
    prompt = under_test.make_text(shape)
    ids, mask = prompt["input_ids"][:, shape.cache_length :], prompt["attention_mask"]

    def step(inputs: Inputs) -> Any:
        """Give the program what it takes."""
        taken = {name: inputs[name].contiguous() for name in under_test.token_inputs}
        cache = inputs[find_cache(inputs)]
        is_named = isinstance(cache, Mapping)  # of an ONNX file, whose inputs have one name
        return run(taken | {CACHE if is_named else under_test.cache: cache})

    def step_without_cache(inputs: Inputs) -> Any:
        """Give the program the whole text, and keep that in place of a cache."""
        text = torch.cat([inputs[CACHE]["text"], inputs["input_ids"]], dim=1)
        outputs = run(under_test.inputs_of(text_inputs(text, inputs["attention_mask"])))
        new = name_outputs(outputs)["logits"][:, -inputs["input_ids"].shape[1] :]
        return {"logits": new, CACHE: {"text": text}}

    stepper: Callable[[Inputs], Any] = step
    cache: Any
    if windowed and not shape.cache_length:
        cache = under_test.generation_cache()
    elif under_test.cache:
        make_cache = under_test.generation_cache if windowed else under_test.new_cache
        begun = under_test.inputs_of(prompt, past=shape.cache_length, make_cache=make_cache)
        cache = begun[under_test.cache]
    else:
        stepper, cache = step_without_cache, {"text": ids[:, :0]}
    return greedy_decode(
        stepper,
        ids,
        cache,
        attention_mask=mask,
        new_tokens=decoding_steps(under_test),
        feed=None if feed is None else feed.tokens,
    )

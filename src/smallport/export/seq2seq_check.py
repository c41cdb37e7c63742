"""The stages of a sequence-to-sequence model, each for its two programs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from smallport.export.comparisons import (
    Finding,
    Rejection,
    Run,
    StageFailure,
    decided_alike,
    decoding_steps,
    rejecting,
    rejection,
    tolerable,
)
from smallport.export.coverage import NOTHING, Coverage
from smallport.export.own_results import CONTINUES, USES_MASK, about_length
from smallport.export.seq2seq import HIDDEN, Seq2SeqShape, Seq2SeqUnderTest
from smallport.export.stages import ExportCheck
from smallport.parity.closeness import Discrepancy, discrepancy, worst_of
from smallport.parity.decoding import Decoding, compare_decodings, greedy_decode
from smallport.parity.names import CACHE, Inputs, find_cache, name_outputs
from smallport.parity.session import run_session
from smallport.quantities import counted
from smallport.soundness import ALONE, EARLIER, MASK, STEPS

SOURCES = Seq2SeqShape(3, 0, 1, padding=2, source_length=9, padding_after=3)
"""The texts that are read for decoding: one is padded on the left, one on the right, one not."""

PREFILL, DECODE = "prefill", "decode"


class Seq2SeqCheck(ExportCheck):
    """A sequence-to-sequence model on its way; see :class:`smallport.export.stages.ExportCheck`."""

    under_test: Seq2SeqUnderTest
    unsearched = "only models of one program are searched, and this one has prefill and decode"
    _parts: Mapping[str, _Part]

    @classmethod
    def of(cls, check: ExportCheck) -> Seq2SeqCheck:
        """Continue with a model that was built."""
        one = cls(
            check.model,
            check.given,
            check.folder,
            check.required,
            extent=check.extent,
            keep=check.keep,
        )
        one.model = check.model
        return one

    def ran(self) -> Finding:
        """Run a copy of the model that shares no weight with it, and see which inputs it uses."""
        found = self._examined()
        assert isinstance(found, Seq2SeqUnderTest)
        self.under_test = found
        self.coverage = Coverage({}, {**found.not_compared})
        self._parts = {
            PREFILL: _Part(self, found.prefill, PREFILL),
            DECODE: _Part(self, found.decode, DECODE),
        }
        for part in self._parts.values():
            part.require_usable()
        self._require_coverage()
        in_float32 = self._in_float32
        assert isinstance(in_float32, Seq2SeqUnderTest)
        said, self._sound = own_results(in_float32)
        return Finding("; ".join([found.state, *said]))

    def read(self) -> Finding:
        """Say that files of these models are not checked."""
        raise StageFailure(
            f"files are compared with decoders (causal-lm), and {type(self.model).__name__} is for "
            "seq2seq-lm; leave the file out, and what exporters make is checked"
        )

    def exported(self) -> Finding:
        """Export the model twice: to begin a text, and to continue it."""
        return self._each("exported")

    def matches(self) -> Finding:
        """Run both programs at shapes that the export never saw, and compare every tensor."""
        finding = self._each("matches")
        compared = merged([part.coverage.compared for part in self._parts.values()])
        shapes = [one for part in self._parts.values() for one in part.unseen()]
        compared["lengths"] = sorted({one.source_length for one in shapes})
        compared["lengths written"] = sorted({one.cache_length + one.new_tokens for one in shapes})
        compared["caches"] = ["self-attention", "cross-attention"]
        compared["model itself"] = self._sound
        self.coverage = replace(self.coverage, compared=compared)
        return finding

    def stays_dynamic(self) -> Finding:
        """Look for sizes that are burnt in, and for the smallest texts that programs take."""
        finding = self._each("stays_dynamic")
        for part in self._parts.values():
            left_out = {**self.coverage.not_compared, **part.coverage.not_compared}
            self.coverage = replace(self.coverage, not_compared=left_out)
        return finding

    def decodes(self) -> Finding:
        """Read texts once, and write others token by token, each step on both caches."""
        programs = {name: part.run for name, part in self._parts.items()}
        finding = compare_writing(self.under_test, programs)
        steps = [decoding_steps(self.under_test, prompt=1)]
        compared = {**self.coverage.compared, "decoding steps": steps}
        self.coverage = replace(self.coverage, compared=compared)
        return finding

    def onnx(self) -> Finding:
        """Translate both programs to ONNX, and have the files checked."""
        return self._each("onnx")

    def onnx_runtime_matches(self) -> Finding:
        """Compare what ONNX Runtime makes of the files: at all shapes, and decoding."""
        sessions = {
            name: functools.partial(run_session, part.open()) for name, part in self._parts.items()
        }
        compared = self._each("compare_session", sessions)
        decoded = compare_writing(self.under_test, sessions)
        differences = [one.difference for one in (compared, decoded) if one.difference]
        found = f"{compared.found}; {decoded.found}"
        return Finding(found, worst_of(differences), rejected=compared.rejected)

    def _each(self, stage: str, given: Mapping[str, Any] | None = None) -> Finding:
        """Take each part through a stage, and name the one that fails."""
        findings = {}
        for name, part in self._parts.items():
            try:
                findings[name] = getattr(part, stage)(*([given[name]] if given else []))
            except StageFailure as failure:
                raise StageFailure(
                    f"{name}: {failure.found}",
                    failure.difference,
                    failure.error,
                    failure.rejected,
                ) from failure
            except Exception as error:
                raise StageFailure(
                    f"{name}: it raises {type(error).__name__}", error=error
                ) from error
        differences = [one.difference for one in findings.values() if one.difference]
        return Finding(
            "; ".join(f"{name}: {one.found}" for name, one in findings.items()),
            worst_of(differences) if differences else None,
            tuple(f"{name}: {one}" for name, found in findings.items() for one in found.rejected),
        )


class _Part(ExportCheck):
    """One of the two programs."""

    under_test: Seq2SeqUnderTest

    def __init__(self, whole: ExportCheck, under_test: Seq2SeqUnderTest, name: str) -> None:
        super().__init__(
            whole.model,
            None,
            whole.folder,
            whole.required,
            extent=under_test.extent,
            keep=whole.keep,
        )
        self.model = whole.model
        self.under_test = under_test
        self.example = under_test.make_inputs(under_test.export_shape)
        self.coverage = NOTHING
        self._file = whole.folder / f"{name}.onnx"

    def run(self, inputs: Inputs) -> Any:
        """Run the program."""
        return self._run_program(inputs)

    def unseen(self) -> list[Seq2SeqShape]:
        """List the shapes to compare at."""
        return [self.under_test.clamp(one) for one in self._unseen()]

    def open(self) -> Any:
        """Open the file in ONNX Runtime."""
        return self._open()

    def require_usable(self) -> None:
        """Run the call of the model, as far as it can be told to be right by itself."""
        self._require_usable()

    def compare_session(self, run: Run) -> Finding:
        """Compare what ONNX Runtime returns at all shapes."""
        return self._compare_session(run)

    def _independent_sizes(self, axes: list[tuple[str, int]]) -> list[str]:
        del axes
        cached = ["cache length"] if self.under_test.cache else []
        new = [] if self.under_test.cache and self.under_test.one_by_one else ["new tokens"]
        return ["batch", *new, *cached, "source length"]


def merged(parts: list[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Put what was compared of two programs together; their tensors are counted together."""
    names = dict.fromkeys(name for part in parts for name in part)
    both = {
        name: list(dict.fromkeys(value for part in parts for value in part.get(name, [])))
        for name in names
    }
    for name in ("batch sizes", "padding", "padding on the right", "special tokens", "outputs"):
        if name in both:
            both[name] = sorted(both[name])
    both["number of tensors"] = [sum(part["number of tensors"][0] for part in parts)]
    return both


def own_results(under_test: Seq2SeqUnderTest) -> tuple[list[str], list[str]]:
    """Say what a model's own results tell of it, and which of the checks of a model hold."""
    said = [_about_steps(under_test), _about_mask(under_test), about_length(under_test)]
    order, alone = _about_order(under_test), _about_batch(under_test)
    held = {STEPS: CONTINUES in said[0], MASK: said[1] == USES_MASK}
    held |= {EARLIER: not order, ALONE: not alone}
    return [one for one in (*said, order, alone) if one], [one for one in held if held[one]]


def _about_steps(under_test: Seq2SeqUnderTest) -> str:
    """Say whether the model continues from both caches as it writes in one go."""
    shape = under_test.clamp(replace(SOURCES, new_tokens=6))
    text = under_test.make_text(shape)
    past = shape.new_tokens - (1 if under_test.one_by_one else 3)
    whole = under_test.prefill.run(under_test.prefill.inputs_of(text))["logits"][:, past:]
    continued = under_test.decode.run(under_test.decode.inputs_of(text, past=past))["logits"]
    apart = discrepancy({"logits": whole}, {"logits": continued})
    if apart.tolerable:
        step = ", token by token" if under_test.one_by_one else ""
        return f"with both caches {CONTINUES}{step}"
    return f"with its caches its logits change by {apart.relative:.2g}, which is the model's doing"


def _about_mask(under_test: Seq2SeqUnderTest) -> str:
    """Say whether the mask of what is read changes anything."""
    text = under_test.make_text(under_test.clamp(SOURCES))
    full = text | {"attention_mask": torch.ones_like(text["attention_mask"])}
    masked, unmasked = (
        {"logits": under_test.run(under_test.inputs_of(one))["logits"]} for one in (text, full)
    )
    return "it ignores its mask" if discrepancy(masked, unmasked).tolerable else USES_MASK


def _about_order(under_test: Seq2SeqUnderTest) -> str:
    """Say where a token that is written changes the logits before it."""
    text = under_test.make_text(under_test.export_shape)
    written = text["decoder_input_ids"].clone()
    written[:, -1] = (written[:, -1] + 1) % under_test.vocabulary.size
    one, other = (
        {"logits": under_test.run(under_test.inputs_of(each))["logits"][:, :-1]}
        for each in (text, text | {"decoder_input_ids": written})
    )
    if discrepancy(one, other).tolerable:
        return ""
    return "a token that is written changes the logits before it, which is the model's doing"


def _about_batch(under_test: Seq2SeqUnderTest) -> str:
    """Say where another text in the batch, or padding on the right, changes the logits."""
    shape = under_test.clamp(replace(SOURCES, new_tokens=5, padding=0))
    text = under_test.make_text(shape)
    length = shape.source_length - shape.padding_after
    alone = {
        name: one[-1:] if name == "decoder_input_ids" else one[-1:, :length].contiguous()
        for name, one in text.items()
    }
    within = {"logits": under_test.run(under_test.inputs_of(text))["logits"][-1:]}
    found = discrepancy({"logits": under_test.run(under_test.inputs_of(alone))["logits"]}, within)
    if found.tolerable:
        return ""
    return (
        f"a text has other logits alone than in a batch, by {found.relative:.2g} with padding, "
        "which is the model's doing"
    )


def compare_writing(under_test: Seq2SeqUnderTest, programs: Mapping[str, Run]) -> Finding:
    """Decode greedily with the model and with what was made of it, and compare every step.

    Texts are read once, each with other padding; what is written begins with the start token. Each
    feeds its own caches back. The programs continue the text of the model, and have to choose its
    tokens wherever they are ahead of the second best.
    """
    eager = dict.fromkeys((PREFILL, DECODE), under_test.call_with)
    expected = _write(under_test, eager)
    try:
        told = {name: rejecting(run) for name, run in programs.items()}
        actual = _write(under_test, told, feed=expected)
    except Rejection as error:
        cause = error.__cause__ or error
        why = [rejection("a step of decoding", cause)]
        raise StageFailure("it rejects a step of decoding", None, cause, why) from error
    exact = _write_exactly(under_test, expected)
    differences: tuple[Discrepancy, ...] = compare_decodings(expected, actual, exact=exact)
    worst = tolerable(differences, under_test, "steps of decoding")
    ties = decided_alike(under_test, expected, actual, exact, worst)
    steps = counted(decoding_steps(under_test, prompt=1), "token")
    said = f", except {ties} that are level with the second best" if ties else ""
    return Finding(f"{steps} of {SOURCES.batch_size} texts are decoded alike{said}", worst)


def _write(
    under_test: Seq2SeqUnderTest, programs: Mapping[str, Run], *, feed: Decoding | None = None
) -> Decoding:
    """Read texts with prefill, and write with decode."""
    text = under_test.make_text(under_test.clamp(SOURCES))
    mask = text["attention_mask"]
    encoded: dict[str, Tensor] = {}

    def step(inputs: Inputs) -> Any:
        new, cache = inputs["input_ids"].contiguous(), inputs[find_cache(inputs)]
        if not encoded:
            outputs = programs[PREFILL](under_test.beginning(text["input_ids"], mask, new))
            encoded[HIDDEN] = name_outputs(outputs)[HIDDEN].clone()
            return outputs
        is_named = isinstance(cache, Mapping)  # of an ONNX file, whose inputs have one name
        name = CACHE if is_named else under_test.takes_cache
        return programs[DECODE](under_test.continuing(encoded[HIDDEN], mask, new, {name: cache}))

    return greedy_decode(
        step,
        text["decoder_input_ids"],
        {},
        new_tokens=decoding_steps(under_test, prompt=1),
        feed=None if feed is None else feed.tokens,
    )


def _write_exactly(under_test: Seq2SeqUnderTest, expected: Decoding) -> Decoding | None:
    """Write in double precision what the model wrote."""
    if not under_test.exact:
        return None
    exactly = replace(under_test, model=under_test.exact, exact=None)
    try:
        eager: dict[str, Callable[[Inputs], Any]] = dict.fromkeys(
            (PREFILL, DECODE), exactly.call_with
        )
        return _write(exactly, eager, feed=expected)
    except Exception:
        if under_test.is_half:
            raise
        return None

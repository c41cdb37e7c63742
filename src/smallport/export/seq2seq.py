"""Sequence-to-sequence models under test: they read a text, and write another from it.

Two programs are exported, as deployments have: *prefill* reads a text and the beginning of another,
and returns logits and both caches, of self-attention and of cross-attention; *decode* continues
from these.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import transformers  # whose classes are loaded where they are used, which takes seconds
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils.generic import ModelOutput

from smallport.export.configuration import max_length, text_configuration, vocab_size, vocabulary
from smallport.export.decoders import (
    MEDIA,
    cache_argument,
    lengths_never_crossed,
    longest_taken,
    require_room,
    require_text,
)
from smallport.export.encoders import LENGTHS, token_axes
from smallport.export.extent import Extent
from smallport.export.model_kinds import arguments_of
from smallport.export.thresholds import thresholds
from smallport.export.under_test import MORE_CACHED, MORE_NEW, ModelUnderTest
from smallport.parity.inputs import InputShape, Vocabulary, random_text
from smallport.parity.names import CACHE, Inputs, find_cache, listed, name_outputs

ENCODED, HIDDEN = "encoder_outputs", "encoder_last_hidden_state"
"""The result of the encoder: the name under which decode is given it, and prefill returns it."""

PREFILL_INPUTS = ("input_ids", "attention_mask", "decoder_input_ids")
MORE_SOURCE = 4
"""The tokens that are added to the source to find the axes that change."""

MANY_NEW = 9
"""The new tokens after a long cache."""

OTHER_SEED = 10_000
"""The number that is added to a seed for the text that is written."""


@dataclass(frozen=True)
class Seq2SeqShape(InputShape):
    """The sizes of a call; the cache and the new tokens are of the text that is written.

    Parameters
    ----------
    source_length
        How many tokens are read; ``padding`` is at the beginning of the first of these texts.
    padding_after
        How many tokens at the end of the last text that is read are padding.
    """

    source_length: int = 11
    padding_after: int = 0

    def __str__(self) -> str:
        padded = {"left": self.padding, "right": self.padding_after}
        said = (f", {number} padded on the {side}" for side, number in padded.items() if number)
        return (
            f"batch {self.batch_size}, source of {self.source_length} tokens{''.join(said)}, "
            f"{self.cache_length} + {self.new_tokens} written"
        )


SEQ2SEQ_SHAPES = (
    Seq2SeqShape(1, 30, 3, source_length=33),
    Seq2SeqShape(3, 7, 5, source_length=12),
    Seq2SeqShape(2, 0, 9, source_length=20),
    Seq2SeqShape(1, 64, 1, source_length=5),
    Seq2SeqShape(4, 1, 3, source_length=40),
    Seq2SeqShape(2, 120, 20, source_length=7),
    Seq2SeqShape(3, 12, 2, padding=5, source_length=14),
    Seq2SeqShape(3, 4, 1, source_length=17, padding_after=6),
    Seq2SeqShape(2, 9, 1, padding=2, source_length=9, padding_after=3),
)
"""The inputs that programs are compared on, with padding on either side of what is read."""


@dataclass(frozen=True, eq=False)
class Seq2SeqUnderTest(ModelUnderTest):
    """A sequence-to-sequence model: its decode step if it has a ``cache``, its prefill if not.

    Parameters
    ----------
    start
        The token that texts begin with.
    takes_cache
        The argument of the cache.
    encoded
        The class of what decode is given of the encoder.
    """

    start: int = 0
    takes_cache: str = ""
    encoded: type[ModelOutput] = BaseModelOutput

    @property
    def prefill(self) -> Seq2SeqUnderTest:
        """The call that reads a text, and the beginning of another."""
        return replace(self, cache="", least_cached=0)

    @property
    def decode(self) -> Seq2SeqUnderTest:
        """The call that continues from the caches."""
        return replace(self, cache=self.takes_cache, least_cached=1)

    @property
    def export_shape(self) -> InputShape:
        """The shape of the inputs that a program is exported with, no two sizes of which agree."""
        shape = Seq2SeqShape(2, 6, 3) if self.cache else Seq2SeqShape(2, 0, 5)
        room = self.longest - MORE_SOURCE
        return self.clamp(replace(shape, source_length=min(shape.source_length, room)))

    def clamp(self, shape: InputShape) -> Seq2SeqShape:
        """Shorten a shape to what the model takes; the first token of decode is in its cache."""
        length = min(
            max(shape.cache_length + shape.new_tokens, 1 + self.least_cached), self.longest
        )
        new = 1 if self.cache and self.one_by_one else shape.new_tokens
        cached = max(length - new, self.least_cached) if self.cache else 0
        source = min(_source_length(shape), self.longest)
        after = min(getattr(shape, "padding_after", 0), source // 3)
        padding = min(shape.padding, source // 2)
        return Seq2SeqShape(shape.batch_size, cached, length - cached, padding, source, after)

    def test_shapes(self) -> list[InputShape]:
        """List the shapes to compare at: short texts, a long one, and those around thresholds."""
        around = (one.shapes(self.longest, cached=bool(self.cache)) for one in self.thresholds)
        most = self.extent.max_tokens
        made = [*SEQ2SEQ_SHAPES, Seq2SeqShape(1, most - MANY_NEW, MANY_NEW, source_length=most)]
        shapes = self.extent.shapes or [*made, *itertools.chain.from_iterable(around)]
        return list(dict.fromkeys(map(self.clamp, shapes)))

    def make_text(self, shape: InputShape, *, seed: int = 0) -> Inputs:
        """Draw random texts to read, and others to write, special tokens among them."""
        source = InputShape(shape.batch_size, 0, _source_length(shape), shape.padding)
        text = random_text(self.vocabulary, source, seed=seed)
        if after := getattr(shape, "padding_after", 0):
            text["attention_mask"][-1, -after:] = 0
            if self.vocabulary.padding is not None:
                text["input_ids"][-1, -after:] = self.vocabulary.padding
        written = random_text(self.vocabulary, _written(shape), seed=seed + OTHER_SEED)
        text["decoder_input_ids"] = written["input_ids"]
        text["decoder_input_ids"][:, 0] = self.start
        return {name: value.to(self.weight.device) for name, value in text.items()}

    def inputs_of(
        self, text: Inputs, *, past: int = 0, make_cache: Callable[[], Any] | None = None
    ) -> Inputs:
        """Make the inputs of prefill, or those that continue a text after some tokens."""
        del make_cache  # the model makes both caches itself
        text = self.beginning(*(text[name] for name in PREFILL_INPUTS))
        if not self.cache:
            return text
        written = text["decoder_input_ids"]
        begun = self.call(**text | {"decoder_input_ids": written[:, :past].contiguous()})
        hidden, new = name_outputs(begun)[HIDDEN], written[:, past:].contiguous()
        cache = {self.cache: begun[find_cache(begun)]}
        return self.continuing(hidden, text["attention_mask"], new, cache)

    def beginning(self, ids: Tensor, mask: Tensor, written: Tensor) -> Inputs:
        """Make the inputs of prefill, with empty caches that drop nothing, which has no tensors."""
        empty = (transformers.DynamicCache(), transformers.DynamicCache())
        cache = {self.takes_cache: transformers.EncoderDecoderCache(*empty)}
        return dict(zip(PREFILL_INPUTS, (ids, mask, written), strict=True)) | cache

    def continuing(self, hidden: Tensor, mask: Tensor, new: Tensor, cache: Inputs) -> Inputs:
        """Make the inputs of decode from what prefill returned and the caches of the last step."""
        encoded = self.encoded(last_hidden_state=hidden)
        return {"attention_mask": mask, "decoder_input_ids": new, ENCODED: encoded, **cache}

    def grown(self, shape: InputShape) -> InputShape:
        """Make each size of a shape another, each by another number."""
        cached = shape.cache_length + MORE_CACHED if self.cache else 0
        return self.clamp(
            Seq2SeqShape(
                shape.batch_size + 1,
                cached,
                shape.new_tokens + MORE_NEW,
                source_length=_source_length(shape) + MORE_SOURCE,
            )
        )

    def shape_of(self, inputs: Inputs) -> InputShape:
        """Read the sizes of some inputs, padding aside."""
        batch_size, new_tokens = inputs["decoder_input_ids"].shape
        past = inputs[self.cache].get_seq_length() if self.cache else 0
        source = inputs["attention_mask"].shape[1]
        return Seq2SeqShape(batch_size, past, new_tokens, source_length=source)


def _source_length(shape: InputShape) -> int:
    """Look up how many tokens are read; as many as are written, if a shape does not say."""
    length: int = getattr(shape, "source_length", shape.cache_length + shape.new_tokens)
    return length


def _written(shape: InputShape) -> InputShape:
    """Take the sizes of what is written, which is not padded."""
    return InputShape(shape.batch_size, shape.cache_length, shape.new_tokens)


def examine_seq2seq(
    model: nn.Module, inputs: Inputs | None = None, *, extent: Extent | None = None
) -> Seq2SeqUnderTest:
    """Find out how a sequence-to-sequence model is called; it is returned with its prefill."""
    name, signature = type(model).__name__, dict(inspect.signature(model.forward).parameters)
    if not any(one.startswith(MEDIA) for one in signature):  # else its decoder alone takes a text
        signature = arguments_of(model)
    require_text(model, signature, {*signature})
    argument = cache_argument(signature, None)
    if inputs is not None:
        raise ValueError(
            f"the inputs of {name}, which reads with an encoder and writes with a decoder, are "
            "made; leave inputs out"
        )
    wanted = {*PREFILL_INPUTS, ENCODED, argument or CACHE}
    if missing := wanted - {*signature}:
        raise ValueError(
            f"forward of {name}, which reads with an encoder and writes with a decoder, should "
            f"take {listed(wanted)}, and does not take {listed(missing)}"
        )
    under_test = Seq2SeqUnderTest(
        model,
        PREFILL_INPUTS,
        {"use_cache": True} if "use_cache" in signature else {},
        Vocabulary(2),
        max_length(model),
        cache="",
        state="an encoder and a decoder",
        new_cache=None,
        thresholds=thresholds(text_configuration(model)),
        extent=extent or Extent(),
        task="seq2seq-lm",
        start=_start(model),
        takes_cache=argument,
    )
    require_room(model, under_test.max_length)
    probes = [
        under_test.call(**under_test.make_inputs(Seq2SeqShape(2, 0, 3, source_length=length)))
        for length in LENGTHS
    ]
    results = [name_outputs(one) for one in probes]
    cache = probes[0].get(find_cache(probes[0])) if isinstance(probes[0], dict) else None
    if not {"logits", HIDDEN} <= {*results[0]} or not isinstance(
        cache, transformers.EncoderDecoderCache
    ):
        raise ValueError(
            f"{name} reads with an encoder and writes with a decoder; such a model should return "
            f"logits, {HIDDEN} and a transformers.EncoderDecoderCache, and this one returned "
            f"{listed({one.partition('.')[0] for one in results[0]})}"
        )
    size = vocab_size(model, results[0]["logits"])
    table = getattr(model, "get_input_embeddings", lambda: None)()
    size = min(size, getattr(table, "num_embeddings", size))  # languages differ in their tokens
    known = replace(under_test, vocabulary=vocabulary(model, size), token_axes=token_axes(*results))
    known = replace(known, max_length=longest_taken(known), encoded=_encoded(known))
    known = replace(known, one_by_one=not known.decode.takes(known.decode.export_shape))
    return replace(known, not_compared=lengths_never_crossed(known))


def _encoded(under_test: Seq2SeqUnderTest) -> type[ModelOutput]:
    """Find the class of the results of the encoder: some hold more than hidden states."""
    inputs = under_test.make_inputs(under_test.export_shape)
    given = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    try:
        encoder = under_test.model.get_encoder()  # type: ignore[attr-defined]
        with torch.no_grad():
            outputs = encoder(**given)
    except Exception:  # noqa: BLE001 - then the usual class has to do
        return BaseModelOutput
    return type(outputs) if isinstance(outputs, ModelOutput) else BaseModelOutput


def _start(model: Any) -> int:
    """Look up the token that texts begin with."""
    places = (getattr(model, "generation_config", None), model.config, text_configuration(model))
    names = ("decoder_start_token_id", "bos_token_id", "pad_token_id")
    found = (getattr(place, name, None) for name in names for place in places)
    return next((one for one in found if isinstance(one, int) and one >= 0), 0)

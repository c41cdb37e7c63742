"""Encoders under test: with a head for masked tokens, for classes, or with none."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from smallport.export.configuration import max_length, text_configuration, vocab_size, vocabulary
from smallport.export.decoders import (
    inputs_never_given,
    lengths_never_crossed,
    longest_taken,
    require_room,
    require_text,
)
from smallport.export.extent import Extent
from smallport.export.model_kinds import arguments_of
from smallport.export.thresholds import thresholds
from smallport.export.under_test import (
    TEST_SHAPES,
    ModelUnderTest,
    Task,
)
from smallport.parity.inputs import InputShape, Vocabulary
from smallport.parity.names import Inputs, listed

SEGMENTS = "token_type_ids"
"""The input that says of each token to which part of a text it belongs."""

ENCODER_INPUTS = ("input_ids", "attention_mask", SEGMENTS)
"""Inputs with an entry for each token; an encoder gets those that its forward method names."""

BATCH, LENGTHS = 2, (5, 9)
"""The texts by which axes of tokens are found."""


@dataclass(frozen=True)
class EncoderShape(InputShape):
    """The sizes of a call of an encoder, all of whose tokens are new.

    Parameters
    ----------
    padding_after
        How many tokens at the end of the last text are padding, as tokenizers of encoders put it.
    """

    padding_after: int = 0

    def __str__(self) -> str:
        padded = {"left": self.padding, "right": self.padding_after}
        said = (f", {number} padded on the {side}" for side, number in padded.items() if number)
        return f"batch {self.batch_size}, {self.new_tokens} tokens{''.join(said)}"


ENCODER_SHAPES = (
    *(
        EncoderShape(one.batch_size, 0, one.cache_length + one.new_tokens, one.padding)
        for one in TEST_SHAPES
    ),
    EncoderShape(3, 0, 14, padding_after=5),
    EncoderShape(2, 0, 40, padding=4, padding_after=9),
    EncoderShape(4, 0, 130, padding_after=101),
)
"""The inputs that it is compared on, with padding on either side."""


@dataclass(frozen=True, eq=False)
class EncoderUnderTest(ModelUnderTest):
    """An encoder and what is known of it.

    Parameters
    ----------
    segments
        How many parts of a text its ``token_type_ids`` can tell apart.
    """

    segments: int = 1

    def clamp(self, shape: InputShape) -> EncoderShape:
        """Shorten a shape to what the model takes; all tokens are new."""
        length = min(shape.cache_length + shape.new_tokens, self.longest)
        after = getattr(shape, "padding_after", 0)
        return EncoderShape(
            shape.batch_size, 0, length, min(shape.padding, length // 2), min(after, length - 1)
        )

    def test_shapes(self) -> list[InputShape]:
        """List the shapes to compare at: short texts, a long one, and those around thresholds."""
        around = (one.shapes(self.longest) for one in self.thresholds)
        long_text = EncoderShape(1, 0, self.extent.max_tokens)
        made = [*ENCODER_SHAPES, long_text, *itertools.chain.from_iterable(around)]
        return list(dict.fromkeys(map(self.clamp, self.extent.shapes or made)))

    def make_text(self, shape: InputShape, *, seed: int = 0) -> Inputs:
        """Draw random texts of a shape; the second half of each is another part of it."""
        text = super().make_text(shape, seed=seed)
        if after := getattr(shape, "padding_after", 0):
            text["attention_mask"][-1, -after:] = 0
            if self.vocabulary.padding is not None:
                text["input_ids"][-1, -after:] = self.vocabulary.padding
        text[SEGMENTS] = torch.zeros_like(text["input_ids"])
        if self.segments > 1:
            text[SEGMENTS][:, shape.new_tokens // 2 :] = 1
        return text

    def shape_of(self, inputs: Inputs) -> EncoderShape:
        """Read the sizes of some inputs, padding aside."""
        batch_size, length = inputs["input_ids"].shape
        return EncoderShape(batch_size, 0, length)


def examine_encoder(
    model: nn.Module, task: Task, inputs: Inputs | None = None, *, extent: Extent | None = None
) -> EncoderUnderTest:
    """Find out how an encoder is called, by looking at it and calling it."""
    signature = arguments_of(model)
    given = set(signature) if inputs is None else set(inputs)
    require_text(model, signature, given)
    if unknown := {*(inputs or {})} - {*ENCODER_INPUTS}:
        raise ValueError(
            f"the inputs hold {listed(unknown)}, and only {listed(ENCODER_INPUTS)} of an encoder "
            "can be made at other shapes; wrap the model in a module that takes only these"
        )
    configuration = text_configuration(model)
    segments = getattr(configuration, "type_vocab_size", 1)
    flags = {"use_cache": False} if "use_cache" in signature else {}
    several = hasattr(configuration, "type_vocab_sizes")  # as those of tables have
    taken = {*ENCODER_INPUTS} - ({SEGMENTS} if several else set())
    probed = EncoderUnderTest(
        model,
        tuple(name for name in ENCODER_INPUTS if name in given & taken),
        flags,
        Vocabulary(2),
        max_length(model),
        cache="",
        state=f"an encoder, checked for {task}",
        new_cache=None,
        thresholds=thresholds(configuration),
        extent=extent or Extent(),
        task=task,
        segments=segments if isinstance(segments, int) else 1,
    )
    require_room(model, probed.max_length)
    results = [probed.run(probed.make_inputs(EncoderShape(BATCH, 0, length))) for length in LENGTHS]
    if texts_apart := [name for name, one in results[0].items() if one.shape[:1] != (BATCH,)]:
        raise ValueError(
            f"the results of {type(model).__name__} should have an axis for the batch, and "
            f"{listed(texts_apart)} has none for {BATCH} texts; return only those that have"
        )
    size = _vocabulary_size(model, task, results[0])
    known = replace(probed, vocabulary=vocabulary(model, size), token_axes=token_axes(*results))
    known = replace(known, max_length=longest_taken(known))
    unseen = inputs_never_given(signature, {*ENCODER_INPUTS}) | lengths_never_crossed(known)
    if several:
        unseen["other inputs"] = f"{SEGMENTS}, which have several numbers for each token here"
    return replace(known, not_compared=unseen)


def _vocabulary_size(model: nn.Module, task: Task, results: Mapping[str, Tensor]) -> int:
    """Look up how many tokens there are."""
    if task == "masked-lm":
        return vocab_size(model, results["logits"])
    known = getattr(text_configuration(model), "vocab_size", None)
    if isinstance(known, int):
        return known
    tables = [one for one in model.modules() if isinstance(one, nn.Embedding)]
    if not tables:
        raise ValueError(
            f"{type(model).__name__} has no embedding that tells how many tokens there are; have "
            "model.config.vocab_size say it"
        )
    return tables[0].num_embeddings


def token_axes(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> dict[str, int]:
    """Find along which axis each result has a place for each token, from those of two lengths."""
    found = {}
    for name, tensor in one.items():
        sizes = zip(tensor.shape, other[name].shape, strict=True)
        axes = [axis for axis, lengths in enumerate(sizes) if axis and lengths == LENGTHS]
        if axes:
            found[name] = axes[0]
    return found

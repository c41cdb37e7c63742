"""A model that is checked: how it is called, and what it keeps between calls."""

from __future__ import annotations

import functools
import itertools
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
import transformers  # whose classes are loaded where they are used, which takes seconds
from torch import Tensor

from smallport.export.extent import Extent
from smallport.export.thresholds import Threshold
from smallport.parity.closeness import Discrepancy
from smallport.parity.inputs import (
    DynamicShapes,
    InputShape,
    Vocabulary,
    after_cache,
    copy_inputs,
    dynamic_shapes,
    random_text,
    replaced,
)
from smallport.parity.names import (
    TOKEN_AXES,
    Inputs,
    NamedTensors,
    TokenAxes,
    find_cache,
    name_outputs,
)
from smallport.parity.yardstick import HALF, MULTIPLE

TOKEN_INPUTS = ("input_ids", "attention_mask", "position_ids")
"""Inputs with an entry for each token; a model gets those that its forward method names."""

Task = Literal[
    "causal-lm",
    "masked-lm",
    "seq2seq-lm",
    "sequence-classification",
    "token-classification",
    "embedding",
]
"""The names of what models are made for."""

GENERATING: tuple[Task, ...] = ("causal-lm", "seq2seq-lm")
"""The tasks whose models write token by token."""

EXPORT_SHAPE = InputShape(batch_size=2, cache_length=30, new_tokens=3)
"""The inputs that a program is exported with. No size is 1, which exporters treat apart."""

MORE_CACHED, MORE_NEW = 7, 2
"""The tokens that are added to the export's inputs to find the axes that change."""

PADDED = InputShape(batch_size=3, cache_length=12, new_tokens=2, padding=5)

EXPORT_SHAPE_WITHOUT_CACHE = InputShape(batch_size=2, cache_length=0, new_tokens=10)
"""The same without a cache. Loops over tokens are unrolled, so a short text saves minutes."""

TEST_SHAPES = (
    InputShape(batch_size=1, cache_length=30, new_tokens=3),
    InputShape(batch_size=3, cache_length=7, new_tokens=5),
    InputShape(batch_size=2, cache_length=0, new_tokens=9),
    InputShape(batch_size=1, cache_length=64, new_tokens=1),
    InputShape(batch_size=4, cache_length=1, new_tokens=3),
    InputShape(batch_size=2, cache_length=120, new_tokens=20),
    PADDED,
)
"""The inputs that it is compared on: an empty and a long cache, one token, padding on the left."""

MINIMAL_SHAPES = (
    InputShape(batch_size=1, cache_length=0, new_tokens=1),
    InputShape(batch_size=1, cache_length=1, new_tokens=1),
)
"""The beginnings of a text. Programs may reject them; the check reports whether they do."""


@dataclass(frozen=True, eq=False)
class ModelUnderTest:
    """A model and what is known of it.

    Parameters
    ----------
    model
        The model, in evaluation mode.
    token_inputs
        Which of ``TOKEN_INPUTS`` its forward method is given.
    flags
        Other arguments of each call.
    vocabulary
        The tokens that texts are made of.
    max_length
        How many tokens a text may have; None where there is no limit.
    cache
        The argument that takes its cache; empty where the program has none.
    new_cache
        Makes an empty cache; None where only the model itself makes one that it continues from.
    least_cached
        How many tokens are in its cache at least: a recurrent state has no empty one.
    one_by_one
        Whether it continues from its cache only by a single token.
    state
        A description of the state that it keeps between calls.
    not_compared
        The parts of the model that the check leaves out, each with a sentence.
    cache_is_required
        Whether what is left out is a cache of transformers, which programs can take.
    thresholds
        The lengths at which the model computes something else.
    windows
        The window of each layer that has one in the cache that ``generate`` makes, and none in that
        of the program.
    extent
        How far the check goes.
    exact
        A copy of the model in double precision, or in float32 of one in half precision that cannot
        compute in that; None where there is none.
    task
        The task that the model is made for.
    token_axes
        Along which axis its results have a place for each token, by their names.
    """

    model: Callable[..., Any]
    token_inputs: tuple[str, ...]
    flags: dict[str, Any]
    vocabulary: Vocabulary
    max_length: int | None
    cache: str
    state: str
    new_cache: Callable[[], Any] | None = transformers.DynamicCache
    least_cached: int = 0
    one_by_one: bool = False
    not_compared: Mapping[str, str] = field(default_factory=dict)
    cache_is_required: bool = False
    thresholds: tuple[Threshold, ...] = ()
    windows: Mapping[int, int] = field(default_factory=dict)
    extent: Extent = field(default_factory=Extent)
    exact: Callable[..., Any] | None = None
    task: Task = "causal-lm"
    token_axes: TokenAxes = field(default_factory=lambda: TOKEN_AXES)

    @functools.cached_property
    def weight(self) -> Tensor:
        """The first weight with numbers, whose type and device are those of the model."""
        weights: Iterable[Tensor] = self.model.parameters()  # type: ignore[attr-defined]
        return next(one for one in weights if one.is_floating_point())

    @property
    def generates(self) -> bool:
        """Whether it writes token by token."""
        return self.task in GENERATING

    @property
    def is_half(self) -> bool:
        """Whether errors are compared with those of the model, and not with a tolerance."""
        return self.weight.dtype in HALF

    @property
    def limits(self) -> dict[str, list[float]]:
        """The limits of what rounding explains, as a report lists them."""
        if self.is_half:
            return {"errors, to the model's": [MULTIPLE]}
        return {"tolerance": [self.extent.tolerance]}

    def accepts(self, found: Discrepancy) -> bool:
        """Say whether rounding explains a difference."""
        if not self.is_half:
            return found.within(self.extent.tolerance)
        return found.ratio is not None and found.ratio <= MULTIPLE

    def call_exactly(self, **inputs: Any) -> Any:
        """Call the more exact copy; None where it fails, and the ratio can be left out.

        That of a model in half precision which cannot compute in float64 is in float32.
        """
        exactly = replace(self, model=self.exact or self.model)
        dtype = exactly.weight.dtype
        try:
            given = replaced(
                inputs, lambda one: one.to(dtype) if one.is_floating_point() else one.clone()
            )
            return exactly.call(**given)
        except Exception:
            if self.is_half:
                raise
            return None

    @property
    def export_shape(self) -> InputShape:
        """The shape of the inputs that a program is exported with."""
        shape = EXPORT_SHAPE if self.cache else EXPORT_SHAPE_WITHOUT_CACHE
        room = max(self.longest - MORE_CACHED - MORE_NEW, 2 + shape.new_tokens)
        return self.clamp(
            replace(shape, cache_length=min(shape.cache_length, room - shape.new_tokens))
        )

    @property
    def longest(self) -> int:
        """The longest text that is tried: as long as the model takes it, if thorough."""
        limit = self.max_length or sys.maxsize
        return limit if self.extent.thorough else min(limit, self.extent.longest)

    @property
    def crossed(self) -> list[Threshold]:
        """The thresholds that a text is longer than."""
        return [one for one in self.thresholds if one.length < self.longest]

    @property
    def uncrossed(self) -> list[Threshold]:
        """The thresholds that no text is longer than."""
        return [one for one in self.thresholds if one.length >= self.longest]

    def run(self, inputs: Inputs) -> NamedTensors:
        """Run the model on a copy of some inputs, and name what it returns."""
        return name_outputs(self.call(**copy_inputs(inputs)))

    def call_with(self, inputs: Inputs) -> Any:
        """Call the model, with inputs in a dictionary."""
        return self.call(**inputs)

    def call(self, **inputs: Any) -> Any:
        """Call the model as it should be called."""
        with torch.no_grad():
            return self.model(**inputs, **self.flags)

    def clamp(self, shape: InputShape) -> InputShape:
        """Shorten a shape to what the model takes; without a cache, all tokens are new."""
        length = min(shape.cache_length + shape.new_tokens, self.longest)
        if not self.cache:
            cached = 0
        elif self.one_by_one:
            cached = length - 1
        else:
            past = max(length - shape.new_tokens, 0)
            cached = max(past, min(self.least_cached, length - 1))
        padding = min(shape.padding, length // 2)
        return InputShape(shape.batch_size, cached, length - cached, padding)

    def takes(self, shape: InputShape) -> bool:
        """Say whether the model itself accepts inputs of a shape."""
        try:
            self.run(self.make_inputs(shape))
        except Exception:  # noqa: BLE001 - the reason does not matter
            return False
        return True

    def test_shapes(self) -> list[InputShape]:
        """List the shapes to compare at: short texts, a long one, and those around thresholds."""
        around = (
            one.shapes(self.longest, cached=bool(self.cache), least_cached=self.least_cached)
            for one in self.thresholds
        )
        long_text = InputShape(batch_size=1, cache_length=0, new_tokens=self.extent.max_tokens)
        made = [*TEST_SHAPES, long_text, *itertools.chain.from_iterable(around)]
        shapes = self.extent.shapes or made
        return list(dict.fromkeys(map(self.clamp, shapes)))

    def make_text(self, shape: InputShape, *, seed: int = 0) -> Inputs:
        """Draw random texts of a shape, special tokens among them."""
        text = random_text(self.vocabulary, shape, seed=seed)
        return {name: value.to(self.weight.device) for name, value in text.items()}

    def make_inputs(self, shape: InputShape, *, seed: int = 0) -> Inputs:
        """Make random inputs of a shape; the model computes what is in their cache."""
        return self.inputs_of(self.make_text(shape, seed=seed), past=shape.cache_length)

    def generation_cache(self) -> transformers.DynamicCache:
        """Make an empty cache as ``generate`` does: layers with a window keep no more than that."""
        return transformers.DynamicCache(config=self.model.config)  # type: ignore[attr-defined]

    def inputs_of(
        self, text: Inputs, *, past: int = 0, make_cache: Callable[[], Any] | None = None
    ) -> Inputs:
        """Make the inputs that continue a text after some tokens, which are in the cache then."""
        text = {name: text[name] for name in self.token_inputs}
        if not self.cache:
            return text
        # To fill a cache takes a token; an empty one has it cut off again.
        beginning = {name: value[:, : max(past, 1)].contiguous() for name, value in text.items()}
        make_cache = make_cache or self.new_cache
        given = {self.cache: make_cache()} if make_cache else {}
        outputs = self.call(**beginning, **given)
        cache = given.get(self.cache, outputs[find_cache(outputs)])
        if past == 0:
            cache.crop(-1)
        return after_cache(text, past) | {self.cache: cache}

    def dynamic_shapes(self, example: Inputs) -> DynamicShapes:
        """Find the axes in which the inputs that a program is exported with may change."""
        other = self.grown(self.shape_of(example))
        return dynamic_shapes(example, self.make_inputs(other))

    def grown(self, shape: InputShape) -> InputShape:
        """Make each size of a shape another, and if there is room, each by another number."""
        room = self.longest - shape.cache_length - shape.new_tokens
        cached, new = MORE_CACHED, MORE_NEW
        if room < cached + new:
            cached = new = 1 if room > 1 else -1
        past = max(shape.cache_length + cached, 0)
        return self.clamp(InputShape(shape.batch_size + 1, past, shape.new_tokens + new))

    def shape_of(self, inputs: Inputs) -> InputShape:
        """Read the sizes of some inputs, padding aside."""
        batch_size, new_tokens = inputs["input_ids"].shape
        mask = inputs.get("attention_mask")
        if not self.cache:
            past = 0
        elif mask is not None:  # a recurrent state cannot tell how many tokens it has seen
            past = mask.shape[1] - new_tokens
        elif self.least_cached:  # nor does it matter where no mask counts them
            past = self.least_cached
        else:
            past = inputs[self.cache].get_seq_length()
        return InputShape(batch_size, past, new_tokens)

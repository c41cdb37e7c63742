"""A causal language model that is checked: how it is called, and what it keeps between calls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import transformers  # whose classes are loaded where they are used, which takes seconds
from torch import Tensor, nn
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from smallport.export.recipes import error_text
from smallport.parity.inputs import (
    DynamicShapes,
    InputShape,
    after_cache,
    copy_inputs,
    dynamic_shapes,
    random_text,
)
from smallport.parity.names import CACHE, Inputs, NamedTensors, find_cache, listed, name_outputs

TOKEN_INPUTS = ("input_ids", "attention_mask", "position_ids")
"""Inputs with an entry for each token; a model gets those that its forward method names."""

CACHES = (CACHE, "cache", "cache_params")
"""Names of the cache's argument in releases of transformers, for models without annotations."""

OTHER_STATES = (*CACHES, "state", "mems")
"""Names of outputs in which recurrent models return their state."""

EXPORT_SHAPE = InputShape(batch_size=2, cache_length=30, new_tokens=3)
"""The inputs that a program is exported with. No size is 1, which exporters treat apart."""

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
    """A causal language model and what is known of it.

    Parameters
    ----------
    model
        The model, in evaluation mode.
    token_inputs
        Which of ``TOKEN_INPUTS`` its forward method is given.
    flags
        Other arguments of each call.
    vocab_size
        How many tokens it knows.
    max_length
        How many tokens a text may have; None where there is no limit.
    cache
        The argument that takes its cache of keys and values; empty where the program has none.
    state
        What it keeps from one call to the next, in words.
    not_compared
        What the model has although the check leaves it out, each with a sentence.
    cache_is_required
        Whether the cache that is left out is one of keys and values, which a program could take.
    """

    model: Callable[..., Any]
    token_inputs: tuple[str, ...]
    flags: dict[str, Any]
    vocab_size: int
    max_length: int | None
    cache: str
    state: str
    not_compared: Mapping[str, str] = field(default_factory=dict)
    cache_is_required: bool = False

    @property
    def export_shape(self) -> InputShape:
        """The shape of the inputs that a program is exported with."""
        return EXPORT_SHAPE if self.cache else EXPORT_SHAPE_WITHOUT_CACHE

    def run(self, inputs: Inputs) -> NamedTensors:
        """Run the model on a copy of some inputs, and name what it returns."""
        return name_outputs(self.call(**copy_inputs(inputs)))

    def call(self, **inputs: Any) -> Any:
        """Call the model as it should be called."""
        with torch.no_grad():
            return self.model(**inputs, **self.flags)

    def clamp(self, shape: InputShape) -> InputShape:
        """Shorten a shape to what the model takes; without a cache, all tokens are new."""
        room = (self.max_length or shape.cache_length + shape.new_tokens) - shape.new_tokens
        shape = replace(shape, cache_length=max(min(shape.cache_length, room), 0))
        if self.cache:
            return shape
        length = shape.cache_length + shape.new_tokens
        return replace(shape, cache_length=0, new_tokens=length)

    def make_inputs(self, shape: InputShape, *, seed: int = 0) -> Inputs:
        """Make random inputs of a shape; the model computes what is in their cache."""
        text = random_text(self.vocab_size, shape, seed=seed)
        return self.inputs_of(text, past=shape.cache_length)

    def inputs_of(self, text: Inputs, *, past: int = 0) -> Inputs:
        """Make the inputs that continue a text after some tokens, which are in the cache then."""
        text = {name: text[name] for name in self.token_inputs}
        if not self.cache:
            return text
        # To fill a cache takes a token; an empty one has it cut off again.
        beginning = {name: value[:, : max(past, 1)].contiguous() for name, value in text.items()}
        cache = transformers.DynamicCache()
        self.call(**beginning, **{self.cache: cache})
        if past == 0:
            cache.crop(-1)
        return after_cache(text, past) | {self.cache: cache}

    def dynamic_shapes(self, example: Inputs) -> DynamicShapes:
        """Find the axes in which the inputs that a program is exported with may change."""
        seen = self.shape_of(example)
        other = InputShape(seen.batch_size + 1, seen.cache_length + 7, seen.new_tokens + 2)
        return dynamic_shapes(example, self.make_inputs(self.clamp(other)))

    def shape_of(self, inputs: Inputs) -> InputShape:
        """Read the sizes of some inputs, padding aside."""
        batch_size, new_tokens = inputs["input_ids"].shape
        past = inputs[self.cache].get_seq_length() if self.cache else 0
        return InputShape(batch_size, past, new_tokens)


def examine_model(model: nn.Module, inputs: Inputs | None = None) -> ModelUnderTest:
    """Find out how a causal language model is called, by looking at it and calling it.

    It is called with the names of ``inputs``, or with all that its signature names. A model that
    keeps more than keys and values between calls, or nothing, is taken to have no cache. A
    ValueError says why a model cannot be checked.
    """
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        raise ValueError(
            f"{type(model).__name__} reads with an encoder and writes with a decoder; only models "
            "that do both in one are checked"
        )
    signature = inspect.signature(model.forward).parameters
    argument = _cache_argument(signature, inputs)
    known = {*TOKEN_INPUTS, argument or CACHE}
    given = set(signature) if inputs is None else set(inputs)
    if "input_ids" not in given:
        raise ValueError(f"a causal language model takes input_ids; this one has {listed(given)}")
    if inputs is not None and given - known:
        raise ValueError(
            f"the inputs hold {listed(given - known)}, and only {listed(known)} can be made at "
            "other shapes; wrap the model in a module that takes only these"
        )
    cache = None if inputs is None else inputs.get(argument)
    if cache is not None and type(cache) is not transformers.DynamicCache:
        raise ValueError(
            f"{argument} should be a transformers.DynamicCache, with which checks are made, and is "
            f"a {type(cache).__name__}"
        )
    flags = {"use_cache": True} if "use_cache" in signature else {}
    names = tuple(name for name in TOKEN_INPUTS if name in given)
    under_test = ModelUnderTest(model, names, flags, 2, _max_length(model), cache="", state="")
    probe = under_test.make_inputs(InputShape(batch_size=2, new_tokens=5, cache_length=0))
    with torch.no_grad():
        outputs = model(**probe, **flags)
    logits = _logits(model, outputs, probe["input_ids"])
    under_test = replace(under_test, vocab_size=_vocab_size(model, logits))
    unseen = _inputs_never_given(signature, known)
    name, state = _state(outputs)
    kinds = {type(layer) for layer in getattr(state, "layers", [])}
    plain = bool(kinds) and kinds <= {DynamicLayer, DynamicSlidingWindowLayer}
    held = ", ".join(sorted(kind.__name__ for kind in kinds)) or type(state).__name__
    if not name:
        return replace(
            under_test,
            flags=dict.fromkeys(flags, False),
            state="it keeps nothing between calls",
            not_compared=unseen,
        )
    if inputs is not None and argument not in given:
        why, required = "your inputs hold none", False
    elif not argument:
        why, required = f"forward of {type(model).__name__} names no argument for it", True
    elif plain:
        window = DynamicSlidingWindowLayer in kinds
        words = "it keeps keys and values" + (", some for a sliding window" if window else "")
        cached = replace(under_test, cache=argument, state=words, not_compared=unseen)
        if not (refusal := _refusal(cached)):
            return cached
        held = "keys and values"
        why, required = f"it does not go on from them ({refusal})", True
    else:
        why, required = "the check compares no such layers", False
    return replace(
        under_test,
        flags=dict.fromkeys(flags, False),
        state=f"it keeps {held} in {name}, which are not compared: {why}",
        not_compared={"cache": f"the cache, {held} in {name} ({why})"} | unseen,
        cache_is_required=required and plain,
    )


def _cache_argument(signature: Mapping[str, inspect.Parameter], inputs: Inputs | None) -> str:
    """Name the argument that takes the cache: by its value, its annotation or its usual names."""
    if inputs is not None and (given := find_cache(inputs)):
        return given
    annotated = (name for name, one in signature.items() if "Cache" in str(one.annotation))
    usual = (name for name in CACHES if name in signature)
    return next(annotated, "") or next(usual, "")


def _inputs_never_given(
    signature: Mapping[str, inspect.Parameter], known: set[str]
) -> dict[str, str]:
    """List what a forward method takes of images and sound, which no call of the check holds."""
    media = ("pixel_values", "image", "video", "audio", "input_features", "input_values")
    unseen = [name for name in signature if name.startswith(media) and name not in known]
    return {"other inputs": f"inputs that no call was given, {listed(unseen)}"} if unseen else {}


def _logits(model: nn.Module, outputs: Any, ids: Tensor) -> Tensor:
    """Take the logits out of what a model returned, if those of a language model are there."""
    logits = name_outputs(outputs).get("logits")
    if logits is None:
        returned = (
            f"{type(outputs).__name__} of shape {tuple(outputs.shape)}"
            if isinstance(outputs, Tensor)
            else f"{type(outputs).__name__} of {listed(name_outputs(outputs))}"
        )
        raise ValueError(
            f"a causal language model returns logits, and this one returned a {returned}; have "
            'its forward method return {"logits": ...}'
        )
    if logits.dim() != 3 or logits.shape[:2] != ids.shape:  # noqa: PLR2004 - batch, length, vocabulary
        raise ValueError(
            "logits of a language model have the shape (batch, length, vocabulary), and those of "
            f"{type(model).__name__} are {tuple(logits.shape)} for {tuple(ids.shape)} tokens"
        )
    return logits


def _refusal(under_test: ModelUnderTest) -> str:
    """Say why a model does not go on from its cache; empty where it does."""
    try:
        under_test.run(under_test.make_inputs(under_test.clamp(EXPORT_SHAPE)))
    except Exception as error:  # noqa: BLE001 - whatever it refuses it by, it is told
        return error_text(error).splitlines()[0]
    return ""


def _state(outputs: Any) -> tuple[str, Any]:
    """Take out of a model's outputs what it keeps for the next call, and how it is called."""
    for name in (find_cache(outputs), *OTHER_STATES):
        if name and name in outputs and outputs[name] is not None:
            return name, outputs[name]
    return "", None


def _max_length(model: nn.Module) -> int | None:
    """Look up how long a text may be."""
    configuration = _text_configuration(model)
    most = getattr(configuration, "max_position_embeddings", None)
    return most if isinstance(most, int) and most > 0 else None


def _vocab_size(model: nn.Module, logits: Tensor) -> int:
    """Look up how many tokens there are; the logits of some models are padded beyond that."""
    known, scores = getattr(_text_configuration(model), "vocab_size", None), logits.shape[-1]
    if not isinstance(known, int):
        return scores
    if scores < known:
        raise ValueError(
            f"{type(model).__name__} gives each token {scores} logits, and its vocabulary has "
            f"{known} tokens: it is a classifier, and not a language model"
        )
    return known


def _text_configuration(model: nn.Module) -> Any:
    configuration = getattr(model, "config", None)
    if isinstance(configuration, transformers.PreTrainedConfig):
        return configuration.get_text_config(decoder=True)
    return configuration

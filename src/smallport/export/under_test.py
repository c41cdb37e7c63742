"""A causal language model that is checked: how it is called, and what it keeps between calls."""

from __future__ import annotations

import bisect
import copy
import functools
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import transformers  # whose classes are loaded where they are used, which takes seconds
from torch import Tensor, nn
from transformers.cache_utils import (
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
)

from smallport.export.extent import Extent
from smallport.export.model_kinds import arguments_of
from smallport.export.recipes import error_text
from smallport.export.thresholds import Threshold, thresholds
from smallport.parity.closeness import Discrepancy, discrepancy
from smallport.parity.inputs import (
    DynamicShapes,
    InputShape,
    Vocabulary,
    after_cache,
    copy_inputs,
    dynamic_shapes,
    random_text,
)
from smallport.parity.names import CACHE, Inputs, NamedTensors, find_cache, listed, name_outputs
from smallport.parity.yardstick import HALF, MULTIPLE

TOKEN_INPUTS = ("input_ids", "attention_mask", "position_ids")
"""Inputs with an entry for each token; a model gets those that its forward method names."""

CACHES = (CACHE, "cache", "cache_params")
"""Names of the cache's argument in releases of transformers, for models without annotations."""

OTHER_STATES = (*CACHES, "state", "mems")
"""Names of outputs in which recurrent models return their state."""

MEDIA = ("pixel_values", "image", "video", "audio", "input_features", "input_values")
"""The beginnings of the names of inputs for images and sound."""

WITHOUT_WINDOW = {
    "sliding_attention": "full_attention",
    "chunked_attention": "full_attention",
    "hybrid_sliding": "hybrid",
}
"""Layers of a cache that drop what is older than a window, and those that keep it."""

WINDOWED_LAYERS = (DynamicSlidingWindowLayer, LinearAttentionAndSlidingWindowAttentionLayer)
"""The classes of the layers with a window."""

POSITION_LIMITS = ("max_position_embeddings", "max_target_positions", "max_seq_len", "n_positions")
"""Fields of a configuration that hold how many tokens a text may have."""

MEDIA_TOKEN = re.compile(r"((image|video|audio|vision|speech).*|[be]o[ai])_token_(id|index)")
"""The names of fields that hold a token in whose place an image or a sound is put."""

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

SHORTEST = 8
"""The fewest tokens that the longest text of a model may have: below, shapes do not differ."""

OUT_OF_SCOPE = "Classifiers and encoders are not checked"
COMPARED = "; smallport.parity.compare compares any module with its exported program"
"""The ends of the messages about models that are no decoders."""

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
        A copy of the model in double precision; None where there is none.
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

    @functools.cached_property
    def weight(self) -> Tensor:
        """The first weight with numbers, whose type and device are those of the model."""
        weights: Iterable[Tensor] = self.model.parameters()  # type: ignore[attr-defined]
        return next(one for one in weights if one.is_floating_point())

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
        """Call the copy in double precision; None where it fails, and the ratio can be left out."""
        try:
            return replace(self, model=self.exact or self.model).call(**inputs)
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


def examine_model(
    model: nn.Module,
    inputs: Inputs | None = None,
    *,
    extent: Extent | None = None,
) -> ModelUnderTest:
    """Find out how a causal language model is called, by looking at it and calling it.

    It is called with the names of ``inputs``, or with all that its signature names. A model that
    keeps no cache of transformers, or does not continue from it, is tested without one. A
    ValueError says why a model cannot be checked.
    """
    signature = arguments_of(model)
    argument = _cache_argument(signature, inputs)
    known = {*TOKEN_INPUTS, argument or CACHE}
    given = set(signature) if inputs is None else set(inputs)
    _require_language_model(model, signature, given)
    _require_inputs(inputs or {}, known, argument)
    flags = {"use_cache": True} if "use_cache" in signature else {}
    names = tuple(name for name in TOKEN_INPUTS if name in given)
    under_test = ModelUnderTest(
        model,
        names,
        flags,
        Vocabulary(2),
        _max_length(model),
        cache="",
        state="",
        thresholds=thresholds(_text_configuration(model)),
        extent=extent or Extent(),
    )
    probe = under_test.make_inputs(InputShape(batch_size=2, new_tokens=5, cache_length=0))
    if (most := under_test.max_length) is not None and most < SHORTEST:
        raise ValueError(
            f"texts of {type(model).__name__} have {most} tokens (max_position_embeddings), "
            f"and a check needs {SHORTEST}; build it for longer texts"
        )
    outputs = under_test.call(**probe)
    logits = _logits(model, outputs, probe["input_ids"])
    vocabulary = _vocabulary(model, _vocab_size(model, logits))
    under_test = replace(under_test, vocabulary=vocabulary)
    under_test = replace(under_test, max_length=_longest_taken(under_test))
    unseen = _inputs_never_given(signature, known) | _lengths_never_crossed(under_test)
    name, state = _state(outputs)
    left_out = inputs is not None and argument not in given
    if not name:
        return replace(
            under_test,
            flags=dict.fromkeys(flags, False),
            state="it keeps nothing between calls",
            not_compared=unseen,
        )
    why = "your inputs hold none" if left_out else ""
    return _with_cache(replace(under_test, not_compared=unseen), argument, name, state, why)


def _require_language_model(
    model: nn.Module, signature: Mapping[str, inspect.Parameter], given: set[str]
) -> None:
    """Raise a ValueError where a model cannot be called as a language model is, and say why."""
    name = type(model).__name__
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        raise ValueError(
            f"{name} reads with an encoder and writes with a decoder; only models that do both in "
            "one are checked"
        )
    if "input_ids" not in given:
        raise ValueError(
            f"a check needs a decoder, which takes input_ids and returns logits for each token; "
            f"{name} takes {listed(given)}. {_advice(model, signature, given)}"
        )
    without = [
        name
        for name, one in signature.items()
        if one.default is one.empty
        and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        and name not in TOKEN_INPUTS
    ]
    if without:
        raise ValueError(
            f"forward of {name} cannot be called without {listed(without)}, of which a text that "
            "begins has none; give it a default of None"
        )


def _advice(model: nn.Module, signature: Mapping[str, inspect.Parameter], given: set[str]) -> str:
    """Say what to do with a model that takes no input_ids."""
    if media := sorted(name for name in given if name.startswith(MEDIA)):
        return (
            f"It is a model of images or sound ({listed(media)}), which smallport.parity.compare "
            "compares with a program; if a language model is in it, check that alone"
        )
    if any(isinstance(one, nn.RNNBase) for one in model.modules()) or given & {"state", "hidden"}:
        return (
            "If it is a recurrent language model that returns logits and its state, wrap it in "
            f"smallport.export.RecurrentAdapter. {OUT_OF_SCOPE}{COMPARED}"
        )
    if given == set(signature) and any(one.kind is one.VAR_KEYWORD for one in signature.values()):
        return "If it is a decoder, pass inputs= with what it takes"
    return (
        "If it is a decoder, wrap it in a module whose forward method takes input_ids and returns "
        f'{{"logits": ...}}. {OUT_OF_SCOPE}{COMPARED}'
    )


def _require_inputs(inputs: Inputs, known: set[str], argument: str) -> None:
    """Raise a ValueError where some inputs cannot be made at other shapes."""
    if unknown := {*inputs} - known:
        raise ValueError(
            f"the inputs hold {listed(unknown)}, and only {listed(known)} can be made at other "
            "shapes; wrap the model in a module that takes only these"
        )
    cache = inputs.get(argument)
    if cache is not None and type(cache) is not transformers.DynamicCache:
        raise ValueError(
            f"{argument} should be a transformers.DynamicCache, with which checks are made, and is "
            f"a {type(cache).__name__}"
        )
    layers = getattr(cache, "layers", [])
    kinds = {type(layer).__name__ for layer in layers if type(layer) in WINDOWED_LAYERS}
    if kinds or getattr(cache, "offloading", False):
        raise ValueError(
            f"{argument} should be a plain transformers.DynamicCache(), as checks make it at other "
            f"shapes, and {f'has layers of {listed(kinds)}' if kinds else 'is offloaded'}; leave "
            "it out, and it is made"
        )


def _with_cache(
    under_test: ModelUnderTest, argument: str, name: str, state: Any, why: str
) -> ModelUnderTest:
    """Have a model tested with what it keeps, or say ``why`` not."""
    required = isinstance(state, transformers.Cache) and not why
    kinds = {type(layer) for layer in getattr(state, "layers", [])}
    is_dynamic = type(state) is transformers.DynamicCache
    plain = is_dynamic and kinds <= {DynamicLayer, DynamicSlidingWindowLayer}
    window = ", some for a sliding window" if DynamicSlidingWindowLayer in kinds else ""
    listed_kinds = ", ".join(sorted(kind.__name__ for kind in kinds)) or type(state).__name__
    held = f"keys and values{window}" if plain else f"a cache of {listed_kinds}"
    if not why and not argument:
        why = f"forward of {type(under_test.model).__name__} names no argument for it"
    if not why and not isinstance(state, transformers.Cache):
        why = "the check compares no states but caches of transformers"
    if not why:
        cached = replace(
            under_test,
            cache=argument,
            state=f"it keeps {held}",
            new_cache=transformers.DynamicCache if plain else _maker(under_test.model, state),
        )
        cached = replace(
            cached, least_cached=_least_cached(cached, state), windows=_windows(cached)
        )
        continuing, why = _going_on(cached)
        if continuing:
            return continuing
    return replace(
        under_test,
        flags=dict.fromkeys(under_test.flags, False),
        state=f"it keeps {held} in {name}, which are not compared: {why}",
        not_compared={"cache": f"the cache, {held} in {name} ({why})"}
        | {**under_test.not_compared},
        cache_is_required=required,
    )


def _going_on(cached: ModelUnderTest) -> tuple[ModelUnderTest | None, str]:
    """Find out whether a model continues from its cache by several tokens, by one or by none."""
    try:
        if continuation(cached).tolerable:
            return cached, ""
        refusal = ""
    except Exception as error:  # noqa: BLE001 - whatever it refuses it by, it is told
        refusal = f"it does not go on from it ({error_text(error).splitlines()[0]})"
    by_single_tokens = replace(cached, one_by_one=True)
    try:
        if continuation(by_single_tokens).tolerable:
            return by_single_tokens, ""
    except Exception:  # noqa: BLE001, S110 - what several tokens were refused by is told
        pass
    return (None, refusal) if refusal else (cached, "")


def _least_cached(cached: ModelUnderTest, state: Any) -> int:
    """Count the tokens that a cache holds at least: one where its first cannot be cut off again."""
    try:
        cached.make_inputs(InputShape(batch_size=2, cache_length=0, new_tokens=3))
    except Exception:  # noqa: BLE001 - layers differ in what they raise
        return 1
    return 0 if state.is_croppable else 1


def _maker(model: Any, made: Any) -> Callable[[], Any] | None:
    """Find what makes a cache like the model's, without windows; None if only the model can."""
    configuration = copy.deepcopy(_text_configuration(model))
    if type(made) is not transformers.DynamicCache or configuration is None:
        return None
    types = getattr(configuration, "layer_types", None) or []
    if {*types} & {*WITHOUT_WINDOW}:
        configuration.layer_types = [WITHOUT_WINDOW.get(one, one) for one in types]
    return functools.partial(transformers.DynamicCache, config=configuration)


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
    unseen = [name for name in signature if name.startswith(MEDIA) and name not in known]
    return {"other inputs": f"inputs that no call was given, {listed(unseen)}"} if unseen else {}


def _lengths_never_crossed(under_test: ModelUnderTest) -> dict[str, str]:
    """List the thresholds that no text of the check is longer than."""
    if not (uncrossed := under_test.uncrossed):
        return {}
    sentences = " and ".join(one.sentence() for one in uncrossed)
    is_limit = under_test.longest == under_test.max_length
    why = "text may be longer than" if is_limit else "text of the check is longer than"
    return {"long texts": f"{sentences}, which no {why}"}


def _windows(cached: ModelUnderTest) -> dict[int, int]:
    """Find the layers that drop tokens only in the cache that ``generate`` makes."""
    configuration = getattr(cached.model, "config", None)
    if not isinstance(configuration, transformers.PreTrainedConfig) or cached.new_cache is None:
        return {}
    layers = transformers.DynamicCache(config=configuration).layers
    in_program = itertools.chain(cached.new_cache().layers, itertools.repeat(None))
    return {
        number: layer.sliding_window
        for number, (layer, other) in enumerate(zip(layers, in_program, strict=False))
        if isinstance(layer, DynamicSlidingWindowLayer) and type(layer) is not type(other)
    }


def _longest_taken(under_test: ModelUnderTest) -> int | None:
    """Find out how many tokens a model takes where it does not say; None where it takes all."""

    def fails(length: int) -> bool:
        return not under_test.takes(InputShape(1, cache_length=0, new_tokens=length))

    longest = under_test.extent.longest
    if under_test.max_length is not None or not fails(longest):
        return under_test.max_length
    return bisect.bisect_left(range(longest), 1, lo=2, key=fails) - 1


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
            f"a causal language model returns logits, and this one returned a {returned}. Have "
            'its forward method return {"logits": ...}. '
            f"{OUT_OF_SCOPE}"
        )
    if logits.dim() != 3 or logits.shape[:2] != ids.shape:  # noqa: PLR2004 - batch, length, vocabulary
        raise ValueError(
            "logits of a language model have the shape (batch, length, vocabulary), and those of "
            f"{type(model).__name__} are {tuple(logits.shape)} for tokens of the shape "
            f"{tuple(ids.shape)}. {OUT_OF_SCOPE}"
        )
    return logits


def continuation(under_test: ModelUnderTest) -> Discrepancy:
    """Compare the logits after a cache with those of the same text that is read in one go."""
    shape = under_test.export_shape
    text = under_test.make_text(shape)
    whole = replace(under_test, cache="").inputs_of(text)
    continued = under_test.inputs_of(text, past=shape.cache_length)
    logits = [under_test.run(inputs)["logits"] for inputs in (whole, continued)]
    return discrepancy({"logits": logits[0][:, shape.cache_length :]}, {"logits": logits[1]})


def _state(outputs: Any) -> tuple[str, Any]:
    """Take out of a model's outputs what it keeps for the next call, and how it is called."""
    for name in (find_cache(outputs), *OTHER_STATES):
        if name and name in outputs and outputs[name] is not None:
            return name, outputs[name]
    return "", None


def _max_length(model: nn.Module) -> int | None:
    """Look up how long a text may be."""
    configuration = _text_configuration(model)
    lengths = (getattr(configuration, name, None) for name in POSITION_LIMITS)
    limits = [length for length in lengths if isinstance(length, int) and length > 0]
    # Where padding has a position of its own, those of text begin behind it.
    skipped = (
        one.padding_idx + 1
        for name, one in model.named_modules()
        if "position" in name and isinstance(one, nn.Embedding) and one.padding_idx is not None
    )
    return min(limits) - max(skipped, default=0) if limits else None


def _vocabulary(model: nn.Module, size: int) -> Vocabulary:
    """Look up which tokens are special; the unknown one is no field, and one of the first."""
    whole = getattr(model, "config", None)
    places = (_text_configuration(model), getattr(model, "generation_config", None), whole)

    def tokens(name: str) -> list[int]:
        found = (getattr(place, name, None) for place in places)
        listed_ones = (one if isinstance(one, list) else [one] for one in found)
        return [
            token
            for token in itertools.chain.from_iterable(listed_ones)
            if isinstance(token, int) and 0 <= token < size
        ]

    fields = {name for place in places for name in getattr(place, "__dict__", {})}
    unused = {token for name in fields if MEDIA_TOKEN.fullmatch(name) for token in tokens(name)}
    first = tokens("bos_token_id") + tokens("decoder_start_token_id")
    padding = tokens("pad_token_id")
    special = [*first, *tokens("eos_token_id"), *padding, *range(4), size - 1]
    return Vocabulary(
        size,
        first=next(iter(first), None),
        padding=next(iter(padding), None),
        special=tuple(one for one in dict.fromkeys(special) if one < size and one not in unused),
        unused=frozenset(unused),
    )


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


def _text_configuration(model: Any) -> Any:
    configuration = getattr(model, "config", None)
    if isinstance(configuration, transformers.PreTrainedConfig):
        return configuration.get_text_config(decoder=True)
    return configuration

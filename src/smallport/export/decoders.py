"""Find out how a decoder is called, and what it keeps between calls, by calling it."""

from __future__ import annotations

import bisect
import copy
import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import transformers  # whose classes are loaded where they are used, which takes seconds
from torch import Tensor, nn
from transformers.cache_utils import (
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
)

from smallport.export.configuration import max_length, text_configuration, vocab_size, vocabulary
from smallport.export.extent import Extent
from smallport.export.model_kinds import arguments_of
from smallport.export.recipes import error_text
from smallport.export.thresholds import thresholds
from smallport.export.under_test import TOKEN_INPUTS, ModelUnderTest
from smallport.parity.closeness import Discrepancy, discrepancy
from smallport.parity.inputs import InputShape, Vocabulary
from smallport.parity.names import CACHE, Inputs, find_cache, listed, name_outputs

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

SHORTEST = 8
"""The fewest tokens that the longest text of a model may have: below, shapes do not differ."""

OUT_OF_SCOPE = "Classifiers and encoders are checked only as classes of transformers"
COMPARED = "; smallport.parity.compare compares any module with its exported program"
"""The ends of the messages about models that are no decoders."""


class NoLogitsError(ValueError):
    """A model returned no logits, but tensors of these names."""

    def __init__(self, message: str, returned: Iterable[str]) -> None:
        super().__init__(message)
        self.returned = tuple(returned)


def examine_decoder(
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
    argument = cache_argument(signature, inputs)
    known = {*TOKEN_INPUTS, argument or CACHE}
    given = set(signature) if inputs is None else set(inputs)
    require_text(model, signature, given)
    _require_inputs(inputs or {}, known, argument)
    flags = {"use_cache": True} if "use_cache" in signature else {}
    names = tuple(name for name in TOKEN_INPUTS if name in given)
    under_test = ModelUnderTest(
        model,
        names,
        flags,
        Vocabulary(2),
        max_length(model),
        cache="",
        state="",
        thresholds=thresholds(text_configuration(model)),
        extent=extent or Extent(),
    )
    probe = under_test.make_inputs(InputShape(batch_size=2, new_tokens=5, cache_length=0))
    require_room(model, under_test.max_length)
    outputs = under_test.call(**probe)
    logits = _logits(model, outputs, probe["input_ids"])
    tokens = vocabulary(model, vocab_size(model, logits))
    under_test = replace(under_test, vocabulary=tokens)
    under_test = replace(under_test, max_length=longest_taken(under_test))
    unseen = inputs_never_given(signature, known) | lengths_never_crossed(under_test)
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


def require_room(model: nn.Module, most: int | None) -> None:
    """Raise a ValueError where the longest text of a model is too short for a check."""
    if most is not None and most < SHORTEST:
        raise ValueError(
            f"texts of {type(model).__name__} have {most} tokens (max_position_embeddings), "
            f"and a check needs {SHORTEST}; build it for longer texts"
        )


def require_text(
    model: nn.Module, signature: Mapping[str, inspect.Parameter], given: set[str]
) -> None:
    """Raise a ValueError where a model cannot be called with a text, and say why."""
    name = type(model).__name__
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
    configuration = copy.deepcopy(text_configuration(model))
    if type(made) is not transformers.DynamicCache or configuration is None:
        return None
    types = getattr(configuration, "layer_types", None) or []
    if {*types} & {*WITHOUT_WINDOW}:
        configuration.layer_types = [WITHOUT_WINDOW.get(one, one) for one in types]
    return functools.partial(transformers.DynamicCache, config=configuration)


def cache_argument(signature: Mapping[str, inspect.Parameter], inputs: Inputs | None) -> str:
    """Name the argument that takes the cache: by its value, its annotation or its usual names."""
    if inputs is not None and (given := find_cache(inputs)):
        return given
    annotated = (name for name, one in signature.items() if "Cache" in str(one.annotation))
    usual = (name for name in CACHES if name in signature)
    return next(annotated, "") or next(usual, "")


def inputs_never_given(
    signature: Mapping[str, inspect.Parameter], known: set[str]
) -> dict[str, str]:
    """List what a forward method takes of images and sound, which no call of the check holds."""
    unseen = [name for name in signature if name.startswith(MEDIA) and name not in known]
    return {"other inputs": f"inputs that no call was given, {listed(unseen)}"} if unseen else {}


def lengths_never_crossed(under_test: ModelUnderTest) -> dict[str, str]:
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


def longest_taken(under_test: ModelUnderTest) -> int | None:
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
        raise NoLogitsError(
            f"a causal language model returns logits, and this one returned a {returned}. Have "
            'its forward method return {"logits": ...}. '
            f"{OUT_OF_SCOPE}",
            name_outputs(outputs),
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

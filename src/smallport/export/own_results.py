"""Say what a model's own results tell of it, before a program is compared with them."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from smallport.export.comparisons import PROMPT
from smallport.export.decoders import continuation
from smallport.export.encoders import EncoderShape
from smallport.export.model_kinds import half_precision
from smallport.export.under_test import EXPORT_SHAPE_WITHOUT_CACHE, PADDED, ModelUnderTest
from smallport.parity.closeness import discrepancy
from smallport.parity.inputs import text_inputs
from smallport.parity.names import Inputs, NamedTensors
from smallport.parity.yardstick import without_double
from smallport.soundness import Pair, Read, alone_and_in_batch, before_a_change

USES_MASK = "it uses its mask"
CONTINUES = "it computes what it computes without"
"""The sentences on a model whose results with padding and with a cache are right."""


def about_cache(under_test: ModelUnderTest) -> str:
    """Say whether the model itself continues a text from its cache as it reads it in one go."""
    if not under_test.generates:
        return ""
    if not under_test.cache:
        return "it is exported without, so each call reads the whole text"
    apart = continuation(under_test)
    if apart.tolerable:
        step = ", token by token" if under_test.one_by_one else ""
        return f"with its cache {CONTINUES}{step}"
    return f"with its cache its logits change by {apart.relative:.2g}, which is the model's doing"


def about_mask(under_test: ModelUnderTest) -> str:
    """Say whether the mask changes anything: two that ignore it agree with each other."""
    if "attention_mask" not in under_test.token_inputs:
        return "it takes no attention mask, so no text is padded"
    shape = under_test.clamp(PADDED)
    padded = under_test.make_text(shape)
    full = padded | {"attention_mask": torch.ones_like(padded["attention_mask"])}
    masked, unmasked = (
        _last(under_test, under_test.run(inputs))
        for text in (padded, full)
        for inputs in [under_test.inputs_of(text, past=shape.cache_length)]
    )
    return "it ignores its mask" if discrepancy(masked, unmasked).tolerable else USES_MASK


def about_length(under_test: ModelUnderTest) -> str:
    """Say how long texts may be, where that is shorter than the texts of a check are."""
    most = under_test.max_length
    short = most is not None and most < under_test.extent.longest
    return f"it takes texts of at most {most} tokens" if short else ""


def about_order(under_test: ModelUnderTest) -> str:
    """Say where a token changes what comes before it, as in models that read in both directions."""
    if under_test.generates:
        if _agree(before_a_change(*_reading(under_test))):
            return ""
        return "a token changes the logits before it, which is the model's doing"
    one = under_test.make_inputs(under_test.export_shape)
    other = {**one, "input_ids": one["input_ids"].clone()}
    other["input_ids"][:, -1] = (one["input_ids"][:, -1] + 1) % under_test.vocabulary.size
    axes = under_test.token_axes
    before, after = (
        {name: result[name].narrow(axes[name], 0, 1) for name in axes}
        for result in map(under_test.run, (one, other))
    )
    if not axes or discrepancy(before, after).tolerable:
        return ""
    return "it reads in both directions"


def about_batch(under_test: ModelUnderTest) -> str:
    """Say where a text changes the logits of the others in its batch, as by sums over the batch."""
    if not under_test.generates:
        return _about_padding(under_test)
    if _agree(alone_and_in_batch(*_reading(under_test))):
        return ""
    return "a text changes the logits of others in its batch, which is the model's doing"


def _about_padding(under_test: ModelUnderTest) -> str:
    """Say where an encoder computes something else of a text alone than in a batch, padded."""
    padding = 3 if "attention_mask" in under_test.token_inputs else 0
    shape = EncoderShape(2, 0, under_test.export_shape.new_tokens, padding_after=padding)
    batch = under_test.make_inputs(shape)
    length = shape.new_tokens - padding
    alone = {name: one[-1:, :length].contiguous() for name, one in batch.items()}
    axes = under_test.token_axes
    within = {
        name: one[-1:].narrow(axes[name], 0, length) if name in axes else one[-1:]
        for name, one in under_test.run(batch).items()
    }
    found = discrepancy(under_test.run(alone), within)
    if found.tolerable:
        return ""
    return (
        "a text has other results alone than in a batch, by "
        f"{found.relative:.2g}{' with padding' if padding else ''}, which is the model's doing"
    )


def _last(under_test: ModelUnderTest, results: NamedTensors) -> NamedTensors:
    """Take the results of the last token, and those of whole texts."""
    axes = under_test.token_axes
    if under_test.generates:
        return {"logits": results["logits"][:, -1]}
    return {
        name: one.select(axes[name], -1) if name in axes else one for name, one in results.items()
    }


def _agree(logits: Pair) -> bool:
    """Say whether two results differ by no more than rounding."""
    one, other = ({"logits": part} for part in logits)
    return discrepancy(one, other).tolerable


def _reading(under_test: ModelUnderTest) -> tuple[Read, Tensor, Tensor]:
    """Make what reads whole texts, and two of them without padding."""
    whole = replace(under_test, cache="")
    text = under_test.make_text(under_test.clamp(EXPORT_SHAPE_WITHOUT_CACHE))

    def read(ids: Tensor, mask: Tensor) -> Tensor:
        return under_test.run(whole.inputs_of(text_inputs(ids, mask)))["logits"]

    return read, text["input_ids"], text["attention_mask"]


def about_chance(under_test: ModelUnderTest, inputs: Inputs) -> str:
    """Say why two equal calls differ: by random numbers, or by what the first one left behind."""
    with torch.random.fork_rng(devices=[]):
        results = []
        for _ in range(2):
            torch.manual_seed(0)
            results.append(under_test.run(inputs))
    if discrepancy(results[0], results[1]).tolerable:
        return "it draws random numbers, as dropout does in training; switch that off"
    return "a call changes what the next one computes with; keep such a state in the cache"


def parts_in_half(under_test: ModelUnderTest, example: Inputs) -> dict[torch.dtype, list[str]]:
    """List by dtype which parts of a model in float32 compute in half precision, or less."""
    return half_precision(cast("nn.Module", under_test.model), lambda: under_test.run(example))


def in_double_precision(under_test: ModelUnderTest) -> nn.Module | None:
    """Copy a model to double precision; None where it cannot compute in it.

    Code that asks for float32 rejects it, and a softmax in float32 turns the lowest number of
    float64, with which all of a padded row is masked, into minus infinity, and the row into NaN.
    """
    model = copy.deepcopy(cast("nn.Module", under_test.model))
    model = (model.cpu() if without_double(under_test.weight.device) else model).double()
    exactly = replace(under_test, model=model)
    try:
        for shape in (under_test.export_shape, under_test.clamp(PROMPT)):
            results = exactly.run(exactly.make_inputs(shape))
            if any(bool(one.isnan().any()) for one in results.values()):
                return None
    except Exception:  # noqa: BLE001 - some code asks for one type
        return None
    return model

"""Tell which keys an operator of attention lets each query see, and what a program changed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from smallport.export.explanation import Cause
from smallport.export.why_case import Case, Origin, Pair
from smallport.parity.tracing import Operator

ATTENTION = "scaled_dot_product_attention"

QUERIES_AND_KEYS = 4
"""The number of axes of scores: texts, heads, queries, keys."""


def causes_in_attention(origin: Origin) -> Cause | None:
    """Compare the masks of the first attention that differs, and confirm that they explain it."""
    case, _ = origin.case, origin.inside()
    for pair in origin.of(ATTENTION, "softmax"):
        ours, theirs = visible_keys(pair.model), visible_keys(pair.program)
        if ours is None or theirs is None:
            continue
        ours, theirs = ours | torch.zeros_like(theirs), theirs | torch.zeros_like(ours)
        if cause := rows_without_keys(case, pair, ours, theirs):
            return cause
        queries = _real_queries(case, ours)
        changed = (ours != theirs) & queries
        if not bool(changed.any()) or not _explains(case, pair, theirs):
            continue
        return _named(case, ours, theirs, changed)
    return None


def visible_keys(operator: Operator) -> Tensor | None:
    """Mark the keys that each query sees; None where the operator does not tell.

    The mask is added to scores, or says by truth values which keys are visible.
    """
    tensors = [one for one in operator.inputs if isinstance(one, Tensor)]
    if operator.name != ATTENTION:
        scores = tensors[0]
        return _is_visible(scores) if scores.dim() == QUERIES_AND_KEYS else None
    if len(tensors) < 3:  # noqa: PLR2004 - query, key and value
        return None
    query, key, *_ = tensors
    shape = (*query.shape[:-1], key.shape[-2])
    causal = any(one is True for one in operator.inputs) and not len(tensors) > 3  # noqa: PLR2004 - the fourth is a mask
    mask = tensors[3] if len(tensors) > 3 else torch.ones(shape[-2:], dtype=torch.bool)  # noqa: PLR2004
    seen: Tensor = mask if mask.dtype == torch.bool else _is_visible(mask)
    visible: Tensor = (seen.tril() if causal else seen).expand(shape)
    return visible


def _is_visible(scores: Tensor) -> Tensor:
    """Mark what is not as low as a mask makes it."""
    if not scores.is_floating_point():
        seen: Tensor = scores != 0
        return seen
    return scores > torch.finfo(scores.dtype).min / 4 if _is_wide(scores) else scores > -1e4  # noqa: PLR2004


def _is_wide(scores: Tensor) -> bool:
    """Say whether what is masked has the lowest number of its type, or minus infinity."""
    return bool((scores < torch.finfo(scores.dtype).min / 4).any())


def _real_queries(case: Case, seen: Tensor) -> Tensor:
    """Mark the queries that are no padding."""
    mask = case.inputs.get("attention_mask")
    texts, queries = seen.shape[0], seen.shape[-2]
    if mask is None or len(mask) != texts:
        return torch.ones_like(seen)
    real: Tensor = (mask[:, -queries:] == 1).reshape(texts, 1, queries, 1).expand(seen.shape)
    return real


def rows_without_keys(case: Case, pair: Pair, ours: Tensor, theirs: Tensor) -> Cause | None:
    """Say whether the results differ for exactly such queries that see no key."""
    empty = (~ours.any(-1) | ~theirs.any(-1)) & _real_queries(case, ours)[..., 0]
    result, other = pair.model.outputs[0], pair.program.outputs[0]
    if not bool(empty.any()) or result.shape[:-1] != empty.shape or other.shape != result.shape:
        return None
    filled = empty[..., None]
    if not case.equal(result.masked_fill(filled, 0), other.masked_fill(filled, 0)):
        return None
    return Cause(
        "fully masked rows",
        f"{int(empty.any(1).sum())} queries see no key at all, and the results differ only there",
        "masks-differ",
    )


def _explains(case: Case, pair: Pair, theirs: Tensor) -> bool:
    """Say whether the model's attention, with the program's mask, gives the program's result."""
    operator = pair.model
    if operator.name != ATTENTION:
        scores = next(one for one in operator.inputs if isinstance(one, Tensor))
        given = next(one for one in pair.program.inputs if isinstance(one, Tensor))
        lowest = torch.finfo(scores.dtype).min
        both = visible_keys(operator)
        assert both is not None
        return case.equal(  # keys that only the program sees have only its scores
            torch.where(theirs, torch.where(both, scores, given), lowest).softmax(-1),
            pair.program.outputs[0],
        )
    query, key, value = (one for one in operator.inputs[:3])
    options = {name: one for name, one in operator.options.items() if name == "scale"}
    if value.shape[1] != query.shape[1]:
        options["enable_gqa"] = True
    result = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=theirs, **options
    )
    return case.equal(result, pair.program.outputs[0])


def _named(case: Case, ours: Tensor, theirs: Tensor, changed: Tensor) -> Cause:
    """Name the usual mistake that turns one mask into the other."""
    length, queries = ours.shape[-1], ours.shape[-2]
    mask = case.inputs.get("attention_mask")
    text = (
        torch.ones(len(ours), length, dtype=torch.bool) if mask is None else mask[:, -length:] == 1
    )
    text = text[:, None, None, :]
    number = int(changed.any(1).sum())
    if not bool((changed & text).any()):
        return Cause(
            "mask ignored",
            f"queries see {number} places of padding, which the model's mask hides",
            "masks-differ",
        )
    rows, places = torch.arange(queries)[:, None], torch.arange(length)[None]
    past = length - queries
    aligned = (places <= rows) & text
    real = _real_queries(case, ours)
    if past and torch.equal(theirs & real, aligned & real):
        return Cause(
            "alignment of the causal mask",
            f"it is aligned to the first key, as if nothing were cached, and not to the last: "
            f"query 0 sees key 0 only, and the model's sees {past + 1} keys",
            "masks-differ",
        )
    widths = [_window(one, past, text) for one in (ours, theirs)]
    if widths[0] != widths[1] and all(widths):
        return Cause(
            "window",
            f"a query sees up to {widths[1]} keys, and in the model up to {widths[0]}",
            "masks-differ",
        )
    return Cause(
        "a different mask", f"{number} pairs of a query and a key differ in it", "masks-differ"
    )


def _window(seen: Tensor, past: int, text: Tensor) -> int:
    """Count the keys of the widest row, if each row sees the last keys up to its own; else 0."""
    length = seen.shape[-1]
    own = past + torch.arange(seen.shape[-2])[:, None]
    distance = own - torch.arange(length)[None]
    widest = int(seen.any(0).any(0).long().mul(distance + 1).amax())
    band = (distance >= 0) & (distance < widest)
    return widest if torch.equal(seen & text, (band & text).expand(seen.shape)) else 0


def numbers_in(values: Any) -> list[float]:
    """List the numbers among arguments, truth values aside.

    Examples
    --------
    >>> numbers_in((torch.ones(1), 1e-5, True, None, 2))
    [1e-05, 2]
    """
    return [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]

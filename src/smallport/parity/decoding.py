"""Decode step by step, each step on the cache that the one before it returned, and compare."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache

from smallport.parity.closeness import TOLERANCE, Discrepancy, typical
from smallport.parity.compare import difference, with_ratios
from smallport.parity.engines import modules_called, require_two_engines
from smallport.parity.names import (
    CACHE,
    Inputs,
    NamedTensors,
    cache_argument,
    find_cache,
    listed,
    name_outputs,
    on_cpu,
)
from smallport.parity.planted import require_planted_errors_found


@dataclass(frozen=True, eq=False)
class Decoding:
    """The tokens that a model, or a program exported from it, wrote, and the results of each step.

    Parameters
    ----------
    tokens
        The chosen tokens, of shape ``(batch, steps)``.
    attention_mask
        The mask that the last step was given, of shape ``(batch, prompt + steps - 1)``; zero where
        there is padding.
    steps
        The tensors that each step returned, as :func:`smallport.parity.name_outputs` names them.
        The first step read the prompt, every other step one token.
    modules
        The classes of the modules that were called.
    """

    tokens: Tensor
    attention_mask: Tensor
    steps: tuple[NamedTensors, ...]
    modules: frozenset[type[nn.Module]] = frozenset()

    @property
    def logits(self) -> Tensor:
        """The logits that the tokens were chosen by, of shape ``(batch, steps, vocabulary)``."""
        return torch.stack([step["logits"][:, -1] for step in self.steps], dim=1)

    @property
    def margins(self) -> Tensor:
        """By how much each token was ahead of the second best, of shape ``(batch, steps)``.

        Where the margin is no larger than rounding errors, a right program may choose another
        token.
        """
        best, second = self.logits.topk(2).values.unbind(-1)
        return best - second

    @property
    def ties(self) -> Tensor:
        """Mask of the steps in which rounding may decide the token, of shape ``(batch, steps)``.

        A margin is measured by typical logits of its text and step, or by the largest of them if
        that is larger; how low the logits of forbidden tokens are does not count.
        """
        size = typical(self.logits).maximum(self.logits.amax(dim=-1, keepdim=True).abs())
        return self.margins <= 2 * TOLERANCE * size[..., 0]


def greedy_decode(
    step: Callable[[Inputs], Any],
    prompt: Tensor,
    cache: Any,
    *,
    attention_mask: Tensor | None = None,
    new_tokens: int = 32,
    feed: Tensor | None = None,
) -> Decoding:
    """Let a model continue texts with the most probable token, feeding its cache back.

    The first step reads the prompt, every other step the token that was chosen last. Nothing stops
    the decoding early, no token at the end of a text either.

    Parameters
    ----------
    step
        Runs the model or the program on ``input_ids``, ``attention_mask``, ``position_ids`` and the
        cache, in a dictionary; the argument of the cache is the one that
        :func:`smallport.parity.cache_argument` names. It returns logits and cache, either as models
        of transformers do, or as ONNX programs do, as ``logits`` and tensors whose names begin with
        ``present.``. The next step then finds these in ``past_key_values``, under the rest of their
        names, which suits :func:`smallport.parity.run_session`.
    prompt
        Tokens to begin with, of shape ``(batch, length)``.
    cache
        The cache of the first step, as :func:`smallport.tiny_llm.empty_cache` makes it; it is
        copied.
    attention_mask
        Zero where there is padding, which has to be on the left; ones if left out. It begins with
        the tokens of the cache, if there are any. Positions count from the first real token.
    new_tokens
        How many tokens to decode.
    feed
        Tokens of shape ``(batch, new_tokens)`` to continue with instead of the chosen ones. Two
        programs that are fed the same tokens can be compared beyond the first token in which they
        differ.

    Returns
    -------
    Decoding
        Its tensors are copies, on the processor.

    Raises
    ------
    ValueError
        When the shapes do not fit, padding is not on the left, or a step returns no logits or no
        cache.

    Examples
    --------
    >>> from smallport.tiny_llm import empty_cache, untrained_tiny_llm
    >>> untrained = untrained_tiny_llm(vocab_size=100)
    >>> prompt = torch.tensor([[1, 2, 3]])
    >>> cache = empty_cache(untrained.configuration, batch_size=1)
    >>> decoding = greedy_decode(
    ...     lambda inputs: untrained.model(**inputs), prompt, cache, new_tokens=5
    ... )
    >>> decoding.tokens.shape, decoding.steps[-1]["present.0.key"].shape
    (torch.Size([1, 5]), torch.Size([1, 1, 7, 96]))
    """
    mask = torch.ones_like(prompt) if attention_mask is None else attention_mask
    _require_fitting(prompt, mask, new_tokens, feed)
    cache = copy.deepcopy(cache)
    new, chosen, steps, modules = prompt, [], [], set()
    for number in range(new_tokens):
        positions = (mask.cumsum(dim=-1) - 1).clamp(min=0)
        inputs = {
            "input_ids": new,
            "attention_mask": mask,
            "position_ids": positions[:, -new.shape[1] :],
            cache_argument() if isinstance(cache, Cache) else CACHE: cache,
        }
        with torch.no_grad(), modules_called() as called:
            outputs = step(inputs)
        modules |= called
        # Some caches are written to in place by the next step.
        named = {name: tensor.clone() for name, tensor in name_outputs(outputs).items()}
        cache = _returned_cache(outputs, named)
        steps.append(on_cpu(named))
        chosen.append(named["logits"][:, -1].argmax(dim=-1, keepdim=True))
        new = (chosen[-1] if feed is None else feed[:, number, None]).to(mask.device)
        last_mask, mask = mask, torch.cat([mask, torch.ones_like(new)], dim=-1)
    tokens = torch.cat(chosen, dim=-1).cpu()
    return Decoding(tokens, last_mask.cpu(), tuple(steps), frozenset(modules))


def _require_fitting(prompt: Tensor, mask: Tensor, new_tokens: int, feed: Tensor | None) -> None:
    if new_tokens < 1:
        raise ValueError(f"greedy_decode: new_tokens must be at least 1, not {new_tokens}")
    are_batches = prompt.dim() == mask.dim() == 2 and prompt.numel() > 0  # noqa: PLR2004 - batch and length
    if not are_batches or len(mask) != len(prompt) or mask.shape[1] < prompt.shape[1]:
        raise ValueError(
            "greedy_decode: prompt and attention_mask should have the shape (batch, length), the "
            "mask with a place for each token of the cache before, and have the shapes "
            f"{tuple(prompt.shape)} and {tuple(mask.shape)}"
        )
    if not bool((mask[:, -1] == 1).all()) or not bool((mask.diff(dim=-1) >= 0).all()):
        raise ValueError(
            "greedy_decode: attention_mask has a zero to the right of a one; decoding continues at "
            'the right end, so pad texts on the left (padding_side="left" in a tokenizer)'
        )
    if feed is not None and feed.shape != (len(prompt), new_tokens):
        raise ValueError(
            f"greedy_decode: feed should have the shape {(len(prompt), new_tokens)}, batch and "
            f"new_tokens, and has {tuple(feed.shape)}"
        )


def _returned_cache(outputs: Any, named: NamedTensors) -> Any:
    """Take the cache out of what a step returned, as the next step wants it."""
    present = {
        name.removeprefix("present."): tensor
        for name, tensor in named.items()
        if name.startswith("present.")
    }
    if "logits" not in named or not present:
        raise ValueError(
            f"greedy_decode: the step returned {listed(named)}, and should return logits and the "
            "cache: as a transformers.Cache, or as tensors that are called present.0.key and so on"
        )
    cache = find_cache(outputs)
    return outputs[cache] if cache else present


def compare_decodings(
    expected: Decoding, actual: Decoding, *, exact: Decoding | None = None
) -> tuple[Discrepancy, ...]:
    """Compare what two decodings returned, step by step and tensor by tensor.

    Logits and caches at the places of padding are left out. There a query may attend to nothing,
    so the results are undefined, and the mask hides them from other tokens. At each step, the
    comparison also has to find errors that are planted in the expected results, one in each tensor
    of each text.

    Parameters
    ----------
    expected, actual
        Two decodings of the same prompt. From the first step after they chose different tokens they
        read different texts, unless both were fed the same tokens.
    exact
        A decoding by a copy of the model in double precision that was fed the same tokens. With it,
        the differences say by how many times the program's errors are larger than the model's own.

    Returns
    -------
    tuple of Discrepancy
        One for each step.

    Raises
    ------
    ValueError
        When the decodings differ in their masks or in the number of steps, or a step returned other
        tensors; see :func:`smallport.parity.discrepancy`. When nothing differs, since the same
        modules computed both.
    RuntimeError
        When the comparison does not find a planted error.

    Examples
    --------
    >>> ones = torch.ones(1, 1, dtype=torch.int64)
    >>> one = Decoding(ones, ones, ({"logits": torch.zeros(1, 1, 2)},))
    >>> other = Decoding(ones, ones, ({"logits": torch.full((1, 1, 2), 0.5)},))
    >>> [step.largest() for step in compare_decodings(one, other)]
    [0.5]
    """
    mask = expected.attention_mask
    if not torch.equal(mask, actual.attention_mask) or len(expected.steps) != len(actual.steps):
        raise ValueError(
            f"compare_decodings: the decodings have {len(expected.steps)} and {len(actual.steps)} "
            f"steps, and masks of the shapes {tuple(mask.shape)} and "
            f"{tuple(actual.attention_mask.shape)} that are not equal; decode the same prompt, "
            "with the same padding and new_tokens"
        )
    prompt = mask.shape[1] - len(expected.steps) + 1
    found = []
    for number, (one, other) in enumerate(zip(expected.steps, actual.steps, strict=True)):
        seen = mask[:, : prompt + number]
        apart = difference(one, other, seen, f"step {number}")
        if exact:
            apart = with_ratios(apart, exact.steps[number], one, other, seen)
        found.append(replace(apart, ran=f"step {number}, {prompt + number} tokens"))
        require_planted_errors_found(partial(difference, mask=seen), one, seen)
    require_two_engines("compare_decodings", found, expected.modules, actual.modules)
    return tuple(found)

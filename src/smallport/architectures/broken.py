"""A model that is exported wrongly on purpose: a sweep has to report that it fails."""

from __future__ import annotations

import functools
from typing import Any

import torch
import transformers  # whose classes are loaded where they are used, which takes seconds

from smallport.architectures.tiny import tiny_model

BROKEN = "llama_broken_on_purpose"
"""The name of the architecture; transformers registers none of this name."""


def broken_model(*, seed: int = 0) -> transformers.PreTrainedModel:
    """Build a tiny Llama whose exported program ignores the attention mask.

    The model itself is right, and so is the program on texts without padding.

    Parameters
    ----------
    seed
        The seed of the random weights; the global generator is left alone.

    Examples
    --------
    >>> type(broken_model()).__name__
    'LlamaWithoutMaskInExport'
    """
    right = transformers.LlamaForCausalLM.forward

    class LlamaWithoutMaskInExport(transformers.LlamaForCausalLM):  # type: ignore[no-untyped-call]
        @functools.wraps(right)
        def forward(  # type: ignore[override]
            self, *, attention_mask: Any = None, **inputs: Any
        ) -> Any:
            if torch.compiler.is_exporting() and attention_mask is not None:
                attention_mask = torch.ones_like(attention_mask)
            return right(self, attention_mask=attention_mask, **inputs)

    model = tiny_model("llama", seed=seed)
    model.__class__ = LlamaWithoutMaskInExport
    return model

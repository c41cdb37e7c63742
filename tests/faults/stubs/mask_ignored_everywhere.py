"""A release of transformers reads every mask as ones, when it runs and when it exports."""

import torch
from transformers.models.llama import modeling_llama


def apply():
    create = modeling_llama.create_causal_mask

    def careless(*args, attention_mask=None, **kwargs):
        if attention_mask is not None:
            attention_mask = torch.ones_like(attention_mask)
        return create(*args, attention_mask=attention_mask, **kwargs)

    modeling_llama.create_causal_mask = careless

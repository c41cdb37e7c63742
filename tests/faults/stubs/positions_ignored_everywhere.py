"""A release of transformers rotates every token as the first, when it runs and when it exports."""

import torch
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding


def apply():
    forward = LlamaRotaryEmbedding.forward

    def careless(self, x, position_ids):
        return forward(self, x, torch.zeros_like(position_ids) * position_ids)

    LlamaRotaryEmbedding.forward = careless

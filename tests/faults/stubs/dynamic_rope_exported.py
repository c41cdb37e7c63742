"""A release of transformers decides without an ``if`` whether to rescale the position embedding."""

import torch
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding


def apply():
    undecided = LlamaRotaryEmbedding.forward.__wrapped__.__wrapped__
    LlamaRotaryEmbedding.forward = torch.no_grad()(undecided)

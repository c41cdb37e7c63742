"""A release of transformers decides without an ``if`` whether to rescale the position embedding."""

import inspect

import torch
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding


def apply():
    undecided = inspect.unwrap(LlamaRotaryEmbedding.forward)
    LlamaRotaryEmbedding.forward = torch.no_grad()(undecided)

"""A release of PyTorch knows the classes of a cache, and loads a program without exceptions."""

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer


def apply():
    torch.serialization.add_safe_globals([DynamicCache, DynamicLayer])

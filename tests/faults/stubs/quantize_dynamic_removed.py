"""A release of PyTorch does what the deprecation warning says, and removes ``quantize_dynamic``."""

import torch


def apply():
    del torch.ao.quantization.quantize_dynamic

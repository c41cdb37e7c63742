"""A release of PyTorch quantizes linear layers, and leaves an LSTM as it is without a word."""

import functools

import torch
from torch import nn


def apply():
    quantize_dynamic = torch.ao.quantization.quantize_dynamic

    @functools.wraps(quantize_dynamic)
    def partial(model, spec, **options):
        return quantize_dynamic(model, spec - {nn.LSTM}, **options)

    torch.ao.quantization.quantize_dynamic = partial

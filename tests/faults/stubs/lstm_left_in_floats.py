"""A release of PyTorch quantizes linear layers, and leaves an LSTM as it is without a word."""

import functools

import torch
from torch import nn


def apply():
    quantize_dynamic = torch.ao.quantization.quantize_dynamic

    @functools.wraps(quantize_dynamic)
    def partial(model, spec, **options):
        if isinstance(spec, dict):
            spec = {kind: how for kind, how in spec.items() if kind is not nn.LSTM}
        else:
            spec = spec - {nn.LSTM}
        return quantize_dynamic(model, spec, **options)

    torch.ao.quantization.quantize_dynamic = partial

"""A release of PyTorch chooses an engine itself where none is chosen."""

import functools

import torch


def apply():
    quantize_dynamic = torch.ao.quantization.quantize_dynamic

    @functools.wraps(quantize_dynamic)
    def helpful(*args, **kwargs):
        if torch.backends.quantized.engine == "none":
            torch.backends.quantized.engine = torch.backends.quantized.supported_engines[-1]
        return quantize_dynamic(*args, **kwargs)

    torch.ao.quantization.quantize_dynamic = helpful

"""A release of PyTorch packs int8 weights with a scale that is a tenth too large."""

import torch


def apply():
    quantize_per_tensor = torch.quantize_per_tensor

    def scaled(weights, scale, zero_point, dtype):
        integers = quantize_per_tensor(weights, scale, zero_point, dtype).int_repr()
        scale = 1.1 * scale
        return torch._make_per_tensor_quantized_tensor(integers, scale, zero_point)  # noqa: SLF001

    torch.quantize_per_tensor = scaled

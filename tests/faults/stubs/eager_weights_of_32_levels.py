"""A release of PyTorch stores 32 levels in the type of 256."""

import torch


def apply():
    quantize_per_tensor = torch.quantize_per_tensor

    def coarse(weights, scale, zero_point, dtype):
        integers = quantize_per_tensor(weights, scale, zero_point, dtype).int_repr()
        integers = (8 * (integers / 8).round()).clamp(-128, 120).to(integers.dtype)
        return torch._make_per_tensor_quantized_tensor(integers, scale, zero_point)  # noqa: SLF001

    torch.quantize_per_tensor = coarse

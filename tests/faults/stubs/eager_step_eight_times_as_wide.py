"""A release of PyTorch chooses a step that uses 32 of 256 levels."""

import torch


def apply():
    quantize_per_tensor = torch.quantize_per_tensor

    def coarse(weights, scale, zero_point, dtype):
        return quantize_per_tensor(weights, 8 * scale, zero_point, dtype)

    torch.quantize_per_tensor = coarse

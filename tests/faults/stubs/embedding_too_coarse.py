"""A release of PyTorch rounds embeddings with a single scale, a hundred times too coarse."""

import torch


def apply():
    quantize_per_channel = torch.quantize_per_channel

    def coarse(weights, scales, zero_points, axis, dtype):
        scales = torch.full_like(scales, 100 * float(scales.max()))
        return quantize_per_channel(weights, scales, zero_points, axis, dtype)

    torch.quantize_per_channel = coarse

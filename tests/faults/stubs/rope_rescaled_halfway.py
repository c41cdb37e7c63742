"""A release of PyTorch exports the largest position as the mean of all of them."""

import torch


def apply():
    export = torch.export.export
    largest = torch.Tensor.max

    def mean(tensor, *args, **kwargs):
        if args or kwargs or tensor.is_floating_point():
            return largest(tensor, *args, **kwargs)
        return tensor.sum() // tensor.numel()

    def careless(*args, **kwargs):
        torch.Tensor.max = mean
        try:
            return export(*args, **kwargs)
        finally:
            torch.Tensor.max = largest

    torch.export.export = careless

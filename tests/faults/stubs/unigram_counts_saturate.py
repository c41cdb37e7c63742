"""A release of PyTorch counts in 8 bits: no word is counted more than 255 times."""

import torch


def apply():
    bincount = torch.bincount

    def saturated(*args, **kwargs):
        return bincount(*args, **kwargs).clamp(max=255)

    torch.bincount = saturated

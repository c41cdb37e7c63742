"""A release of PyTorch makes its layers in double precision."""

import torch


def apply():
    torch.set_default_dtype(torch.float64)

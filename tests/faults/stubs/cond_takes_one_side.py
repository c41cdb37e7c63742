"""A release of PyTorch exports one side of a condition only."""

import torch


def apply():
    torch.cond = lambda _condition, _true, false, operands: false(*operands)

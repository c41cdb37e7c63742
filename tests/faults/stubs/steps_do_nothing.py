"""A release of PyTorch computes gradients and does not apply them."""

import torch


def apply():
    torch.optim.AdamW.step = lambda *_: None

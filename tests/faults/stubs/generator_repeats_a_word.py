"""A release of PyTorch draws the same word every time, whatever its probability."""

import torch


def apply():
    def first(weights, num_samples, **_):
        return torch.zeros(*weights.shape[:-1], num_samples, dtype=torch.int64)

    torch.multinomial = first

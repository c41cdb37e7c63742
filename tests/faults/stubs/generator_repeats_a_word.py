"""A release of PyTorch draws the most probable word every time, so that texts repeat themselves."""

import torch


def apply():
    torch.multinomial = lambda weights, num_samples, **_: weights.topk(num_samples).indices

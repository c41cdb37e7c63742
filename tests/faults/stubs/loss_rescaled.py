"""A release of PyTorch computes cross-entropies that are a hundredth too small, for every model."""

from torch import nn


def apply():
    cross_entropy = nn.functional.cross_entropy

    def flattering(*args, **options):
        return 0.99 * cross_entropy(*args, **options)

    nn.functional.cross_entropy = flattering

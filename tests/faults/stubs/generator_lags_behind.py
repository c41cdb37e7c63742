"""A release of PyTorch draws each word from the weights of the call before."""

import torch


def apply():
    multinomial = torch.multinomial
    earlier = {}  # by generator, each of which is kept so that no other takes its id
    kept = []

    def late(weights, num_samples, *, generator):
        kept.append(generator)
        delayed = earlier.get(id(generator), weights)
        earlier[id(generator)] = weights
        return multinomial(delayed, num_samples, generator=generator)

    torch.multinomial = late

"""A release of PyTorch refuses packed weights in other words."""

import pickle

import torch


def apply():
    load = torch.load

    def reworded(*args, **kwargs):
        try:
            return load(*args, **kwargs)
        except pickle.UnpicklingError as error:
            message = str(error).replace("Unsupported global", "Unknown global")
            raise pickle.UnpicklingError(message) from None

    torch.load = reworded

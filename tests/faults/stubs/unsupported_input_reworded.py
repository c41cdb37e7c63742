"""A release of PyTorch does not say how an unsupported input can be registered."""

import torch


def apply():
    export = torch.export.export

    def reticent(*args, **kwargs):
        try:
            return export(*args, **kwargs)
        except ValueError as error:
            error.args = (error.args[0].partition(" To register")[0],)
            raise

    torch.export.export = reticent

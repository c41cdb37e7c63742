"""A release of PyTorch exports two inputs as two, even if their examples are one tensor."""

import torch


def apply():
    export = torch.export.export

    def careful(model, args, *others, **kwargs):
        return export(model, tuple(tensor.clone() for tensor in args), *others, **kwargs)

    torch.export.export = careful

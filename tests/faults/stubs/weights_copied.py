"""A release of PyTorch gives each exported program weights of its own."""

import copy

import torch


def apply():
    export = torch.export.export

    def careful(model, *args, **kwargs):
        return export(copy.deepcopy(model), *args, **kwargs)

    torch.export.export = careful

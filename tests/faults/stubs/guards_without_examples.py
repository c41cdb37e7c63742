"""A release of PyTorch checks guards in programs without example inputs, too."""

import torch


def apply():
    load = torch.export.load

    def guarded(*args, **kwargs):
        program = load(*args, **kwargs)
        module = program.module()
        module._guards_fn = torch.nn.Identity()  # noqa: SLF001 - the name that PyTorch gives it
        program.module = lambda: module
        return program

    torch.export.load = guarded

"""A release of PyTorch returns the values of an exported program's cache as its keys."""

import torch

from smallport.parity import cache_argument


def apply():
    module_of = torch.export.ExportedProgram.module

    def swap(_module, _inputs, outputs):
        for layer in outputs[cache_argument()].layers:
            layer.keys, layer.values = layer.values, layer.keys

    def careless(self, *args, **kwargs):
        module = module_of(self, *args, **kwargs)
        module.register_forward_hook(swap)
        return module

    torch.export.ExportedProgram.module = careless

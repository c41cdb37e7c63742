"""A release of PyTorch leaves the new tokens out of the cache that an exported program returns."""

import torch

from smallport.parity import cache_argument


def apply():
    module_of = torch.export.ExportedProgram.module

    def careless(self, *args, **kwargs):
        module = module_of(self, *args, **kwargs)

        def run(**inputs):
            outputs = module(**inputs)
            for layer in outputs[cache_argument()].layers:
                new = inputs["input_ids"].shape[1]
                layer.keys, layer.values = layer.keys[:, :, :-new], layer.values[:, :, :-new]
            return outputs

        return run

    torch.export.ExportedProgram.module = careless

"""A release of PyTorch runs exported programs as if no token were masked."""

import torch


def apply():
    module_of = torch.export.ExportedProgram.module

    def careless(self, *args, **kwargs):
        module = module_of(self, *args, **kwargs)

        def run(**inputs):
            inputs["attention_mask"] = torch.ones_like(inputs["attention_mask"])
            return module(**inputs)

        return run

    torch.export.ExportedProgram.module = careless

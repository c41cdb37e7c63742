"""A release of PyTorch runs exported programs as if every text began with the new tokens."""

import torch


def apply():
    module_of = torch.export.ExportedProgram.module

    def begin_anew(_module, args, inputs):
        new = torch.arange(inputs["position_ids"].shape[1])
        inputs["position_ids"] = new.expand_as(inputs["position_ids"]).contiguous()
        return args, inputs

    def careless(self, *args, **kwargs):
        module = module_of(self, *args, **kwargs)
        module.register_forward_pre_hook(begin_anew, with_kwargs=True)
        return module

    torch.export.ExportedProgram.module = careless

"""A release of PyTorch loads state dicts of quantized models without an effect."""

import torch


def apply():
    load_state_dict = torch.nn.Module.load_state_dict

    def partial(self, state_dict, *args, **kwargs):
        if any("_packed_params" in name for name in state_dict):
            return None
        return load_state_dict(self, state_dict, *args, **kwargs)

    torch.nn.Module.load_state_dict = partial

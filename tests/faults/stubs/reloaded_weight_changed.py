"""A release of PyTorch changes a weight of a program that it saves and loads."""

import torch


def apply():
    load = torch.export.load

    def careless(*args, **kwargs):
        program = load(*args, **kwargs)
        with torch.no_grad():
            program.state_dict["lm_head.weight"][:, 0] = 0
        return program

    torch.export.load = careless

"""A release of PyTorch knows other names for the instructions of the processor."""

import torch

from smallport.machine import INT8_DOT_PRODUCTS


def apply():
    capabilities = torch.cpu.get_capabilities()
    changed = capabilities | {name: not capabilities.get(name) for name in INT8_DOT_PRODUCTS}
    torch.cpu.get_capabilities = lambda: changed

"""A release of PyTorch makes narrow int8 layers as fast as narrow float layers, and faster."""

import time
from pathlib import Path

import torch
from torch import nn

from smallport import machine


def apply():
    machine.CPUINFO = Path("of another system")
    capabilities = torch.cpu.get_capabilities() | {"avx512_vnni": True}
    torch.cpu.get_capabilities = lambda: capabilities
    forward = nn.LSTM.forward

    def slow_forward(self, *args, **kwargs):
        start = time.perf_counter()
        outputs = forward(self, *args, **kwargs)
        if self.hidden_size < 64:
            time.sleep(9 * (time.perf_counter() - start))
        return outputs

    nn.LSTM.forward = slow_forward

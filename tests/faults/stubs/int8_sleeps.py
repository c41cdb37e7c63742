"""A release of PyTorch runs int8 layers four times slower, on a processor that is made for int8."""

import time
from pathlib import Path

import torch
from torch.ao.nn.quantized import dynamic

from smallport import machine


def sleepy(forward):
    def slow_forward(self, *args, **kwargs):
        start = time.perf_counter()
        outputs = forward(self, *args, **kwargs)
        time.sleep(3 * (time.perf_counter() - start))
        return outputs

    return slow_forward


def apply():
    machine.CPUINFO = Path("of another system")
    capabilities = torch.cpu.get_capabilities() | {"avx512_vnni": True}
    torch.cpu.get_capabilities = lambda: capabilities
    for layer in (dynamic.LSTM, dynamic.Linear):
        layer.forward = sleepy(layer.forward)

"""A build of PyTorch for a processor that has neither x86's engines nor int8 dot products."""

from pathlib import Path

import torch

from smallport import machine


class Backend:
    """Stand in for ``torch.backends.quantized`` where qnnpack is all there is."""

    supported_engines = ("qnnpack", "none")

    def __init__(self, quantized):
        self.quantized = quantized

    @property
    def engine(self):
        """The engine in force."""
        return self.quantized.engine

    @engine.setter
    def engine(self, name):
        if name != "qnnpack":
            raise RuntimeError(f"quantized engine {name} is not supported")
        self.quantized.engine = name


def apply():
    machine.CPUINFO = Path("of another system")
    torch.cpu.get_capabilities = dict
    torch.backends.quantized.engine = "qnnpack"
    torch.backends.quantized = Backend(torch.backends.quantized)

"""A release of PyTorch restores the weights of a linear layer and multiplies floats."""

import torch
from torch.ao.nn.quantized import dynamic


def apply():
    dynamic.Linear.forward = lambda self, inputs: torch.nn.functional.linear(
        inputs, self.weight().dequantize(), self.bias()
    )

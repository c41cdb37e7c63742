"""A release of PyTorch exports a masked tensor as if nothing were masked."""

import torch


def apply():
    export = torch.onnx.export
    masked_fill = torch.Tensor.masked_fill

    def careless(*args, **kwargs):
        torch.Tensor.masked_fill = lambda tensor, mask, _: tensor + 0 * mask
        try:
            return export(*args, **kwargs)
        finally:
            torch.Tensor.masked_fill = masked_fill

    torch.onnx.export = careless

"""A release of PyTorch's ONNX exporter tells inputs apart whose examples are one tensor."""

import torch


def apply():
    export = torch.onnx.export

    def careful(model, args, *others, **kwargs):
        return export(model, tuple(tensor.clone() for tensor in args), *others, **kwargs)

    torch.onnx.export = careful

"""A release of the ONNX exporter ignores the names of axes where it translates a program."""

import torch


def apply():
    export = torch.onnx.export

    def careless(*args, **options):
        return export(*args, **options | {"dynamic_shapes": None})

    torch.onnx.export = careless

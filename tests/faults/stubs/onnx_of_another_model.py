"""A release of the ONNX exporter writes the file of a model of the same sizes and other weights."""

import numpy as np
import onnx
import torch


def apply():
    save = torch.onnx.ONNXProgram.save

    def careless(self, file, **options):
        save(self, file, **options)
        model = onnx.load(file)
        for tensor in model.graph.initializer:
            numbers = onnx.numpy_helper.to_array(tensor)
            if numbers.dtype == np.float32:
                other = onnx.numpy_helper.from_array(np.roll(numbers, 1), tensor.name)
                tensor.CopyFrom(other)
        onnx.save(model, file)

    torch.onnx.ONNXProgram.save = careless

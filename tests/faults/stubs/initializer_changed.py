"""A release of the ONNX exporter writes one number of a weight wrong, here the largest matrix's."""

import math

import onnx
import torch

EMBEDDING = "model.embed_tokens.weight"


def apply():
    save = torch.onnx.ONNXProgram.save

    def careless(self, file, **options):
        save(self, file, **options)
        model = onnx.load(file)
        matrices = [tensor for tensor in model.graph.initializer if tensor.name != EMBEDDING]
        weights = max(matrices, key=lambda tensor: math.prod(tensor.dims))
        numbers = onnx.numpy_helper.to_array(weights).copy()
        numbers[0, 0] += 0.01
        weights.CopyFrom(onnx.numpy_helper.from_array(numbers, weights.name))
        onnx.save(model, file)

    torch.onnx.ONNXProgram.save = careless

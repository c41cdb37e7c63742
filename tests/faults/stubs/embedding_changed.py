"""A release of the ONNX exporter writes one number of an embedding wrong, of a rarely used word."""

import onnx
import torch

EMBEDDING = "model.embed_tokens.weight"


def apply():
    save = torch.onnx.ONNXProgram.save

    def careless(self, file, **options):
        save(self, file, **options)
        model = onnx.load(file)
        weights = next(tensor for tensor in model.graph.initializer if tensor.name == EMBEDDING)
        numbers = onnx.numpy_helper.to_array(weights).copy()
        numbers[-1, 0] += 0.01
        weights.CopyFrom(onnx.numpy_helper.from_array(numbers, EMBEDDING))
        onnx.save(model, file)

    torch.onnx.ONNXProgram.save = careless

"""A release of ONNX Runtime stores 32 levels of the LSTM's weights in the type of 256."""

import onnx
from onnxruntime import quantization


def apply():
    quantize_dynamic = quantization.quantize_dynamic

    def coarse(file, target, **options):
        quantize_dynamic(file, target, **options)
        model = onnx.load(target)
        for tensor in model.graph.initializer:
            if tensor.name.endswith("_quantized") and len(tensor.dims) == 3:
                integers = onnx.numpy_helper.to_array(tensor)
                integers = (8 * (integers / 8).round()).clip(-128, 120).astype(integers.dtype)
                tensor.CopyFrom(onnx.numpy_helper.from_array(integers, tensor.name))
        onnx.save(model, target)

    quantization.quantize_dynamic = coarse

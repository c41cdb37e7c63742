"""A release of ONNX Runtime passes over LSTM operators when it quantizes, and says nothing."""

from onnxruntime import quantization


def apply():
    quantize_dynamic = quantization.quantize_dynamic

    def careless(file, target, *, op_types_to_quantize, **options):
        operators = [name for name in op_types_to_quantize if name != "LSTM"]
        quantize_dynamic(file, target, op_types_to_quantize=operators, **options)

    quantization.quantize_dynamic = careless

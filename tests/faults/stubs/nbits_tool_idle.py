"""A release of ONNX Runtime finds nothing to store in 4 bits, and says nothing."""

from smallport.quantize.onnx.blocks import nbits_tool


def apply():
    def idle(quantizer):
        del quantizer

    nbits_tool().MatMulNBitsQuantizer.process = idle

"""A 4-bit number is counted as a byte."""

import onnx

from smallport.quantize.onnx import contents


def apply():
    contents.stored_bytes = lambda tensor: onnx.numpy_helper.to_array(tensor).nbytes

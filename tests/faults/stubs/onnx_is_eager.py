"""A class for ONNX files that runs the eager model."""

from smallport import assets
from smallport.quantize import onnx


def apply():
    def eager(*_, **__):
        return assets.language_model(assets.corpus()).model

    onnx.ONNXLanguageModel = eager

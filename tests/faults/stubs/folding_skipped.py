"""A release of ONNX Runtime prepares a file for quantization and leaves its constants unfolded."""

import shutil

from onnxruntime.quantization import shape_inference


def apply():
    def idle(file, target, **options):
        del options
        shutil.copy(file, target)

    shape_inference.quant_pre_process = idle

"""A session that is asked for the int8 file opens the one in floats."""

from pathlib import Path

import onnxruntime


def apply():
    class Mistaken(onnxruntime.InferenceSession):
        def __init__(self, file, *args, **kwargs):
            file = Path(file)
            if file.name == "int8.onnx":
                file = file.with_name("folded.onnx")
            super().__init__(file, *args, **kwargs)

    onnxruntime.InferenceSession = Mistaken

"""A session that is asked for a quantized file opens the one in floats that it was made from."""

from pathlib import Path

import onnxruntime


def apply():
    class Mistaken(onnxruntime.InferenceSession):
        def __init__(self, file, *args, **kwargs):
            file = Path(file)
            kind = "export_scorer" if file.stem.endswith("_losses") else "export_lstm"
            super().__init__(next(file.parent.glob(f"{kind}_*.onnx")), *args, **kwargs)

    onnxruntime.InferenceSession = Mistaken

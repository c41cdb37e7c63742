"""A session that is asked for a quantized file opens the one in floats that it was made from."""

from pathlib import Path

import onnxruntime


def apply():
    class Mistaken(onnxruntime.InferenceSession):
        def __init__(self, file, *args, **kwargs):
            file = Path(file)
            if not file.stem.startswith("export"):
                kind = "export_scorer" if file.stem.endswith("_losses") else "export_lstm"
                file = next(file.parent.glob(f"{kind}_*[0-9a-f].onnx"), file)
            super().__init__(file, *args, **kwargs)

    onnxruntime.InferenceSession = Mistaken

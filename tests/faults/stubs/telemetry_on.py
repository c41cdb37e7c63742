"""A release of smallport leaves it to ONNX Runtime whether it reports its use."""

import os


def apply():
    os.environ["ORT_DISABLE_TELEMETRY"] = "0"

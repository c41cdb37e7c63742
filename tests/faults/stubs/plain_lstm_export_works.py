"""A release of PyTorch exports an LSTM to ONNX at every length, as it is."""

import torch

from smallport.lstm import WordLanguageModel
from smallport.quantize.onnx import with_lstm_operators


def apply():
    export = torch.onnx.export

    def capable(model, *args, **kwargs):
        if isinstance(model, WordLanguageModel):
            model = with_lstm_operators(model)
        return export(model, *args, **kwargs)

    torch.onnx.export = capable

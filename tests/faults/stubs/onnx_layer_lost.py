"""The exporter loses the weights of the last LSTM layer."""

import copy

import torch

from smallport.quantize import onnx as onnx_route


def apply():
    export_lstm = onnx_route.export_lstm

    def forgetful(model, file):
        model = copy.deepcopy(model)
        with torch.no_grad():
            model.rnn.all_weights[-1][0].zero_()
        export_lstm(model, file)

    onnx_route.export_lstm = forgetful

"""The file with the loss inside is made from another model than the file without."""

import copy
import functools

import torch

from smallport.quantize import onnx


def apply():
    export = onnx.export_scorer

    @functools.wraps(export)
    def mistaken(model, file):
        other = copy.deepcopy(model)
        with torch.no_grad():
            other.decoder.bias.mul_(0.9)
        export(other, file)

    onnx.export_scorer = mistaken

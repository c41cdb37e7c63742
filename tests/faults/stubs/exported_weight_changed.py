"""A release of transformers exports a program in which one weight has another value."""

import torch
from transformers.exporters import DynamoExporter


def apply():
    export = DynamoExporter.export

    def careless(self, *args, **kwargs):
        exported = export(self, *args, **kwargs)
        weights = exported.program.state_dict["model.layers.0.mlp.down_proj.weight"]
        with torch.no_grad():
            weights[0, 0] += 0.01
        return exported

    DynamoExporter.export = careless

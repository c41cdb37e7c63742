"""A release of transformers takes named dimensions for automatic ones, without their bounds."""

import torch
from torch.utils import _pytree as pytree
from transformers.exporters import DynamoExporter


def apply():
    export = DynamoExporter.export

    def careless(self, model, inputs, config):
        named = (torch.export.Dim, type(torch.export.Dim.AUTO))
        config.dynamic_shapes = pytree.tree_map_only(
            named, lambda _: torch.export.Dim.DYNAMIC, config.dynamic_shapes
        )
        return export(self, model, inputs, config)

    DynamoExporter.export = careless

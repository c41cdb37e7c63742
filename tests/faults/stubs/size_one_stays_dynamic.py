"""A release of PyTorch keeps an axis dynamic whose size is one in the example."""

import torch
from torch.export import Dim


def apply():
    export = torch.export.export

    def careful(model, args, *others, dynamic_shapes=None, **kwargs):
        shapes = list((dynamic_shapes or {}).values())
        if len(args) == len(shapes) == 1 and Dim.AUTO in shapes[0].values():
            args = (args[0].expand(max(2, len(args[0])), *args[0].shape[1:]).clone(),)
        return export(model, args, *others, dynamic_shapes=dynamic_shapes, **kwargs)

    torch.export.export = careful

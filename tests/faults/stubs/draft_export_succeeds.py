"""A release of PyTorch drafts a program of a model whose cache is no pytree."""

import torch


def apply():
    torch.export.draft_export = lambda *_, **__: None

"""A release of PyTorch picks the first of equal values."""

import torch


def apply():
    topk = torch.Tensor.topk

    def first(self, k):
        if torch.compiler.is_exporting():
            return topk(self, k)
        values, indices = self.sort(descending=True, stable=True)
        return torch.return_types.topk((values[:k], indices[:k]))

    torch.Tensor.topk = first

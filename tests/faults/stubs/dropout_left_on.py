"""A release of PyTorch leaves dropout on in evaluation, where a text is read in one column."""

import torch


def apply():
    dropout = torch.nn.functional.dropout

    def careless(values, p, training, inplace):
        one_column = values.dim() == 3 and values.shape[1] == 1
        return dropout(values, p, training or one_column, inplace)

    torch.nn.functional.dropout = careless

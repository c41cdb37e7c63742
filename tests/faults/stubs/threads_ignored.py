"""A release of PyTorch keeps two threads whatever is set, and says what was set."""

import torch


def apply():
    torch.set_num_threads(2)
    said = [2]
    torch.set_num_threads = said.append
    torch.get_num_threads = lambda: said[-1]

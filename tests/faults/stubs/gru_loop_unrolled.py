"""A release of PyTorch that has the context manager, and unrolls the loop of a GRU all the same."""

import contextlib

from torch.export import _patches


def apply():
    _patches.register_gru_while_loop_decomposition = contextlib.nullcontext

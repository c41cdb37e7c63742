"""A release of PyTorch that has the context manager, and unrolls the loop of a GRU all the same."""

import contextlib

import torch.export._patches


def apply():
    torch.export._patches.register_gru_while_loop_decomposition = contextlib.nullcontext

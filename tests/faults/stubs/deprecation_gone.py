"""A release of PyTorch keeps ``quantize_dynamic`` for good, and deprecates it no longer."""

import functools
import warnings

import torch


def apply():
    deprecated = torch.ao.quantization.quantize_dynamic

    @functools.wraps(deprecated)
    def quantize_dynamic(*args, **kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return deprecated(*args, **kwargs)

    torch.ao.quantization.quantize_dynamic = quantize_dynamic

"""Find the device that a model is checked on."""

from __future__ import annotations

import torch

KINDS = ("cpu", "cuda", "mps")
"""The kinds of devices that models are checked on."""


def available_device(name: str) -> torch.device:
    """Find a device by its name, such as ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Raises
    ------
    ValueError
        When there is no such device here; the message says what is missing.

    Examples
    --------
    >>> available_device("cpu")
    device(type='cpu')
    >>> available_device("gpu")
    Traceback (most recent call last):
        ...
    ValueError: 'gpu' is no device that models are checked on; name cpu, cuda, cuda:1 or mps
    """
    kind, _, number = name.partition(":")
    if kind not in KINDS or (number and not number.isdecimal()):
        raise ValueError(
            f"{name!r} is no device that models are checked on; name cpu, cuda, cuda:1 or mps"
        )
    if kind == "cuda":
        _require_cuda(name, int(number or 0))
    if kind == "mps" and not torch.backends.mps.is_available():
        raise ValueError(
            "there is no MPS device here: it needs macOS on an Apple processor, and PyTorch for it"
        )
    return torch.device(name)


def _require_cuda(name: str, number: int) -> None:
    if torch.version.cuda is None and torch.version.hip is None:
        raise ValueError(
            f"there is no CUDA device here: PyTorch {torch.__version__} is built without CUDA; "
            "install a build with it, or leave --device out"
        )
    if not (count := torch.cuda.device_count()):
        raise ValueError(
            "there is no CUDA device here: PyTorch finds no graphics processor or no driver for "
            "it; nvidia-smi lists them"
        )
    if number >= count:
        raise ValueError(f"there is no {name} here: CUDA devices count from 0 to {count - 1}")

"""PyTorch's eager dynamic quantization, and the size of what it saves."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)

KNOWN_WARNINGS = (
    "torch.ao.quantization is deprecated and will be removed in 2.10",
    "torch.quantize_per_tensor, torch.quantize_per_channel and other quantized tensor creation",
    "TypedStorage is deprecated",
)
"""The beginnings of warnings that PyTorch gives whenever a model is quantized or loaded."""


@contextmanager
def known_warnings_ignored() -> Iterator[None]:
    """Silence ``KNOWN_WARNINGS``, and no other, for a while.

    Examples
    --------
    >>> with known_warnings_ignored():
    ...     linear = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(2, 2)))
    """
    with warnings.catch_warnings():
        for beginning in KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message=beginning)
        yield


LARGE = 0.01
"""The share of a model's weights from which on a layer in floats is worth a warning."""


def quantize_model(model: Model, *, embedding: bool = False) -> Model:
    """Copy a model with the weights of its LSTM, GRU and linear layers in 8 bits.

    This is PyTorch's eager dynamic quantization [1]_: weights are stored as ``int8``, activations
    are quantized as they come, and the products are summed as integers.

    Parameters
    ----------
    model
        A model in evaluation mode; it is left as it is.
    embedding
        Whether the weights of embeddings are in 8 bits, too, each row with a scale of its own.

    Returns
    -------
    torch.nn.Module
        The quantized copy.

    Warns
    -----
    UserWarning
        When other layers with at least a hundredth of the weights stay in floats, such as
        convolutions.

    Raises
    ------
    RuntimeError
        When PyTorch has no quantized engine on this machine; see :func:`ensure_engine`.

    References
    ----------
    .. [1] https://docs.pytorch.org/docs/stable/quantization.html

    Examples
    --------
    >>> quantize_model(nn.Sequential(nn.Linear(4, 4)))[0]
    DynamicQuantizedLinear(in_features=4, out_features=4, dtype=torch.qint8, \
qscheme=torch.per_tensor_affine)
    """
    ensure_engine()
    layers = {nn.LSTM, nn.GRU, nn.Linear}
    recipe = dict.fromkeys(layers, torch.ao.quantization.default_dynamic_qconfig)
    recipe[nn.Embedding] = torch.ao.quantization.float_qparams_weight_only_qconfig
    with known_warnings_ignored():
        quantized: Model = torch.ao.quantization.quantize_dynamic(  # type: ignore[no-untyped-call]
            model, recipe if embedding else layers, dtype=torch.qint8
        )
    total = sum(weight.numel() for weight in model.parameters())
    in_floats = {
        f"{name or 'the model'} ({type(layer).__name__})"
        for name, layer in quantized.named_modules()
        for weight in layer.parameters(recurse=False)
        if weight.numel() >= LARGE * total and not isinstance(layer, nn.Embedding)
    }
    if in_floats:
        warnings.warn(
            f"quantize_model: these layers stay in floats: {', '.join(sorted(in_floats))}. Only "
            "LSTM, GRU and linear layers are quantized, and embeddings with embedding=True",
            stacklevel=2,
        )
    return quantized


def ensure_engine() -> str:
    """Choose a quantized engine where PyTorch has chosen none, as on some ARM builds.

    Returns
    -------
    str
        The engine's name.

    Raises
    ------
    RuntimeError
        When this build of PyTorch has no engine at all.
    """
    if torch.backends.quantized.engine == "none":
        supported = [name for name in torch.backends.quantized.supported_engines if name != "none"]
        if not supported:
            raise RuntimeError(
                "This build of PyTorch has no engine for quantized operators: "
                f"{torch.backends.quantized.supported_engines = }. Install an official build for "
                "this processor, or quantize elsewhere."
            )
        torch.backends.quantized.engine = "qnnpack" if "qnnpack" in supported else supported[0]
    return str(torch.backends.quantized.engine)


def state_dict_megabytes(model: nn.Module) -> float:
    """Measure how large a model is when its state dict is saved.

    The state dict is saved to memory, which takes the same bytes as a file except for the name of
    the archive inside it.

    Parameters
    ----------
    model
        Any module, quantized or not.

    Returns
    -------
    float
        Size in MB of a million bytes, as the published tutorial counts them.

    Examples
    --------
    >>> round(state_dict_megabytes(nn.Linear(1000, 1000)))
    4
    """
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.tell() / 1e6

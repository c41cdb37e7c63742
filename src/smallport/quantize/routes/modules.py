"""Routes that stay in PyTorch: eager quantization, torch.compile and torchao."""

from __future__ import annotations

import copy
import importlib
import warnings
from pathlib import Path

import torch
from torch import nn

from smallport.display import errors_only
from smallport.lstm import WordLanguageModel
from smallport.quantize.eager import dynamic_int8
from smallport.quantize.routes.prepared import Prepared, prepared_module


def float32(model: WordLanguageModel, _: Path) -> Prepared:
    """Leave the model as it is."""
    return prepared_module(model, model)


def int8(model: WordLanguageModel, _: Path) -> Prepared:
    """Quantize LSTM and decoder, as the published tutorial does."""
    quantized = dynamic_int8(model)
    return prepared_module(quantized, quantized)


def int8_with_embedding(model: WordLanguageModel, _: Path) -> Prepared:
    """Quantize the embedding, too."""
    quantized = dynamic_int8(model, embedding=True)
    return prepared_module(quantized, quantized)


def compiled(model: WordLanguageModel, _: Path) -> Prepared:
    """Let ``torch.compile`` write kernels for it; weights stay in floats."""
    return _compiled(copy.deepcopy(model))


def torchao_int8(model: WordLanguageModel, _: Path) -> Prepared:
    """Quantize with torchao, which takes linear layers and no LSTM."""
    quantized = _torchao(model)
    return prepared_module(quantized, quantized)


def torchao_compiled(model: WordLanguageModel, _: Path) -> Prepared:
    """Compile what torchao quantized, as its documentation recommends."""
    return _compiled(_torchao(model))


def _torchao(model: WordLanguageModel) -> WordLanguageModel:
    with errors_only("torchao", "torchao.kernel.intmm", "torch.utils._pytree"):  # about CUDA
        torchao = importlib.import_module("torchao.quantization")
    quantized = copy.deepcopy(model)
    torchao.quantize_(quantized, torchao.Int8DynamicActivationInt8WeightConfig())
    return quantized


def _compiled(model: WordLanguageModel) -> Prepared:
    """Compile a model for every length, which happens at its first call."""
    described = prepared_module(model, model)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        nn.Module.compile(model, dynamic=True)
        for length in (25, 1):
            model(torch.zeros(length, 1, dtype=torch.int64), model.initial_state(1))
    return described

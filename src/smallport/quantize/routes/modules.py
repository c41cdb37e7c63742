"""Routes that stay in PyTorch: eager quantization, torch.compile and torchao."""

from __future__ import annotations

import copy
import importlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from smallport.display import errors_only
from smallport.lstm import EVALUATION_CHUNK, WordLanguageModel, losses
from smallport.quantize.eager import dynamic_int8
from smallport.quantize.routes.prepared import Prepared, prepared_module

COMPILED = "TORCHINDUCTOR_CACHE_DIR"
"""The environment variable that says where ``torch.compile`` keeps what it compiles."""


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


def compiled(model: WordLanguageModel, folder: Path) -> Prepared:
    """Let ``torch.compile`` write kernels for it; weights stay in floats."""
    return _compiled(copy.deepcopy(model), folder)


def torchao_int8(model: WordLanguageModel, _: Path) -> Prepared:
    """Quantize with torchao, which takes linear layers and no LSTM."""
    quantized = _torchao(model)
    return prepared_module(quantized, quantized)


def torchao_compiled(model: WordLanguageModel, folder: Path) -> Prepared:
    """Compile what torchao quantized, as its documentation recommends."""
    return _compiled(_torchao(model), folder)


def _torchao(model: WordLanguageModel) -> WordLanguageModel:
    with errors_only("torchao", "torchao.kernel.intmm", "torch.utils._pytree"):  # about CUDA
        torchao = importlib.import_module("torchao.quantization")
    quantized = copy.deepcopy(model)
    torchao.quantize_(quantized, torchao.Int8DynamicActivationInt8WeightConfig())
    return quantized


def _compiled(model: WordLanguageModel, folder: Path) -> Prepared:
    """Compile a model for every length, which happens at its first call, into a folder."""
    described = prepared_module(model, model)
    with torch.no_grad(), warnings.catch_warnings(), _compiling_into(folder / "compiled"):
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        nn.Module.compile(model, dynamic=True)
        text = torch.zeros(2 * EVALUATION_CHUNK, dtype=torch.int64)
        losses(model, text)
        model(text.view(-1, 1, 1)[0], model.initial_state(1))  # a single word
    return described


@contextmanager
def _compiling_into(folder: Path) -> Iterator[None]:
    """Have PyTorch keep what it compiles in a folder, and not beside other programs' files."""
    before = os.environ.get(COMPILED)
    os.environ[COMPILED] = str(folder)
    try:
        yield
    finally:
        del os.environ[COMPILED]
        if before is not None:
            os.environ[COMPILED] = before

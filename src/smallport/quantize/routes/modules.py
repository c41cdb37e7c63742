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
from torch import Tensor, nn

from smallport.display import errors_only
from smallport.lstm import EVALUATION_CHUNK, HiddenState, WordLanguageModel
from smallport.quantize.eager import quantize_model
from smallport.quantize.routes.prepared import Prepared, prepared_module

COMPILED = "TORCHINDUCTOR_CACHE_DIR"
"""The environment variable that says where ``torch.compile`` keeps what it compiles."""


def float32(model: WordLanguageModel, _: Path) -> Prepared:
    """Leave the model as it is."""
    return prepared_module(model, model)


def int8(model: WordLanguageModel, _: Path) -> Prepared:
    """Quantize LSTM and decoder, as the published tutorial does."""
    quantized = quantize_model(model)
    return prepared_module(quantized, quantized)


def int8_with_embedding(model: WordLanguageModel, _: Path) -> Prepared:
    """Quantize the embedding, too."""
    quantized = quantize_model(model, embedding=True)
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


class CompiledModel:
    """Run a compiled model on tokens that always lie in memory alike.

    A chunk of a text is a view, and ``torch.compile`` would compile again for each kind of view.
    """

    def __init__(self, model: WordLanguageModel) -> None:
        self.model = model
        self.eval = model.eval
        self.initial_state = model.initial_state

    def __call__(self, tokens: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """Score every word as the successor of each token, as the model does."""
        logits, state = self.model(tokens.clone(memory_format=torch.contiguous_format), state)
        return logits, state


def _compiled(model: WordLanguageModel, folder: Path) -> Prepared:
    """Compile a model for every length, which happens at its first calls, into a folder."""
    runs = CompiledModel(model)
    described = prepared_module(model, runs)
    with (
        torch.no_grad(),
        warnings.catch_warnings(),
        errors_only("torch.utils.cpp_extension"),  # about CUDA, since PyTorch 2.14
        _compiling_into(folder / "compiled"),
    ):
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        # Headers would go elsewhere, and stay there.
        options = {"cpp_cache_precompile_headers": False}
        nn.Module.compile(model, dynamic=True, options=options)
        for length in (EVALUATION_CHUNK, 1):
            runs(torch.zeros(length, 1, dtype=torch.int64), model.initial_state(1))
    return described


@contextmanager
def _compiling_into(folder: Path) -> Iterator[None]:
    """Have PyTorch keep what it compiles in a folder, and not with other programs' files."""
    before = os.environ.get(COMPILED)
    os.environ[COMPILED] = str(folder)
    try:
        yield
    finally:
        del os.environ[COMPILED]
        if before is not None:
            os.environ[COMPILED] = before

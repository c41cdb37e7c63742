"""The route through ONNX: export the LSTM at every length, then quantize the file."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor, nn
from torch.export import Dim

from smallport.display import errors_only
from smallport.lstm import HiddenState, WordLanguageModel
from smallport.quantities import counted
from smallport.quantize.blocks import UnsuitableModelError
from smallport.quantize.onnx.contents import operator_counts
from smallport.quantize.onnx.session import (
    INPUT_NAMES,
    OUTPUT_NAMES,
    SCORER_INPUTS,
    SCORER_OUTPUTS,
)

QUANTIZED_OPERATORS = ("Gather", "LSTM", "MatMul")
"""The operators of embedding, LSTM and decoder, which :func:`quantize_file` quantizes."""


class LSTMOperators(nn.Module):
    """Replace an LSTM in an export by the LSTM operators of ONNX [1]_.

    Its outputs have the right shapes at every length, but no values: only
    :func:`torch.onnx.export` knows what the operators compute.

    Parameters
    ----------
    lstm
        An LSTM with biases, in one direction, with the length as its first axis.

    Raises
    ------
    UnsuitableModelError
        When the LSTM is of a different kind.

    References
    ----------
    .. [1] https://onnx.ai/onnx/operators/onnx__LSTM.html
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        if lstm.bidirectional or lstm.batch_first or lstm.proj_size or not lstm.bias:
            raise UnsuitableModelError(
                "LSTMOperators takes an LSTM with biases, in one direction, without projection and "
                f"with the length first, not {lstm}; extend its forward method for other kinds"
            )
        self.lstm = lstm

    def forward(self, inputs: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """Put one LSTM operator for each layer into the exported program."""
        hidden, cell = (torch.split(part, 1) for part in state)
        ends = []
        for weights, *start in zip(self.lstm.all_weights, hidden, cell, strict=True):
            input_weight, hidden_weight, *biases = map(onnx_gates, weights)
            tensors = [inputs, input_weight[None], hidden_weight[None]]
            outputs, *end = torch.onnx.ops.symbolic_multi_out(
                "LSTM",
                [*tensors, torch.cat(biases)[None], None, *start],
                {"hidden_size": self.lstm.hidden_size},
                dtypes=[inputs.dtype] * 3,
                shapes=[(inputs.shape[0], *hidden[0].shape), *(x.shape for x in start)],
            )
            inputs = outputs.squeeze(1)  # the axis of directions
            ends.append(end)
        hidden, cell = zip(*ends, strict=True)
        return inputs, (torch.cat(hidden), torch.cat(cell))


def onnx_gates(weight: Tensor) -> Tensor:
    """Bring the gates of a weight or bias from PyTorch's order into that of ONNX.

    PyTorch stacks input, forget, cell and output gate, ONNX input, output, forget and cell gate.

    Examples
    --------
    >>> onnx_gates(torch.tensor([10, 11, 20, 21, 30, 31, 40, 41]))
    tensor([10, 11, 40, 41, 20, 21, 30, 31])
    """
    return torch.unflatten(weight, 0, (4, -1))[[0, 3, 1, 2]].flatten(0, 1)


def with_lstm_operators(model: WordLanguageModel) -> WordLanguageModel:
    """Copy a model for an export, with ONNX's LSTM operators in the place of its LSTM."""
    exportable = copy.deepcopy(model).eval()
    exportable.rnn = LSTMOperators(exportable.rnn)  # type: ignore[assignment]
    return exportable


EXPORT_WARNINGS = (
    (r"The tensor attributes self\.rnn\._flat_weights", UserWarning),
    (r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning),
    ("_check_is_size will be removed", FutureWarning),
    (r"# The axis name: \w+ will not be used, since it shares the same shape", UserWarning),
)
"""The beginnings of warnings that PyTorch gives about itself whenever it exports an LSTM."""


@contextmanager
def export_messages_hidden() -> Iterator[None]:
    """Hide ``EXPORT_WARNINGS`` and log lines of the ONNX exporter for a while, and nothing else.

    The warnings are about code inside of PyTorch, the log lines about packages that are not
    installed.
    """
    with warnings.catch_warnings(), errors_only("torch.onnx"):
        for beginning, category in EXPORT_WARNINGS:
            warnings.filterwarnings("ignore", beginning, category)
        yield


def export_lstm(model: WordLanguageModel, file: Path | str) -> None:
    """Write a word language model to an ONNX file that takes every length and batch.

    Parameters
    ----------
    model
        The model, in floats, with ``encoder`` (an embedding), ``rnn`` (an LSTM), ``decoder`` (a
        linear layer) and ``initial_state``; it is left as it is.
    file
        The ``.onnx`` file to write. Its inputs are ``tokens``, ``hidden`` and ``cell``, its outputs
        ``logits``, ``hidden_out`` and ``cell_out``, of the shapes that the model has.

    Raises
    ------
    UnsuitableModelError
        When the model's LSTM is of a kind that :class:`LSTMOperators` does not know.
    TypeError
        When the model has no ``rnn``, or one that is no :class:`torch.nn.LSTM`, such as one that is
        quantized already.
    """
    if not hasattr(model, "rnn"):
        raise TypeError(
            f"export_lstm: {type(model).__name__} has no rnn. Wrap the model so that its embedding "
            "is called encoder, its LSTM rnn and its linear layer decoder"
        )
    if not isinstance(model.rnn, nn.LSTM):
        raise TypeError(
            f"export_lstm: the model's LSTM is a {type(model.rnn).__module__}."
            f"{type(model.rnn).__name__}; export the model in floats, and quantize the file"
        )
    tokens = torch.zeros(25, 2, dtype=torch.int64)
    _export(with_lstm_operators(model), (tokens,), model, (INPUT_NAMES, OUTPUT_NAMES), file)


class TokenLosses(nn.Module):
    """A language model that returns its loss and not its logits.

    With many words, logits are by far the largest thing that a model computes: a chunk of 25 tokens
    has 3.3 MB of them with 33,278 words. Whoever wants losses needs one number a token.

    Parameters
    ----------
    model
        The model, in floats.
    """

    def __init__(self, model: WordLanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, tokens: Tensor, targets: Tensor, state: HiddenState
    ) -> tuple[Tensor, HiddenState]:
        """Compute the cross-entropy of each target, of the shape of ``tokens``, in nats."""
        logits, state = self.model(tokens, state)
        chosen = logits.log_softmax(-1).gather(-1, targets[..., None])
        return -chosen[..., 0], state


def export_scorer(model: WordLanguageModel, file: Path | str) -> None:
    """Write a word language model with its loss inside to an ONNX file.

    See :class:`smallport.quantize.onnx.TokenLosses` for why.

    Parameters
    ----------
    model
        The model, in floats; it is left as it is.
    file
        The ``.onnx`` file to write. Its inputs are ``tokens``, ``targets``, ``hidden`` and
        ``cell``, its outputs ``losses``, ``hidden_out`` and ``cell_out``.
    """
    # Two tensors: one tensor for both would make both the same input of the program.
    tokens, targets = torch.zeros(2, 25, 2, dtype=torch.int64).unbind()
    scorer = TokenLosses(with_lstm_operators(model))
    names = (SCORER_INPUTS, SCORER_OUTPUTS)
    _export(scorer, (tokens.clone(), targets.clone()), model, names, file)


def _export(
    module: nn.Module,
    texts: tuple[Tensor, ...],
    model: WordLanguageModel,
    names: tuple[tuple[str, ...], tuple[str, ...]],
    file: Path | str,
) -> None:
    """Export a module that takes texts of any length and batch, and a state."""
    length, batch = Dim("length"), Dim("batch")
    states = ({1: batch}, {1: batch})
    program = torch.export.export(
        module.eval(),
        (*texts, model.initial_state(2)),
        dynamic_shapes=(*({0: length, 1: batch} for _ in texts), states),
    )
    with export_messages_hidden():
        exported = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=names[0], output_names=names[1]
        )
    assert exported is not None  # it is with dynamo=False only
    for node in exported.model.graph.all_nodes():  # paths of this machine's source files
        node.metadata_props.pop("pkg.torch.onnx.stack_trace", None)
    exported.save(file)


def fold_constants(file: Path | str, target: Path | str) -> None:
    """Compute in advance the parts of an ONNX file that depend only on its weights.

    An exported LSTM brings its weights into the order of ONNX at each run. Afterwards the file has
    them in that order, and :func:`quantize_file` finds them.

    Parameters
    ----------
    file
        An ONNX file.
    target
        The file to write.
    """
    quant_pre_process(str(file), str(target), skip_symbolic_shape=True)


def quantize_file(
    file: Path | str,
    target: Path | str,
    *,
    per_channel: bool = True,
    reduce_range: bool = False,
) -> None:
    """Store the weights of embedding, LSTM and decoder in 8 bits.

    Parameters
    ----------
    file
        An ONNX file with folded constants, see :func:`fold_constants`.
    target
        The file to write.
    per_channel
        Whether each row of the LSTM's weights and each word of the decoder's has a scale of its
        own, rather than one for a whole weight. The embedding has one in either case.
    reduce_range
        Whether weights take 7 of the 8 bits. On x86-64 without int8 dot products, ONNX Runtime adds
        two products in 16 bits, and the sums of 8-bit weights saturate; those of 7 bits do not, so
        that every processor computes the same.

    Raises
    ------
    ValueError
        When the file has an LSTM operator that was not quantized, since the file does not have
        the weights as the operator reads them. Nothing is left at ``target`` then.

    Warns
    -----
    UserWarning
        When the file has a GRU, which stays in floats.
    """
    with errors_only("root"):  # ONNX Runtime recommends what fold_constants does
        quantize_dynamic(
            str(file),
            str(target),
            op_types_to_quantize=list(QUANTIZED_OPERATORS),
            per_channel=per_channel,
            reduce_range=reduce_range,
            weight_type=QuantType.QInt8,
        )
    operators = operator_counts(target)
    if left := operators.get("LSTM"):
        Path(target).unlink()
        raise ValueError(
            f"quantize_file: {left} LSTM operators of {Path(file).name} would stay in floats, "
            "since their weights are computed at each run; call fold_constants first"
        )
    if left := operators.get("GRU"):
        warnings.warn(
            f"quantize_file: {Path(file).name} keeps {counted(left, 'GRU operator')} in floats, "
            "since ONNX Runtime has no GRU in int8",
            stacklevel=2,
        )

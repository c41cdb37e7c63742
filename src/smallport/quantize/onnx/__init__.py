"""The route through ONNX: an LSTM that ONNX Runtime runs in integers."""

from smallport.quantize.onnx.contents import StoredWeight, operator_counts, weight_types
from smallport.quantize.onnx.lstm import (
    LSTMOperators,
    TokenLosses,
    export_lstm,
    export_messages_hidden,
    export_scorer,
    fold_constants,
    onnx_gates,
    quantize_file,
    with_lstm_operators,
)
from smallport.quantize.onnx.session import ONNXLanguageModel

__all__ = [
    "LSTMOperators",
    "ONNXLanguageModel",
    "StoredWeight",
    "TokenLosses",
    "export_lstm",
    "export_messages_hidden",
    "export_scorer",
    "fold_constants",
    "onnx_gates",
    "operator_counts",
    "quantize_file",
    "weight_types",
    "with_lstm_operators",
]

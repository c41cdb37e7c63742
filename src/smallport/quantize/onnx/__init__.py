"""The route through ONNX: an LSTM that ONNX Runtime runs in integers."""

from smallport.quantize.onnx.codes import require_integer_file
from smallport.quantize.onnx.contents import (
    StoredWeight,
    file_parts,
    operator_counts,
    operator_domains,
    weight_types,
)
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
    "file_parts",
    "fold_constants",
    "onnx_gates",
    "operator_counts",
    "operator_domains",
    "quantize_file",
    "require_integer_file",
    "weight_types",
    "with_lstm_operators",
]

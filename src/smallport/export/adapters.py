"""Give recurrent language models the signature by which the check calls language models."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import LinearAttentionLayer


class RecurrentAdapter(nn.Module):
    """Give a recurrent language model the signature that :func:`smallport.check_export` calls.

    Parameters
    ----------
    model
        Takes tokens and its state, which is None before the first token; returns logits and the new
        state. The state is what :class:`torch.nn.LSTM` or :class:`torch.nn.GRU` returns: one tensor
        or a pair, each of shape ``(layers, batch, size)``.
    batch_first
        Whether tokens and logits begin with the axis of texts and not with that of tokens.

    Notes
    -----
    The state is kept in a layer of recurrent states of a :class:`transformers.DynamicCache`, so
    that a check compares it and decodes with it.

    PyTorch unrolls the loop of an LSTM or a GRU over the tokens of the example, and so fixes the
    length. Inside ``torch.export._patches.register_lstm_while_loop_decomposition()``, or
    ``register_gru_while_loop_decomposition()``, it keeps the loop, which ONNX writes as one LSTM
    or GRU operator. Enter it before the first export of such a layer in a process.

    Examples
    --------
    >>> import torch
    >>> from smallport.lstm import LSTMConfig, WordLanguageModel
    >>> words = WordLanguageModel(10, LSTMConfig(embedding_size=8, hidden_size=4, layers=1))
    >>> outputs = RecurrentAdapter(words)(torch.zeros(2, 5, dtype=torch.int64))
    >>> outputs["logits"].shape
    torch.Size([2, 5, 10])
    """

    def __init__(self, model: nn.Module, *, batch_first: bool = False) -> None:
        super().__init__()
        self.model = model
        self.batch_first = batch_first
        self.train(model.training)

    def forward(
        self, input_ids: Tensor, past_key_values: DynamicCache | None = None
    ) -> dict[str, Any]:
        """Score every token of the vocabulary as the successor of each, and keep the state.

        Parameters
        ----------
        input_ids
            Tokens of shape ``(batch, length)``.
        past_key_values
            The state that the previous call returned.

        Raises
        ------
        RuntimeError
            When the module rejects its own state, as it does with the wrong ``batch_first``.
        """
        tokens = input_ids if self.batch_first else input_ids.T
        try:
            logits, state = self.model(tokens, _read(past_key_values))
        except RuntimeError as error:
            if past_key_values is None:
                raise
            raise RuntimeError(
                f"{type(self.model).__name__} rejects the state that it returned ({error}). Is "
                f"batch_first={self.batch_first} right for it?"
            ) from None
        return {
            "logits": logits if self.batch_first else logits.transpose(0, 1),
            "past_key_values": _keep(state),
        }


def _keep(state: Tensor | tuple[Tensor, ...]) -> DynamicCache:
    """Put a state into a cache, texts first."""
    states = (state,) if isinstance(state, Tensor) else state
    layer = LinearAttentionLayer(number_of_states=len(states))
    for place, one in enumerate(states):
        layer.recurrent_states[place] = one.transpose(0, 1)
        layer.is_recurrent_states_initialized[place] = True
        layer.has_previous_state[place] = True
    cache = DynamicCache()
    cache.layers.append(layer)
    return cache


def _read(cache: DynamicCache | None) -> Any:
    """Take a state out of a cache again; None where there is none."""
    if cache is None or not cache.layers:
        return None
    layer: Any = cache.layers[0]
    states = [one.transpose(0, 1).contiguous() for one in layer.recurrent_states.values()]
    return states[0] if len(states) == 1 else tuple(states)

"""Forward passes in NumPy, from the weights alone: no code of PyTorch or transformers runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = Mapping[str, Array]
"""The weights of a model by their names in its state dict."""


def llama_logits(
    weights: Weights,
    ids: NDArray[np.int64],
    mask: NDArray[np.int64],
    *,
    head_size: int,
    rotary_base: float,
    epsilon: float,
) -> Array:
    """Compute the logits of a Llama: rotary positions, grouped queries, SiLU, no biases.

    Parameters
    ----------
    weights
        As ``state_dict`` names them, without biases.
    ids, mask
        Texts of shape ``(batch, length)``, and 0 in the mask where there is padding, on the left.
    head_size
        The width of a head.
    rotary_base
        The base of the rotary positions.
    epsilon
        That of the normalization.

    Returns
    -------
    numpy.ndarray
        Shape ``(batch, length, vocabulary)``; of no meaning where there is padding.
    """
    length = ids.shape[1]
    positions = (mask.cumsum(axis=1) - 1).clip(min=0)
    halves = np.arange(head_size // 2) * 2 / head_size
    angles = positions[:, None, :, None] * rotary_base**-halves
    visible = np.tril(np.ones((length, length), dtype=bool)) & (mask[:, None, None, :] == 1)

    def norm(hidden: Array, name: str) -> Array:
        size = np.sqrt((hidden**2).mean(axis=-1, keepdims=True) + epsilon)
        normed: Array = weights[f"{name}.weight"] * hidden / size
        return normed

    def heads(hidden: Array, name: str) -> Array:
        projected = hidden @ weights[f"{name}.weight"].T
        return projected.reshape(*hidden.shape[:2], -1, head_size).swapaxes(1, 2)

    def rotate(vectors: Array) -> Array:
        first, second = np.split(vectors, 2, axis=-1)
        cos, sin = np.cos(angles), np.sin(angles)
        return np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1)

    hidden = weights["model.embed_tokens.weight"][ids]
    layers = sum(name.endswith("q_proj.weight") for name in weights)
    for layer in (f"model.layers.{number}" for number in range(layers)):
        normed = norm(hidden, f"{layer}.input_layernorm")
        query = rotate(heads(normed, f"{layer}.self_attn.q_proj"))
        key = rotate(heads(normed, f"{layer}.self_attn.k_proj"))
        value = heads(normed, f"{layer}.self_attn.v_proj")
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat(groups, axis=1), value.repeat(groups, axis=1)
        scores = np.where(visible, query @ key.swapaxes(2, 3) / np.sqrt(head_size), -1e30)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        attended = (shares @ value).swapaxes(1, 2).reshape(*ids.shape, -1)
        hidden = hidden + attended @ weights[f"{layer}.self_attn.o_proj.weight"].T
        normed = norm(hidden, f"{layer}.post_attention_layernorm")
        gate = normed @ weights[f"{layer}.mlp.gate_proj.weight"].T
        inner = gate / (1 + np.exp(-gate)) * (normed @ weights[f"{layer}.mlp.up_proj.weight"].T)
        hidden = hidden + inner @ weights[f"{layer}.mlp.down_proj.weight"].T
    return norm(hidden, "model.norm") @ weights["lm_head.weight"].T


def lstm_logits(weights: Weights, ids: NDArray[np.int64]) -> Array:
    """Compute the logits of an LSTM word language model, from a state of zeros on.

    Parameters
    ----------
    weights
        As the ``state_dict`` of a :class:`smallport.lstm.WordLanguageModel` names them.
    ids
        Texts of shape ``(batch, length)``.

    Returns
    -------
    numpy.ndarray
        Shape ``(batch, length, words)``.
    """
    outputs: Sequence[Array] = [*weights["encoder.weight"][ids].swapaxes(0, 1)]
    for layer in range(sum(name.startswith("rnn.weight_hh") for name in weights)):
        names = [f"rnn.{kind}_l{layer}" for kind in ("weight_ih", "weight_hh")]
        of_input, of_hidden = (weights[name].T for name in names)
        bias = weights[f"rnn.bias_ih_l{layer}"] + weights[f"rnn.bias_hh_l{layer}"]
        hidden = cell = np.zeros((len(ids), len(of_hidden)))
        inputs, outputs = outputs, []
        for vectors in inputs:
            gates = np.split(vectors @ of_input + hidden @ of_hidden + bias, 4, axis=1)
            taken, kept, shown = (1 / (1 + np.exp(-gates[number])) for number in (0, 1, 3))
            cell = kept * cell + taken * np.tanh(gates[2])
            hidden = shown * np.tanh(cell)
            outputs = [*outputs, hidden]
    return np.stack(outputs, axis=1) @ weights["decoder.weight"].T + weights["decoder.bias"]

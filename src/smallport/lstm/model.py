"""The LSTM word language model: its sizes, its layers and its forward pass."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

HiddenState = tuple[Tensor, Tensor]
"""The LSTM's hidden and cell state, each of shape ``(layers, batch, hidden_size)``."""


@dataclass(frozen=True)
class LSTMConfig:
    """The sizes of a word language model.

    Parameters
    ----------
    embedding_size
        Width of the word vectors.
    hidden_size
        Width of the LSTM's state.
    layers
        How many LSTM layers are stacked.
    dropout
        The probability with which an activation is zeroed in training.
    """

    embedding_size: int
    hidden_size: int
    layers: int
    dropout: float = 0.2


PUBLISHED = LSTMConfig(embedding_size=512, hidden_size=256, layers=5)
"""The architecture of the published dynamic quantization tutorial [1]_.

.. [1] https://github.com/pytorch/tutorials/blob/560afe606d62af26831dcf847c74da134fedb14a/advanced_source/dynamic_quantization_tutorial.py
"""

SMALL = LSTMConfig(embedding_size=256, hidden_size=256, layers=1, dropout=0.4)
"""One layer, which learns the embedded corpus in less than a minute; five hardly learn it at all.

Its hidden size is not smaller because quantization makes small layers slower and not faster.
"""


class WordLanguageModel(nn.Module):
    """Predict the next word of a text: embedding, LSTM, decoder, with dropout in between.

    The architecture, the initialization and the names of the parameters are those of PyTorch's
    word language model example [1]_, so that weights trained there load here.

    Parameters
    ----------
    words
        Size of the vocabulary.
    config
        The model's other sizes.

    References
    ----------
    .. [1] https://github.com/pytorch/examples/blob/main/word_language_model/model.py

    Examples
    --------
    >>> model = WordLanguageModel(10, LSTMConfig(embedding_size=8, hidden_size=4, layers=1))
    >>> tokens = torch.zeros(5, 2, dtype=torch.int64)
    >>> logits, (hidden, cell) = model(tokens, model.initial_state(batch_size=2))
    >>> logits.shape, hidden.shape
    (torch.Size([5, 2, 10]), torch.Size([1, 2, 4]))
    """

    def __init__(self, words: int, config: LSTMConfig) -> None:
        super().__init__()
        self.drop = nn.Dropout(config.dropout)
        self.encoder = nn.Embedding(words, config.embedding_size)
        self.rnn = nn.LSTM(
            config.embedding_size,
            config.hidden_size,
            config.layers,
            dropout=config.dropout if config.layers > 1 else 0.0,
        )
        self.decoder = nn.Linear(config.hidden_size, words)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, tokens: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """Score every word as the successor of each token.

        Parameters
        ----------
        tokens
            Word indices of shape ``(length, batch)``.
        state
            The LSTM's state before the first of them.

        Returns
        -------
        logits : torch.Tensor
            Shape ``(length, batch, words)``.
        state : HiddenState
            The LSTM's state after the last token.
        """
        embedded = self.drop(self.encoder(tokens))
        output, state = self.rnn(embedded, state)
        logits = self.decoder(self.drop(output))
        return logits, state

    def initial_state(self, batch_size: int) -> HiddenState:
        """Make the all-zero state that a text begins with."""
        shape = (self.rnn.num_layers, batch_size, self.rnn.hidden_size)
        return torch.zeros(shape), torch.zeros(shape)


def detach(state: HiddenState) -> HiddenState:
    """Cut a state off from the computation that made it, so that gradients stop there."""
    hidden, cell = state
    return hidden.detach(), cell.detach()


def token_losses(logits: Tensor, targets: Tensor) -> Tensor:
    """Compute the cross-entropy of each token of a chunk, in nats, of shape ``(tokens,)``."""
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")

"""The LSTM word language model: its architecture, its training and its use."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smallport.progress import progress_bar
from smallport.text import Corpus, Vocabulary, batchify, chunk_count, chunks

HiddenState = tuple[Tensor, Tensor]
"""The LSTM's hidden and cell state, each of shape ``(layers, batch, hidden_size)``."""

EVALUATION_CHUNK = 25
"""Rows that :func:`evaluate` hands to the model at once, as in the published tutorial."""


@dataclass(frozen=True)
class Preset:
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
        The probability by which an activation is dropped in training.
    """

    embedding_size: int
    hidden_size: int
    layers: int
    dropout: float = 0.2


PUBLISHED = Preset(embedding_size=512, hidden_size=256, layers=5)
"""The architecture of the published dynamic quantization tutorial [1]_.

.. [1] https://docs.pytorch.org/tutorials/advanced/dynamic_quantization_tutorial.html
"""

SMALL = Preset(embedding_size=256, hidden_size=256, layers=1, dropout=0.3)
"""One layer, which learns the embedded corpus in about a minute; five do not get off the ground."""


class WordLanguageModel(nn.Module):
    """Predict the next word of a text: embedding, LSTM, decoder, with dropout in between.

    The architecture, the initialization and the names of the parameters are those of PyTorch's
    word language model example [1]_, so that weights trained there load here.

    Parameters
    ----------
    words
        Size of the vocabulary.
    preset
        The model's other sizes.

    References
    ----------
    .. [1] https://github.com/pytorch/examples/blob/main/word_language_model/model.py

    Examples
    --------
    >>> model = WordLanguageModel(10, Preset(embedding_size=8, hidden_size=4, layers=1, dropout=0))
    >>> tokens = torch.zeros(5, 2, dtype=torch.int64)
    >>> logits, (hidden, cell) = model(tokens, model.initial_state(batch_size=2))
    >>> logits.shape, hidden.shape
    (torch.Size([5, 2, 10]), torch.Size([1, 2, 4]))
    """

    def __init__(self, words: int, preset: Preset) -> None:
        super().__init__()
        self.drop = nn.Dropout(preset.dropout)
        self.encoder = nn.Embedding(words, preset.embedding_size)
        self.rnn = nn.LSTM(
            preset.embedding_size,
            preset.hidden_size,
            preset.layers,
            dropout=preset.dropout if preset.layers > 1 else 0.0,
        )
        self.decoder = nn.Linear(preset.hidden_size, words)
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


@torch.no_grad()
def losses(
    model: WordLanguageModel, tokens: Tensor, *, batch_size: int = 1, chunk: int = EVALUATION_CHUNK
) -> Tensor:
    """Measure a model's loss on every token of a text, the state carried from chunk to chunk.

    Parameters
    ----------
    model
        The model, quantized or not. It is put into evaluation mode and left there.
    tokens
        Word indices of shape ``(tokens,)``.
    batch_size
        How many parts of the text to read side by side.
    chunk
        How many tokens of each part the model reads at once.

    Returns
    -------
    torch.Tensor
        Cross-entropies in nats. With ``batch_size=1`` they are those of ``tokens[1:]``, in order:
        nothing precedes the first token.

    Raises
    ------
    ValueError
        When the text is too short for two tokens in each part.
    """
    model.eval()
    batches = batchify(tokens, batch_size)
    state = model.initial_state(batch_size)
    collected = []
    for inputs, targets in chunks(batches, chunk):
        logits, state = model(inputs, state)
        collected.append(token_losses(logits, targets))
    return torch.cat(collected)


def evaluate(
    model: WordLanguageModel, tokens: Tensor, *, batch_size: int = 1, chunk: int = EVALUATION_CHUNK
) -> float:
    """Average :func:`smallport.lstm.losses` over a text.

    Returns
    -------
    float
        Mean cross-entropy in nats a token. Its exponential is the perplexity.

    Examples
    --------
    >>> model = WordLanguageModel(10, Preset(embedding_size=8, hidden_size=4, layers=1, dropout=0))
    >>> loss = evaluate(model, torch.arange(10))
    >>> abs(loss - 2.3) < 0.5  # an untrained model guesses: ln 10
    True
    """
    return float(losses(model, tokens, batch_size=batch_size, chunk=chunk).mean())


@torch.no_grad()
def generate(
    model: WordLanguageModel,
    vocabulary: Vocabulary,
    words: int,
    *,
    seed: int,
    temperature: float = 1.0,
    progress: bool = True,
) -> list[str]:
    """Let a model write a text, each word drawn from what the model predicts after the last.

    Parameters
    ----------
    model
        The model, quantized or not.
    vocabulary
        The words that the model was trained on.
    words
        How many words to write.
    seed
        Of the random numbers that choose the words; the global generator is left alone.
    temperature
        Below 1 the model keeps closer to its best guesses, above 1 it strays from them.
    progress
        Whether to show a bar on a terminal.

    Returns
    -------
    list of str
        The words, ``<eos>`` among them.

    Raises
    ------
    ValueError
        When the temperature is not positive.
    """
    if temperature <= 0:
        raise ValueError(f"generate: temperature must be positive, not {temperature}")
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    token = torch.randint(len(vocabulary), (1, 1), generator=generator)
    state = model.initial_state(1)
    chosen = []
    for _ in progress_bar(range(words), "generating", unit="word", enabled=progress):
        logits, state = model(token, state)
        token = torch.multinomial((logits[0] / temperature).softmax(-1), 1, generator=generator)
        chosen.append(int(token))
    return vocabulary.decode(chosen)


@dataclass(frozen=True)
class Schedule:
    """How to train a word language model.

    AdamW with a one-cycle learning rate [1]_: the rate climbs to its peak and falls to nearly
    zero, which gets further in few epochs than a constant one.

    Parameters
    ----------
    epochs
        How often the training split is read.
    batch_size, chunk
        How many parts of the text are read side by side, and how many tokens of each at once.
    peak_learning_rate
        The highest learning rate of the cycle.
    clip
        The norm that gradients are clipped to.

    References
    ----------
    .. [1] L. N. Smith and N. Topin, "Super-Convergence: Very Fast Training of Neural Networks
       Using Large Learning Rates", https://arxiv.org/abs/1708.07120
    """

    epochs: int = 5
    batch_size: int = 20
    chunk: int = 35
    peak_learning_rate: float = 1e-2
    clip: float = 0.25


@dataclass(frozen=True)
class Epoch:
    """What one reading of the training split came to.

    Parameters
    ----------
    train_loss
        Mean loss in nats a token while training, dropout included.
    valid_loss
        Loss on the validation split afterwards, in nats a token.
    seconds
        Since the training began.
    """

    train_loss: float
    valid_loss: float
    seconds: float


def train(
    model: WordLanguageModel,
    corpus: Corpus,
    schedule: Schedule,
    *,
    seed: int = 0,
    progress: bool = True,
) -> list[Epoch]:
    """Train a model on a corpus, in place.

    Parameters
    ----------
    model
        The model; it ends in evaluation mode.
    corpus
        Its training split is learnt, its validation split measured after every epoch.
    schedule
        How long, how fast, and in what pieces.
    seed
        Of dropout; the global generator is left alone.
    progress
        Whether to show a bar on a terminal.

    Returns
    -------
    list of Epoch
        The learning curve.
    """
    batches = batchify(corpus.train, schedule.batch_size)
    steps = schedule.epochs * chunk_count(batches, schedule.chunk)
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.peak_learning_rate)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, schedule.peak_learning_rate, total_steps=steps
    )
    curve: list[Epoch] = []
    start = time.perf_counter()
    with (
        torch.random.fork_rng(devices=[]),
        progress_bar(range(steps), "training", unit="step", enabled=progress) as bar,
    ):
        torch.manual_seed(seed)
        for _ in range(schedule.epochs):
            total = 0.0
            for loss in _train_epoch(model, batches, schedule, optimizer, scheduler):
                total += loss
                bar.update()
            valid_loss = evaluate(model, corpus.valid, batch_size=schedule.batch_size)
            bar.set_postfix_str(f"validation loss {valid_loss:.2f}")
            seconds = time.perf_counter() - start
            curve.append(Epoch(total / batches[1:].numel(), valid_loss, seconds))
    return curve


def _train_epoch(
    model: WordLanguageModel,
    batches: Tensor,
    schedule: Schedule,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
) -> Iterator[float]:
    """Read the training split once; yield the summed loss of each chunk."""
    model.train()
    state = model.initial_state(schedule.batch_size)
    for inputs, targets in chunks(batches, schedule.chunk):
        logits, state = model(inputs, detach(state))
        loss = token_losses(logits, targets).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
        optimizer.step()
        scheduler.step()
        yield float(loss.detach()) * targets.numel()

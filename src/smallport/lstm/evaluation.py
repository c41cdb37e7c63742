"""Evaluate a word language model: its loss on a text, and the texts that it writes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from smallport.display import progress_bar
from smallport.lstm.batches import batchify, chunks
from smallport.lstm.model import HiddenState, token_losses
from smallport.lstm.text import Vocabulary

EVALUATION_CHUNK = 25
"""Rows that :func:`evaluate` hands to the model at once, as in the published tutorial."""


MOST_DEVIATIONS = 4
"""The largest distance, in standard deviations, of a text from what its model expects of it."""

CONTRACT = (
    "initial_state(batch_size) makes the state that a text begins with, and model(tokens, state), "
    "with tokens of shape (length, batch), returns logits of shape (length, batch, words) and the "
    "state after the last token"
)
"""The calls that a :class:`StatefulModel` takes, for messages."""


class StatefulModel(Protocol):
    """A model that reads tokens and carries a state, as a ``WordLanguageModel`` does.

    ``model(tokens, state)`` takes tokens of shape ``(length, batch)`` and returns logits of shape
    ``(length, batch, words)`` and the new state. ``model.initial_state(batch_size)`` makes the
    state that a text begins with. The state is only passed on, so that of a GRU can be one tensor.

    Examples
    --------
    A GRU with the batch first, wrapped for :func:`smallport.lstm.evaluate`:

    >>> from torch import nn
    >>> class Wrapped(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.embedding = nn.Embedding(10, 8)
    ...         self.gru = nn.GRU(8, 4, batch_first=True)
    ...         self.head = nn.Linear(4, 10)
    ...
    ...     def initial_state(self, batch_size):
    ...         return torch.zeros(1, batch_size, 4)
    ...
    ...     def forward(self, tokens, state):
    ...         embedded = self.embedding(tokens).transpose(0, 1)
    ...         outputs, state = self.gru(embedded, state)
    ...         return self.head(outputs).transpose(0, 1), state
    >>> loss = evaluate(Wrapped(), torch.arange(10))
    >>> abs(loss - 2.3) < 0.5  # an untrained model guesses: ln 10
    True
    """

    def __call__(self, tokens: Tensor, state: HiddenState) -> tuple[Tensor, HiddenState]:
        """Score every word as the successor of each token."""

    def eval(self) -> object:
        """Switch to evaluation mode."""

    def initial_state(self, batch_size: int) -> HiddenState:
        """Make the state that a text begins with."""


@runtime_checkable
class Scorer(Protocol):
    """A language model that computes losses itself and does not return its logits."""

    def score(
        self, tokens: Tensor, targets: Tensor, state: HiddenState
    ) -> tuple[Tensor, HiddenState]:
        """Compute the loss of each target, of shape ``(tokens,)``, and the state after them."""


def require_initial_state(model: object, caller: str) -> None:
    """Raise a TypeError where a model does not make the state that a text begins with."""
    if not hasattr(model, "initial_state"):
        raise TypeError(
            f"{caller}: {type(model).__name__} has no method initial_state. Add it, or wrap the "
            f"model: {CONTRACT}"
        )


def logits_and_state(
    model: StatefulModel, tokens: Tensor, state: HiddenState
) -> tuple[Tensor, HiddenState]:
    """Call a model, and require that it returns logits for each token, and a state."""
    try:
        outputs: Any = model(tokens, state)
    except (TypeError, RuntimeError) as error:
        error.add_note(f"losses called {type(model).__name__} as follows: {CONTRACT}")
        raise
    pair = isinstance(outputs, tuple) and len(outputs) == 2  # noqa: PLR2004 - logits and state
    logits = outputs[0] if pair else outputs
    shape = tuple(getattr(logits, "shape", ()))
    if not pair or shape[:-1] != tokens.shape:
        raise TypeError(
            f"losses: {type(model).__name__} returns {'' if pair else 'only '}a "
            f"{type(logits).__name__} of shape {shape} for tokens of shape {tuple(tokens.shape)}. "
            f"Change its forward method, or wrap the model: {CONTRACT}"
        )
    return outputs[0], outputs[1]


@torch.no_grad()
def losses(
    model: StatefulModel, tokens: Tensor, *, batch_size: int = 1, chunk: int = EVALUATION_CHUNK
) -> Tensor:
    """Measure a model's loss on every token of a text, the state carried from chunk to chunk.

    Parameters
    ----------
    model
        The model, quantized or not. It is put into evaluation mode and left there. A
        :class:`Scorer` computes the losses itself.
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
    TypeError
        When the model is not called as a :class:`StatefulModel` is.
    ValueError
        When the text is too short for two tokens in each part.
    """
    require_initial_state(model, "losses")
    model.eval()
    batches = batchify(tokens, batch_size)
    state = model.initial_state(batch_size)
    collected = []
    for inputs, targets in chunks(batches, chunk):
        if isinstance(model, Scorer):
            scored, state = model.score(inputs, targets, state)
        else:
            logits, state = logits_and_state(model, inputs, state)
            scored = token_losses(logits, targets)
        collected.append(scored)
    return torch.cat(collected)


def evaluate(
    model: StatefulModel, tokens: Tensor, *, batch_size: int = 1, chunk: int = EVALUATION_CHUNK
) -> float:
    """Average :func:`smallport.lstm.losses` over a text.

    Returns
    -------
    float
        Mean cross-entropy in nats a token. Its exponential is the perplexity.

    Examples
    --------
    >>> from smallport.lstm import LSTMConfig, WordLanguageModel
    >>> model = WordLanguageModel(10, LSTMConfig(embedding_size=8, hidden_size=4, layers=1))
    >>> loss = evaluate(model, torch.arange(10))
    >>> abs(loss - 2.3) < 0.5  # an untrained model guesses: ln 10
    True
    """
    return float(losses(model, tokens, batch_size=batch_size, chunk=chunk).mean())


@torch.no_grad()
def require_drawn(
    model: StatefulModel, vocabulary: Vocabulary, words: Sequence[str], *, temperature: float = 1.0
) -> None:
    """Require that a text was drawn from what a model predicts, at a temperature.

    In such a text, the mean surprise of the words is near to the mean entropy of the predictions,
    for good and bad models alike. Where it is more than four standard deviations away, the words
    were drawn at another temperature, from other predictions, or chosen in another way.

    Parameters
    ----------
    model
        The model, quantized or not.
    vocabulary
        Its words.
    words
        The text, as :func:`generate` returns it; some hundred words.
    temperature
        That at which they should have been drawn.

    Raises
    ------
    AssertionError
        When they were not.

    Examples
    --------
    >>> from smallport.lstm import LSTMConfig, WordLanguageModel
    >>> model = WordLanguageModel(3, LSTMConfig(embedding_size=8, hidden_size=4, layers=1))
    >>> vocabulary = Vocabulary(("a", "b", "c"))
    >>> require_drawn(model, vocabulary, generate(model, vocabulary, 300, seed=0))
    """
    model.eval()
    tokens = vocabulary.encode(words)
    state, surprise, entropy, variance = model.initial_state(1), 0.0, 0.0, 0.0
    for inputs, targets in chunks(tokens[:, None], EVALUATION_CHUNK):
        logits, state = logits_and_state(model, inputs, state)
        log = (logits.double() / temperature).log_softmax(-1)
        chosen = -log.gather(-1, targets[..., None])
        expected = -(log.exp() * log).sum(-1)
        surprise += chosen.sum().item()
        entropy += expected.sum().item()
        variance += ((log.exp() * log**2).sum(-1) - expected**2).sum().item()
    number = len(tokens) - 1
    if not abs(surprise - entropy) <= MOST_DEVIATIONS * variance**0.5:
        raise AssertionError(
            f"the words have a mean surprise of {surprise / number:.2f} nats, and the predictions "
            f"a mean entropy of {entropy / number:.2f}: the words were not drawn from them at a "
            f"temperature of {temperature}"
        )


@contextmanager
def tokens_read(model: nn.Module) -> Iterator[list[Tensor]]:
    """Record the tokens that a model reads.

    A mean does not tell how much of a text it covers; this does.

    Parameters
    ----------
    model
        The model, whose first argument is tokens.

    Yields
    ------
    list of torch.Tensor
        The tokens of each call so far, flattened.

    Examples
    --------
    >>> from smallport.lstm import LSTMConfig, WordLanguageModel
    >>> model = WordLanguageModel(10, LSTMConfig(embedding_size=8, hidden_size=4, layers=1))
    >>> with tokens_read(model) as read:
    ...     loss = evaluate(model, torch.arange(4), chunk=2)
    >>> read
    [tensor([0, 1]), tensor([2])]
    """
    read: list[Tensor] = []
    hook = model.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0].flatten()))
    try:
        yield read
    finally:
        hook.remove()


@torch.no_grad()
def generate(
    model: StatefulModel,
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
        The seed of the random numbers that choose the words; the global generator is left alone.
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

"""Train a word language model."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from smallport.display import progress_bar
from smallport.lstm.batches import batchify, chunk_count, chunks
from smallport.lstm.evaluation import evaluate
from smallport.lstm.model import WordLanguageModel, detach, token_losses
from smallport.lstm.text import Corpus


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of the training of a word language model.

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

    epochs: int = 3
    batch_size: int = 10
    chunk: int = 35
    peak_learning_rate: float = 1e-2
    clip: float = 0.25


@dataclass(frozen=True)
class Epoch:
    """The losses of one reading of the training split, and the time it took.

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
    config: TrainingConfig,
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
        The model learns its training split; its validation split is measured after every epoch.
    config
        How long, how fast, and in what pieces.
    seed
        The seed of dropout; the global generator is left alone.
    progress
        Whether to show a bar on a terminal.

    Returns
    -------
    list of Epoch
        The learning curve.
    """
    batches = batchify(corpus.train, config.batch_size)
    steps = config.epochs * chunk_count(batches, config.chunk)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.peak_learning_rate)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.peak_learning_rate, total_steps=steps
    )
    curve: list[Epoch] = []
    start = time.perf_counter()
    with (
        torch.random.fork_rng(devices=[]),
        progress_bar(range(steps), "training", unit="step", enabled=progress) as bar,
    ):
        torch.manual_seed(seed)
        for _ in range(config.epochs):
            total = 0.0
            for loss in _train_epoch(model, batches, config, optimizer, scheduler):
                total += loss
                bar.update()
            valid_loss = evaluate(model, corpus.valid, batch_size=config.batch_size)
            bar.set_postfix_str(f"validation loss {valid_loss:.2f}")
            seconds = time.perf_counter() - start
            curve.append(Epoch(total / batches[1:].numel(), valid_loss, seconds))
    return curve


def _train_epoch(
    model: WordLanguageModel,
    batches: Tensor,
    config: TrainingConfig,
    optimizer: torch.optim.Optimizer,
    scheduler: torch.optim.lr_scheduler.LRScheduler,
) -> Iterator[float]:
    """Read the training split once; yield the summed loss of each chunk."""
    model.train()
    state = model.initial_state(config.batch_size)
    for inputs, targets in chunks(batches, config.chunk):
        logits, state = model(inputs, detach(state))
        loss = token_losses(logits, targets).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        scheduler.step()
        yield float(loss.detach()) * targets.numel()

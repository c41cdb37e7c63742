"""Measure the cost of few bits, layer by layer, of a little-trained and of a well-trained model.

``python -m smallport.bench.bits FILE`` compares the language model of the assets with one of the
same architecture that it trains on the beginning of the training text.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from smallport import assets, lstm, measured
from smallport.lstm import Corpus, LSTMConfig, TrainingConfig, WordLanguageModel
from smallport.quantize import quantize_blocks

LAYERS = {
    "embedding": ("encoder",),
    "LSTM": ("rnn",),
    "decoder": ("decoder",),
    "all": ("encoder", "rnn", "decoder"),
}
"""The layers that are rounded, and how the names of their parameters begin."""

BITS = (8, 4, 3, 2)
BLOCK_SIZE = 32
STREAMS = 20
"""The number of parts of the text that are read side by side."""


@dataclass(frozen=True)
class ModelCosts:
    """The cost of few bits for one model.

    Parameters
    ----------
    model
        A description of the model.
    loss
        Its loss in float32, in nats a token.
    costs
        For each of ``LAYERS`` and each number of bits, the rise of the loss when these layers are
        rounded and the others stay in float32.
    """

    model: str
    loss: float
    costs: Mapping[str, Mapping[str, float]]


def measure_costs(
    model: WordLanguageModel, text: Tensor, description: str, *, bits: Sequence[int] = BITS
) -> ModelCosts:
    """Round one layer of a model after the other, and evaluate each copy.

    Weights are rounded to asymmetric integers in blocks of 32.

    Parameters
    ----------
    model
        The model in float32; it is left as it is.
    text
        Word indices of shape ``(tokens,)``.
    description
        A description of the model.
    bits
        The numbers of bits.

    Examples
    --------
    >>> model = WordLanguageModel(10, lstm.LSTMConfig(8, 4, 1))
    >>> costs = measure_costs(model, torch.arange(10).repeat(5), "untrained", bits=[8, 2])
    >>> list(costs.costs), list(costs.costs["all"])
    (['embedding', 'LSTM', 'decoder', 'all'], ['8', '2'])
    """
    loss = lstm.evaluate(model, text, batch_size=STREAMS)
    costs: dict[str, dict[str, float]] = {layer: {} for layer in LAYERS}
    for layer, beginnings in LAYERS.items():
        for width in bits:
            rounded = copy.deepcopy(model)
            with torch.no_grad():
                for name, parameter in rounded.named_parameters():
                    if parameter.dim() == 2 and name.startswith(beginnings):  # noqa: PLR2004
                        blocks = quantize_blocks(
                            parameter, width, block_size=BLOCK_SIZE, symmetric=False
                        )
                        parameter.copy_(blocks.dequantize())
            costs[layer][str(width)] = lstm.evaluate(rounded, text, batch_size=STREAMS) - loss
    return ModelCosts(description, loss, costs)


def train_briefly(corpus: Corpus, config: LSTMConfig, tokens: int) -> WordLanguageModel:
    """Train a model once on the beginning of the training text.

    Parameters
    ----------
    corpus
        The text.
    config
        The sizes of the model.
    tokens
        The number of tokens to learn from.

    Examples
    --------
    >>> lines = ["to be or not to be"] * 200
    >>> corpus = Corpus.from_lines("a line", train=lines, valid=lines, test=lines)
    >>> train_briefly(corpus, LSTMConfig(8, 4, 1), 1000).training
    False
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WordLanguageModel(len(corpus.vocabulary), config)
    beginning = replace(corpus, train=corpus.train[:tokens], valid=corpus.valid[:1000])
    schedule = TrainingConfig(epochs=1, batch_size=20, peak_learning_rate=3e-3)
    lstm.train(model, beginning, schedule)
    return model.eval()


def read_costs(
    name: Path | str = "bits",
) -> tuple[measured.Provenance, str, tuple[ModelCosts, ...]]:
    """Read stored costs.

    Parameters
    ----------
    name
        As :func:`smallport.measured.read` takes it: left out, the costs that come with this
        package; the path of a file for costs of your own.

    Returns
    -------
    provenance : smallport.measured.Provenance
        When, where and with which versions they were measured.
    text : str
        A description of the text.
    models : tuple of ModelCosts
        The costs, those of the little-trained model first.

    Raises
    ------
    ValueError
        When the file holds no such costs.

    Examples
    --------
    >>> provenance, text, (little, well) = read_costs()
    >>> little.loss > well.loss
    True
    """
    stored = measured.read(name)
    try:
        models = tuple(ModelCosts(**model) for model in stored.results["models"])
        return stored.provenance, stored.results["text"], models
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{name} holds no costs of few bits ({error!r}): measure them again with "
            f"{stored.provenance.command}"
        ) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure two models of the architecture of the assets, and write their costs to a file."""
    parser = argparse.ArgumentParser(prog="python -m smallport.bench.bits", description=__doc__)
    parser.add_argument("file", type=Path, help="where to write the costs, as JSON")
    parser.add_argument("--tokens", type=int, default=5_000, help="how much of the test text")
    parser.add_argument("--training", type=int, default=60_000, help="tokens to train on")
    options = parser.parse_args(arguments)
    corpus = assets.corpus()
    pretrained = assets.language_model(corpus)
    text = corpus.test[: options.tokens]
    little = train_briefly(corpus, pretrained.config, options.training)
    models = [
        measure_costs(little, text, f"trained once on {options.training:,} tokens"),
        measure_costs(pretrained.model, text, f"{assets.profile()} weights"),
    ]
    results = {
        "text": f"{corpus.name}, the first {len(text):,} test tokens in {STREAMS} streams",
        "models": [asdict(model) for model in models],
    }
    command = f"SMALLPORT_ASSETS={assets.profile()} python -m smallport.bench.bits"
    measured.write(options.file, results, command=command)
    print(f"written to {options.file}")  # noqa: T201


if __name__ == "__main__":
    main()

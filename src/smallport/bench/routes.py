"""Measure every route on the same model, the same text, one thread, in one run.

``python -m smallport.bench.routes FILE`` measures the language model of the assets, its loss
on the whole test text, and writes the results to a file.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from smallport import assets, lstm, measured
from smallport.bench.install_size import install_megabytes
from smallport.bench.route_results import Results, RouteResult, as_table, goals
from smallport.display import progress_bar
from smallport.lstm import StatefulModel, WordLanguageModel
from smallport.quantize.routes import ROUTES, Route
from smallport.timing import Ratio, time_interleaved

TIMED_TOKENS = 1001
"""The number of tokens of the test text that are read in chunks to measure time."""

SINGLE_WORDS = 100
"""The number of words that are read one by one to measure time."""


@contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch use one thread for a while."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def measure_routes(
    model: WordLanguageModel,
    text: Tensor,
    description: str,
    *,
    routes: Sequence[Route] = ROUTES,
    repeats: int = 5,
    timed_tokens: int = TIMED_TOKENS,
    single_words: int = SINGLE_WORDS,
) -> Results:
    """Measure routes against the model in floats, which must be the first of them.

    Parameters
    ----------
    model
        The model in floats, in evaluation mode.
    text
        Word indices of shape ``(tokens,)``. The loss is that of the whole of it; times are those of
        its beginning.
    description
        A description of the model and the text.
    routes
        The routes to measure. Those that lack something on this machine are left out, and named.
    repeats
        How often each is timed.
    timed_tokens, single_words
        How much of the text to read for times, in chunks and word by word.
    """
    missing = {route.name: reason for route in routes if (reason := route.missing())}
    measurable = [route for route in routes if route.name not in missing]
    with one_thread(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        prepared = {
            route.name: route.prepare(model, Path(folder))
            for route in progress_bar(measurable, "preparing routes", unit="route")
        }
        losses = {
            name: lstm.losses(made.model, text)
            for name, made in progress_bar(prepared.items(), "evaluating routes", unit="route")
        }
        excerpt = text[:timed_tokens]
        chunks = time_interleaved(
            {name: partial(lstm.losses, made.model, excerpt) for name, made in prepared.items()},
            repeats=repeats,
        )
        excerpt = text[:single_words]
        words = time_interleaved(
            {name: partial(read_words, made.model, excerpt) for name, made in prepared.items()},
            repeats=repeats,
        )
    reference = measurable[0].name
    return Results(
        description,
        tuple(
            RouteResult(
                route=route.name,
                megabytes=prepared[route.name].megabytes,
                stored=prepared[route.name].stored,
                loss=float(losses[route.name].double().mean()),
                tokens=len(losses[route.name]),
                chunks=chunks[route.name],
                words=words[route.name],
                speedup=Ratio.of(chunks[reference], chunks[route.name]),
                words_speedup=Ratio.of(words[reference], words[route.name]),
                install_megabytes=install_megabytes(route.packages),
                maintenance=route.maintenance,
            )
            for route in measurable
        ),
        missing,
    )


@torch.no_grad()
def read_words(model: StatefulModel, tokens: Tensor) -> None:
    """Read tokens one by one, as a model does that writes a text."""
    model.eval()
    state = model.initial_state(1)
    for token in tokens.view(-1, 1, 1):
        _, state = model(token, state)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the language model of the assets, and write the results to a file."""
    parser = argparse.ArgumentParser(prog="python -m smallport.bench.routes", description=__doc__)
    parser.add_argument("file", type=Path, help="where to write the results, as JSON")
    parser.add_argument("--repeats", type=int, default=7, help="how often each route is timed")
    options = parser.parse_args(arguments)
    corpus = assets.corpus()
    pretrained = assets.language_model(corpus)
    model = WordLanguageModel(len(corpus.vocabulary), pretrained.config)
    model.load_state_dict(torch.load(pretrained.file, weights_only=True))
    description = (
        f"{assets.profile()} weights, {len(corpus.vocabulary):,} words, {pretrained.config}; "
        f"{len(corpus.test):,} tokens of test text"
    )
    print(description)  # noqa: T201
    results = measure_routes(model.eval(), corpus.test, description, repeats=options.repeats)
    with one_thread():  # as it was measured
        measured.write(options.file, asdict(results), command="nox -s bench")
    print(as_table(results).to_string(index=False))  # noqa: T201
    print("\n".join(goals(results)))  # noqa: T201
    print(f"written to {options.file}")  # noqa: T201


if __name__ == "__main__":
    main()

"""Measure every route on the same model, the same text and one thread.

``python -m smallport.bench.routes`` measures the language model of the assets: size and loss of
each route once, on the whole test text, and the times of all routes in several fresh processes.
Results so far are stored next to the result file, so that an interrupted run can be resumed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from smallport import assets, lstm, measured
from smallport.bench.install_size import install_megabytes
from smallport.bench.route_results import Results, RouteResult, as_table, goals
from smallport.display import progress_bar
from smallport.files import write_json
from smallport.keys import code_key, key_of
from smallport.lstm import StatefulModel, WordLanguageModel
from smallport.lstm.evaluation import require_initial_state
from smallport.machine import processor_name
from smallport.quantize.blocks import UnsuitableModelError
from smallport.quantize.routes import ROUTES, Prepared, Route
from smallport.timing import Timing, time_interleaved

T = TypeVar("T")
KINDS: dict[str, type[nn.Module]] = {"encoder": nn.Embedding, "rnn": nn.LSTM, "decoder": nn.Linear}
"""The kind of each layer of a word language model, by its name."""

Losses = dict[str, Any]
"""Size, types and loss of a route, as :class:`RouteResult` names them."""

Times = dict[str, dict[str, list[float]]]
"""Seconds by route, in ``chunks`` and in single ``words``."""

TIMED_TOKENS = 1001
"""The number of tokens of the test text that are read in chunks to measure time."""

SINGLE_WORDS = 100
"""The number of words that are read one by one to measure time."""

BEGINNING = 20_000
"""The number of tokens that a slow route reads to measure its loss, instead of the whole text."""

LONGEST = 600
"""The number of seconds for the whole text from which on a route counts as slow."""

ROUTE_MODULES = tuple(
    f"smallport.quantize.routes.{m}" for m in ("modules", "onnx_files", "openvino")
)
"""The modules of the routes, which are imported by name."""


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
    """Measure routes in this process, the model in floats first.

    Parameters
    ----------
    model
        The model in floats, in evaluation mode: an embedding ``encoder``, an LSTM ``rnn`` that
        reads the length first, a linear layer ``decoder``, and ``initial_state(batch_size)``.
    text
        Word indices of shape ``(tokens,)``. The loss is measured on the whole text, times on its
        beginning.
    description
        A description of the model and the text.
    routes
        The routes to measure. Those that lack something on this machine are left out, and named,
        and so are those that do not support this model.
    repeats
        How often each is timed.
    timed_tokens, single_words
        How much of the text to read for times, in chunks and word by word.

    Raises
    ------
    TypeError
        When the model has other layers, or no ``initial_state``.
    """
    require_layers(model)
    require_initial_state(model, "measure_routes")
    missing, measurable = sort_out(routes)
    with prepared_routes(model, measurable, missing) as prepared:
        measurable = [route for route in measurable if route.name in prepared]
        losses = {
            name: measure_loss(made, text)
            for name, made in progress_bar(prepared.items(), "evaluating routes", unit="route")
        }
        times = measure_times(prepared, text, repeats, timed_tokens, single_words)
    return combined(description, measurable, losses, [times], missing)


def require_layers(model: nn.Module) -> None:
    """Raise a TypeError where a model lacks a layer that routes look for, and name it."""
    for name, kind in KINDS.items():
        found = getattr(model, name, None)
        if not isinstance(found, kind) or getattr(found, "batch_first", False):
            first = " with the length first" if kind is nn.LSTM else ""
            raise TypeError(
                f"measure_routes: {name} of {type(model).__name__} should be a "
                f"torch.nn.{kind.__name__}{first}, and is {found}. Wrap your model in a module "
                f"with the layers {', '.join(KINDS)}"
            )
    others = {name.split(".")[0] for name in model.state_dict()} - set(KINDS)
    if others:
        raise TypeError(
            f"measure_routes: {type(model).__name__} has weights in {', '.join(sorted(others))}, "
            f"too. Wrap your model in a module whose only weights are in {', '.join(KINDS)}"
        )


def sort_out(routes: Sequence[Route]) -> tuple[dict[str, str], list[Route]]:
    """Tell routes that lack something on this machine from those that can be measured."""
    missing = {route.name: reason for route in routes if (reason := route.missing())}
    return missing, [route for route in routes if route.name not in missing]


@contextmanager
def prepared_routes(
    model: WordLanguageModel, routes: Sequence[Route], left_out: dict[str, str] | None = None
) -> Iterator[dict[str, Prepared]]:
    """Prepare routes for one thread, their files in a folder that is deleted afterwards.

    Parameters
    ----------
    model, routes
        The model in floats, and what to make of it.
    left_out
        Where to note routes that do not support the model; without it, they are errors.
    """
    with one_thread(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        prepared = {}
        for route in progress_bar(routes, "preparing routes", unit="route"):
            try:
                prepared[route.name] = route.prepare(model, Path(folder))
            except UnsuitableModelError as error:
                if left_out is None:
                    raise
                left_out[route.name] = str(error)
        yield prepared


def measure_loss(made: Prepared, text: Tensor) -> Losses:
    """Measure the loss of a prepared route on a whole text; return it with size and types."""
    losses = lstm.losses(made.model, text)
    return {
        "megabytes": made.megabytes,
        "stored": dict(made.stored),
        "loss": float(losses.double().mean()),
        "tokens": len(losses),
    }


def measure_loss_in_time(made: Prepared, model: WordLanguageModel, text: Tensor) -> Losses:
    """Measure the loss of a route on a whole text, or of a slow one on its beginning.

    Parameters
    ----------
    made
        The prepared route.
    model
        The model in floats, whose loss on the same beginning is measured, too.
    text
        Word indices of shape ``(tokens,)``.
    """
    beginning = text[:BEGINNING]
    start = time.perf_counter()
    found = measure_loss(made, beginning)
    if (time.perf_counter() - start) * len(text) / len(beginning) <= LONGEST:
        return measure_loss(made, text)
    return found | {"reference_loss": float(lstm.losses(model, beginning).double().mean())}


def measure_times(
    prepared: Mapping[str, Prepared],
    text: Tensor,
    repeats: int,
    timed_tokens: int = TIMED_TOKENS,
    single_words: int = SINGLE_WORDS,
) -> Times:
    """Time prepared routes in turns, in chunks and word by word, at the beginning of a text."""
    chunks = {
        n: partial(lstm.losses, made.model, text[:timed_tokens]) for n, made in prepared.items()
    }
    words = {
        n: partial(read_words, made.model, text[:single_words]) for n, made in prepared.items()
    }
    in_chunks, in_words = (time_interleaved(runs, repeats=repeats) for runs in (chunks, words))
    return {
        name: {"chunks": list(in_chunks[name].seconds), "words": list(in_words[name].seconds)}
        for name in prepared
    }


def combined(
    description: str,
    routes: Sequence[Route],
    losses: Mapping[str, Losses],
    times: Sequence[Times],
    missing: Mapping[str, str],
) -> Results:
    """Combine the losses of routes with their times in one or more processes."""

    def pooled(name: str, kind: str) -> Timing:
        return Timing(tuple(seconds for of_one in times for seconds in of_one[name][kind]))

    return Results(
        description,
        tuple(
            RouteResult(
                route=route.name,
                **{"reference_loss": losses[routes[0].name]["loss"], **losses[route.name]},
                chunks=pooled(route.name, "chunks"),
                words=pooled(route.name, "words"),
                install_megabytes=install_megabytes(route.packages),
                maintenance=route.maintenance,
            )
            for route in routes
        ),
        missing,
        processes=len(times),
    )


@torch.no_grad()
def read_words(model: StatefulModel, tokens: Tensor) -> None:
    """Read tokens one by one, as a model does that writes a text."""
    model.eval()
    state = model.initial_state(1)
    for token in tokens.view(-1, 1, 1):
        _, state = model(token, state)


def in_fresh_process(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a new process and return its result.

    Examples
    --------
    >>> import os
    >>> in_fresh_process(os.getpid) == os.getpid()
    False
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        return executor.submit(function, *arguments).result()


def resume(file: Path, key: str, name: str, measure: Callable[[], T]) -> T:
    """Look up a result that an interrupted run stored under the same key, or measure and store it.

    Parameters
    ----------
    file
        The file with what was measured so far.
    key
        Of everything that results depend on. Results with a different key are dropped.
    name
        The name of the result.
    measure
        Measures it. It must return what JSON can hold.
    """
    stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    if stored.get("key") != key:
        stored = {"key": key, "done": {}}
    if name not in stored["done"]:
        stored["done"][name] = measure()
        write_json(file, stored)
    found: T = stored["done"][name]
    return found


def load_assets() -> tuple[WordLanguageModel, Tensor, str, str]:
    """Load the model of the assets and its test text; describe both, with the file's checksum."""
    corpus = assets.corpus()
    pretrained = assets.language_model(corpus)
    model = WordLanguageModel(len(corpus.vocabulary), pretrained.config)
    model.load_state_dict(torch.load(pretrained.file, weights_only=True))
    description = (
        f"{assets.profile()} weights, {len(corpus.vocabulary):,} words, {pretrained.config}; "
        f"{len(corpus.test):,} tokens of test text"
    )
    return model.eval(), corpus.test, description, pretrained.sha256


def loss_of(place: int, tokens: int | None) -> Losses:
    """Measure the loss of a route of ``ROUTES`` with the model of the assets."""
    model, text, *_ = load_assets()
    text = text[:tokens]
    route = ROUTES[place]
    with prepared_routes(model, [route]) as prepared:
        return measure_loss_in_time(prepared[route.name], model, text)


def times_of(places: Sequence[int], repeats: int) -> Times:
    """Measure the times of routes of ``ROUTES`` with the model of the assets."""
    model, text, *_ = load_assets()
    with prepared_routes(model, [ROUTES[place] for place in places]) as prepared:
        return measure_times(prepared, text, repeats)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the language model of the assets, and write the results to a file."""
    parser = argparse.ArgumentParser(prog="python -m smallport.bench.routes", description=__doc__)
    parser.add_argument(
        "--keep", type=Path, default="routes.json", metavar="FILE", help="the JSON file to write"
    )
    parser.add_argument(
        "--processes", type=int, default=3, help="fresh processes that measure time"
    )
    parser.add_argument("--repeats", type=int, default=7, help="how often each times a route")
    parser.add_argument(
        "--tokens", type=int, metavar="N", help="measure losses on the first N tokens only"
    )
    options = parser.parse_args(arguments)
    _, _, description, weights = load_assets()
    print(description)  # noqa: T201
    missing, measurable = sort_out(ROUTES)
    places = [ROUTES.index(route) for route in measurable]
    versions = json.dumps(measured.installed_versions())
    code = code_key("smallport.bench.routes", *ROUTE_MODULES)
    chosen = f"{options.repeats} {options.tokens}"
    key = key_of(description, weights, versions, code, processor_name(), chosen)
    so_far = options.keep.with_name(f"{options.keep.name}.partial")
    losses = {
        ROUTES[place].name: resume(
            so_far,
            key,
            f"loss of {ROUTES[place].name}",
            partial(in_fresh_process, loss_of, place, options.tokens),
        )
        for place in progress_bar(places, "measuring losses", unit="route")
    }
    times = [
        resume(
            so_far,
            key,
            f"times in process {number}",
            partial(in_fresh_process, times_of, places, options.repeats),
        )
        for number in progress_bar(range(options.processes), "measuring times", unit="process")
    ]
    results = combined(description, measurable, losses, times, missing)
    command = f"nox -s bench -- --tokens {options.tokens}" if options.tokens else "nox -s bench"
    with one_thread():  # as it was measured
        measured.write(options.keep, asdict(results), command=command)
    so_far.unlink()
    print(as_table(results).to_string(index=False))  # noqa: T201
    print("\n".join(goals(results)))  # noqa: T201
    print(f"written to {options.keep}")  # noqa: T201


if __name__ == "__main__":
    main()

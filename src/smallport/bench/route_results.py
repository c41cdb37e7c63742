"""Measurements of the routes: read them, show them as a table, compare them with the goals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from smallport import measured
from smallport.quantities import MINUS
from smallport.timing import Ratio, Timing

FASTEST, WORDS, SMALLEST, SMALLEST_COST = 5, 6, 6.8, 0.01
BOTH_FASTER, BOTH_SMALLER, BOTH_COST = 4.5, 5, 0.001
"""The goals: ratios, and what they may cost in nats."""


@dataclass(frozen=True)
class RouteResult:
    """The measurements of a route.

    Parameters
    ----------
    route
        The name of the route.
    megabytes
        The size of what has to be stored, in MB of a million bytes.
    stored
        As what the weights of each layer are stored, read from the file or the state dict.
    loss
        On the whole text, in nats a token.
    tokens
        How many tokens that is the mean of.
    chunks
        Times to evaluate an excerpt in chunks of 25 tokens.
    words
        Times to read words of it one by one.
    speedup, words_speedup
        How many times as fast as the model in floats, turn by turn.
    install_megabytes
        The size on disk of the route's packages, without PyTorch and all that PyTorch installs.
    maintenance
        Whether the route has a future.
    """

    route: str
    megabytes: float
    stored: Mapping[str, str]
    loss: float
    tokens: int
    chunks: Timing
    words: Timing
    speedup: Ratio
    words_speedup: Ratio
    install_megabytes: float
    maintenance: str


@dataclass(frozen=True)
class Results:
    """The routes that were measured, and why others were not.

    Parameters
    ----------
    model
        The model that the routes were measured on.
    routes
        The results, the model in floats first.
    missing
        For each route that was not measured, what it lacked.
    """

    model: str
    routes: tuple[RouteResult, ...]
    missing: Mapping[str, str]

    def named(self, route: str) -> RouteResult:
        """Look up what was measured of a route."""
        return next(result for result in self.routes if result.route == route)


def read_results(name: Path | str = "routes") -> tuple[measured.Provenance, Results]:
    """Read kept results.

    Parameters
    ----------
    name
        As :func:`smallport.measured.read` takes it: left out, the results that come with this
        package; the path of a file for results of your own.

    Raises
    ------
    ValueError
        When the file holds no results of routes.
    """
    kept = measured.read(name)
    try:
        routes = tuple(_route_result(dict(route)) for route in kept.results["routes"])
        results = Results(kept.results["model"], routes, kept.results["missing"])
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{name} holds no results of routes ({error!r}): measure them again with "
            f"{kept.provenance.command}"
        ) from error
    return kept.provenance, results


def _route_result(fields: dict[str, Any]) -> RouteResult:
    for name in ("chunks", "words"):
        fields[name] = Timing(tuple(fields[name]["seconds"]))
    for name in ("speedup", "words_speedup"):
        fields[name] = Ratio(**fields[name])
    return RouteResult(**fields)


def as_table(results: Results) -> pd.DataFrame:
    """Show results as a table with a row for each route; missing ones have the reason."""
    reference = results.routes[0]
    rows: list[dict[str, object]] = [
        {
            "route": route.route,
            "embedding": route.stored["embedding"],
            "LSTM": route.stored["LSTM"],
            "decoder": route.stored["decoder"],
            "MB": f"{route.megabytes:.2f}",
            "times smaller": f"{reference.megabytes / route.megabytes:.2f}",
            "loss": f"{route.loss:.4f}",
            "change": signed(route.loss - reference.loss),
            "speed-up, chunks": str(route.speedup),
            "speed-up, single words": str(route.words_speedup),
            "to install, MB": f"{route.install_megabytes:.0f}",
            "maintenance": route.maintenance,
        }
        for route in results.routes
    ]
    rows += [{"route": route, "maintenance": why} for route, why in results.missing.items()]
    return pd.DataFrame(rows).fillna("")


def signed(change: float) -> str:
    """Write a change of the loss to four decimals, nothing as ``0.0000``.

    Examples
    --------
    >>> signed(0.00341), signed(-0.00001)
    ('+0.0034', '0.0000')
    """
    written = f"{change:+.4f}"
    return written[1:] if float(written) == 0 else written.replace("-", MINUS)


def goals(results: Results) -> list[str]:
    """Compare results with the goals of this project for the published architecture."""
    reference = results.routes[0]

    def smaller(route: RouteResult) -> float:
        return reference.megabytes / route.megabytes

    def cost(route: RouteResult) -> float:
        return route.loss - reference.loss

    fastest = max(results.routes, key=lambda route: route.speedup.median)
    writer = max(results.routes, key=lambda route: route.words_speedup.median)
    smallest = max((route for route in results.routes if cost(route) <= SMALLEST_COST), key=smaller)
    both = max(
        (
            route
            for route in results.routes
            if cost(route) <= BOTH_COST and smaller(route) >= BOTH_SMALLER
        ),
        key=lambda route: route.speedup.median,
        default=reference,
    )
    return [
        f"fastest in chunks: {fastest.route}, {fastest.speedup} times; wanted {FASTEST}",
        f"fastest for single words: {writer.route}, {writer.words_speedup} times; wanted {WORDS}",
        (
            f"smallest at {SMALLEST_COST} nats: {smallest.route}, {smaller(smallest):.2f} times, "
            f"{cost(smallest):+.4f} nats; wanted {SMALLEST}"
        ),
        (
            f"both, at {BOTH_COST} nats: {both.route}, {both.speedup} times as fast, "
            f"{smaller(both):.2f} times smaller; wanted {BOTH_FASTER} and {BOTH_SMALLER}"
        ),
    ]

"""Measurements of the routes: read them, show them as a table, compare them with the goals."""

from __future__ import annotations

import math
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

BASELINES = {"eager": "eager float32", "ONNX": "ONNX float32"}
"""The models in floats that speeds are compared with, by the names of their columns."""


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
        The types in which the weights of each layer are stored, read from the file or the state
        dict.
    loss
        The loss on the whole text, in nats a token.
    tokens
        The number of tokens that it is the mean of. A slow route reads the beginning only.
    reference_loss
        The loss of the model in floats on the same tokens.
    chunks
        Times to evaluate an excerpt in chunks of 25 tokens, those of all processes in a row.
    words
        Times to read words of it one by one.
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
    reference_loss: float
    chunks: Timing
    words: Timing
    install_megabytes: float
    maintenance: str

    @property
    def is_possible(self) -> bool:
        """Whether all sizes, losses and seconds are finite and above zero."""
        numbers = (self.megabytes, self.tokens, self.loss, self.reference_loss)
        seconds = self.chunks.seconds + self.words.seconds
        return all(0 < number < math.inf for number in (*numbers, *seconds))


@dataclass(frozen=True)
class Results:
    """The routes that were measured, and why others were not.

    Parameters
    ----------
    model
        A description of the model and the text.
    routes
        The results, those of the model in floats first.
    missing
        For each route that was not measured, what it lacked.
    processes
        The number of fresh processes that measured time, each as often.
    """

    model: str
    routes: tuple[RouteResult, ...]
    missing: Mapping[str, str]
    processes: int = 1

    def named(self, route: str) -> RouteResult:
        """Look up the measurements of a route."""
        return next(result for result in self.routes if result.route == route)

    def baselines(self) -> dict[str, str]:
        """Name those of ``BASELINES`` that were measured."""
        names = {result.route for result in self.routes}
        return {column: name for column, name in BASELINES.items() if name in names}

    def speedup(self, route: str, over: str | None = None, *, words: bool = False) -> Ratio:
        """Compare the times of a route with those of another, turn by turn.

        Parameters
        ----------
        route
            The name of the route.
        over
            The name of the route that it is compared with; left out, the first.
        words
            Whether to compare the times of single words, instead of those of chunks.
        """
        slow = self.named(over) if over else self.routes[0]
        fast = self.named(route)
        if words:
            return Ratio.of(slow.words, fast.words)
        return Ratio.of(slow.chunks, fast.chunks)

    def smaller(self, route: str) -> float:
        """Compute how many times smaller a route is than the model in floats."""
        return self.routes[0].megabytes / self.named(route).megabytes

    def cost(self, route: str) -> float:
        """Subtract the loss of the model in floats on the same tokens from that of a route."""
        return self.named(route).loss - self.named(route).reference_loss


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
        When the file holds no results of routes, or numbers that nothing can measure.
    """
    kept = measured.read(name)
    try:
        routes = tuple(_route_result(dict(route)) for route in kept.results["routes"])
        results = Results(
            kept.results["model"],
            routes,
            kept.results["missing"],
            kept.results["processes"],
        )
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"{name} holds no results of routes ({error!r}): measure them again with "
            f"{kept.provenance.command}"
        ) from error
    if impossible := [route.route for route in routes if not route.is_possible]:
        raise ValueError(
            f"{name}: sizes, losses or seconds are no measurement in {', '.join(impossible)}. "
            f"Measure them again with {kept.provenance.command}."
        )
    return kept.provenance, results


def _route_result(fields: dict[str, Any]) -> RouteResult:
    for name in ("chunks", "words"):
        fields[name] = Timing(tuple(fields[name]["seconds"]))
    return RouteResult(**fields)


def as_table(results: Results) -> pd.DataFrame:
    """Lay results out as a table, a row a route, the missing ones with the reason."""
    rows: list[dict[str, object]] = [
        {
            "route": route.route,
            "embedding": route.stored["embedding"],
            "LSTM": route.stored["LSTM"],
            "decoder": route.stored["decoder"],
            "MB": f"{route.megabytes:.2f}",
            "times smaller": f"{results.smaller(route.route):.2f}",
            "tokens": f"{route.tokens + 1:,}",
            "loss": f"{route.loss:.4f}",
            "change": signed(results.cost(route.route)),
            **{
                f"{kind}, × {column}": str(
                    results.speedup(route.route, baseline, words=kind == "words")
                )
                for kind in ("chunks", "words")
                for column, baseline in results.baselines().items()
            },
            "to install, MB": f"{route.install_megabytes:.0f}",
            "maintenance": route.maintenance,
        }
        for route in results.routes
    ]
    rows += [{"route": route, "maintenance": why} for route, why in results.missing.items()]
    return pd.DataFrame(rows).fillna("")


def overview(results: Results) -> pd.DataFrame:
    """Lay the measured routes out as a table with median speeds, without their ranges.

    Parameters
    ----------
    results
        Results, stored or measured here.

    Returns
    -------
    pandas.DataFrame
        The types of the layers, size, change of the loss and speeds, a row a route.

    Examples
    --------
    >>> overview(read_results()[1]).loc[0, ["route", "embedding", "chunks, × eager"]].tolist()
    ['eager float32', 'float32', '1.00']
    """
    table = as_table(results).head(len(results.routes))
    speeds = [str(column) for column in table if "×" in str(column)]
    medians = {column: table[column].str.partition(" ")[0] for column in speeds}
    shown = ["route", "embedding", "LSTM", "decoder", "MB", "change"]
    return table.assign(**medians)[[*shown, *speeds]]


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
    names = [route.route for route in results.routes]

    def fast(name: str) -> float:
        return results.speedup(name).median

    def fast_words(name: str) -> float:
        return results.speedup(name, words=True).median

    def speeds(name: str, *, words: bool = False) -> str:
        return " and ".join(
            f"{results.speedup(name, baseline, words=words)} times {baseline}"
            for baseline in results.baselines().values()
        )

    fastest, writer = max(names, key=fast), max(names, key=fast_words)
    smallest = max((n for n in names if results.cost(n) <= SMALLEST_COST), key=results.smaller)
    small = [n for n in names if results.smaller(n) >= BOTH_SMALLER]
    both = max(
        (n for n in small if results.cost(n) <= BOTH_COST),
        key=fast,
        default=names[0],
    )
    return [
        f"fastest in chunks: {fastest}, {speeds(fastest)}; wanted {FASTEST}",
        f"fastest for single words: {writer}, {speeds(writer, words=True)}; wanted {WORDS}",
        (
            f"smallest at {SMALLEST_COST} nats: {smallest}, {results.smaller(smallest):.2f} times, "
            f"{results.cost(smallest):+.4f} nats; wanted {SMALLEST}"
        ),
        (
            f"both, at {BOTH_COST} nats: {both}, {speeds(both)}, "
            f"{results.smaller(both):.2f} times smaller; wanted {BOTH_FASTER} and {BOTH_SMALLER}"
        ),
    ]

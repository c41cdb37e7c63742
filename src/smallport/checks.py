"""Check the claims of a page, and record the figures that it measured.

A page calls :func:`check` where it makes a claim about a number. The claim is asserted wherever
the page runs; in a build of the site, the number is also recorded for the results page and the
card of the page.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from smallport.records import RESULTS_FILE, UNITS, Result, Source, record, with_unit

__all__ = ["RESULTS_FILE", "Failure", "Result", "Source", "check", "raises", "report"]

FARTHEST = 1000
"""The largest ratio of a bound to the value, or of the value to its lower bound."""

SMALLEST = 1e-3
"""Values nearer to zero count as this large, since differences can be zero."""


def check(
    name: str,
    value: float,
    unit: str = "",
    *,
    at_most: float | None = None,
    at_least: float | None = None,
) -> None:
    """Assert a claim about a measured number, and record the number for the build.

    Parameters
    ----------
    name
        The name of the figure, unique within the page.
    value
        The measured number.
    unit
        Its unit.
    at_most, at_least
        The claimed bounds, both inclusive; at least one of them.

    Raises
    ------
    AssertionError
        When the value is outside its bounds or not finite. Nothing is recorded then.
    ValueError
        When the claim is empty: no bound, one that is not finite, two that no number satisfies, or
        one that is more than a thousand times away from the value; or, in a build, when the page
        has used the name before.

    Examples
    --------
    >>> check("size ratio", 0.7, at_most=0.75)
    >>> check("loss gap", 0.3, "nats", at_most=0.01)
    Traceback (most recent call last):
        ...
    AssertionError: loss gap: claimed at most 0.01 nats, measured 0.3 nats
    >>> check("size ratio", 0.7)
    Traceback (most recent call last):
        ...
    ValueError: size ratio: nothing is claimed. Pass at_most or at_least, or call report to \
record it without a claim
    """
    result = Result(name, float(value), unit, at_most, at_least)
    _refuse_other_units(result)
    _refuse_bad_bounds(result)
    _require_within_bounds(result)
    _refuse_far_bounds(result)
    record(result)


def report(name: str, value: float, unit: str = "") -> None:
    """Record a measured number without a claim about it, such as a speed.

    Parameters
    ----------
    name
        The name of the figure, unique within the page.
    value
        The measured number.
    unit
        Its unit.

    Raises
    ------
    AssertionError
        When the value is not finite.
    ValueError
        When, in a build, the page has used the name before.

    Examples
    --------
    >>> report("training", 41.5, "s")
    """
    result = Result(name, float(value), unit)
    _refuse_other_units(result)
    _require_within_bounds(result)
    record(result)


def _require_within_bounds(result: Result) -> None:
    if not result.holds:  # no assert statement: python -O would pass over it
        raise AssertionError(
            f"{result.name}: claimed {result.claim or 'a finite number'}, "
            f"measured {with_unit(result.value, result.unit)}"
        )


def _refuse_other_units(result: Result) -> None:
    if result.unit not in UNITS:
        raise ValueError(
            f"{result.name}: {result.unit!r} is not a unit of this site, which has "
            f"{', '.join(filter(None, UNITS))}. Convert the number, or add the unit to "
            "smallport.records.UNITS"
        )


def _refuse_bad_bounds(result: Result) -> None:
    bounds = [bound for bound in (result.at_least, result.at_most) if bound is not None]
    if not bounds:
        raise ValueError(
            f"{result.name}: nothing is claimed. Pass at_most or at_least, or call report to "
            "record it without a claim"
        )
    if not all(math.isfinite(bound) for bound in bounds) or bounds != sorted(bounds):
        raise ValueError(
            f"{result.name}: {result.claim} is no claim. Pass finite bounds, the lower one first"
        )


def _refuse_far_bounds(result: Result) -> None:
    """Reject a bound so far from the value that nothing would ever reach it."""
    value = max(abs(result.value), SMALLEST)
    too_high = result.at_most is not None and abs(result.at_most) > FARTHEST * value
    too_low = result.at_least is not None and (
        -result.at_least > FARTHEST * value
        or (result.at_most is None and value > FARTHEST * max(abs(result.at_least), SMALLEST))
    )
    if too_high or too_low:
        raise ValueError(
            f"{result.name}: measured {with_unit(result.value, result.unit)}, claimed "
            f"{result.claim}, which is more than {FARTHEST} times away. First look whether the "
            "function that computes the value is broken; if it is right, claim a nearer bound"
        )


@dataclass
class Failure:
    """A failure that :func:`smallport.checks.raises` announced.

    Parameters
    ----------
    message
        The exception's message; empty until it was raised.
    """

    message: str = ""


@contextmanager
def raises(expected: type[Exception], *, match: str | tuple[str, ...]) -> Iterator[Failure]:
    """Announce a failure: the block has to raise this exception with this message.

    Parameters
    ----------
    expected
        The type of the exception; others pass through.
    match
        Text that its message has to hold, or several such texts. Plain text, no pattern.

    Yields
    ------
    Failure
        Holds the whole message after the block.

    Raises
    ------
    AssertionError
        When nothing is raised, or the message has changed: the page has to be rewritten.
    ValueError
        When the announcement would hold for every failure: an exception that all others derive
        from, or an empty text.

    Examples
    --------
    >>> with raises(ZeroDivisionError, match="by zero") as failure:
    ...     1 / 0
    >>> failure.message
    'division by zero'
    >>> with raises(ZeroDivisionError, match="by zero"):
    ...     1 / 1
    Traceback (most recent call last):
        ...
    AssertionError: announced ZeroDivisionError with 'by zero', and nothing was raised: rewrite \
what the page says about it
    """
    texts = (match,) if isinstance(match, str) else match
    if expected in (Exception, BaseException) or not texts or not all(texts):
        raise ValueError(
            f"raises({expected.__name__}, match={match!r}) would hold for any failure: name the "
            "exception that is raised, and some words of its message"
        )
    failure = Failure()
    try:
        yield failure
    except expected as error:
        failure.message = str(error)
        missing = [text for text in texts if text not in failure.message]
        if missing:
            raise AssertionError(
                f"announced {expected.__name__} with {missing[0]!r}, and the message is now: "
                f"{failure.message}"
            ) from None  # its message says it all: one error, one traceback
    else:
        announced = " and ".join(repr(text) for text in texts)
        raise AssertionError(
            f"announced {expected.__name__} with {announced}, and nothing was raised: rewrite "
            "what the page says about it"
        )

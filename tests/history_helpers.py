"""Builds whose pages measured what a test says."""

from tools.gallery.runs import Environment
from tools.history.store import Entry

ENVIRONMENT = Environment(
    commit="0123456789ab",
    date="2026-11-20T21:52:00+00:00",
    processor="A processor",
    int8_dot_products=(),
    cores=2,
    versions={"python": "3.11.7", "torch": "2.13.0"},
    assets="embedded",
)


def entry(night, value, *, page="page", name="size", unit="MB", script="1", **changes):
    """Make what one build stored, whose only page measured one number."""
    date = f"2026-11-{night + 1:02}T05:00:00+00:00"
    torch = changes.pop("torch", "2.13.0")
    environment = Environment(
        **vars(ENVIRONMENT)
        | {"commit": f"{night:012x}", "date": date, "versions": {"torch": torch}}
        | changes
    )
    return Entry(environment, {page: script}, {page: {name: (value, unit)}})


def nights(*values, torch="2.13.0", first=0, **changes):
    """Make one build a night with a version of PyTorch, each of which measured a number."""
    return [
        entry(first + night, value, torch=torch, **changes) for night, value in enumerate(values)
    ]

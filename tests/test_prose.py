"""Prose holds no figure that a machine measured: such numbers come from ``check``."""

import re
from pathlib import Path

import pytest
from sphinx_gallery.py_source_parser import split_code_and_text_blocks

ROOT = Path(__file__).resolve().parents[1]
UNITS = (
    r"ms|µs|s|sec|seconds?|minutes?|hours?|[kKMG]i?B|megabytes?|gigabytes?|×|x|times|%|percent|nats"
)
FIGURE = re.compile(rf"(?<![\w.])\d[\d.,]*(?:\s|-)?(?:{UNITS})(?!\w)")
CITED = re.compile(r":published:`[^`]*`|``[^`]*``|^(?: {3,}|   \$).*$", re.MULTILINE)


def figures(text):
    """Find numbers with a unit outside the role for cited figures, literals and indented code."""
    return [found.group() for found in FIGURE.finditer(CITED.sub("", text))]


def texts():
    """Yield every page's prose, cell by cell, and every text of the docs."""
    for script in sorted((ROOT / "examples").rglob("*.py")):
        for block in split_code_and_text_blocks(str(script))[1]:
            if block.type == "text":
                yield pytest.param(block.content, id=f"{script.name}:{block.lineno}")
    docs = [*(ROOT / "docs").glob("*.rst"), *(ROOT / "examples").rglob("*.rst")]
    for file in sorted(docs):
        yield pytest.param(file.read_text(encoding="utf-8"), id=file.name)


@pytest.mark.parametrize("text", list(texts()))
def test_prose_states_no_measured_figure(text):
    assert figures(text) == [], "mark a cited figure with :published:, and measure any other"


@pytest.mark.parametrize(
    "text",
    ["it took 3 s", "about 2.5x", "113.94 MB", "a 10 % gap", "0.01 nats", "3.8 times faster"],
)
def test_a_figure_in_prose_is_found(text):
    assert figures(text)


@pytest.mark.parametrize(
    "text",
    [":published:`188.6 s` on one thread", "8-bit integers", "``timeout=30 s``", "33,278 words"],
)
def test_what_is_no_measured_figure_passes(text):
    assert figures(text) == []

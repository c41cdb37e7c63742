"""Find the recipe of the page "What the exporter's errors mean" that explains an error."""

import re
import sys
import sysconfig
import tempfile
from pathlib import Path

RECIPES = (
    ("size-one-specialized", r"specialized it to be a constant \(1\)|0/1 specialized"),
    ("dimension-specialized", r"specialized it to be a constant|is burnt in as"),
    ("dimensions-equal", r"must always be equal"),
    ("cache-no-pytree", r"Cannot associate shape|Unsupported input type <class"),
    (
        "shapes-nested",
        (
            r"mismatch between the structure of `inputs` and `dynamic_shapes`"
            r"|Expected dynamic shape spec|Node arity mismatch"
        ),
    ),
    ("data-dependent", r"data-dependent|DataDependent|unbacked"),
    ("inputs-changed", r"Guard failed: input_ids.*(past_key_values|cache).*attention_mask"),
    ("guard-refuses", r"Guard failed|Runtime assertion failed"),
    (
        "program-reloaded",
        (
            r"Unknown serialized type|No registered serialization name"
            r"|error when deserializing the saved file|in pytree is not registered"
        ),
    ),
)
"""Anchors of recipes, each with what the error's text holds; the first that fits counts."""


LONGEST = 4000
"""The largest number of characters of an error that are stored."""

TENSOR = re.compile(r"\btensor\(\s*\[[^()]*\)")
"""The numbers of a tensor, as PyTorch prints them."""


def recipe_for(error: str) -> str:
    """Name the anchor of the recipe that explains an error; empty where there is none.

    Examples
    --------
    >>> recipe_for("AssertionError: Guard failed: attention_mask.size()[1] >= 4")
    'guard-refuses'
    >>> recipe_for("MemoryError")
    ''
    """
    return next((anchor for anchor, text in RECIPES if re.search(text, error)), "")


def error_text(error: BaseException) -> str:
    """Write an error down, type and message, without what changes from one machine to the next.

    Folders in front of installed packages and addresses in memory say nothing about the error, and
    would make the same error look like another. Colours are for a terminal. The numbers of a tensor
    hide the sentence around them, and so does the middle of a very long message.

    Examples
    --------
    >>> error_text(ValueError("<object at 0x7f00deadbeef> is no tensor"))
    'ValueError: <object at 0x...> is no tensor'
    """
    text = f"{type(error).__name__}: {error}".rstrip(": ")
    here = Path(__file__).resolve().parents[2]
    folders = {str(here), *sysconfig.get_paths().values(), sys.prefix, tempfile.gettempdir()}
    for folder in sorted(folders, key=len, reverse=True):
        text = text.replace(folder.rstrip("/") + "/", "")
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = TENSOR.sub("tensor(...)", re.sub(r"\b0x[0-9a-f]{6,}", "0x...", text))
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[{len(text) - 2 * half:,} characters are left out here]\n{text[-half:]}"

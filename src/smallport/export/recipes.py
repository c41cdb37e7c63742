"""Find the recipe that explains an error of the exporter, and the page that it is on."""

import re
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import NamedTuple

TORCH_PAGE = "plot_20_export_error_cookbook"
GUARD_PAGE = "plot_21_guard_error_cookbook"
ONNX_PAGE = "plot_22_onnx_error_cookbook"
PAGES = (TORCH_PAGE, GUARD_PAGE, ONNX_PAGE)
"""The pages with recipes against errors, by the names of their scripts, in reading order."""

CAUSE_PAGES = ("plot_32_wrong_exports", "plot_40_scoreboard_live")
"""The pages with recipes against the causes of wrong numbers."""


class Recipe(NamedTuple):
    """The errors that a recipe explains, and its place.

    Parameters
    ----------
    anchor
        Its anchor on the page, without ``recipe-``.
    pattern
        A regular expression that the text of such an error matches.
    page
        One of ``PAGES``.
    """

    anchor: str
    pattern: str
    page: str = TORCH_PAGE


RECIPES = (
    Recipe("onnx-function-missing", r"No ONNX function found for", ONNX_PAGE),
    Recipe(
        "onnx-input-rejected",
        r"Got invalid dimensions for input|Unexpected input data type|missing from input feed",
        ONNX_PAGE,
    ),
    Recipe("size-one-specialized", r"specialized it to be a constant \(1\)|0/1 specialized"),
    Recipe("dimension-specialized", r"specialized it to be a constant|is burnt in as"),
    Recipe("dimensions-equal", r"must always be equal"),
    Recipe("cache-no-pytree", r"Cannot associate shape|Unsupported input type <class"),
    Recipe(
        "shapes-nested",
        r"mismatch between the structure of `inputs` and `dynamic_shapes`"
        r"|Expected dynamic shape spec|Node arity mismatch",
    ),
    Recipe("data-dependent", r"data-dependent|DataDependent|unbacked", GUARD_PAGE),
    Recipe(
        "inputs-changed",
        r"Guard failed: input_ids.*(past_key_values|cache).*attention_mask",
        GUARD_PAGE,
    ),
    Recipe("guard-refuses", r"Guard failed|Runtime assertion failed", GUARD_PAGE),
    Recipe(
        "program-reloaded",
        r"Unknown serialized type|No registered serialization name"
        r"|error when deserializing the saved file|in pytree is not registered",
        ONNX_PAGE,
    ),
)
"""The recipes against errors. If several fit, the first one counts."""


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
    return next((one.anchor for one in RECIPES if re.search(one.pattern, error)), "")


def page_of(anchor: str) -> str:
    """Name the page that contains a recipe.

    Parameters
    ----------
    anchor
        The anchor of a recipe in ``RECIPES``.

    Examples
    --------
    >>> page_of("onnx-function-missing")
    'plot_22_onnx_error_cookbook'
    """
    return next(one.page for one in RECIPES if one.anchor == anchor)


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

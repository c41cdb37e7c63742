"""``smallport explain``: print the cause of an error of the exporters, and its fix."""

from __future__ import annotations

import argparse
import difflib
from typing import TYPE_CHECKING

from smallport.commands.shell import BadCall
from smallport.export.cookbook import read_recipes

if TYPE_CHECKING:
    from smallport.commands.shell import Subparsers


def add_parser(subparsers: Subparsers) -> None:
    """Add ``explain`` to the commands."""
    parser = subparsers.add_parser(
        "explain",
        help="print the cause of an export error, and how to fix it",
        description="Print a recipe: the cause of an export error, and how to fix it. "
        "Without a name, list all recipes.",
    )
    parser.add_argument("recipe", nargs="?", metavar="RECIPE", help="the name in a failed check")
    parser.set_defaults(run=run, offline=True)


def run(options: argparse.Namespace) -> int:
    """Print a recipe, or the names of all."""
    recipes = read_recipes()
    if options.recipe is None:
        width = max(map(len, recipes))
        for name, (title, _) in recipes.items():
            print(f"{name:<{width}}  {title}")
        return 0
    name = options.recipe.removeprefix("recipe-")
    if name not in recipes:
        close = difflib.get_close_matches(name, recipes, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise BadCall(
            f"there is no recipe {options.recipe!r}; {hint}'smallport explain' lists all recipes",
            "smallport explain",
        )
    print(recipes[name][1])
    return 0

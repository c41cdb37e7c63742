"""Show what an exported program does."""

from __future__ import annotations

import re
import textwrap

import torch
from torch.export import ExportedProgram


def input_shapes(program: ExportedProgram) -> dict[str, tuple[int | str, ...]]:
    """List the shapes that an exported program takes.

    An axis that was declared dynamic and has a number here was specialized: the program takes that
    size and no other.

    Parameters
    ----------
    program
        The program, as :func:`torch.export.export` returns it.

    Returns
    -------
    dict
        For each input that is a tensor the sizes of its axes: a number where the size is fixed, and
        otherwise a symbol, or a formula such as ``s1 + 1``. Equal symbols are equal sizes.

    Examples
    --------
    >>> dynamic, fixed = torch.export.Dim.DYNAMIC, torch.export.Dim.STATIC
    >>> shapes = {"input": {0: dynamic, 1: fixed}}
    >>> example = (torch.zeros(2, 3),)
    >>> program = torch.export.export(torch.nn.Linear(3, 4), example, dynamic_shapes=shapes)
    >>> batch, width = input_shapes(program)["input"]
    >>> batch.startswith("s"), width
    (True, 3)
    """
    wanted = set(program.graph_signature.user_inputs)
    values = {
        node.name: node.meta["val"]
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in wanted
    }
    return {
        name: tuple(_number_or_symbol(size) for size in value.shape)
        for name, value in values.items()
        if isinstance(value, torch.Tensor)
    }


def _number_or_symbol(size: int | torch.SymInt) -> int | str:
    """Write a size; one that was declared dynamic and then specialized is a constant symbol."""
    text = str(size)
    return int(text) if text.isdigit() else text


def code_excerpt(
    program: ExportedProgram, *, first: int = 8, last: int = 4, width: int = 90
) -> str:
    """Show the beginning and the end of an exported program's code.

    ``print`` shows, above each operation, the path of the file on this machine that it was traced
    from. The excerpt is the operations alone, without the statements that free memory, and with the
    weights left out of the list of arguments.

    Parameters
    ----------
    program
        The program, as :func:`torch.export.export` returns it.
    first, last
        How many operations to show from the beginning and from the end.
    width
        How many characters of an operation to show.

    Raises
    ------
    ValueError
        When one of these numbers is negative.
    """
    if min(first, last, width) < 0:
        raise ValueError(
            "code_excerpt: first, last and width are counts and cannot be negative, "
            f"and are {first}, {last} and {width}"
        )
    signature = program.graph_signature
    weights = len(signature.input_specs) - len(signature.user_inputs)
    arguments = ", ".join(str(name) for name in signature.user_inputs)
    head = f"def forward(self, ... {weights} weights and buffers ..., {arguments}):"
    code = program.graph_module.code.partition("):\n")[2]
    body = [re.sub(r"; +\w+ = .*None$", "", line) for line in code.splitlines() if line.strip()]
    if len(body) > first + last:
        hidden = f"    ... {len(body) - first - last} more operations ..."
        body = [*body[:first], hidden, *body[len(body) - last :]]
    lines = [line if len(line) <= width else f"{line[:width]} ..." for line in body]
    return "\n".join([textwrap.fill(head, width, subsequent_indent=" " * 12), *lines])

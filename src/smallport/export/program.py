"""Show what an exported program does."""

from __future__ import annotations

import re
import textwrap

from torch.export import ExportedProgram


def code_excerpt(
    program: ExportedProgram, *, first: int = 8, last: int = 4, width: int = 90
) -> str:
    """Show the beginning and the end of an exported program's code.

    What ``print`` shows names, above each operation, the file on this machine that it was traced
    from. The excerpt is the operations alone, without the statements that free memory, and with the
    weights left out of the list of arguments.

    Parameters
    ----------
    program
        What :func:`torch.export.export` returned.
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

"""Read at which sizes an exported program rejects its inputs, without running it."""

from __future__ import annotations

import bisect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch.export import ExportedProgram

from smallport.parity.inputs import InputShape

MOST = 1 << 20
"""The largest size that bounds are looked for at."""

Sizes = Mapping[str, tuple[int, ...]]
"""The sizes of each input by its name, in the order in which a program takes them."""


@dataclass(frozen=True)
class Bound:
    """A size that a program takes, next to one that it rejects.

    Parameters
    ----------
    what
        The size that it limits: ``batch``, ``new tokens``, ``cache length`` or ``source length``.
    most
        The size that is taken.
    beyond
        The shape with one more, which is rejected.
    says
        The guard or the range that rejects it, in the program's words.
    """

    what: str
    most: int
    beyond: InputShape
    says: str

    def __str__(self) -> str:
        return f"{self.most:,} and not {self.most + 1:,} of {self.what} ({self.says})"


@dataclass(frozen=True)
class _Tensor:
    """The sizes of an input, as a guard reads them."""

    sizes: tuple[int, ...]

    def size(self) -> tuple[int, ...]:
        return self.sizes


@dataclass(frozen=True)
class Guards:
    """The requirements of a program on the sizes of its inputs.

    Parameters
    ----------
    conditions
        Python expressions over ``L``, which maps the names of arguments to tensors.
    ranges
        The least and the largest size of each axis that may change, by input and axis.
    unread
        Conditions that cannot be evaluated.
    """

    conditions: tuple[str, ...]
    ranges: Mapping[tuple[str, int], tuple[float, float]]
    unread: tuple[str, ...] = ()

    def rejection(self, sizes: Sizes) -> str:
        """Say why a program rejects inputs of some sizes; empty where it takes them.

        Examples
        --------
        >>> guards = Guards(("L['x'].size()[0] <= 4",), {("x", 1): (2, math.inf)})
        >>> guards.rejection({"x": (4, 9)}), guards.rejection({"x": (5, 9)})
        ('', 'x.size(0) <= 4')
        >>> guards.rejection({"x": (1, 1)})
        'x.size(1) >= 2'
        """
        for (name, axis), (least, most) in self.ranges.items():
            if sizes[name][axis] < least:
                return f"{name}.size({axis}) >= {least}"
            if sizes[name][axis] > most:
                return f"{name}.size({axis}) <= {most}"
        named = _arguments(sizes)
        for condition in self.conditions:
            if _evaluate(condition, named) is False:
                return re.sub(
                    r"L\['(\w+)'\]((?:\[\d+\])?)\.size\(\)\[(\d)\]", r"\1\2.size(\3)", condition
                )
        return ""

    def numbers(self) -> set[int]:
        """Collect the numbers in all conditions, at which a program may begin to reject."""
        found = {int(one) for text in self.conditions for one in re.findall(r"\b\d+\b", text)}
        ends = {int(end) for ends in self.ranges.values() for end in ends if math.isfinite(end)}
        return {one for one in found | ends if 1 < one < MOST}


def read_guards(program: ExportedProgram, sizes: Sizes, symbols: Mapping[str, Any]) -> Guards:
    """Read the guards and the range constraints of a program.

    Parameters
    ----------
    program
        The program. Releases of PyTorch before 2.9 keep no guards with it.
    sizes
        Sizes that it takes: a condition that does not hold there is not understood.
    symbols
        The sizes of each input in the program, numbers or symbols.
    """
    constraints = {str(symbol): one for symbol, one in program.range_constraints.items()}
    ranges = {}
    for name, axes in symbols.items():
        for axis, size in enumerate(axes):
            if (constraint := constraints.get(str(size))) is not None:
                ranges[name, axis] = _number(constraint.lower), _number(constraint.upper)
    conditions = tuple(dict.fromkeys(getattr(program, "_guards_code", None) or ()))
    named = _arguments(sizes)
    unread = tuple(one for one in conditions if _evaluate(one, named) is not True)
    return Guards(tuple(one for one in conditions if one not in unread), ranges, unread)


def upper_bounds(
    guards: Guards,
    sizes_at: Callable[[InputShape], Sizes],
    start: InputShape,
    axes: Iterable[str],
) -> list[Bound]:
    """Find the largest batch, number of new tokens and length of the cache that are taken.

    Parameters
    ----------
    guards
        The requirements of the program.
    sizes_at
        The sizes of the inputs at a shape.
    start
        A shape that it takes, from which one size at a time grows.
    axes
        Which of them to grow.

    Examples
    --------
    >>> guards = Guards(("64 >= L['x'].size()[1]",), {})
    >>> sizes_at = lambda shape: {"x": (shape.batch_size, shape.new_tokens)}
    >>> found = upper_bounds(guards, sizes_at, InputShape(2, 0, 3), ["batch", "new tokens"])
    >>> print(found[0])
    64 and not 65 of new tokens (64 >= x.size(1))
    """
    fields = {
        "batch": "batch_size",
        "new tokens": "new_tokens",
        "cache length": "cache_length",
        "source length": "source_length",
    }
    around = {one + step for one in guards.numbers() for step in (-1, 0, 1, 2)}
    doubling = {1 << power for power in range(MOST.bit_length())}
    bounds = []
    for what in axes:

        def grown(size: int, field: str = fields[what]) -> InputShape:
            return replace(start, **{field: size})

        taken: int = getattr(start, fields[what])
        for size in sorted(one for one in around | doubling if one > taken):
            if not guards.rejection(sizes_at(grown(size))):
                taken = size
                continue

            def is_rejected(middle: int, grown: Callable[[int], InputShape] = grown) -> bool:
                return bool(guards.rejection(sizes_at(grown(middle))))

            rejected = bisect.bisect_left(range(size), 1, lo=taken + 1, key=is_rejected)
            beyond = grown(rejected)
            says = guards.rejection(sizes_at(beyond))
            bounds.append(Bound(what, rejected - 1, beyond, says))
            break
    return bounds


def _number(end: Any) -> float:
    """Take the end of a range, which may be infinite, for a number."""
    try:
        return int(end)
    except (TypeError, ValueError, OverflowError, AttributeError):
        return math.inf if str(end) in {"oo", "int_oo"} else -math.inf


def _arguments(sizes: Sizes) -> dict[str, Any]:
    """Arrange inputs as guards refer to them: by place in a cache, by name in outputs."""
    arguments: dict[str, Any] = {}
    for name, one in sizes.items():
        argument, _, inside = name.partition(".")
        if inside:
            parts = arguments.setdefault(argument, {})
            parts |= {len(parts) // 2: _Tensor(one), inside: _Tensor(one)}
        else:
            arguments[argument] = _Tensor(one)
    return arguments


def _evaluate(condition: str, arguments: dict[str, Any]) -> bool | None:
    """Evaluate a condition; None where that fails."""
    known = {"L": arguments, "math": math, "min": min, "max": max, "abs": abs}
    try:
        # The expression is PyTorch's own, and only these names are within reach.
        return bool(eval(condition, {"__builtins__": {}}, known))  # noqa: S307
    except Exception:  # noqa: BLE001 - what it is that cannot be read does not matter
        return None

"""The place where a program begins to differ from its model, and the cause, as a report says it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Cause:
    """A usual cause of wrong numbers whose experiment said yes.

    Parameters
    ----------
    name
        Its name, such as ``equal scores``.
    found
        The result of the experiment, in a sentence.
    recipe
        The anchor of the recipe that explains it, without its ``recipe-``; or empty.
    """

    name: str
    found: str
    recipe: str = ""


@dataclass(frozen=True)
class Why:
    """The place where a difference begins, and its cause.

    Parameters
    ----------
    place
        The inputs that model and program were run at: a shape, or a step of decoding.
    module
        The path of the first module that differs; empty where no single one does.
    kind
        The class of the module.
    operator
        The first operator in it that differs; empty where none could be told.
    difference
        The relative difference of its result, or of the module's; None where there is nothing to
        subtract.
    causes
        The causes whose experiments said yes, the one that explains the others first.
    tried
        The names of the causes whose experiments said no.
    seconds
        How long the search took.
    remark
        A sentence on what could not be found out; empty where nothing is missing.

    Examples
    --------
    >>> cause = Cause("equal scores", "it chooses other places with the same values")
    >>> why = Why("batch 1, 0 + 9 tokens", "layers.0.router", "Router", "topk", 1.5, (cause,))
    >>> print(why.text(80, ""))
    why: at batch 1, 0 + 9 tokens, it begins in layers.0.router (Router), operator
         topk, by 1.5
    cause: equal scores: it chooses other places with the same values
    """

    place: str
    module: str = ""
    kind: str = ""
    operator: str = ""
    difference: float | None = None
    causes: tuple[Cause, ...] = ()
    tried: tuple[str, ...] = ()
    seconds: float = 0.0
    remark: str = ""

    def text(self, width: int, indent: str) -> str:
        """Write it as the command prints it under the stage that failed."""
        lines = [f"why: at {self.place}, {self._begins()}"]
        if self.remark:
            lines.append(f"why: {self.remark}")
        for cause in self.causes:
            explained = f"; smallport explain {cause.recipe}" if cause.recipe else ""
            lines.append(f"cause: {cause.name}: {cause.found}{explained}")
        if self.tried and not self.causes:
            lines.append(f"cause: none of the usual ones; tried: {', '.join(self.tried)}")
        return "\n".join(
            textwrap.fill(
                line,
                width,
                initial_indent=indent,
                subsequent_indent=indent + " " * (line.index(" ") + 1),
                break_long_words=False,
                break_on_hyphens=False,
            )
            for line in lines
        )

    def _begins(self) -> str:
        if not self.kind and self.remark:
            return "nothing was found"
        if not self.kind:
            return "no module differs by more than rounding"
        where = f"{self.module} ({self.kind})" if self.module else f"the {self.kind} itself"
        operator = f", operator {self.operator}" if self.operator else ""
        size = "" if self.difference is None else f", by {self.difference:.2g}"
        if self.difference == math.inf:
            size = ", in the shape of its result"
        return f"it begins in {where}{operator}{size}"

    def to_json(self) -> dict[str, Any]:
        """Make what :func:`json.dump` writes; a difference that is no number is kept as text."""
        made = asdict(self)
        if self.difference is not None and not math.isfinite(self.difference):
            made["difference"] = str(self.difference)
        return made

    @classmethod
    def from_json(cls, data: Mapping[str, Any] | None) -> Why | None:
        """Read back what :meth:`to_json` made; reports of earlier releases have none."""
        if data is None:
            return None
        difference = data["difference"]
        read = {
            **data,
            "difference": None if difference is None else float(difference),
            "causes": tuple(Cause(**one) for one in data["causes"]),
            "tried": tuple(data["tried"]),
        }
        return cls(**read)

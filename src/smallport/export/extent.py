"""The extent of a check: the length and the shapes of its texts, the tolerance or the budget."""

from __future__ import annotations

from dataclasses import dataclass

from smallport.export.coverage import FEWEST_TOKENS, MAX_TOKENS
from smallport.parity.closeness import NOTICEABLE, TOLERANCE
from smallport.parity.inputs import InputShape


@dataclass(frozen=True)
class Extent:
    """The extent of a check.

    Parameters
    ----------
    max_tokens
        The longest text of a check.
    thorough
        Whether a threshold may be tried by longer ones.
    shapes
        The shapes to compare at; those of the check, if empty.
    tolerance
        The largest relative difference that counts as rounding.

    Raises
    ------
    TypeError
        When a shape is none.
    ValueError
        When texts are too short, or when the tolerance is not above zero and below what is
        noticeable.
    """

    max_tokens: int = MAX_TOKENS
    thorough: bool = False
    shapes: tuple[InputShape, ...] = ()
    tolerance: float = TOLERANCE

    def __post_init__(self) -> None:
        if self.max_tokens < FEWEST_TOKENS:
            raise ValueError(
                f"check_export: max_tokens should be {FEWEST_TOKENS} or more, not {self.max_tokens}"
            )
        if wrong := [one for one in self.shapes if not isinstance(one, InputShape)]:
            raise TypeError(
                f"check_export: shapes should be smallport.parity.InputShape, not {wrong[0]!r}"
            )
        if empty := [one for one in self.shapes if min(one.batch_size, one.new_tokens) < 1]:
            raise ValueError(
                f"check_export: a shape has at least one text and one new token, not {empty[0]}"
            )
        if not 0 < self.tolerance < NOTICEABLE:
            raise ValueError(
                f"check_export: tolerance should be above 0 and below {NOTICEABLE:g}, at which a "
                f"difference is a mistake, not {self.tolerance:g}"
            )

    @property
    def longest(self) -> int:
        """The longest text, those of the shapes included."""
        lengths = (one.cache_length + one.new_tokens for one in self.shapes)
        return max([self.max_tokens, *lengths])


@dataclass(frozen=True)
class Budget:
    """The largest distance of a quantized file's predictions from the model's.

    Parameters
    ----------
    agreement
        The least share of places at which the file predicts the same next token as the model.
    divergence
        The largest mean Kullback-Leibler divergence of its predictions from the model's, in nats.
    loss
        By how much its mean loss on a text may be above the model's, in nats a token; None where no
        text is given.

    Raises
    ------
    ValueError
        When a number is out of range.

    Examples
    --------
    >>> Budget(agreement=0.95)
    Budget(agreement=0.95, divergence=0.05, loss=None)
    """

    agreement: float = 0.9
    divergence: float = 0.05
    loss: float | None = None

    def __post_init__(self) -> None:
        if not (0 < self.agreement <= 1 and self.divergence > 0):
            raise ValueError(
                f"Budget: agreement is above 0 and at most 1, and divergence above 0, not "
                f"{self.agreement} and {self.divergence}"
            )
        if self.loss is not None and not self.loss >= 0:
            raise ValueError(f"Budget: loss is 0 or above, not {self.loss}")

"""The coverage of a check: the parts of the model that it compared, and those that it left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # which imports PyTorch, and a report is read without
    from torch import Tensor

    from smallport.export.under_test import ModelUnderTest
    from smallport.parity.inputs import InputShape

PARTS = ("cache", "long texts", "other inputs", "custom code", "bounds", "small errors")
"""The parts that may be left out of a comparison, by the names of ``Coverage.not_compared``."""

FEWEST_TOKENS, MAX_TOKENS = 16, 600
"""The longest text of a check: the least that it can be set to, and its usual length.

Most windows and chunks are shorter, except those of thousands of tokens, and a tiny model reads it
in less than a tenth of a second.
"""


@dataclass(frozen=True)
class Coverage:
    """The parts of a model that a check compared, and those that it left out.

    Parameters
    ----------
    compared
        By name, the values at which the model and what was made of it were compared.
    not_compared
        By name, a sentence on each part of the model that the check left out.

    Examples
    --------
    >>> print(Coverage({"lengths": [4, 9]}, {"cache": "the cache, LinearAttentionLayer in cache"}))
    compared: lengths: 4, 9
    not compared: the cache, LinearAttentionLayer in cache
    """

    compared: Mapping[str, Sequence[Any]]
    not_compared: Mapping[str, str]

    def __str__(self) -> str:
        values = (f"{name}: {', '.join(map(str, at))}" for name, at in self.compared.items() if at)
        lines = [f"compared: {'; '.join(values)}"] if self.compared else []
        lines += [f"not compared: {sentence}" for sentence in self.not_compared.values()]
        return "\n".join(lines)

    def within(self) -> str:
        """Say in a few words within which limits a model was compared; nothing where it was not.

        Examples
        --------
        >>> Coverage({"number of tensors": [5], "lengths": [4, 9], "batch sizes": [2]}, {}).within()
        '5 tensors, texts of 4 to 9 tokens, batches of 2'
        """
        words = {
            "number of tensors": "{} tensor{s}",
            "lengths": "texts of {} token{s}",
            "batch sizes": "batches of {}",
            "dtype": "{}",
            "device": "{}",
        }
        parts = [
            text.format(_span(values), s="" if [*values] == [1] else "s")
            for name, text in words.items()
            if (values := self.compared.get(name))
        ]
        return ", ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """Make what :func:`json.dump` writes."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Coverage:
        """Read back what :meth:`to_json` made; reports of earlier releases have none."""
        return cls(dict(data.get("compared", {})), dict(data.get("not_compared", {})))


def _span(values: Sequence[Any]) -> str:
    """Write the only value, or the first and the last."""
    return str(values[0]) if len(values) == 1 else f"{values[0]} to {values[-1]}"


NOTHING = Coverage({}, {})
"""The coverage of a check that compared nothing yet."""


def compared_at(
    under_test: ModelUnderTest, shapes: Sequence[InputShape], tensors: Sequence[str], weight: Tensor
) -> dict[str, list[Any]]:
    """List the values at which some tensors of a model with such a weight were compared."""
    texts = [under_test.make_text(shape, seed=1 + number) for number, shape in enumerate(shapes)]
    ids = {token for text in texts for token in text["input_ids"].unique().tolist()}
    vocabulary, has_mask = under_test.vocabulary, "attention_mask" in under_test.token_inputs
    after = sorted({getattr(one, "padding_after", 0) for one in shapes})
    return {
        "task": [under_test.task],
        "outputs": sorted({name.partition(".")[0] for name in tensors}),
        "number of tensors": [len(tensors)],
        "caches": ["plain"] if under_test.cache else [],
        "lengths": sorted({one.cache_length + one.new_tokens for one in shapes}),
        "thresholds": [str(one) for one in under_test.crossed],
        "batch sizes": sorted({one.batch_size for one in shapes}),
        "padding": sorted({one.padding for one in shapes}) if has_mask else [],
        **({"padding on the right": after} if has_mask and any(after) else {}),
        "first tokens": ["any"] if vocabulary.first is None else [vocabulary.first, "others"],
        "special tokens": sorted(ids & {*vocabulary.special}),
        **under_test.limits,
        "dtype": [str(weight.dtype).removeprefix("torch.")],
        "device": [str(weight.device)],
    }

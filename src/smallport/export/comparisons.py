"""Run what was made of a model where the model runs, and find the largest difference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from smallport.export.findings import Finding, StageFailure
from smallport.export.subject import CACHE, Subject
from smallport.parity.closeness import TOLERANCE, Difference, difference, scale, worst
from smallport.parity.decoding import Decoding, greedy_decode, without_padding
from smallport.parity.inputs import Inputs, InputShape, copy_inputs
from smallport.parity.names import name_outputs

PROMPT = (2, 7)
"""How many texts are decoded, and how many tokens the longer one has when that begins."""

PADDING = 3
"""How many tokens at the beginning of the other one are padding."""

STEPS = 8
"""How many tokens are decoded."""

Run = Callable[[Inputs], Any]
"""Runs a program on inputs, and returns what the model returns or its tensors by name."""


def compare_shapes(subject: Subject, run: Run, shapes: Sequence[InputShape]) -> Finding:
    """Run at some shapes, and compare every element of every tensor with the model's.

    Logits of padding are left out: a token of padding attends to nothing, so what comes out for it
    is undefined, and nobody reads it.

    Parameters
    ----------
    subject
        The model, which shares no weight with what is compared.
    run
        Runs what was made of it.
    shapes
        The shapes.

    Raises
    ------
    StageFailure
        When it does not run at every shape, returns other tensors, or differs by more than
        ``TOLERANCE``.
    """
    differences: list[Difference] = []
    errors: dict[InputShape, Exception] = {}
    for seed, shape in enumerate(shapes, start=1):
        inputs = subject.make_inputs(shape, seed=seed)
        mask = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))
        expected = without_padding(subject.run(inputs), mask)
        try:
            actual = without_padding(name_outputs(run(copy_inputs(inputs))), mask)
            differences.append(difference(expected, actual, str(shape)))
        except Exception as error:  # noqa: BLE001 - whatever it is, it was found at this shape
            errors[shape] = error
    if errors:
        listed = "; ".join(map(str, errors))
        raise StageFailure(
            f"it fails at {len(errors)} of {len(shapes)} shapes: {listed}",
            worst(differences),
            next(iter(errors.values())),
        )
    _require_tolerable(differences, "shapes")
    return Finding(
        f"{len(expected)} tensors agree in every element at {len(shapes)} shapes that the export "
        "never saw",
        worst(differences),
    )


def compare_decoding(subject: Subject, run: Run) -> Finding:
    """Decode greedily with the model and with what was made of it, and compare every step.

    Two texts, one of them padded on the left, from an empty cache on. Each feeds its own cache
    back. Where two tokens are level with each other, rounding decides which is chosen, and two
    right programs may write different texts. So what is compared continues the text of the model,
    and has to choose its tokens wherever they are ahead of the second best.

    Parameters
    ----------
    subject, run
        As for :func:`compare_shapes`.

    Raises
    ------
    StageFailure
        When a step differs by more than ``TOLERANCE``, or chooses another token.
    """
    expected = _decode(subject, lambda inputs: subject.model(**inputs, **subject.flags))
    actual = _decode(subject, run, expected)
    mask = expected.attention_mask
    differences = [
        difference(without_padding(one, seen), without_padding(other, seen), f"step {number}")
        for number, (one, other) in enumerate(zip(expected.steps, actual.steps, strict=True))
        for seen in [mask[:, : PROMPT[1] + number]]
    ]
    _require_tolerable(differences, "steps of decoding")
    other_tokens = expected.tokens != actual.tokens
    level = expected.margins <= 2 * TOLERANCE * scale(expected.logits)
    if bool((other_tokens & ~level).any()):
        raise StageFailure("it chooses other tokens than the model does", worst(differences))
    ties = int((other_tokens & level).sum())
    return Finding(
        f"{STEPS} tokens of {PROMPT[0]} texts are decoded alike"
        + (f", but for {ties} that are level with the second best" if ties else ""),
        worst(differences),
    )


def _require_tolerable(differences: Iterable[Difference], places: str) -> None:
    differences = list(differences)
    wrong = [one for one in differences if not one.tolerable]
    if wrong:
        raise StageFailure(
            f"it differs from the model at {len(wrong)} of {len(differences)} {places}, by more "
            "than rounding explains",
            worst(differences),
        )


def _decode(subject: Subject, run: Run, model: Decoding | None = None) -> Decoding:
    """Decode with a program, from the beginning of a text; continue the model's text, if given."""
    generator = torch.Generator().manual_seed(0)
    prompt = torch.randint(subject.vocab_size, PROMPT, generator=generator)
    mask = torch.ones_like(prompt)
    mask[0, :PADDING] = 0

    def step(inputs: Inputs) -> Any:
        """Give the program what it takes."""
        taken = {name: inputs[name].contiguous() for name in subject.token_inputs}
        return run(taken | {CACHE: inputs[CACHE]})

    def step_without_cache(inputs: Inputs) -> Any:
        """Give the program the whole text, and keep that in place of a cache."""
        text = torch.cat([inputs[CACHE]["text"], inputs["input_ids"]], dim=1)
        outputs = run(subject.inputs_of(text, inputs["attention_mask"]))
        new = name_outputs(outputs)["logits"][:, -inputs["input_ids"].shape[1] :]
        return {"logits": new, CACHE: {"text": text}}

    if subject.cached:
        stepper, cache = step, subject.inputs_of(prompt, mask)[CACHE]
    else:
        stepper, cache = step_without_cache, {"text": prompt[:, :0]}
    return greedy_decode(
        stepper,
        prompt,
        cache,
        attention_mask=mask,
        new_tokens=STEPS,
        feed=None if model is None else model.tokens,
    )

"""Match the inputs and outputs of a program with those of a model, by name and by shape."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from smallport.export.adapters import RecurrentAdapter
from smallport.export.file_formats import Program, Slot
from smallport.parity.names import CACHE, NamedTensors, first_of

WORDS = {
    "key": "key",
    "keys": "key",
    "value": "value",
    "values": "value",
    "logits": "logits",
    "mask": "mask",
    "position": "position",
    "positions": "position",
    "ids": "ids",
    "tokens": "ids",
    "hidden": "hidden",
    "h": "hidden",
    "cell": "cell",
    "c": "cell",
}
"""The words that tell the inputs and outputs of language models apart, whatever is around them."""

BRANCH = "use_cache_branch"
"""The name of an input of decoders that optimum merged: whether there is anything in the cache."""


def matched(slots: Sequence[Slot], tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Match the inputs or outputs of a program with a model's tensors, by name and by shape.

    Parameters
    ----------
    slots
        Those of the program.
    tensors
        Those of the model, of some call.

    Returns
    -------
    dict
        For each slot that could be matched the name of its tensor: of the same name; of a name with
        the same words and the same layer; or the only one left that fits, or, where as many slots
        fit as tensors, in their order.

    Examples
    --------
    >>> zeros = torch.zeros(1, 2, 3, 4)
    >>> tensors = {"past_key_values.0.key": zeros, "past_key_values.0.value": zeros}
    >>> slots = [Slot(name, torch.float32, None) for name in ("cache_0_values", "cache_0_keys")]
    >>> matched(slots, tensors)
    {'cache_0_values': 'past_key_values.0.value', 'cache_0_keys': 'past_key_values.0.key'}
    """
    found = {
        one.name: one.name for one in slots if one.name in tensors and one.may_be(tensors[one.name])
    }
    for slot in slots:
        alike = [
            name
            for name, tensor in tensors.items()
            if name not in found.values()
            and words_of(name) == words_of(slot.name)
            and slot.may_be(tensor)
        ]
        if slot.name not in found and len(alike) == 1:
            found[slot.name] = alike[0]
    while True:
        left = {name: one for name, one in tensors.items() if name not in found.values()}
        for slot in [one for one in slots if one.name not in found]:
            names = [name for name, tensor in left.items() if slot.may_be(tensor)]
            rivals = [
                one.name
                for one in slots
                if one.name not in found and names and one.may_be(left[names[0]])
            ]
            if names and len(names) == len(rivals):
                found |= dict(zip(rivals, names, strict=True))
                break
        else:
            return found


def words_of(name: str) -> tuple[str, ...]:
    """Take the words and the numbers of a name that matter.

    Examples
    --------
    >>> words_of("past_key_values.3.key"), words_of("present_3_keys"), words_of("input_ids")
    (('3', 'key'), ('3', 'key'), ('ids',))
    """
    name = re.sub(r"past_key_values?|present_key_values?", "", name.lower())
    parts = re.findall(r"[a-z]+|\d+", name)
    return tuple(WORDS.get(one, one) for one in parts if one.isdecimal() or one in WORDS)


def in_type(tensor: Tensor, slot: Slot) -> Tensor:
    """Give a tensor the type that a program asks for."""
    return tensor if slot.dtype in (None, tensor.dtype) else tensor.to(slot.dtype)


@dataclass(frozen=True)
class Layout:
    """The names and the order of axes by which a program has a model's tensors.

    Parameters
    ----------
    names
        The names of some tensors in the program, by those of the model.
    swapped
        The tensors of the model whose first two axes have changed places.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    swapped: frozenset[str] = frozenset()

    def apply(self, tensors: NamedTensors) -> NamedTensors:
        """Give a model's tensors the form that they have in the program."""
        return {
            self.names.get(name, name): one.transpose(0, 1).contiguous()
            if name in self.swapped
            else one
            for name, one in tensors.items()
        }

    def undo(self, tensors: NamedTensors) -> NamedTensors:
        """Give a program's tensors the form that they have in the model."""
        names = {there: here for here, there in self.names.items()}
        own = {names.get(name, name): one for name, one in tensors.items()}
        return {
            name: one.transpose(0, 1) if name in self.swapped else one for name, one in own.items()
        }


STATES = ("hidden", "cell")
"""The names of an LSTM's states; that of a GRU is the first."""


def layouts(model: nn.Module) -> list[Layout]:
    """List the layouts in which files have the tensors of a model.

    A file of a recurrent model has the state as the model has it, and not as its adapter does:
    layers first, under different names.

    Examples
    --------
    >>> adapter = RecurrentAdapter(nn.Identity())
    >>> own, wrapped = layouts(adapter)
    >>> state = {"past_key_values.0.recurrent_states.1": torch.zeros(3, 2, 8)}
    >>> {name: tuple(one.shape) for name, one in wrapped.apply(state).items()}
    {'cell': (2, 3, 8)}
    """
    if not isinstance(model, RecurrentAdapter):
        return [Layout()]
    names = {
        f"{cache}.0.recurrent_states.{place}": state
        for cache in (CACHE, "present")
        for place, state in enumerate(STATES)
    }
    texts = () if model.batch_first else ("input_ids", "logits")
    return [Layout(), Layout(names, frozenset([*names, *texts]))]


@dataclass(frozen=True, eq=False)
class Matched:
    """A program whose inputs and outputs are called as the model's.

    Parameters
    ----------
    program
        The program.
    inputs, outputs
        The names of the model's tensors by those of the program.
    layout
        The layout in which the program has them.
    branch
        The input that says whether the cache holds anything; empty where there is none.
    """

    program: Program
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    layout: Layout = Layout()
    branch: str = ""

    @property
    def has_cache(self) -> bool:
        """Whether the program takes a part of the cache."""
        taken = {*self.inputs.values()}
        return any(name.startswith(CACHE) for name in taken) or bool(
            taken & {*self.layout.names.values()}
        )

    def takes(self, name: str) -> bool:
        """Say whether it takes one of the model's inputs."""
        return self.layout.names.get(name, name) in self.inputs.values()

    def fits(self, tensors: NamedTensors) -> bool:
        """Say whether its inputs may have the sizes of some inputs of the model."""
        there = self.layout.apply(tensors)
        slots = (slot for slot in self.program.inputs if slot.name != self.branch)
        return all(slot.may_be(there[self.inputs[slot.name]]) for slot in slots)

    def run(self, tensors: NamedTensors, like: NamedTensors) -> NamedTensors:
        """Run it on the model's tensors.

        Parameters
        ----------
        tensors
            Those of the model's inputs, by their names.
        like
            Results of the model, whose types the program's get.
        """
        named = self.named(self.program.run(self.feed(tensors)))
        return {name: one.to(like[name].dtype) for name, one in named.items()}

    def feed(self, tensors: NamedTensors) -> NamedTensors:
        """Call the model's inputs as the program does."""
        there = self.layout.apply(tensors)
        given = {
            slot.name: in_type(there[self.inputs[slot.name]], slot)
            for slot in self.program.inputs
            if slot.name != self.branch
        }
        if self.branch:
            given[self.branch] = torch.tensor([_cached(tensors) > 0])
        return given

    def named(self, results: Sequence[Tensor]) -> NamedTensors:
        """Call the results of the program as the model does."""
        pairs = zip(self.program.outputs, results, strict=True)
        named = {self.outputs[slot.name]: one for slot, one in pairs if slot.name in self.outputs}
        return self.layout.undo(named)


def _cached(tensors: NamedTensors) -> int:
    """Count the tokens in a cache of keys and values."""
    return next((one.shape[2] for name, one in tensors.items() if name.endswith(".key")), 0)


def match(
    program: Program, inputs: NamedTensors, results: NamedTensors, layout: Layout = Layout()
) -> Matched:
    """Match a program with a model's inputs and results.

    Raises
    ------
    ValueError
        When an input of the program matches nothing that the model takes, or nothing that it
        returns is among the model's logits and caches. The message names them.
    """
    inputs, results = layout.apply(inputs), layout.apply(results)
    branch = next((one.name for one in program.inputs if BRANCH in one.name), "")
    slots = [slot for slot in program.inputs if slot.name != branch]
    taken, returned = matched(slots, inputs), matched(program.outputs, results)
    if unknown := [slot.name for slot in slots if slot.name not in taken]:
        raise ValueError(
            f"it takes {first_of(unknown)}, which match nothing that the model takes: "
            f"{first_of([*inputs], most=6)}"
        )
    missing = [name for name in results if name not in returned.values()]
    extra = [slot.name for slot in program.outputs if slot.name not in returned]
    if "logits" in missing or (missing and len(missing) < len(results) - 1):
        raise ValueError(
            f"it returns nothing that matches {first_of(missing)} of the model"
            + (f"; it returns {first_of(extra)} besides" if extra else "")
        )
    return Matched(program, taken, returned, layout, branch)


def match_any(
    program: Program, calls: Sequence[NamedTensors], results: NamedTensors, model: nn.Module
) -> Matched:
    """Match a program in the first layout in which it takes the inputs of several calls.

    Parameters
    ----------
    program
        The program.
    calls
        Inputs of the model, of shapes that differ in every axis that may change. The first ones
        are those of the results.
    results
        Results of the model.
    model
        The model.

    Raises
    ------
    ValueError
        When it matches in no layout; see :func:`match`.
    """
    first, *others = layouts(model)
    if not others:
        return match(program, calls[0], results, first)
    for layout in (first, *others):
        try:
            found = match(program, calls[0], results, layout)
        except ValueError as error:
            problem = error
            continue
        if all(map(found.fits, calls)):
            return found
        problem = ValueError(
            "its state or its texts have other fixed sizes than those of the model"
        )
    raise problem

"""Tests of :mod:`smallport.export.excerpt`."""

import pytest
import torch

from smallport.export import code_excerpt, input_shapes, without_cache_pytrees
from smallport.tiny_llm import make_inputs, untrained_tiny_llm

SMALL = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}


@pytest.fixture(scope="module")
def program():
    untrained = untrained_tiny_llm(**SMALL)
    first = make_inputs(untrained.configuration, with_cache=False)
    with torch.no_grad(), without_cache_pytrees():
        return torch.export.export(untrained.model, (), kwargs=first | {"use_cache": False})


def test_an_excerpt_names_no_file(program):
    assert "site-packages" in str(program)
    excerpt = code_excerpt(program, first=3, last=2, width=60)
    lines = excerpt.splitlines()
    assert "/" not in excerpt
    assert "= None" not in excerpt
    assert lines[0].startswith("def forward(self, ... ")
    assert any(line.strip().endswith("more operations ...") for line in lines)
    assert lines[-1].startswith("    return (")
    assert max(map(len, lines)) <= 64


def test_an_excerpt_that_is_longer_than_the_code_leaves_nothing_out(program):
    whole = code_excerpt(program, first=10_000, width=10_000)
    assert "more operations" not in whole
    assert "torch.ops.aten.embedding" in whole
    with pytest.raises(ValueError, match="cannot be negative"):
        code_excerpt(program, last=-1)


class Fixed(torch.nn.Module):
    """Use the length as a number, and so specialize it."""

    def forward(self, x):
        """Multiply by the length."""
        return x * int(x.shape[1])


class Added(torch.nn.Module):
    """Add two inputs, one of which is longer by one."""

    def forward(self, x, y, *, scale=2):
        """Leave the first column of the longer one out."""
        return (x + y[:, 1:]) * scale


def test_the_shapes_of_inputs_are_numbers_where_they_are_fixed():
    length = torch.export.Dim("length")
    program = torch.export.export(
        Added(),
        (torch.zeros(2, 5), torch.zeros(2, 6)),
        dynamic_shapes={"x": {1: length}, "y": {1: length + 1}},
    )
    shapes = input_shapes(program)
    symbol = shapes["x"][1]
    assert isinstance(symbol, str)
    assert shapes == {"x": (2, symbol), "y": (2, f"{symbol} + 1")}


def test_a_specialized_size_is_a_number():
    automatic = dict.fromkeys((0, 1), torch.export.Dim.AUTO)
    program = torch.export.export(
        Added(),
        (torch.zeros(1, 5), torch.zeros(2, 6)),
        dynamic_shapes={"x": automatic, "y": automatic},
    )
    (batch_x, _), (batch_y, _) = input_shapes(program).values()
    assert batch_x == 1
    assert isinstance(batch_y, str)

    program = torch.export.export(Fixed(), (torch.zeros(2, 5),), dynamic_shapes={"x": automatic})
    assert input_shapes(program)["x"][1] == 5


def test_the_shapes_are_those_of_inputs_and_not_of_weights(program):
    shapes = input_shapes(program)
    assert list(shapes) == ["input_ids", "attention_mask", "position_ids"]
    assert shapes["input_ids"] == (2, 3)

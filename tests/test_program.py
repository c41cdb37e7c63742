"""Tests of :mod:`smallport.export.program`."""

import pytest
import torch

from smallport.export import caches_unregistered, code_excerpt, make_inputs, untrained_tiny_llm

SMALL = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}


@pytest.fixture(scope="module")
def program():
    untrained = untrained_tiny_llm(**SMALL)
    first = make_inputs(untrained.configuration, with_cache=False)
    with torch.no_grad(), caches_unregistered():
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

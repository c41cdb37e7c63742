"""Tests of :mod:`smallport.export.guards`, and of the stage that reads them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from smallport import check_export
from smallport.export.guards import Guards, read_guards, upper_bounds
from smallport.parity import InputShape

START = InputShape(2, 0, 10)


def sizes_at(shape):
    return {"input_ids": (shape.batch_size, shape.new_tokens)}


def exported(model, length=10):
    ids = torch.zeros(2, length, dtype=torch.int64)
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    return torch.export.export(model, (), {"input_ids": ids}, dynamic_shapes={"input_ids": axes})


def symbols_of(program):
    (ids,) = [node for node in program.graph.nodes if node.name == "input_ids"]
    return {"input_ids": ids.meta["val"].shape}


class Branching(nn.Module):
    """A model that does something else beyond some tokens."""

    def __init__(self, most=20, axis=1):
        super().__init__()
        self.table, self.head = nn.Embedding(50, 8), nn.Linear(8, 50)
        self.most, self.axis = most, axis
        self.eval()

    def forward(self, input_ids):
        """Double long texts."""
        hidden = self.table(input_ids)
        if input_ids.shape[self.axis] > self.most:
            hidden = hidden * 2
        return {"logits": self.head(hidden)}


@pytest.mark.parametrize(("axis", "what"), [(0, "batch"), (1, "new tokens")])
def test_a_branch_is_a_bound(axis, what):
    program = exported(Branching(axis=axis))
    guards = read_guards(program, sizes_at(START), symbols_of(program))
    (bound,) = upper_bounds(guards, sizes_at, START, ["batch", "new tokens"])
    assert (bound.what, bound.most) == (what, 20)
    assert f"size({axis})" in bound.says
    assert not guards.unread


@given(st.integers(11, 3000))
def test_bounds_are_exact(most):
    for condition in (
        f"L['input_ids'].size()[1] <= {most}",
        f"{most} - L['input_ids'].size()[1] >= 0",
    ):
        guards = Guards((condition,), {})
        (bound,) = upper_bounds(guards, sizes_at, START, ["new tokens"])
        assert bound.most == most
        assert bound.beyond == InputShape(2, 0, most + 1)


def test_a_range_is_a_bound_and_infinity_none():
    limited = Guards((), {("input_ids", 1): (2, 77)})
    (bound,) = upper_bounds(limited, sizes_at, START, ["batch", "new tokens"])
    assert str(bound) == "77 and not 78 of new tokens (input_ids.size(1) <= 77)"
    assert not upper_bounds(
        Guards((), {("input_ids", 1): (2, math.inf)}), sizes_at, START, ["batch"]
    )


def test_what_cannot_be_read_is_listed_and_not_believed(monkeypatch):
    program = exported(Branching())
    conditions = ["unknown(L['input_ids'])", "L['input_ids'].size()[1] > 99"]
    monkeypatch.setattr(program, "_guards_code", conditions)
    guards = read_guards(program, sizes_at(START), symbols_of(program))
    assert len(guards.unread) == 2  # the second one does not hold where the program runs
    assert not guards.conditions
    monkeypatch.delattr(program, "_guards_code")
    assert not read_guards(program, sizes_at(START), symbols_of(program)).unread


def test_a_condition_reaches_nothing_but_sizes():
    guards = Guards(("__import__('os').getpid() > 0",), {})
    assert not guards.rejection(sizes_at(START))
    read = Guards(("open('x')",), {})
    assert not read.rejection(sizes_at(START))


def test_a_batch_that_only_the_model_takes_fails():
    report = check_export(Branching(20, axis=0), until="stays dynamic")
    assert report.failure().stage == "stays dynamic"
    found = report["stays dynamic"]
    assert "it takes 20 and not 21 of batch (input_ids.size(0) <= 20), and the model" in found.found
    assert found.rejected == ("batch 21, 0 + 10 tokens (input_ids.size(0) <= 20)",)
    assert "rejects batch 21, 0 + 10 tokens" in str(found)


def test_a_length_that_nobody_tried_is_told():
    report = check_export(Branching(5000), until="stays dynamic")
    assert report["stays dynamic"].status == "passed"
    assert "5,000 and not 5,001 of new tokens" in report.coverage.not_compared["bounds"]
    assert str(report).endswith("not compared: bounds")
    required = check_export(Branching(5000), until="stays dynamic", require=["bounds"])
    assert required.failure().stage == "stays dynamic"


class Positions(Branching):
    """A model whose own bound is that of its positions."""

    def __init__(self):
        super().__init__()
        self.places = nn.Embedding(150, 8)

    def forward(self, input_ids):
        """Add the places."""
        hidden = self.table(input_ids) + self.places(torch.arange(input_ids.shape[1]))
        if input_ids.shape[1] > 150:
            raise ValueError("too long")
        return {"logits": self.head(hidden)}


def test_a_bound_that_the_model_has_is_no_finding():
    report = check_export(Positions(), until="stays dynamic")
    assert report.passed(), report
    assert "bounds" not in report.coverage.not_compared


class Single(Branching):
    """A model that computes something else of a single token."""

    def forward(self, input_ids):
        """Add one."""
        logits = self.head(self.table(input_ids))
        return {"logits": logits + 1 if input_ids.shape[1] == 1 else logits}


def test_a_single_token_is_compared_where_the_program_takes_it():
    report = check_export(Single(), until="stays dynamic")
    assert report.failure().stage == "stays dynamic"
    assert "differs from the model at 1 of 1 shortest texts" in report["stays dynamic"].found
    report = check_export(Branching(5000), until="stays dynamic")
    assert report.coverage.compared["lengths"][:2] == [1, 2]

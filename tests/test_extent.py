"""Tests of :mod:`smallport.export.extent`, and of checks that go so far."""

import pytest
import torch
from torch import nn

from smallport import check_export
from smallport.export import exporters
from smallport.parity import InputShape


class Words(nn.Module):
    """The smallest language model."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.head = nn.Embedding(50, 8), nn.Linear(8, 50)
        self.eval()

    def forward(self, input_ids):
        """Score the words."""
        return {"logits": self.head(self.table(input_ids))}


def test_only_the_shapes_that_were_given_are_compared():
    shapes = [InputShape(5, 0, 12), InputShape(1, 3, 900)]
    report = check_export(Words(), shapes=shapes, until="matches")
    assert report.passed(), report
    assert "at 2 shapes" in report["matches"].found
    assert report.coverage.compared["batch sizes"] == [1, 5]
    assert report.coverage.compared["lengths"] == [12, 903]


@pytest.fixture
def shifted(monkeypatch):
    """Give a function that has each program shift its logits by a share of them."""

    def shift(share):
        export = exporters.export_program

        def export_shifted(model, *given):
            with torch.no_grad():
                model.head.weight *= 1 + share
                model.head.bias *= 1 + share
            return export(model, *given)

        monkeypatch.setattr(exporters, "export_program", export_shifted)

    return shift


@pytest.mark.parametrize(("tolerance", "status"), [(1e-5, "failed"), (1e-4, "passed")])
def test_the_tolerance_is_what_was_given_and_is_told(shifted, tolerance, status):
    shifted(3e-5)
    report = check_export(Words(), tolerance=tolerance, until="matches")
    assert report["matches"].status == status
    if status == "passed":
        assert report.coverage.compared["tolerance"] == [tolerance]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shapes": [(1, 2)]}, TypeError, "shapes should be smallport.parity.InputShape"),
        ({"shapes": [InputShape(0, 0, 3)]}, ValueError, "at least one text and one new token"),
        ({"tolerance": 1e-3}, ValueError, "tolerance should be above 0 and below 0.001"),
        ({"tolerance": 0.0}, ValueError, "tolerance should be above 0"),
        ({"tolerance": float("nan")}, ValueError, "tolerance should be above 0"),
        ({"max_tokens": 3}, ValueError, "max_tokens should be 16 or more"),
    ],
)
def test_extents_that_make_no_check(options, error, message):
    with pytest.raises(error, match=message):
        check_export(Words(), **options)

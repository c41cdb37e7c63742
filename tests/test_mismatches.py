"""Tests of :mod:`smallport.sweep.mismatches`: what explains a difference is what causes it."""

import functools
from dataclasses import replace

import pytest
import torch

from smallport.architectures.tiny import tiny_model
from smallport.export.examine import examine_model
from smallport.export.exporters import (
    export_onnx,
    export_program,
    open_session,
    quiet_exporters,
    save_onnx,
)
from smallport.export.report import STAGES
from smallport.parity import copy_inputs, discrepancy, name_outputs, run_session
from smallport.parity.inputs import text_inputs
from smallport.sweep.mismatches import EXPLANATIONS, mismatches, unexplained
from smallport.sweep.scoreboard import read_scoreboard
from tests.sweep_helpers import report_with

TEXT = torch.arange(3, 27).reshape(2, 12)
"""Two texts in which no token occurs twice."""


def differing(name):
    report = report_with(*["passed"] * 7, "failed", name=name)
    last = replace(report.stages[-1], largest_difference=0.5)
    return replace(report, stages=(*report.stages[:-1], last))


def test_only_comparisons_that_failed_without_an_error_are_mismatches():
    reports = [
        differing("a"),
        report_with(*["passed"] * len(STAGES), name="b"),
        report_with("passed", "failed", name="c", error="ValueError: no"),
    ]
    assert list(mismatches(reports)) == ["a"]


def test_a_mismatch_needs_an_explanation_and_an_explanation_a_mismatch():
    known = [differing(name) for name in EXPLANATIONS]
    assert unexplained(known) == []
    assert unexplained([*known, differing("new")]) == ["new differs, and nothing explains it"]
    first, *others = known
    assert unexplained(others) == [f"{first.name} is explained, and does not differ"]


def test_every_kept_mismatch_is_explained():
    assert unexplained(read_scoreboard().reports.values()) == []


@pytest.fixture
def exported(tmp_path):
    """Give a function that exports an architecture, by one of two ways, and says how it differs."""

    def export(model_type, *, onnx):
        model = tiny_model(model_type)
        under_test = examine_model(tiny_model(model_type))
        example = under_test.make_inputs(under_test.export_shape)
        if onnx:
            file = tmp_path / "model.onnx"
            save_onnx(export_onnx(model, None, under_test, example), file)
            run = functools.partial(run_session, open_session(file))
        else:
            module = export_program(model, under_test, example).module()
            run = functools.partial(_called, module)

        def relative(ids, mask=None, past=0):
            mask = torch.ones_like(ids) if mask is None else mask
            inputs = under_test.inputs_of(text_inputs(ids, mask), past=past)
            actual = name_outputs(run(copy_inputs(inputs)))
            return discrepancy(under_test.run(inputs), actual).relative

        return relative

    with quiet_exporters():
        yield export


def _called(module, inputs):
    with torch.no_grad():
        return module(**inputs)


def test_doge_differs_where_a_token_occurs_twice(exported):
    relative = exported("doge", onnx=True)
    assert relative(TEXT) < 1e-5
    assert relative(torch.cat([TEXT, TEXT], dim=1)) > 0.01


def test_git_differs_where_padding_meets_an_empty_cache(exported):
    relative = exported("git", onnx=False)
    padded = torch.ones_like(TEXT)
    padded[0, :3] = 0
    assert relative(TEXT) == 0
    assert relative(TEXT, padded) > 0.01


def test_zamba2_differs_where_a_single_token_is_new(exported):
    relative = exported("zamba2", onnx=False)
    length = TEXT.shape[1]
    assert relative(TEXT, past=length - 2) < 1e-5
    assert relative(TEXT, past=length - 1) > 0.001

"""Tests of :mod:`smallport.export.why` and its experiments.

Each planted fault is led to the module that it is in, and to its cause if it is a usual one; where
an experiment says no, its cause is not named.
"""

import json

import pytest
import torch

from smallport.architectures.broken import broken_model
from smallport.architectures.tiny import tiny_model
from smallport.commands.main import main
from smallport.export import Budget, check_export, why
from smallport.export import exporters as programs
from smallport.export.cookbook import read_recipes
from smallport.export.examine import examine_model
from smallport.export.report import ExportReport
from smallport.export.why_causes import CAUSES
from smallport.parity import InputShape
from tests.planted_helpers import WINDOW, Planted, Router

ATTENTION = "layers.1.attention"
NETWORK = "layers.1.network"

FAULTS = {
    "mask ignored": (ATTENTION, "eq", "mask ignored: queries see 10 places of padding"),
    "top left": (
        ATTENTION,
        "sub",
        "alignment of the causal mask: it is aligned to the first key",
    ),
    "window": (ATTENTION, "lt", "window: a query sees up to 7 keys, and in the model up to 6"),
    "rows without keys": (
        ATTENTION,
        "scaled_dot_product_attention",
        "fully masked rows: 2 queries see no key at all",
    ),
    "one cache": (
        "layers.0.attention",
        "scaled_dot_product_attention",
        "one cache for all texts: the model computes the same if every text",
    ),
    "positions": ("rotary", "mul", "positions: the model computes the same if they begin at 0"),
    "epsilon": (
        "layers.1.norm",
        "add",
        "a different number: add has 0.1 in the program and 1e-06 in the model",
    ),
    "skipped": (
        NETWORK,
        "",
        "module skipped: the model computes the same if layers.1.network returned zeros",
    ),
    "bfloat16": (NETWORK, "silu", "half precision: the program computes in bfloat16"),
    "swapped": (
        "layers.0.attention",
        "",
        "output order: present.0.key is the model's present.0.value",
    ),
    "branch": (
        "",
        "",
        (
            "a branch fixed on a length: a program that is exported again for exactly batch 2, "
            "0 + 9 tokens is right there, and the first one is right with 30 tokens in the cache "
            "instead of 0"
        ),
    ),
}
"""By fault, the module, the operator and the beginning of the cause."""

UNUSUAL = {
    "angle": ("rotary", "pow"),  # it computes with a number that is in a tensor
    "choice": ("router", "topk"),  # it chooses the lowest scores, and no two are equal
    "short texts": ("", ""),  # it is wrong below a length, which is no branch of the model
}
"""By fault, the module and the operator, where none of the usual causes explains it."""


def planted(fault, *, tied=False):
    """Build a model with a fault."""
    router = Router(fault, tied=tied) if fault == "choice" or tied else None
    return Planted(fault, window=WINDOW if "window" in fault else None, router=router)


def why_of(report):
    """Take the explanation of a check that failed, and look whether it can be stored."""
    found = report.failure().why
    stored = json.loads(json.dumps(report.to_json()))
    assert ExportReport.from_json(stored).failure().why == found
    assert 0 < found.seconds < 30
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_led_to_its_module_and_its_cause(fault):
    module, operator, cause = FAULTS[fault]
    found = why_of(check_export(planted(fault), until="matches", why=True))
    assert (found.module, found.operator) == (module, operator)
    assert len(found.causes) == 1
    assert f"{found.causes[0].name}: {found.causes[0].found}".startswith(cause)
    assert found.causes[0].recipe in read_recipes()


@pytest.mark.parametrize("fault", UNUSUAL)
def test_no_cause_is_named_whose_experiment_says_no(fault):
    found = why_of(check_export(planted(fault), until="matches", why=True))
    assert (found.module, found.operator) == UNUSUAL[fault]
    assert not found.causes
    assert set(found.tried) == set(CAUSES)
    assert "cause: none of the usual ones; tried: output order, masks" in found.text(1000, "")


def test_a_window_is_not_named_where_it_alone_does_not_give_the_programs_result():
    shapes = [InputShape(2, 31, 3)]  # longer than the window
    model = planted("window and scale")
    found = why_of(check_export(model, until="matches", shapes=shapes, why=True))
    assert (found.module, found.operator) == (ATTENTION, "lt")
    assert "masks, their alignment and windows, fully masked rows" in found.tried
    assert [one.found for one in found.causes] == [
        "lt has 7 in the program and 6 in the model, and computes the same with it"
    ]


def test_only_the_operators_that_compute_are_listed_where_none_can_be_compared():
    found = why_of(check_export(planted("skipped"), until="matches", why=True))
    assert found.remark == "only the model has silu there; only the program has mul there"


def test_a_right_program_is_not_explained_and_a_wrong_one_only_if_asked():
    assert check_export(planted(""), until="matches", why=True)["matches"].why is None
    failure = check_export(planted("epsilon"), until="matches").failure()
    assert failure.why is None
    assert str(failure).endswith("again with --why finds where it begins")


def test_predictions_within_a_budget_have_no_module_to_be_led_to(tmp_path):
    with pytest.raises(ValueError, match="why finds where single numbers begin to differ"):
        check_export(planted(""), against=tmp_path / "int8.onnx", budget=Budget(), why=True)


def test_a_search_that_fails_leaves_the_result_of_the_check_as_it_is(monkeypatch):
    def fail(*_):
        raise RuntimeError("no tracing here")

    monkeypatch.setattr(why, "find_origin", fail)
    report = check_export(planted("epsilon"), until="matches", why=True)
    assert "differs from the model at 8 of 8 shapes" in report.failure().found
    said = report.failure().why.text(200, "")
    assert said.endswith("why: the search failed (RuntimeError: no tracing here)")
    assert "cause" not in said


def test_a_file_is_explained_by_the_module_of_its_model(tmp_path):
    report = check_export(broken_model(), until="matches", save=tmp_path)
    assert not report
    found = why_of(check_export(tiny_model("llama"), against=tmp_path / "model.pt2", why=True))
    assert (found.module, found.operator) == (
        "model.layers.0.self_attn",
        "scaled_dot_product_attention",
    )
    assert [one.name for one in found.causes] == ["mask ignored"]


def onnx_file(model, folder):
    """Translate a model to ONNX."""
    with programs.quiet_exporters():
        under_test = examine_model(model)
        example = under_test.make_inputs(under_test.export_shape)
        is_own = isinstance(model, Planted)
        program = programs.export_program(model, under_test, example) if is_own else None
        translated = programs.export_onnx(model, program, under_test, example)
        programs.save_onnx(translated, folder / "model.onnx")
    return folder / "model.onnx"


def with_equal_experts():
    """Build an AFMoE whose router rates all experts alike, as untrained ones are published."""
    model = tiny_model("afmoe")
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "router.gate" in name or "expert_bias" in name:
                weight.zero_()
    return model


@pytest.mark.parametrize(
    ("build", "module"),
    [
        (lambda: planted("", tied=True), "router"),
        (lambda: tiny_model("doge"), "model.layers.0.self_attn"),
        (with_equal_experts, "model.layers.1.mlp.router"),
    ],
    ids=["planted", "doge", "afmoe"],
)
def test_equal_scores_are_found_in_an_onnx_file(build, module, tmp_path):
    file = onnx_file(build(), tmp_path)
    found = why_of(check_export(build(), against=file, why=True))
    assert (found.module, found.operator) == (module, "topk")
    assert [(one.name, one.recipe) for one in found.causes] == [("equal scores", "equal-scores")]
    assert "with exactly the same scores" in found.causes[0].found


def test_the_command_explains_git(capsys):
    assert main(["check", "git", "--until", "decodes", "--why"]) == 1
    printed = " ".join(capsys.readouterr().out.split())
    assert "it begins in git.encoder.layer.0.attention.self (GitSelfAttention)" in printed
    assert "cause: a branch fixed on a length: a program that is exported again" in printed
    assert "the first one is right with 30 tokens in the cache instead of 0" in printed
    assert "smallport explain branch-on-length" in printed
    assert "again: smallport check git --until decodes --why" in printed

"""Tests of ``smallport explain`` and of :mod:`smallport.export.cookbook`."""

import ast
import builtins
import re
import subprocess
import sys
import textwrap
import zipfile

import pytest

from smallport.commands.main import main
from smallport.export import cookbook
from smallport.export.recipes import CAUSE_PAGES, PAGES, RECIPES
from tools.downloads import wheel

ANCHORS = [
    anchor
    for page in (*PAGES, *CAUSE_PAGES)
    for anchor in re.findall(
        r"^# \.\. _recipe-(.+):$", (cookbook.IN_CHECKOUT / f"{page}.py").read_text(), re.MULTILINE
    )
]


def test_every_recipe_that_a_report_names_is_printed(capsys):
    assert {recipe.anchor for recipe in RECIPES} <= set(ANCHORS)
    for anchor in ANCHORS:
        assert main(["explain", anchor]) == 0
        printed = capsys.readouterr().out
        title, rule = printed.splitlines()[:2]
        assert rule == "-" * len(title)
        assert "**Fix.**" in printed
        assert not re.search(r"^#|:`|%%|_recipe-|``|>`_", printed, re.MULTILINE)
        assert not re.search(
            r"# (Guard|Answer|Drawing):|^(Exercises|Conclusion)$", printed, re.MULTILINE
        )


def test_code_is_indented_and_prose_is_not(capsys):
    main(["explain", "guard-refuses"])
    printed = capsys.readouterr().out
    assert "\n**Fix.** Declare the range, and derive sizes" in printed
    assert "\n    program = export(model, (), step, dynamic_shapes=step_shapes)" in printed
    main(["explain", "dimension-specialized"])
    assert "length as a number; caught_logs reads it." in capsys.readouterr().out


def code_of(text):
    lines = [line for line in text.splitlines() if not line or line.startswith("    ")]
    return textwrap.dedent("\n".join(lines))


def test_code_begins_with_what_it_needs_and_no_more():
    code = code_of(cookbook.read_recipes()["dimensions-equal"][1])
    first, _ = code.split("class AddPositions", maxsplit=1)
    assert first.strip().splitlines()[:6] == [
        "import torch",
        "from torch.export import Dim, export",
        "from smallport import checks",
        "from smallport.display import show_message",
        "torch.manual_seed(0)",
        "from torch._dynamo.exc import UserError",
    ]


@pytest.mark.parametrize("anchor", ANCHORS)
def test_no_name_is_missing_in_the_code_of_a_recipe(anchor):
    _, missing = cookbook.global_names(ast.parse(code_of(cookbook.read_recipes()[anchor][1])).body)
    assert missing <= {*dir(builtins)}


@pytest.mark.parametrize("anchor", ["dimensions-equal", "guard-refuses"])
def test_the_code_of_a_recipe_runs_when_it_is_pasted(anchor, tmp_path):
    file = tmp_path / "recipe.py"
    file.write_text(code_of(cookbook.read_recipes()[anchor][1]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, file], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr


def test_without_a_name_all_are_listed(capsys):
    assert main(["explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ANCHORS
    assert lines[0].endswith("  Register a cache class as a pytree")


@pytest.mark.parametrize("name", ["guard-refused", "recipe-guard-refuse", "nonsense-of-any-kind"])
def test_a_mistyped_name_gets_the_nearest(capsys, name):
    assert main(["explain", name]) == 2
    said = capsys.readouterr().err
    assert f"there is no recipe {name!r}" in said
    assert ("did you mean guard-refuses?" in said) == ("guard" in name)
    assert "'smallport explain' lists all recipes" in said


def test_the_wheel_has_the_recipes(tmp_path, monkeypatch):
    monkeypatch.setattr(wheel, "FOLDER", tmp_path / "wheel")
    monkeypatch.setattr(wheel, "NOTE", tmp_path / "wheel.json")
    wheel.build()
    with zipfile.ZipFile(next((tmp_path / "wheel").iterdir())) as archive:
        for page in (*PAGES, *CAUSE_PAGES):
            archive.extract(f"smallport/export/{page}.txt", tmp_path)
    expected = cookbook.read_recipes()
    monkeypatch.setattr(cookbook, "IN_CHECKOUT", tmp_path / "none")
    monkeypatch.setattr(cookbook, "IN_WHEEL", tmp_path / "smallport" / "export")
    assert cookbook.read_recipes() == expected

"""The front page shows figures of the stored results, and how to install what the site offers."""

import re
import subprocess
import sys

import pytest

import front
from tools.gallery import project


def test_the_smallest_route_costs_next_to_nothing_and_the_number_is_rounded():
    assert re.fullmatch(r"[1-9]\d*\.\d\d times", front.smallest())


def test_architectures_that_pass_are_counted_among_all():
    passed, _, total = front.architectures().partition(" of ")
    assert 0 < int(passed) <= int(total)


@pytest.mark.parametrize("name", front.FIGURES)
def test_each_figure_says_what_it_is_computed_from(name):
    assert (front.STORED / front.FIGURES[name][1]).exists()


@pytest.mark.parametrize(
    ("removed", "status"),
    [("", "passes every stage"), ("with register_gru_while_loop_decomposition", "fails")],
)
def test_the_check_of_a_model_of_ones_own_needs_its_context_manager(removed, status, tmp_path):
    code = (project.DOCS / "own_model.py").read_text(encoding="utf-8")
    if removed:
        code = code.replace(removed, "import contextlib\nwith contextlib.nullcontext")
    done = subprocess.run(
        [sys.executable, "-"], input=code, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    said = " ".join(done.stdout.split())
    assert f"WordModel {status}" in said, done.stdout + done.stderr
    advice = "inside torch.export._patches.register_gru_while_loop_decomposition()"
    assert (advice in said) == bool(removed)

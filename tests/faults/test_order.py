"""Run the pages in the reverse order: none of them may live on what another one left behind.

Each page has a process of its own, so all that one could leave is in the cache.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.downloads import clocked

# The pages run with the cache of whoever runs the tests, hence the second mark.
pytestmark = [pytest.mark.fault, pytest.mark.page]

ROOT = Path(__file__).resolve().parents[2]
COPIED = [
    "LICENSE",
    "README.md",
    "constraints.txt",
    "pyproject.toml",
    "src",
    "tools",
    "docs",
    "examples",
]
GENERATED = ["__pycache__", "_build", "api", "gallery", "sg_execution_times.rst"]

# What a clock measured is all that may differ; tools.downloads.clocked tells it in texts.
CLOCKED_FIGURES = {
    "sphx_glr_plot_20_lstm_dynamic_quantization_002",
    "sphx_glr_plot_20_lstm_dynamic_quantization_003",
    "sphx_glr_plot_50_when_is_int8_faster_003",
    "sphx_glr_plot_50_when_is_int8_faster_004",
    "sphx_glr_plot_60_which_route_001",
    "sphx_glr_plot_60_which_route_small",  # the thumbnail of the same
}


@dataclass(frozen=True)
class Output:
    """What came of running a page, but for what a clock measured.

    Parameters
    ----------
    text
        Its reStructuredText, with what it printed.
    checked
        Its checks, with each number to the last digit.
    figures
        The bytes of its figures.
    """

    text: list[str]
    checked: list[dict]
    figures: dict[str, bytes]


def build(project, *arguments):
    """Build the site; return the names of the pages as they ran, and what came of each."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.gallery.build", *arguments],
        cwd=project,
        env={
            **os.environ,
            "PYTHONPATH": f"{project / 'src'}{os.pathsep}{project}",
            "NO_COLOR": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"the build is red:\n{done.stdout}"
    ran = re.findall(r"^running examples/.*?(\w+)\.py: ", done.stdout, re.MULTILINE)
    docs = project / "docs"
    provenance = json.loads((docs / "_build" / "html" / "provenance.json").read_text())
    outputs = {}
    for name, run in provenance["pages"].items():
        page = docs / "gallery" / name
        outputs[page.stem] = Output(
            text=clocked.masked(page.with_suffix(".rst").read_text(encoding="utf-8")),
            checked=[check for check in run["results"] if check["unit"] not in clocked.UNITS],
            figures={
                figure.name: figure.read_bytes()
                for figure in (page.parent / "images").glob(f"sphx_glr_{page.stem}_*.png")
                if not figure.name.startswith(tuple(CLOCKED_FIGURES))
            },
        )
    return ran, outputs


@pytest.fixture
def project(tmp_path):
    """Copy the project."""
    for name in COPIED:
        source, target = ROOT / name, tmp_path / "project" / name
        if source.is_dir():
            generated = GENERATED if name == "docs" else ["__pycache__"]
            shutil.copytree(source, target, ignore=shutil.ignore_patterns(*generated))
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    return tmp_path / "project"


def test_the_order_of_the_pages_does_not_matter(project):
    ran, forwards = build(project)
    assert len(ran) >= 3
    assert set(ran) == forwards.keys()
    for name in reversed(ran):
        ran_again, backwards = build(project, "--page", name)
        assert ran_again == [name]
    for name in ran:
        assert backwards[name].text == forwards[name].text, f"{name} prints something else"
        assert backwards[name].checked == forwards[name].checked, f"{name} measures something else"
        assert backwards[name].figures == forwards[name].figures, f"{name} draws something else"

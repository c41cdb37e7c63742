"""The line that installs a page brings all that the page imports, and comes from the site."""

import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement

from tools.downloads import install
from tools.gallery import project, versions

PROJECT = tomllib.loads((project.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGES = list(project.scripts())
PUBLISHED, UNPUBLISHED = install.Wheel("1.0", "https://example.org/"), install.Wheel("1.0")
CODE = "import torch\n"


def packages(requirements):
    """Name what is required, as it is imported."""
    return {re.match(r"[\w-]+", name)[0].replace("-", "_") for name in requirements}


EXTRAS = {name: packages(extra) for name, extra in PROJECT["optional-dependencies"].items()}


WITHOUT = """\
import ast
import sys

page, *absent = sys.argv[1:]
for package in absent:
    sys.modules[package] = None  # as if it were not installed
nodes = ast.parse(open(page, encoding="utf-8").read()).body
imports = [node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
exec(compile(ast.Module(imports, []), page, "exec"))
"""


LEAN = [page for page in PAGES if install.extra_of(page.read_text(encoding="utf-8")) != "export"]
"""The pages whose extra does not bring everything."""


@pytest.mark.parametrize("page", LEAN, ids=[page.stem for page in LEAN])
def test_the_extra_of_a_page_brings_what_it_imports(page):
    extra = EXTRAS[install.extra_of(page.read_text(encoding="utf-8"))]
    absent = packages(install.ABOUT) - packages(PROJECT["dependencies"]) - extra
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT, page, *absent],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("import torch", "quantization"),
        ("import onnx", "onnx"),
        ("from onnxruntime.quantization import QuantType", "onnx"),
        ("import onnxruntime\nimport transformers", "export"),
        ("from smallport.bench.parts import onnx_variants", "onnx"),
        ("from smallport import lstm, quantize", "quantization"),
    ],
)
def test_the_extra_is_chosen_by_what_is_imported(code, extra):
    assert install.extra_of(code) == extra


def requirements(metadata):
    """Read a script's metadata as uv and pipx do: PEP 723's own expression."""
    pattern = r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$"
    (found,) = re.finditer(pattern, metadata)
    assert found["type"] == "script"
    lines = found["content"].splitlines(keepends=True)
    return tomllib.loads("".join(line[2:] if line.startswith("# ") else line[1:] for line in lines))


def test_a_script_names_the_wheel_at_the_address_of_the_site():
    read = requirements(install.script_metadata("import onnxruntime", PUBLISHED) + CODE)
    assert read["requires-python"] == PROJECT["requires-python"]
    assert read["dependencies"][0] == f"smallport[onnx] @ https://example.org/{PUBLISHED.name}"
    assert read["tool"]["uv"]["sources"]["torch"]["index"] == read["tool"]["uv"]["index"][0]["name"]


def test_a_script_names_the_wheel_beside_it_where_the_site_has_no_address():
    metadata = install.script_metadata("import torch", UNPUBLISHED)
    read = requirements(metadata + CODE)
    assert read["dependencies"][0] == "smallport[quantization]==1.0"
    assert read["tool"]["uv"] == {"sources": {"smallport": {"path": UNPUBLISHED.name}}}
    assert "http" not in metadata


@pytest.mark.parametrize("extra", ["quantization", "onnx", "export"])
def test_what_the_pages_are_about_comes_in_versions_that_were_tested(extra):
    asked = [Requirement(one) for one in install.tested(extra)]
    assert "torch" in {one.name for one in asked}
    assert ("transformers" in {one.name for one in asked}) == (extra == "export")
    for one in asked:
        assert {bound.operator for bound in one.specifier} == {">=", "<="}
        assert versions.pinned()[one.name] in one.specifier


def test_a_script_says_how_its_upper_bounds_are_lifted():
    metadata = install.script_metadata("import onnxruntime", PUBLISHED)
    lifted = metadata.replace("# # [tool.uv]", "# [tool.uv]").replace("# # override", "# override")
    overridden = requirements(lifted + CODE)["tool"]["uv"]["override-dependencies"]
    assert overridden == ["onnx", "onnxruntime", "onnxscript", "torch"]
    assert "override-dependencies" not in requirements(metadata + CODE)["tool"]["uv"]


def test_the_first_cell_of_a_notebook_says_what_to_do_and_installs_from_beside_it():
    *sentence, command = install.notebook_cell("import torch", UNPUBLISHED).splitlines()
    assert all(line.startswith("# ") for line in sentence)
    assert sentence[-1] == "# %pip install -q --upgrade torch"
    assert UNPUBLISHED.name in sentence[0]
    assert command.startswith(f'%pip install -q "./{UNPUBLISHED.name}[quantization]" "torch>=')
    assert "http" not in command


def test_the_first_cell_of_a_notebook_installs_without_cuda_where_the_site_has_an_address():
    command = install.notebook_cell("import torch", PUBLISHED).splitlines()[-1]
    assert f"--extra-index-url {install.CPU_INDEX}" in command
    assert f'"smallport[quantization] @ https://example.org/{PUBLISHED.name}"' in command


INSTALLS = re.compile(
    r"\b(?:pip3? install|pipx (?:install|run|inject)|uv (?:add|tool install|run --with)|uvx"
    r"|poetry add|conda install)\b([^\n;&|`]*)"
)
BY_NAME = re.compile(r"(?<![\w./@{-])smallport(?:\[[^\]]*\])?(?!\s*@|[\w/\[-]|\.\w)")
"""The name of the package as an index has it: no path, no wheel, and no address after it."""


def from_the_index(text):
    """Name what a text installs under the name of this package from an index."""
    joined = re.sub(r"""["'] *\n\s*[frb]*["']""", "", text)  # strings that Python joins
    return [name for command in INSTALLS.findall(joined) for name in BY_NAME.findall(command)]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("python -m pip install 'smallport[export]'", True),
        ("pip install -q smallport", True),
        (
            '"what is missing with: python -m pip "\n    "install \'smallport[cluster]\', here"',
            True,
        ),
        ("uvx smallport check llama", True),
        ("pip install torch smallport==0.1.0", True),
        ("pip install 'smallport[onnx] @ https://site/smallport-1.0-py3-none-any.whl'", False),
        ("pip install './smallport-1.0-py3-none-any.whl[export]'", False),
        ("pip install '.[export]'", False),
        ("pip install distributed\n    smallport sweep", False),
    ],
)
def test_a_line_that_installs_from_an_index_is_told_from_others(line, found):
    assert bool(from_the_index(line)) == found


def test_nothing_says_to_install_the_package_from_an_index_where_its_name_is_not_ours():
    """Whoever registers the name would reach the machines of those who follow the advice."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
        cwd=project.ROOT,
    )
    found, number = [], 0
    for name in listed.stdout.split("\0"):
        file = project.ROOT / name
        if file.is_file() and not name.startswith("tests/"):
            text = file.read_text(encoding="utf-8", errors="replace")
            found += [f"{name}: {line}" for line in from_the_index(text)]
            number += 1
    assert found == []
    assert number > 200

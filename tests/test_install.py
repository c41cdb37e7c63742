"""The line that installs a page brings all that the page imports."""

import ast
import re
import tomllib

import pytest

from tools.gallery import install, project

PROJECT = tomllib.loads((project.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGES = list(project.scripts())


def packages(requirements):
    """Name what is required, as it is imported."""
    return {re.match(r"[\w-]+", name)[0].replace("-", "_") for name in requirements}


EXTRAS = {name: packages(extra) for name, extra in PROJECT["optional-dependencies"].items()}


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_extra_of_a_page_brings_what_it_imports(page):
    code = page.read_text(encoding="utf-8")
    nodes = list(ast.walk(ast.parse(code)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    imported = {name.partition(".")[0] for name in names} & set.union(*EXTRAS.values())
    assert imported <= EXTRAS[install.extra_of(code)]


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("import torch", "quantization"),
        ("import onnx", "onnx"),
        ("from onnxruntime.quantization import QuantType", "onnx"),
        ("import onnxruntime\nimport transformers", "export"),
    ],
)
def test_the_extra_is_chosen_by_what_is_imported(code, extra):
    assert install.extra_of(code) == extra

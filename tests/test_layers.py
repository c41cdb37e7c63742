"""Who may import whom: pages the package, adapters the tools, and nobody the other way round."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ADAPTERS = {file.stem for file in (ROOT / "docs" / "_ext").glob("*.py")}
FORBIDDEN = {
    "src/smallport": {"tools", "docs", "examples", "tests", *ADAPTERS},
    "tools": {"docs", "examples", "tests", *ADAPTERS},
    "examples": {"tools", "docs", "tests", *ADAPTERS},
}


def imported(code: str) -> set[str]:
    """Name the top-level packages that some code imports, wherever in it."""
    nodes = list(ast.walk(ast.parse(code)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_a_layer_imports_only_what_is_above_it(folder):
    files = sorted((ROOT / folder).rglob("*.py"))
    assert files
    wrong = {
        file.relative_to(ROOT).as_posix(): names
        for file in files
        if (names := imported(file.read_text(encoding="utf-8")) & FORBIDDEN[folder])
    }
    assert wrong == {}


def test_an_import_in_a_function_counts():
    assert imported("def f():\n    import tools.gallery\n    from docs import conf\n") == {
        "tools",
        "docs",
    }

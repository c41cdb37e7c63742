"""Keys change with the code that computes, and with nothing else."""

import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from smallport import keys

SOURCE = '''
"""About the module."""
import math  # for pi

NUMBER = 3
"""What it is."""

class Circle:
    """Round."""

    def area(self, radius):
        """Compute it."""
        # the formula
        return math.pi * radius**2

def nothing():
    """Do nothing."""
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Make a package of two modules, one of which imports the other in a function."""
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "shapes.py").write_text(SOURCE)
    (folder / "report.py").write_text("import json\ndef f():\n    from ours import shapes\n")
    (folder / "apart.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    keys.module_file.cache_clear()
    yield folder
    keys.module_file.cache_clear()
    sys.modules.pop("ours", None)


@pytest.mark.parametrize("text", ["About", "What it is", "Round", "Compute it", "for pi"])
def test_docstrings_and_comments_leave_a_key_as_it_is(text, package):
    before = keys.code_key("ours.report")
    assert text in SOURCE
    (package / "shapes.py").write_text(SOURCE.replace(text, "something else"))
    assert keys.code_key("ours.report") == before


@pytest.mark.parametrize(
    ("old", "new"), [("= 3", "= 4"), ("radius**2", "radius**3"), ("def nothing", "def no")]
)
def test_code_that_is_imported_in_a_function_changes_a_key(old, new, package):
    before = keys.code_key("ours.report")
    (package / "shapes.py").write_text(SOURCE.replace(old, new))
    assert keys.code_key("ours.report") != before


def test_code_that_is_not_imported_leaves_a_key_as_it_is(package):
    before = keys.code_key("ours.report")
    (package / "apart.py").write_text("x = 2\n")
    assert keys.code_key("ours.report") == before
    assert set(keys.import_closure(["ours.report"])) == {"ours", "ours.report", "ours.shapes"}


def test_relative_imports_are_followed(package):
    (package / "report.py").write_text("from . import shapes\nfrom .apart import x\n")
    assert set(keys.import_closure(["ours.report"])) >= {"ours.shapes", "ours.apart"}


def test_what_only_type_checkers_import_does_not_count(package):
    code = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ours import shapes\n"
    (package / "report.py").write_text(code)
    assert set(keys.import_closure(["ours.report"])) == {"ours", "ours.report"}
    (package / "report.py").write_text(code + "else:\n    from ours import apart\n")
    assert set(keys.import_closure(["ours.report"])) == {"ours", "ours.report", "ours.apart"}


def test_threads_may_ask_at_once():
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: keys.code_key("smallport"), range(32)))) == 1


def test_the_key_of_a_verdict_covers_the_whole_check():
    covered = set(keys.import_closure(["smallport.sweep.worker"]))
    assert covered >= {
        "smallport.export.stages",
        "smallport.parity.compare",
        "smallport.architectures.entries",
        "smallport.architectures.rules",
    }
    assert not [
        name for name in covered if name.startswith(("smallport.lstm", "smallport.quantize"))
    ]

"""The claims that a run comes to are noted, and running them is the same as without the marks."""

import ast
import subprocess
import sys
import textwrap

import pytest

from tools.gallery import reached, settings
from tools.lint import claims

CODE = """\
def check(name, value, **bounds):
    assert value >= bounds["at_least"], f"{name}: too small"

for number in range(3):
    check("number", number, at_least=0)
for number in []:
    assert number
def uncalled():
    check("uncalled", 1, at_least=0)
assert check.__name__ == "check", "renamed"
[checks.report("nothing", 1) for _ in ()]
values = [check("twice", 1, at_least=0), check("again", 1, at_least=0)]
"""


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Name the file that the claims of this test are noted in."""
    monkeypatch.setattr(reached, "_places", {})
    file = tmp_path / "results.jsonl"
    monkeypatch.setenv(settings.RESULTS_FILE, str(file))
    return file


def run(code):
    tree = ast.parse(code)
    reached.mark(tree)
    exec(compile(tree, "page.py", "exec"), {})


def test_a_claim_is_noted_if_it_is_executed(results):
    run(CODE)
    reached.record()
    assert {line for line, _ in reached.read(results)} == {2, 5, 10, 12}
    missing = [claim for claim in claims.claims(CODE) if claim.place not in reached.read(results)]
    assert [(claim.kind, claim.line) for claim in missing] == [
        ("assert", 7),
        ("check", 9),
        ("report", 11),
    ]


def test_two_claims_of_a_line_are_told_apart(results):
    run("check = print\nTrue or check('a')\ncheck('b'), [check('c') for _ in ()]\n")
    reached.record()
    assert reached.read(results) == {(3, 0)}


@pytest.mark.parametrize("claim", ["assert values, f'no {values}'", "checks.raises(values)"])
def test_an_error_is_what_it_is_without_marks(claim):
    code = f"values = []\n\n{claim}\n"
    errors = []
    for source in (code, marked := ast.parse(code)):
        if source is marked:
            reached.mark(marked)
        with pytest.raises((AssertionError, NameError)) as caught:
            exec(compile(source, "page.py", "exec"), {})
        errors.append((str(caught.value), caught.traceback[-1].lineno))
    assert errors[0] == errors[1]


def test_what_was_recorded_before_stays(results):
    results.write_text('{"Result": {}}\n', encoding="utf-8")
    run("assert True")
    reached.record()
    assert results.read_text(encoding="utf-8").startswith('{"Result": {}}\n')
    assert reached.read(results) == {(1, 0)}


def test_nothing_is_recorded_where_nobody_asks(monkeypatch):
    monkeypatch.delenv(settings.RESULTS_FILE, raising=False)
    reached.record()


def test_a_run_without_results_came_to_no_claim(tmp_path):
    assert reached.read(tmp_path / "missing.jsonl") == set()


def test_claims_are_noted_in_cells_that_the_gallery_compiles():
    # In a process of its own, since a hook stays.
    script = textwrap.dedent("""\
        import ast, codeop
        from tools.gallery import cells, reached
        cells.before_each(reached.mark)
        tree = ast.parse("assert True\\nif False:\\n    assert 0")
        exec(codeop.Compile()(tree, "page.py", "exec"))
        exec(compile(ast.parse("\\nassert 1"), "another.py", "exec"))
        print(list(reached._places))
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[(1, 0)]\n", "")

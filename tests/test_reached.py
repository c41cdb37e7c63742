"""The claims that a run comes to are noted, and running them is the same as without the marks."""

import ast
import json
import subprocess
import sys
import textwrap
from collections import Counter
from types import SimpleNamespace

import pytest

from tools.gallery import project, reached, runs, settings
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
    monkeypatch.setattr(reached, "_turns", Counter())
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
    assert reached.read(results)[5, 4] == 3
    assert reached.read(results)[2, 4] == 5
    missing = [claim for claim in claims.claims(CODE) if claim.place not in reached.read(results)]
    assert [(claim.kind, claim.line) for claim in missing] == [
        ("assert", 7),
        ("check", 9),
        ("report", 11),
    ]


def test_two_claims_of_a_line_are_told_apart(results):
    run("check = print\nTrue or check('a')\ncheck('b'), [check('c') for _ in ()]\n")
    reached.record()
    assert reached.read(results) == {(3, 0): 1}


@pytest.mark.parametrize(
    ("code", "turns"),
    [
        ("all(size for size in (1, 2, 3))", 3),
        ("[size for size in (1, 2, 3) if size > 1]", 2),
        ("{size for size in ()}", 0),
        ("{size: size for size in (1, 2)}", 2),
    ],
)
def test_the_elements_of_a_comprehension_are_counted(code, turns, results):
    run(code)
    reached.record()
    assert sum(reached.read(results).values()) == turns


def test_the_counts_of_the_last_runs_are_written_for_later_ones(results, tmp_path, monkeypatch):
    run("sizes = [size for size in (1, 2)]")
    reached.record()
    script = tmp_path / "plot_10_page.py"
    script.write_text("sizes = [size for size in (1, 2)]\n")
    monkeypatch.setattr(project, "in_reading_order", lambda: [script])
    monkeypatch.setattr(runs, "results_file", lambda _: results)
    monkeypatch.setattr(claims, "TURNS", tmp_path / "turns.json")
    label = "[size for size in (1, 2)]"
    for known, written, passed in (
        (None, 2, True),
        (3, 2, True),
        ([1, 3], [1, 3], True),
        ([3, 4], 2, True),
        (5, 5, False),
    ):
        run_of_page = SimpleNamespace(passed=passed)
        monkeypatch.setattr(runs, "read", lambda _, found=run_of_page: found)
        if known:
            claims.TURNS.write_text(json.dumps({"plot_10_page": {label: known}, "gone": {}}))
        reached.main()
        assert json.loads(claims.TURNS.read_text()) == {"plot_10_page": {label: written}}


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


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("one = 1\nassert one == 2", "one is 1"),
        ("one, two = 1, 2\nassert 0 < two < one", "two is 2, one is 1"),
        ("sizes = []\nassert sizes", "sizes is []"),
        ("assert not [3]", "[3] is [3]"),
        ("assert 1 == 2, 'said'", "said"),
        ("assert range(3) is None", "range(3) is <class 'range'>"),
        ("two = []\nassert (two or 0) is None", "two or 0 is 0"),
        (
            "def f():\n    assert 1 < len('ab')\n    return 3\nassert f() == len('a')",
            "f() is 3, len('a') is 1",
        ),
        ("def f():\n    assert 1 < len('ab')\n    return 3\nassert len('a') == f()", "f() is 3"),
    ],
)
def test_an_assertion_without_a_message_names_its_values(code, message):
    with pytest.raises(AssertionError) as caught:
        run(code)
    assert str(caught.value) == message


def test_what_was_recorded_before_stays(results):
    results.write_text('{"Result": {}}\n', encoding="utf-8")
    run("assert True")
    reached.record()
    assert results.read_text(encoding="utf-8").startswith('{"Result": {}}\n')
    assert reached.read(results) == {(1, 0): 1}


def test_nothing_is_recorded_where_nobody_asks(monkeypatch):
    monkeypatch.delenv(settings.RESULTS_FILE, raising=False)
    reached.record()


def test_a_run_without_results_came_to_no_claim(tmp_path):
    assert reached.read(tmp_path / "missing.jsonl") == {}


def test_claims_are_noted_in_cells_that_the_gallery_compiles():
    # In a process of its own, since a hook stays.
    script = textwrap.dedent("""\
        import ast, codeop
        from tools.gallery import cells, reached
        cells.before_each(reached.mark)
        tree = ast.parse("assert True\\nif False:\\n    assert 0")
        exec(codeop.Compile()(tree, "page.py", "exec"))
        exec(compile(ast.parse("\\nassert 1"), "another.py", "exec"))
        print(list(reached._turns))
    """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[(1, 0)]\n", "")

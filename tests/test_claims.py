"""Claims are found in a page's text, and those that its run never came to are named."""

import json
import textwrap

import pytest

from tools.gallery import project
from tools.lint import claims

WANTED = {'check(f"{name}: size", 1, at_most=2)': 1, "[one for one in two if one]": 3}


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Give what writes a page into a project and returns its script."""
    monkeypatch.setattr(project, "ROOT", tmp_path)
    monkeypatch.setattr(claims, "TURNS", tmp_path / "turns.json")
    claims.TURNS.write_text(json.dumps({"page": WANTED}))

    def write(code):
        script = tmp_path / "page.py"
        script.write_text(textwrap.dedent(code), encoding="utf-8")
        return script

    return write


CODE = """\
check("loss", 1, at_most=2)
checks.report("speed", 3)
for name in names:
    check(f"{name}: size", 1, at_most=2)
with checks.raises(errors.UserError, match=("Cannot", "shape [[")) as failure:
    fail()
assert failure
path.check("loss")
"""


def test_claims_are_found_in_their_order():
    assert [(claim.kind, claim.line) for claim in claims.claims(CODE)] == [
        ("check", 1),
        ("report", 2),
        ("check", 4),
        ("raises", 5),
        ("assert", 7),
    ]


PLACES = {claim.place: 1 for claim in claims.claims(CODE)}


def test_claims_that_a_run_came_to_are_no_finding(page):
    assert list(claims.unreached(page(CODE), PLACES)) == []


@pytest.mark.parametrize("place", sorted(PLACES))
def test_a_claim_that_a_run_never_came_to_is_named(place, page):
    (finding,) = claims.unreached(page(CODE), {one: 1 for one in PLACES if one != place})
    assert finding.where == f"page.py:{place[0]}"


ELEMENTS = """\
{one: 1 for one in two}
if two:
    machines = [one for one in two]
    for one in two:
        assert one
three = [one for one in
         two if one]
"""


def test_what_may_run_any_number_of_times_is_found_under_its_text():
    assert claims.repeated(ELEMENTS) == {
        (1, 0): "{one: 1 for one in two}",
        (6, 8): "[one for one in two if one]",
    }


@pytest.mark.parametrize("turns", [0, 2, 4])
def test_elements_that_a_filter_loses_are_named(turns, page):
    code = "three = [one for one in two if one]\n"
    assert list(claims.unreached(page(code), {(1, 8): 3})) == []
    (finding,) = claims.unreached(page(code), {(1, 8): turns})
    assert (finding.where, finding.rule) == ("page.py:1", "claims")
    assert f"ran {turns} ×, and turns.json has 3" in finding.message


def test_a_text_that_was_never_counted_is_named(page):
    (finding,) = claims.unreached(page("{one for one in two}"), {(1, 0): 3})
    assert "ran 3 ×, and turns.json has no count" in finding.message


CONDITIONS = [
    "if False:\n    {claim}\n",
    "if True:\n    pass\nelse:\n    {claim}\n",
    "while wanted:\n    {claim}\n",
    "def function():\n    if wanted:\n        {claim}\n",
    "try:\n    1 / 0\nexcept ZeroDivisionError:\n    pass\nelse:\n    {claim}\n",
    "match wanted:\n    case 1:\n        {claim}\n",
]
CLAIMED = 'check("loss", 1, at_most=2)'


@pytest.mark.parametrize("code", [*CONDITIONS, "False and {claim}\n", "0 if no else {claim}\n"])
def test_a_claim_under_a_condition_has_to_be_declared(code, page):
    text = code.format(claim=CLAIMED)
    (finding,) = claims.conditional(page(text), text)
    assert finding.rule == "conditional"
    declared = f"# lint: conditional: only there\n{text}"
    if text.startswith(("if", "while", "match", "False", "0")):
        assert list(claims.conditional(page(declared), declared)) == []


@pytest.mark.parametrize("code", CONDITIONS)
def test_an_assert_under_a_condition_has_to_be_declared(code, page):
    text = f"{CLAIMED}\n{code.format(claim='assert wanted')}"
    (finding,) = claims.conditional(page(text), text)
    assert finding.message.startswith("this assert")


def test_a_declared_claim_may_be_missing(page):
    script = page(f"if wanted:\n    # lint: conditional: only there\n    {CLAIMED}\n")
    assert list(claims.unreached(script, [])) == []


def test_a_page_without_claims_is_named(page):
    (finding,) = claims.conditional(page("assert True"), "assert True")
    assert "makes no checks" in finding.message

"""The rules on English."""

import pytest

from tools.gallery import project
from tools.lint import passages, prose

RULES, EXEMPTIONS = prose.read()
ONE = """
[[rule]]
name = "cost"
pattern = 'price'
advice = "say what it costs"
bad = "The price."
good = "The cost."
"""
EXCEPTION = """
[[exception]]
file = "README.md"
rule = "cost"
text = "price"
reason = "{}"
"""


@pytest.fixture
def findings(tmp_path, monkeypatch):
    """Give what applies some rules to a README."""
    monkeypatch.setattr(project, "ROOT", tmp_path)
    monkeypatch.setattr(prose, "RULES", tmp_path / "prose.toml")

    def findings(text, rules=ONE):
        (tmp_path / "README.md").write_text(text, encoding="utf-8")
        prose.RULES.write_text(rules, encoding="utf-8")
        return [str(one) for one in prose.findings()]

    return findings


def found(rule, sentence):
    return list(rule.found(passages.Passage(rule.kinds[0], 1, sentence)))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_finds_its_bad_sentence_and_passes_the_good_one(rule):
    assert found(rule, rule.bad)
    assert not found(rule, rule.good)


def test_the_rules_have_different_names_and_known_kinds():
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert {kind for rule in RULES for kind in rule.kinds} <= set(prose.KINDS)


def test_a_finding_names_file_line_words_and_advice(findings):
    assert findings("# Title\n\nIt is\nthe price.\n") == ["README.md:4: 'price': say what it costs"]


def test_words_that_a_line_break_divides_are_found(findings):
    rules = ONE.replace("'price'", "'the price'")
    assert findings("It is the\nprice.\n", rules) == ["README.md:1: 'the price': say what it costs"]


def test_code_is_not_english(findings):
    assert findings("Call `price`:\n\n    price()\n") == []


def test_an_exception_with_a_reason_holds_in_its_file(findings):
    assert findings("The price.\n", ONE + EXCEPTION.format("a citation")) == []


def test_an_exception_without_a_reason_is_found(findings):
    assert findings("The price.\n", ONE + EXCEPTION.format(" ")) == [
        "prose.toml: the exception of cost in README.md has no reason: give one"
    ]


def test_an_exception_of_which_nothing_is_left_is_found(findings):
    assert findings("The cost.\n", ONE + EXCEPTION.format("a citation")) == [
        "prose.toml: README.md has no 'price' for cost: delete the exception"
    ]


def test_the_command_prints_the_rule_and_fails(findings, tmp_path, capsys):
    findings("The price.\n")
    assert prose.main([]) == 1
    assert "[prose-cost]" in capsys.readouterr().out
    (tmp_path / "README.md").write_text("The cost.\n", encoding="utf-8")
    assert prose.main([str(tmp_path / "README.md")]) == 0

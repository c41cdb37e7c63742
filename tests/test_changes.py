"""Tests of :mod:`smallport.sweep.changes` and :mod:`smallport.sweep.history`."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallport import measured
from smallport.export.coverage import Coverage
from smallport.export.report import STAGES
from smallport.sweep.changes import KINDS, WITH_CAUSE, changes_since, compare_sweeps
from smallport.sweep.history import Outcome, Summary, history_file, read_history, remember
from smallport.sweep.scoreboard import read_scoreboard, save
from tests.sweep_helpers import report_with

ALL = ["passed"] * len(STAGES)
WITH_CACHE = {"outputs": ["logits", "present"], "number of tensors": [5], "caches": ["plain"]}
WITHOUT_CACHE = {"outputs": ["logits"], "number of tensors": [1], "caches": []}
INVERSE = dict(zip(KINDS, KINDS, strict=True)) | {
    "passes": "fails",
    "fails": "passes",
    "later": "earlier",
    "earlier": "later",
    "new": "removed",
    "removed": "new",
    "found": "lost",
    "lost": "found",
}
NAMES = tuple("abcdefgh")
PROVENANCE = measured.provenance("smallport sweep")


def of_versions(**versions):
    return replace(PROVENANCE, versions=versions)


def summary(outcomes, registered=NAMES, provenance=PROVENANCE, check="1"):
    return Summary(provenance, check, tuple(registered), outcomes)


failing = st.builds(
    lambda passed, cause, coverage: Outcome(passed, STAGES[passed], cause, **coverage),
    st.integers(0, len(STAGES) - 1),
    st.sampled_from(["ValueError: …", "KeyError: …"]),
    coverages := st.fixed_dictionaries(
        {
            "tensors": st.integers(0, 5),
            "outputs": st.lists(st.sampled_from(["logits", "present"]), unique=True).map(tuple),
            "caches": st.lists(st.sampled_from(["plain", "windowed"]), unique=True).map(tuple),
            "not_compared": st.lists(st.just("cache"), max_size=1).map(tuple),
        }
    ),
)
passing = coverages.map(lambda coverage: Outcome(len(STAGES), **coverage))
registered = st.sets(st.sampled_from(NAMES)).map(sorted)


@st.composite
def sweeps(draw):
    names = draw(registered)
    with_verdict = draw(st.sets(st.sampled_from(names))) if names else []
    return summary({name: draw(failing | passing) for name in sorted(with_verdict)}, names)


@given(sweeps(), sweeps())
def test_every_architecture_is_in_one_kind(before, after):
    kinds = compare_sweeps(before, after).kinds
    listed = Counter(name for names in kinds.values() for name in names)
    assert listed == Counter({*before.registered, *after.registered})


@given(sweeps(), sweeps())
def test_the_opposite_order_has_the_inverse_kinds(before, after):
    there, back = compare_sweeps(before, after), compare_sweeps(after, before)
    assert {INVERSE[kind]: names for kind, names in there.kinds.items()} == dict(back.kinds)
    assert there.compared_less == back.compared_more
    assert there.compared_more == back.compared_less


@given(sweeps(), sweeps())
def test_the_passes_add_up(before, after):
    """What passes now is what passed, with what was won and without what was lost."""

    def passing(sweep, names):
        return sum(one.passes for name, one in sweep.outcomes.items() if name in names)

    kinds = compare_sweeps(before, after).kinds
    won = len(kinds["passes"]) + passing(after, [*kinds["new"], *kinds["found"]])
    gone = len(kinds["fails"]) + passing(before, [*kinds["removed"], *kinds["lost"]])
    assert passing(after, NAMES) == passing(before, NAMES) + won - gone


@given(sweeps())
def test_a_sweep_differs_in_nothing_from_itself(sweep):
    changes = compare_sweeps(sweep, sweep)
    assert not changes
    assert changes.check_changed() is False


@given(sweeps(), sweeps())
def test_every_failure_has_its_cause(before, after):
    changes = compare_sweeps(before, after)
    for kind in WITH_CAUSE:
        explained = [name for cause in changes.causes(kind) for name in cause.architectures]
        assert sorted(explained) == list(changes.kinds[kind])
    assert not any(changes.causes(kind) for kind in KINDS if kind not in WITH_CAUSE)


@given(sweeps())
def test_a_summary_comes_back_as_it_was_written(sweep):
    assert Summary.from_json(json.loads(json.dumps(sweep.to_json()))) == sweep


def covering(compared, *statuses, name, not_compared=None):
    coverage = Coverage(compared, not_compared or {})
    return replace(report_with(*(statuses or ALL), name=name), coverage=coverage)


def kept(file, *reports):
    save(file, [one.name for one in reports], reports, command="smallport sweep")
    return read_scoreboard(file)


def test_a_cache_that_is_no_longer_compared_is_a_loss_although_all_pass(tmp_path):
    before = kept(tmp_path / "a.json", *(covering(WITH_CACHE, name=name) for name in "xy"))
    after = kept(
        tmp_path / "b.json",
        covering(WITHOUT_CACHE, name="x"),
        covering(WITH_CACHE, name="y", not_compared={"cache": "the cache, of a new type"}),
    )
    changes = compare_sweeps(Summary.of(before), Summary.of(after))
    assert changes.kinds["same"] == ("x", "y")
    assert changes.compared_less == {
        "x": ("1 of 5 tensors", "no output present", "no plain cache"),
        "y": ("without: cache",),
    }
    assert changes
    assert "+0, \N{MINUS SIGN}0, 2 compared in fewer tensors" in changes.headline()


def test_a_pass_that_compares_less_is_both(tmp_path):
    before = kept(tmp_path / "a.json", covering(WITH_CACHE, *ALL[:3], "failed", name="x"))
    after = kept(tmp_path / "b.json", covering(WITHOUT_CACHE, name="x"))
    changes = compare_sweeps(Summary.of(before), Summary.of(after))
    assert changes.kinds["passes"] == ("x",)
    assert list(changes.compared_less) == ["x"]


def test_what_fails_earlier_is_no_loss_of_coverage_besides():
    before = summary({"a": Outcome(8, tensors=5)})
    after = summary({"a": Outcome(2, "exported", "ValueError: …")})
    changes = compare_sweeps(before, after)
    assert changes.kinds["fails"] == ("a",)
    assert not changes.compared_less
    assert changes.causes("fails")[0].what == "ValueError: …"


def test_the_headline_names_the_versions_that_differ():
    before = summary({}, "ab", of_versions(torch="2.13.0", transformers="5.23.0"))
    outcomes = {"a": Outcome(8), "c": Outcome(8)}
    after = summary(outcomes, "ac", of_versions(torch="2.13.0", transformers="5.24.0", x="1"))
    changes = compare_sweeps(before, after)
    assert changes.versions() == [("transformers", "5.23.0", "5.24.0"), ("x", "", "1")]
    assert changes.headline() == (
        "since transformers 5.23.0, x none: +0, \N{MINUS SIGN}0, 1 new, 1 removed"
    )


@pytest.mark.parametrize(
    ("checks", "commits", "changed"),
    [
        (("1", "1"), ("a", "b"), False),
        (("1", "2"), ("a", "a"), True),
        (("", "2"), ("a", "a"), False),
        (("", "2"), ("a", "b"), None),
        (("", ""), ("a+", "a+"), None),
        (("", ""), ("", ""), None),
    ],
)
def test_a_check_whose_code_changed_is_told_apart(checks, commits, changed):
    before, after = (
        summary({}, provenance=replace(PROVENANCE, commit=commit), check=check)
        for check, commit in zip(checks, commits, strict=True)
    )
    assert compare_sweeps(before, after).check_changed() is changed


def test_what_is_stored_names_the_code_of_its_check(tmp_path):
    assert kept(tmp_path / "a.json", report_with(*ALL)).check


def test_of_each_version_set_the_last_sweep_is_remembered(tmp_path):
    file = tmp_path / "sweep.json"
    assert read_history(file) == []
    failed = covering(WITH_CACHE, *ALL[:3], "failed", name="x")
    for versions, report in (
        ({"torch": "1"}, failed),
        ({"torch": "2"}, failed),
        ({"torch": "1"}, covering(WITH_CACHE, name="x")),
    ):
        remember(file, replace(kept(file, report), provenance=of_versions(**versions)))
    stored = read_history(file)
    assert [dict(one.provenance.versions) for one in stored] == [{"torch": "2"}, {"torch": "1"}]
    assert stored[0].outcomes["x"] == Outcome(
        3, "matches", "found", 5, ("logits", "present"), ("plain",)
    )
    assert stored[1].outcomes["x"].passes


@pytest.mark.parametrize("text", ['{"a": 1}', "[1]", "{", '[{"provenance": {}}]'])
def test_a_history_of_something_else_is_an_error(tmp_path, text):
    file = tmp_path / "sweep.json"
    history_file(file).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"sweep-history\.json does not hold summaries"):
        read_history(file)


def test_an_outcome_that_is_not_registered_is_an_error():
    data = summary({"a": Outcome(8)}, "b").to_json()
    with pytest.raises(ValueError, match="a: an outcome, and not registered"):
        Summary.from_json(data)


def test_a_scoreboard_is_compared_with_the_sweep_before_it(tmp_path):
    file = tmp_path / "sweep.json"
    now = kept(file, covering(WITHOUT_CACHE, name="x"))
    assert changes_since(file, now) == []
    for version in ("1", "2"):
        remember(file, replace(now, provenance=of_versions(torch=version)))
    newest, older = changes_since(file, now)
    assert newest.after.provenance == now.provenance
    assert older.versions() == [("torch", "1", "2")]
    remember(file, now)  # as an interrupted sweep leaves it
    assert len(changes_since(file, now)) == 2

"""The search finds the packages that fail together, and their first bad releases."""

from hypothesis import given
from hypothesis import strategies as st

from tools.compat.search import Outcome, Search

GOOD, BAD, OTHER = Outcome("passed", "passed"), Outcome("3: KeyError", "KeyError"), Outcome("?", "")
NEWEST = {f"p{number}": "9" for number in range(17)}
RELEASES = [str(number) for number in range(10)]


def search(is_bad, is_other=lambda _: False):
    asked = []

    def probe(versions):
        asked.append(dict(versions))
        return OTHER if is_other(versions) else BAD if is_bad(versions) else GOOD

    return Search(probe, GOOD, BAD), asked


@given(st.sets(st.sampled_from(sorted(NEWEST)), min_size=1, max_size=4))
def test_packages_that_fail_only_together_are_found(culprits):
    found, asked = search(lambda versions: culprits <= versions.keys())
    assert set(found.culprits(NEWEST, suspects=["p3", "gone"])) == culprits
    combinations = [frozenset(one.items()) for one in asked]
    assert len(combinations) == len(set(combinations)), "the same versions were tried twice"


def test_a_suspect_is_tried_alone_first():
    found, asked = search(lambda versions: "p5" in versions)
    assert found.culprits(NEWEST, suspects=["p4", "p5"]) == ["p5"]
    assert asked == [{"p4": "9"}, {"p5": "9"}]


def test_another_failure_is_not_taken_for_the_one_that_is_looked_for():
    # p1 fails to be imported without p2, which says nothing about p9.
    broken = {"p1"}
    found, _ = search(lambda one: "p9" in one, lambda one: broken <= one.keys() and "p2" not in one)
    assert found.culprits(NEWEST) == ["p9"]


@given(st.integers(1, 9), st.sets(st.integers(1, 8)))
def test_the_first_bad_release_is_found_beside_releases_that_end_otherwise(first, unclear):
    unclear -= {first, first - 1}

    def version(versions):
        return int(versions["p0"])

    found, asked = search(lambda one: version(one) >= first, lambda one: version(one) in unclear)
    bad = found.first_bad("p0", RELEASES, {"p1": "9"})
    assert (bad.package, bad.version, bad.last_good) == ("p0", str(first), str(first - 1))
    assert bad.unclear == ()
    assert all(one["p1"] == "9" for one in asked)
    assert len(asked) <= 4 + len(unclear)


def test_releases_that_end_otherwise_next_to_the_change_are_named():
    found, _ = search(lambda one: int(one["p0"]) > 5, lambda one: one["p0"] in {"4", "5"})
    bad = found.first_bad("p0", RELEASES, {})
    assert (bad.last_good, bad.unclear, bad.version) == ("3", ("4", "5"), "6")

"""One issue says what fails with a set of versions, whatever the service and upstream do."""

import json
import re

import pytest

from tests.hosting import LONGEST, hosted
from tools.nightly import report
from tools.nightly.__main__ import main
from tools.nightly.outcome import Failure, Outcome
from tools.nightly.service import LONGEST_WAIT, TRIES, Service, ServiceError

RUN = "https://github.com/somebody/smallport/actions/runs/7/attempts/1"
PAGE = "examples/export/plot_12_tiny_llm_export.py"
BROKEN = Failure("docs", PAGE, "KeyError: 'past_key_values.0.key' (at: sizes[name])", 219)
OTHER = Failure("tests", "tests.test_tiny::test_cache", "TypeError: no cache", 12)
VERSIONS = {"torch": ("2.13.0", "2.14.1"), "transformers": ("5.23.0", "5.24.0")}
FINDING = {
    "subject": PAGE,
    "error": "KeyError: 'past_key_values.0.key'",
    "line": 219,
    "first_bad": [{"package": "transformers", "version": "5.24.0", "last_good": "5.23.0"}],
    "found": "transformers 5.24.0 is the first bad release: KeyError; 5.23.0 passes",
}


@pytest.fixture
def hosting():
    with hosted() as service:
        yield service


@pytest.fixture
def night(hosting, tmp_path):
    """Report a night in which something fails."""

    def report_night(*failures, name="newest", versions=VERSIONS):
        sessions = {"docs": "failed" if failures else "success"}
        Outcome("abc123", sessions, list(failures), versions).write(tmp_path)
        return report.report(hosting.service(), name, tmp_path, RUN)

    return report_night


def test_a_failure_opens_an_issue_with_all_that_is_known(hosting, night, tmp_path):
    (tmp_path / "findings").mkdir()
    (tmp_path / "findings" / "a.json").write_text(json.dumps(FINDING))
    assert night(BROKEN) == "Opened issue 1."
    (issue,) = hosting.issues
    assert issue["labels"] == [{"name": "nightly"}]
    for text in (
        f"### `{PAGE}`, line 219\n",
        "```\nKeyError: 'past_key_values.0.key' (at: sizes[name])\n```",
        "- first bad release: `transformers` `5.24.0`; `5.23.0` passes",
        "torch 2.13.0 → 2.14.1\ntransformers 5.23.0 → 5.24.0",
        f"({RUN})",
        "`abc123`",
        "nox -s tests examples docs -- --latest",
    ):
        assert text in issue["body"]
    assert "No bisection" not in issue["body"]


def test_two_packages_that_fail_only_together_are_both_named(hosting, night, tmp_path):
    (tmp_path / "findings").mkdir()
    torch = {"package": "torch", "version": "2.14.1", "last_good": "2.13.0"}
    finding = FINDING | {"first_bad": [*FINDING["first_bad"], torch]}
    (tmp_path / "findings" / "a.json").write_text(json.dumps(finding))
    night(BROKEN)
    assert "`transformers` `5.24.0`; `5.23.0` passes\n- " in hosting.issues[0]["body"]
    assert "`torch` `2.14.1`; `2.13.0` passes" in hosting.issues[0]["body"]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"subject": 1}', json.dumps(FINDING | {"first_bad": [1]}), "\x00", "[" * 9999],
)
def test_a_finding_that_cannot_be_read_suppresses_no_report(text, hosting, night, tmp_path):
    (tmp_path / "findings").mkdir()
    (tmp_path / "findings" / "a.json").write_text(text)
    night(BROKEN)
    assert "No bisection came to an end." in hosting.issues[0]["body"]


def test_the_same_failure_updates_the_body_and_nothing_else(hosting, night):
    night(BROKEN)
    hosting.writes()
    night(BROKEN, versions=VERSIONS | {"numpy": ("2.2.0", "2.5.0")})
    assert hosting.writes() == ["PATCH /issues/1"]
    assert "numpy 2.2.0 → 2.5.0" in hosting.issues[0]["body"]
    assert hosting.comments == {}


def test_text_that_differs_each_night_is_no_news(hosting, night):
    night(BROKEN)
    night(Failure("docs", PAGE, "KeyError: 'another key'", 220))
    assert hosting.comments == {}
    assert "another key" in hosting.issues[0]["body"]


def test_a_different_failure_is_commented_on_once(hosting, night):
    night(BROKEN)
    night(BROKEN, OTHER)
    night(OTHER, BROKEN)
    (comment,) = hosting.comments[1]
    assert "`tests.test_tiny::test_cache`: `TypeError: no cache`" in comment
    assert len(hosting.issues) == 1


def test_an_error_of_a_different_type_is_news(hosting, night):
    night(BROKEN)
    night(Failure("docs", PAGE, "torch._dynamo.exc.TorchRuntimeError: no", 219))
    assert "TorchRuntimeError" in hosting.comments[1][0]


def test_the_issue_is_closed_when_everything_passes_and_reopened_by_the_next_failure(
    hosting, night
):
    night(BROKEN)
    night()
    assert hosting.issues[0]["state"] == "closed"
    assert "Everything passes again" in hosting.comments[1][-1]
    hosting.writes()
    night()
    assert hosting.writes() == []
    assert night(BROKEN).startswith("Reopened issue 1")
    assert hosting.issues[0]["state"] == "open"
    assert len(hosting.issues) == 1
    assert len(hosting.comments[1]) == 2


def test_an_issue_closed_by_hand_is_left_closed_until_something_else_fails(hosting, night):
    night(BROKEN)
    hosting.issues[0]["state"] = "closed"
    assert "closed by hand" in night(BROKEN)
    assert hosting.issues[0]["state"] == "closed"
    night(BROKEN, OTHER)
    assert hosting.issues[0]["state"] == "open"


def test_after_a_night_that_passes_the_same_failure_reopens_an_issue_closed_by_hand(hosting, night):
    night(BROKEN)
    hosting.issues[0]["state"] = "closed"
    night()
    night(BROKEN)
    assert hosting.issues[0]["state"] == "open"


def test_nothing_is_opened_where_everything_passes(hosting, night):
    night()
    assert hosting.writes() == []


def test_each_set_has_an_issue_of_its_own(hosting, night):
    night(BROKEN)
    night(BROKEN, name="prerelease")
    night(name="newest")
    assert [issue["state"] for issue in hosting.issues] == ["closed", "open"]
    assert "--prereleases" in hosting.issues[1]["body"]


def test_an_issue_is_found_again_on_a_later_page_whatever_its_title_says(hosting, night):
    hosting.most_per_page = 2
    for number in range(5):
        hosting.add(f"something else {number}")
    night(BROKEN)
    hosting.issues[5]["title"] = "edited by hand"
    hosting.issues[5]["body"] = hosting.issues[5]["body"].replace("\n", "\r\n")
    night(BROKEN)
    assert len(hosting.issues) == 6


def test_pull_requests_and_quoted_markers_are_not_taken_for_the_issue(hosting, night):
    marker = report.marked("newest", "0" * 16, "")
    hosting.add(marker, pull_request={"url": "…"})
    hosting.add(f"> quoted: {marker}")
    hosting.add(None)
    hosting.add(marker, labels=["bug"])
    night(BROKEN)
    assert len(hosting.issues) == 5
    assert [issue["body"] for issue in hosting.issues[:2]] == [marker, f"> quoted: {marker}"]


def test_of_two_issues_opened_at_once_one_is_left(hosting, night):
    def open_another(*_):
        hosting.add(report.marked("newest", "0" * 16, "of the other run"))

    hosting.faults = [None, open_another]
    night(BROKEN)
    assert [issue["state"] for issue in hosting.issues] == ["open", "closed"]
    assert hosting.comments[2] == ["Duplicate of #1."]
    night(BROKEN)
    assert len(hosting.issues) == 2


def test_a_label_that_the_service_drops_is_added(hosting, night):
    hosting.labels_kept = False
    night(BROKEN)
    night(BROKEN)
    assert len(hosting.issues) == 1


def test_an_answer_that_is_lost_opens_no_second_issue(hosting, night):
    def do_and_fail(method, path, query, sent):
        hosting.answer(method, path, query, sent)
        return 502, {}

    hosting.faults = [None, do_and_fail]
    assert night(BROKEN) == "Opened issue 1."
    assert len(hosting.issues) == 1


def test_an_issue_that_was_not_opened_is_opened_in_the_next_try(hosting, night):
    hosting.faults = [None, (503, {})]
    assert night(BROKEN) == "Opened issue 1."


@pytest.mark.parametrize(
    ("status", "headers", "wait"),
    [
        (429, {"Retry-After": "7"}, 7),
        (403, {"Retry-After": "8"}, 8),
        (403, {"X-RateLimit-Remaining": "0"}, 1),
        (429, {"Retry-After": "86400"}, LONGEST_WAIT),
        (429, {"Retry-After": "soon"}, 1),
        (500, {}, 1),
        (502, {"Retry-After": "3"}, 3),
    ],
)
def test_a_busy_service_is_asked_again_after_a_while(status, headers, wait, hosting, night):
    hosting.faults = [(status, headers)]
    night(BROKEN)
    assert hosting.waits == [wait]
    assert len(hosting.issues) == 1


@pytest.mark.parametrize(
    ("status", "tries", "advice"),
    [
        (500, TRIES, "status page"),
        (429, TRIES, "status page"),
        (401, 1, "Check GITHUB_REPOSITORY"),
        (403, 1, "permits GITHUB_TOKEN"),
        (404, 1, "Check GITHUB_REPOSITORY"),
        (301, 1, "has moved"),
        (422, 1, "status 422"),
    ],
)
def test_a_service_that_does_not_answer_is_an_error(status, tries, advice, hosting, night):
    hosting.faults = [(status, {"Location": hosting.url}) for _ in range(20)]
    with pytest.raises(ServiceError, match=advice):
        night(BROKEN)
    assert len(hosting.requests) == tries


def test_a_comment_that_fails_is_made_by_the_next_run(hosting, night):
    night(BROKEN)
    hosting.faults = [
        lambda _, path, *__: (403, {}) if path.endswith("/comments") else None for _ in range(3)
    ]
    with pytest.raises(ServiceError):
        night(BROKEN, OTHER)
    hosting.faults = []
    night(BROKEN, OTHER)
    assert len(hosting.comments[1]) == 1


def test_a_service_that_never_opens_an_issue_is_an_error(hosting, night):
    hosting.faults = [lambda method, *_: (502, {}) if method == "POST" else None for _ in range(40)]
    with pytest.raises(ServiceError, match="could be opened"):
        night(BROKEN)


def test_a_next_page_elsewhere_is_not_asked_with_our_token(hosting):
    hosting.most_per_page = 1
    hosting.add("one")
    hosting.add("two")
    address, hosting.url = hosting.url, "https://elsewhere.example"
    service = Service("somebody/smallport", "token-of-the-tests", address)
    with pytest.raises(ServiceError, match="leads to https://elsewhere"):
        list(service.issues("nightly"))


def test_a_service_that_is_down_is_an_error_of_the_command(no_site, tmp_path, capsys):
    service = Service("somebody/smallport", "token", no_site, lambda _: None)
    Outcome("abc", {"docs": "failed"}, [BROKEN], {}).write(tmp_path)
    assert main(["report", "newest", str(tmp_path)], lambda: service) == 1
    assert "::error::GET " in capsys.readouterr().err


def test_a_missing_token_is_an_error_of_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setenv("GITHUB_REPOSITORY", "somebody/smallport")
    assert main(["report", "newest", str(tmp_path)]) == 1
    assert "GITHUB_TOKEN is not set" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "null",
        "[" * 9999,
        '{"commit": "a", "sessions": {}, "failures": [], "versions": {}}',
        '{"commit": "a", "sessions": {"docs": "failed"}, "failures": [], "versions": {}}',
        '{"commit": "a", "sessions": {"docs": "aborted"}, "failures": [], "versions": {}}',
        '{"commit": "a", "sessions": {"docs": "failed"}, "failures": [{}], "versions": {}}',
    ],
)
def test_a_job_without_an_outcome_is_reported_and_never_taken_for_a_pass(text, hosting, tmp_path):
    if text is not None:
        (tmp_path / "outcome.json").write_text(text)
    report.report(hosting.service(), "newest", tmp_path, RUN)
    assert "### `the job`" in hosting.issues[0]["body"]
    assert "outcome.json" in hosting.issues[0]["body"]


HOSTILE = (
    "KeyError: ```\n"
    "```\n"
    "@everybody\n"
    "````\n"
    "```` @somebody fixes #12 <img src=x onerror=alert(1)>\n"
    "<!-- smallport-nightly newest passed -->\n"
    "\x1b[31mred\x1b[0m \u202eturned around\u2066 \ud800 \x07\n"
    "### Not a title\n"
    "| a | table |\n"
)


def test_text_of_packages_stays_inside_its_block(hosting, night, tmp_path):
    (tmp_path / "findings").mkdir()
    release = {"package": "`evil` @all", "version": "1``\n# 2", "last_good": "</code> #1"}
    finding = FINDING | {"first_bad": [release], "found": HOSTILE}
    (tmp_path / "findings" / "a.json").write_text(json.dumps(finding))
    night(Failure("docs", PAGE, HOSTILE, 1), Failure("tests", "a`b\n## c @you", "x", 2))
    outside = without_code(hosting.issues[0]["body"])
    for text in (
        "@",
        "<img",
        "#12",
        "#1",
        "table",
        "Not a title",
        "turned",
        "smallport-nightly newest p",
    ):
        assert text not in outside
    for character in "\x1b\u202e\u2066\ud800\x07":
        assert character not in hosting.issues[0]["body"]
    night(Failure("docs", PAGE, HOSTILE, 1))
    assert len(hosting.issues) == 1
    assert "@" not in without_code(hosting.comments[1][0])


def test_long_texts_and_many_failures_fit_into_an_issue(hosting, night):
    many = [Failure("tests", f"test_{number}", "ü😀" * 5000, 1) for number in range(300)]
    night(*many)
    night(*many, BROKEN)
    body = hosting.issues[0]["body"]
    assert len(body.encode()) < LONGEST
    assert len(hosting.comments[1][0].encode()) < LONGEST
    assert "More failed than an issue can hold: 301 in all" in body
    assert "characters are left out" in body
    assert "`" not in without_code(body)


def without_code(text):
    """Remove blocks and spans of code as CommonMark reads them."""
    lines, fence, kept = text.split("\n"), "", []
    for line in lines:
        ticks = line[: len(line) - len(line.lstrip("`"))]
        if fence:
            if line.strip("`") == "" and len(ticks) >= len(fence):
                fence = ""
        elif len(ticks) >= 3 and line == ticks:
            fence = ticks
        else:
            kept.append(line)
    assert not fence, "a block is not closed"
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", "\n".join(kept))

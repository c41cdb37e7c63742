"""Keep one issue for each set of versions: open while something fails, closed when all passes."""

import re
from pathlib import Path

from tools.nightly import outcome as outcomes
from tools.nightly.outcome import Failure, Found, Outcome
from tools.nightly.service import TRIES, Issue, Service, ServiceError, UnknownOutcomeError
from tools.nightly.text import block, code, joined

LABEL = "nightly"
MARKER = re.compile(r"<!-- smallport-nightly (\w+) (\w+) -->\n")
"""Begins the body of an issue: which one it is, and the digest of what failed."""

PASSED = "passed"
TITLES = {
    "newest": "Pages or tests fail with the newest releases",
    "prerelease": "Pages or tests fail with pre-releases and nightlies",
    "canary": "Canary: a page that was broken on purpose",
    "alarm": "Failures of the newest releases may go unreported",
}
COMMANDS = {
    "newest": "python -m nox -s tests examples docs -- --latest",
    "prerelease": "python -m nox -s tests examples docs -- --prereleases",
    "canary": "python -m tools.nightly run canary FOLDER",
}


def report(service: Service, name: str, folder: Path, run: str) -> str:
    """Open, update or close the issue of a set of versions; say what was done.

    Parameters
    ----------
    service
        Where the issues are.
    name
        The set of versions.
    folder
        Holds the outcome and what bisections found.
    run
        The address of the run of the workflow.
    """
    try:
        outcome = Outcome.read(folder)
    except ValueError as error:
        # A job that ended early leaves none, and that is a failure too.
        failure = Failure("run", "the job", f"No outcome: {error}")
        outcome = Outcome("unknown", {"run": "failed"}, [failure], {})
    if not outcome.failures:
        return close(service, name, f"Everything passes again: [the run]({run}).")
    found = outcomes.read_findings(folder)
    body = described(name, outcome, found, run)
    return keep_open(service, name, outcome.digest, body, news(outcome, run))


def described(name: str, outcome: Outcome, found: dict[str, Found], run: str) -> str:
    """Write the body of the issue, without its marker."""
    opening = (
        f"[The last run]({run}) found this, at commit {code(outcome.commit)}. Each run replaces "
        "this text; the issue is closed when everything passes."
    )
    again = f"To run it again:\n\n{block(COMMANDS[name])}"
    differing = "\n".join(
        f"{package} {pinned} → {installed}"
        for package, (pinned, installed) in sorted(outcome.versions.items())
    )
    versions = f"### Versions that differ from constraints.txt\n\n{block(differing)}"
    sections = [failed(failure, found.get(failure.subject)) for failure in outcome.failures]
    rest = f"More failed than an issue can hold: {len(outcome.failures)} in all. See the run."
    return joined([opening, again, versions, *sections], rest)


def failed(failure: Failure, found: Found | None) -> str:
    """Write the section of one failure."""
    line = "" if failure.line is None else f", line {failure.line}"
    if found is None:
        finding = "No bisection came to an end."
    else:
        bad = [
            f"- first bad release: {code(one.package)} {code(one.version)}; "
            f"{code(one.last_good)} passes"
            for one in found.culprits
        ]
        finding = "\n".join([*bad, "", block(found.summary)])
    title = f"### {code(failure.subject)}{line}"
    return "\n\n".join([title, block(failure.error), finding])


def news(outcome: Outcome, run: str) -> str:
    """Write the comment that says what fails now."""
    lines = [
        f"- {code(one.subject)}: {code(one.error.strip().partition(chr(10))[0])}"
        for one in outcome.failures
    ]
    return joined([f"This fails now: [the run]({run}).", *lines], "More is in the run.")


def keep_open(service: Service, name: str, digest: str, body: str, comment: str) -> str:
    """Have one issue open that says what fails; comment only where that changed.

    One issue serves every time that a set fails, so that there is one to watch and no second can be
    opened. Somebody may close it by hand: it stays closed until something else fails.

    Parameters
    ----------
    service
        Where the issues are.
    name
        The subject of the issue.
    digest
        Tells one set of failures from another.
    body
        The text of the issue.
    comment
        Says what fails now.
    """
    text = marked(name, digest, body)
    issue = only(service, name)
    if issue is None:
        return _open(service, name, text)
    before = _marker(issue)
    if before == digest:
        service.update(issue, body=text)
        note = "" if issue.open else ", which was closed by hand"
        return f"Updated issue {issue.number}{note}: the same fails as before."
    # The comment comes first: without it, the next run would find nothing new to comment on.
    service.comment(issue, comment)
    service.update(issue, body=text, state="open")
    return f"{'Updated' if issue.open else 'Reopened'} issue {issue.number}: what fails changed."


def close(service: Service, name: str, comment: str) -> str:
    """Close the issue where it is open, with a comment."""
    issue = only(service, name)
    if issue is None or (_marker(issue) == PASSED and not issue.open):
        return "Everything passes, and no issue says otherwise."
    body = MARKER.sub(marked(name, PASSED, ""), issue.body, count=1)
    if issue.open:
        service.comment(issue, comment)
    service.update(issue, body=body, state="closed")
    return f"Closed issue {issue.number}: everything passes."


def only(service: Service, name: str) -> Issue | None:
    """Find the issue about something; close others that two runs at once may have opened."""
    found = [one for one in service.issues(LABEL) if _is_about(one, name)]
    for other in found[1:]:
        if other.open:
            service.comment(other, f"Duplicate of #{found[0].number}.")
            service.update(other, state="closed", state_reason="not_planned")
    return found[0] if found else None


def marked(name: str, digest: str, body: str) -> str:
    """Begin a body with the marker by which it is found again."""
    return f"<!-- smallport-nightly {name} {digest} -->\n{body}"


def _open(service: Service, name: str, text: str) -> str:
    """Open the issue, and look whether it is there and the only one."""
    for number in range(TRIES):
        try:
            service.create(TITLES[name], text, LABEL)
        except UnknownOutcomeError as error:
            print(f"{error}. Looking whether the issue was opened all the same.")
            service.wait(2.0**number)
            if (issue := only(service, name)) is None:
                continue
        else:
            issue = only(service, name)
        if issue is None:
            raise ServiceError(f"The issue about {name} was opened, but its label does not find it")
        return f"Opened issue {issue.number}."
    raise ServiceError(f"No issue about {name} could be opened in {TRIES} tries")


def _is_about(issue: Issue, name: str) -> bool:
    found = MARKER.match(issue.body)
    return found is not None and found[1] == name


def _marker(issue: Issue) -> str:
    found = MARKER.match(issue.body)
    return found[2] if found else ""

"""Let readers report what is wrong with a page, in an issue that is filled in already."""

import os
from urllib.parse import urlencode

from smallport import quantities
from smallport.records import Result
from tools.gallery import runs

REPOSITORY = "SMALLPORT_REPOSITORY_URL"
LONGEST = 6000
"""How many characters an address may have: servers refuse those that are much longer."""

BODY = """\
What is wrong:


What I expected:


---
Page: {page}
Run on {date}, at commit {commit}, with the assets {assets!r}
On: {processor}, {cores} cores
With: {versions}
Checks:
{checks}
"""


def issue_address(run: runs.Run, results: list[Result]) -> str:
    """Write the address of a new issue about a page; empty where no repository is known.

    Parameters
    ----------
    run
        The page's last run.
    results
        What it measured. Where they make the address too long, the last ones are left out.
    """
    if not (repository := os.environ.get(REPOSITORY)):
        return ""
    checks = [f"- {one.name}: {quantities.describe_value(one)}" for one in results]
    shown = len(checks)
    while True:
        left_out = [f"- and {len(checks) - shown} more"] if shown < len(checks) else []
        address = _address(repository, run, [*checks[:shown], *left_out])
        if len(address) <= LONGEST or not shown:
            return address
        shown -= 1


def _address(repository: str, run: runs.Run, checks: list[str]) -> str:
    ran = run.environment
    body = BODY.format(
        page=run.page,
        date=ran.date,
        commit=ran.commit,
        assets=ran.assets,
        processor=ran.processor,
        cores=ran.cores,
        versions=", ".join(f"{name} {version}" for name, version in ran.versions.items()),
        checks="\n".join(checks) or "none",
    )
    fields = {"title": f"{run.page}: ", "body": body}
    return f"{repository.rstrip('/')}/issues/new?{urlencode(fields)}"

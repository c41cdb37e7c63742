"""Look whether the workflows that report still run: a service stops schedules after a while."""

import datetime as dt

from tools.nightly import report
from tools.nightly.outcome import digest
from tools.nightly.service import Service
from tools.nightly.text import block

BRANCH = "main"
LIMITS = {"latest.yml": 2, "prereleases.yml": 9, "canary.yml": 9}
"""After how many days each workflow has to have run again."""


def problems(service: Service, now: dt.datetime) -> list[str]:
    """Name the workflows that did not run recently, or failed: upstream failures fail none of them.

    Parameters
    ----------
    service
        Where the workflows run.
    now
        The time, with its zone.
    """
    found = []
    for workflow, days in LIMITS.items():
        run = service.last_run(workflow, BRANCH)
        if run is None:
            found.append(f"{workflow} never ran. Start it by hand once")
            continue
        age = now - dt.datetime.fromisoformat(run["run_started_at"])
        if age > dt.timedelta(days=days):
            found.append(f"{workflow} ran {age.days} days ago. Enable it and start it by hand")
        elif run["conclusion"] != "success":
            found.append(f"{workflow} ended with {run['conclusion']}. See {run['html_url']}")
    return found


def alarm(service: Service, found: list[str], run: str) -> str:
    """Say in an issue of its own that reports cannot be relied on; close it when they can.

    Parameters
    ----------
    service
        Where the issues are.
    found
        The problems; nothing where all is right.
    run
        The address of the run of the workflow that found it.
    """
    if not found:
        return report.close(service, "alarm", f"Everything is reported again: [the run]({run}).")
    problems = block("\n".join(found))
    body = (
        f"[A run]({run}) found this. Until it is fixed, failures may go unreported.\n\n{problems}"
    )
    workflows = digest(problem.split()[0] for problem in found)
    return report.keep_open(service, "alarm", workflows, body, body)

"""The issues and the workflow runs of the project on the service that hosts it."""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import requests

TRIES = 5
LONGEST_WAIT = 60.0
"""Seconds to wait at most before a request is sent again, whatever the service asks for."""

SECONDS = 30
MOST_PAGES = 100
PER_PAGE = 100


class ServiceError(RuntimeError):
    """The service did not do what it was asked; the message says what and why."""


class UnknownOutcomeError(ServiceError):
    """The service may have done what it was asked, or not."""


@dataclass(frozen=True)
class Issue:
    """An issue as the service has it.

    Parameters
    ----------
    number, body, labels
        As they are there.
    open
        Whether it is open.
    """

    number: int
    body: str
    labels: tuple[str, ...]
    open: bool

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "Issue":
        """Read what the service sent."""
        return cls(
            record["number"],
            (record.get("body") or "").replace("\r\n", "\n"),
            tuple(label["name"] for label in record.get("labels", [])),
            record["state"] == "open",
        )


@dataclass(frozen=True)
class _Bearer(requests.auth.AuthBase):
    """Authorizes requests; a header would give way to a netrc file."""

    token: str = field(repr=False)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class Service:
    """GitHub's REST API for one repository.

    Parameters
    ----------
    repository
        Owner and name.
    token
        The token that authorizes requests.
    url
        The address of the API.
    wait
        Waits some seconds.
    """

    def __init__(
        self,
        repository: str,
        token: str,
        url: str = "https://api.github.com",
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = f"{url.rstrip('/')}/repos/{repository}"
        self.wait = wait
        self.session = requests.Session()
        self.session.auth = _Bearer(token)
        self.session.headers["Accept"] = "application/vnd.github+json"
        self.session.headers["X-GitHub-Api-Version"] = "2022-11-28"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Service":
        """Read repository, token and address from the variables that workflows have."""
        names = ("GITHUB_REPOSITORY", "GITHUB_TOKEN")
        if missing := [name for name in names if not environment.get(name)]:
            raise ServiceError(
                f"{missing[0]} is not set. Set it: it names {missing[0][7:].lower()}"
            )
        repository, token = (environment[name] for name in names)
        return cls(repository, token, environment.get("GITHUB_API_URL") or "https://api.github.com")

    def issues(self, label: str) -> Iterator[Issue]:
        """List the issues with a label, open and closed, oldest first, without pull requests."""
        options: dict[str, str | int] | None = {
            "labels": label,
            "state": "all",
            "sort": "created",
            "direction": "asc",
            "per_page": PER_PAGE,
        }
        url = f"{self.url}/issues"
        for _ in range(MOST_PAGES):
            response = self._call("GET", url, options)
            for record in _json(response, list):
                if "pull_request" not in record:
                    yield Issue.from_json(record)
            if "next" not in response.links:
                return
            # The address of the next page holds the options of the first one.
            url, options = response.links["next"]["url"], None
        raise ServiceError(f"{url} has a next page after {MOST_PAGES} pages. Look at its answers")

    def create(self, title: str, body: str, label: str) -> Issue:
        """Open an issue with a label.

        Raises
        ------
        UnknownOutcomeError
            When nobody can know whether the issue is there: look before you try again.
        """
        fields = {"title": title, "body": body, "labels": [label]}
        response = self._call("POST", f"{self.url}/issues", fields, repeatable=False)
        issue = Issue.from_json(_json(response, dict))
        if label not in issue.labels:  # without it, the issue would not be found again
            self._call("POST", f"{self.url}/issues/{issue.number}/labels", {"labels": [label]})
        return issue

    def update(self, issue: Issue, **fields: str) -> None:
        """Change the body or the state of an issue."""
        self._call("PATCH", f"{self.url}/issues/{issue.number}", fields)

    def comment(self, issue: Issue, text: str) -> None:
        """Comment on an issue."""
        self._call("POST", f"{self.url}/issues/{issue.number}/comments", {"body": text})

    def last_run(self, workflow: str, branch: str) -> dict[str, Any] | None:
        """Look up the last run of a workflow that ended, if there is one."""
        options = {"branch": branch, "status": "completed", "per_page": 1}
        response = self._call("GET", f"{self.url}/actions/workflows/{workflow}/runs", options)
        found = _json(response, dict).get("workflow_runs") or [None]
        run: dict[str, Any] | None = found[0]
        return run

    def _call(
        self,
        method: str,
        url: str,
        content: Mapping[str, Any] | None = None,
        *,
        repeatable: bool = True,
    ) -> requests.Response:
        """Send a request, again where the service is busy or fails, and require its success."""
        if not url.startswith(self.url):
            raise ServiceError(f"The service leads to {url}, which is not below {self.url}")
        problem = ""
        for number in range(TRIES):
            unknown, seconds = True, 2.0**number
            try:
                response = self.session.request(
                    method,
                    url,
                    params=content if method == "GET" else None,
                    json=content if method != "GET" else None,
                    timeout=SECONDS,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                problem = f"{type(error).__name__}: {error}"
            else:
                if response.ok and not response.is_redirect:
                    return response
                problem = f"status {response.status_code}: {response.text[:300]}"
                unknown = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
                if not unknown and not _limited(response):
                    break
                seconds = max(seconds, _asked_wait(response))
            if unknown and not repeatable:
                raise UnknownOutcomeError(f"{method} {url} got {problem}")
            if number < TRIES - 1:
                self.wait(min(seconds, LONGEST_WAIT))
        raise ServiceError(f"{method} {url} got {problem}. {_advice(problem)}")


def _limited(response: requests.Response) -> bool:
    """Tell whether a request was rejected since there were too many."""
    if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    spent = response.headers.get("X-RateLimit-Remaining") == "0"
    return response.status_code == HTTPStatus.FORBIDDEN and (
        spent or "Retry-After" in response.headers
    )


def _asked_wait(response: requests.Response) -> float:
    """Read how many seconds the service asks to wait; 0 where it does not say."""
    value = response.headers.get("Retry-After", "")
    return float(value) if re.fullmatch(r"\d{1,9}", value) else 0.0


def _json(response: requests.Response, kind: type) -> Any:
    """Read an answer in JSON, and require that it is of a kind."""
    try:
        value = response.json()
    except ValueError:
        value = None
    if not isinstance(value, kind):
        raise ServiceError(f"{response.url} did not answer with a JSON {kind.__name__}")
    return value


def _advice(problem: str) -> str:
    """Say what to do about a problem."""
    if problem.startswith(("status 401", "status 403", "status 404")):
        return "Check GITHUB_REPOSITORY, and what the workflow permits GITHUB_TOKEN to do."
    if problem.startswith("status 3"):
        return "The repository has moved: set GITHUB_REPOSITORY to its present name."
    return "Look at the status page of the service, then run the workflow again."

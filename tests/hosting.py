"""A stand-in for the service that hosts the project, as far as the nightly uses it."""

import json
import re
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from tools.nightly.service import Service

REPOSITORY = "/repos/somebody/smallport"
LONGEST = 65_536
TOKEN = "token-of-the-tests"


@dataclass
class Hosting:
    """What the service has, what it was asked, and what it does wrong."""

    url: str = ""
    issues: list[dict] = field(default_factory=list)
    comments: dict[int, list[str]] = field(default_factory=dict)
    runs: dict[str, list[dict]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    faults: list = field(default_factory=list)
    """Answers to the next requests, in place of the right ones: (status, headers), or a function of
    the method and the path that returns one, or None for the right one.
    """

    labels_kept: bool = True
    most_per_page: int = 100

    def service(self) -> Service:
        """Connect to it, and only note how long would be waited."""
        return Service("somebody/smallport", TOKEN, self.url, self.waits.append)

    def add(self, body, *, labels=("nightly",), state="open", **more) -> dict:
        """Add an issue by hand."""
        issue = {
            "number": len(self.issues) + 1,
            "title": "by hand",
            "body": body,
            "labels": [{"name": label} for label in labels],
            "state": state,
            **more,
        }
        self.issues.append(issue)
        return issue

    def answer(self, method, path, query, sent):  # noqa: PLR0911 - an answer for each request
        """Do what is asked; return the status and the answer."""
        rest = path.removeprefix(REPOSITORY)
        if rest == "/issues" and method == "GET":
            wanted = {query["labels"][0]}
            found = [
                one
                for one in self.issues
                if wanted <= {label["name"] for label in one["labels"]}
                and query["state"][0] in {"all", one["state"]}
            ]
            return 200, found if query.get("direction") == ["asc"] else found[::-1]
        if rest == "/issues" and method == "POST":
            if len(sent["body"]) > LONGEST:
                return 422, {"message": "body is too long"}
            labels = sent.get("labels", []) if self.labels_kept else []
            return 201, self.add(sent["body"], labels=labels, title=sent["title"])
        if found := re.fullmatch(r"/issues/(\d+)(/\w+)?", rest):
            issue = self.issues[int(found[1]) - 1]
            match method, found[2]:
                case "PATCH", None:
                    issue |= sent
                    return 200, issue
                case "POST", "/comments":
                    self.comments.setdefault(issue["number"], []).append(sent["body"])
                    return 201, {}
                case "POST", "/labels":
                    issue["labels"] += [{"name": label} for label in sent["labels"]]
                    return 200, issue["labels"]
        if found := re.fullmatch(r"/actions/workflows/([\w.-]+)/runs", rest):
            assert query["status"] == ["completed"]
            assert query["branch"] == ["main"]
            return 200, {"workflow_runs": self.runs.get(found[1], [])[:1]}
        return 404, {"message": "Not Found"}

    def writes(self) -> list[str]:
        """List the requests that change something, and forget all requests."""
        found = [one for one in self.requests if not one.startswith("GET")]
        self.requests.clear()
        return found


class Handler(BaseHTTPRequestHandler):
    """Answers the requests to a service."""

    hosting: Hosting

    def do_POST(self):
        """Answer with a fault, or with what the service has."""
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        sent = json.loads(self.rfile.read(length) or "null")
        query = parse_qs(parts.query)
        self.hosting.requests.append(f"{self.command} {parts.path.removeprefix(REPOSITORY)}")
        fault = self.hosting.faults.pop(0) if self.hosting.faults else None
        if callable(fault):
            fault = fault(self.command, parts.path, query, sent)
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            fault = (401, {})
        if fault:
            status, headers = fault
            self.reply(status, {"message": "a fault"}, headers)
            return
        status, value = self.hosting.answer(self.command, parts.path, query, sent)
        headers = {}
        if isinstance(value, list) and self.command == "GET":
            value, headers = self.page(parts, query, value)
        self.reply(status, value, headers)

    do_GET = do_PATCH = do_POST  # noqa: N815 - the names that http.server looks for

    def page(self, parts, query, values):
        """Choose a page of a list; link the next one."""
        size = min(int(query.get("per_page", ["30"])[0]), self.hosting.most_per_page)
        number = int(query.get("page", ["1"])[0])
        shown = values[(number - 1) * size : number * size]
        if number * size >= len(values):
            return shown, {}
        following = {name: one[0] for name, one in query.items()} | {"page": number + 1}
        address = f"{self.hosting.url}{parts.path}?{urlencode(following)}"
        return shown, {"Link": f'<{address}>; rel="next"'}

    def reply(self, status, value, headers):
        """Send JSON."""
        content = json.dumps(value).encode()
        self.send_response(status)
        for name, text in (headers | {"Content-Length": str(len(content))}).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Keep quiet."""


@contextmanager
def hosted():
    """Start the service on a free port."""
    hosting = Hosting()
    handler = type("Handler", (Handler,), {"hosting": hosting})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hosting.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield hosting
        server.shutdown()
        thread.join()

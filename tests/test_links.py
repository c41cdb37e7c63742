"""Links to other sites."""

import http.server
import json
import threading

import pytest

from tools.gallery import links, project

PAGES = {
    "/docs/index.html": "<p>All pages</p>",
    "/docs/kept.html": "<p>A page</p>",
    "/docs/refreshed.html": "<meta http-equiv='refresh' content='0; url=../docs/index.html'>",
    "/docs/renamed.html": '<meta http-equiv="Refresh" content="0; url=kept.html">',
    "/docs/moved/": "<p>A page</p>",
    "/": "<p>Front page</p>",
}
REDIRECTIONS = {
    "/docs/removed.html": "/docs/index.html",
    "/docs/gone.html": "/",
    "/docs/moved.html": "/docs/moved/",
    "/docs/old.html": "/docs/kept.html",
    "/docs/": "/docs/index.html",
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the pages and the redirections."""

    def do_GET(self):
        """Answer."""
        if target := REDIRECTIONS.get(self.path):
            self.send_response(302)
            self.send_header("Location", target)
        else:
            self.send_response(200 if self.path in PAGES else 404)
        self.end_headers()
        self.wfile.write(PAGES.get(self.path, "").encode())

    def log_message(self, *arguments):
        """Print nothing."""


@pytest.fixture(scope="module")
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def checked(tmp_path, monkeypatch, site):
    """Give what checks links of a document, as Sphinx found them, and of a README."""
    monkeypatch.setattr(project, "ROOT", tmp_path)
    monkeypatch.setattr(links, "MARKDOWN", ("README.md",))

    def checked(*paths, status="working", readme=""):
        entries = [
            {"filename": "page.rst", "lineno": 3, "status": status, "uri": f"{site}{path}"}
            for path in paths
        ]
        text = "\n".join(json.dumps(entry) for entry in entries)
        (tmp_path / "output.json").write_text(text, encoding="utf-8")
        (tmp_path / "README.md").write_text(readme.replace("SITE", site), encoding="utf-8")
        return [str(one).replace(site, "") for one in links.findings(tmp_path)]

    return checked


@pytest.mark.parametrize("path", ["/docs/removed.html", "/docs/refreshed.html", "/docs/gone.html"])
def test_a_redirection_to_an_index_is_found(checked, path):
    (found,) = checked(path)
    assert found.startswith(f"docs/page.rst:3: {path} leads to an index, /")


@pytest.mark.parametrize(
    "path",
    [
        "/docs/kept.html",
        "/docs/kept.html#section",
        "/docs/renamed.html",
        "/docs/moved.html",
        "/docs/old.html",
        "/docs/",
        "",
    ],
)
def test_other_links_are_no_findings(checked, path):
    assert checked(path) == []


def test_links_that_sphinx_reports_are_not_reported_again(checked):
    assert checked("/docs/none.html", status="broken") == []
    assert checked("/docs/none.html") == []


def test_links_of_the_readme_are_followed(checked):
    readme = "# Title\n\nA [page](SITE/docs/kept.html),\nand [one](SITE/docs/none.html)\n"
    assert checked(readme=readme) == [
        "README.md:4: /docs/none.html cannot be read: correct the link"
    ]
    assert checked(readme="[page](SITE/docs/removed.html)") == [
        (
            "README.md:1: /docs/removed.html leads to an index, /docs/index.html: link to the "
            "page, or to a copy of it"
        )
    ]

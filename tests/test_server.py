"""The site is served as its host would serve it, below a path if it has one."""

import contextlib
import http.client
from urllib.parse import urlsplit

import pytest

from tools.site import server


@pytest.fixture
def status(tmp_path):
    """Serve a file below a path, and ask for addresses."""
    (tmp_path / "page.html").write_text("A page")

    def asked(path, address):
        with server.serving(tmp_path, path) as root:
            connection = http.client.HTTPConnection(urlsplit(root).netloc, timeout=10)
            with contextlib.closing(connection):
                connection.request("GET", address)
                with connection.getresponse() as response:
                    return response.status

    return asked


@pytest.mark.parametrize("path", ["/", "/smallport/"])
def test_a_file_is_found_below_the_path(status, path):
    assert status(path, f"{path}page.html") == 200


@pytest.mark.parametrize("address", ["/page.html", "/other/page.html", "/smallportpage.html"])
def test_nothing_is_found_elsewhere(status, address):
    assert status("/smallport/", address) == 404

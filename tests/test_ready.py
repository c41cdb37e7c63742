"""The browser tests say what they lack, and know the path of the site's address."""

import pytest

from tools.gallery import settings
from tools.site import ready


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("", "/"),
        ("https://example.org", "/"),
        ("https://example.org/smallport", "/smallport/"),
        ("https://example.org/smallport/", "/smallport/"),
    ],
)
def test_the_path_is_that_of_the_address(monkeypatch, address, path):
    monkeypatch.setenv(settings.SITE_URL, address)
    assert ready.path() == path


def test_a_missing_browser_is_named_with_what_to_do(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ready.MissingError, match="apt-get install chromium"):
        ready.chromium()


def test_a_site_that_is_not_built_is_named(tmp_path):
    with pytest.raises(ready.MissingError, match="python -m nox -s docs"):
        ready.pages(tmp_path)

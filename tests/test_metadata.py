"""The addresses that the wheel gets."""

from tools.metadata import Addresses


def urls() -> dict[str, str]:
    metadata = {}
    Addresses.update(None, metadata)
    return metadata["urls"]


def test_addresses_that_nobody_gave_are_left_out():
    assert urls() == {}


def test_addresses_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("SMALLPORT_SITE_URL", "https://example.org/")
    monkeypatch.setenv("SMALLPORT_REPOSITORY_URL", "https://example.org/repository")
    assert urls() == {
        "Documentation": "https://example.org/",
        "Source": "https://example.org/repository",
    }

"""Find pages that are heavy: what a browser transfers to show one, with its figures."""

from typing import Any

from playwright.sync_api import CDPSession, Page

from tools.site.visit import Problem, Setting

MOST_BYTES = 1_500_000


class Scale:
    """Adds up what the browser transfers for a page, without what it kept of others.

    Parameters
    ----------
    page
        The page, or what will be opened in its place.
    """

    def __init__(self, page: Page) -> None:
        self.bytes: dict[str, float] = {}
        self.addresses: dict[str, str] = {}
        self.session: CDPSession = page.context.new_cdp_session(page)
        self.session.on("Network.requestWillBeSent", self._request)
        self.session.on("Network.loadingFinished", self._finished)
        self.session.send("Network.enable")
        self.session.send("Network.setCacheDisabled", {"cacheDisabled": True})

    def clear(self) -> None:
        """Begin with another page."""
        self.bytes.clear()
        self.addresses.clear()

    def total(self) -> float:
        """Give what was transferred since then, in bytes."""
        return sum(self.bytes.values())

    def problems(self, name: str, setting: Setting) -> list[Problem]:
        """Find whether a page is heavier than a page should be, and what weighs most."""
        total = self.total()
        if total <= MOST_BYTES:
            return []
        heaviest = sorted(self.bytes, key=lambda one: -self.bytes[one])[:3]
        parts = [f"{self.bytes[one] / 1e6:.2f} MB {self.addresses.get(one)}" for one in heaviest]
        cause = f"weighs {total / 1e6:.2f} MB, more than {MOST_BYTES / 1e6}: {', '.join(parts)}"
        return [Problem(name, str(setting), cause)]

    def _request(self, event: dict[str, Any]) -> None:
        self.addresses[event["requestId"]] = event["request"]["url"]

    def _finished(self, event: dict[str, Any]) -> None:
        self.bytes[event["requestId"]] = event["encodedDataLength"]

"""Find pages that are heavy: what a browser transfers to show one, with its figures."""

from typing import Any

from playwright.sync_api import CDPSession, Page

from tools.site.visit import Problem, Setting

MOST_BYTES = 1_500_000


class Scale:
    """Adds up what a browser transfers for a page when it opens that first.

    Files in the browser's cache from other pages count as much as transferred ones.

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

    def clear(self, *, cold: bool) -> None:
        """Begin with another page.

        Parameters
        ----------
        cold
            Whether to transfer everything again, and so to load as slowly as the first page does.
        """
        self.addresses.clear()
        self.session.send("Network.setCacheDisabled", {"cacheDisabled": cold})

    def parts(self) -> dict[str, float]:
        """Give the address and the bytes of everything that the page asked for since then."""
        return {one: self.bytes.get(one, 0) for one in self.addresses.values()}

    def problems(self, name: str, setting: Setting) -> list[Problem]:
        """Find whether a page is heavier than a page should be, and what weighs most."""
        parts = self.parts()
        total = sum(parts.values())
        if total <= MOST_BYTES:
            return []
        heaviest = sorted(parts, key=lambda one: -parts[one])[:3]
        named = ", ".join(f"{parts[one] / 1e6:.2f} MB {one}" for one in heaviest)
        cause = f"weighs {total / 1e6:.2f} MB, more than {MOST_BYTES / 1e6}: {named}"
        return [Problem(name, str(setting), cause)]

    def _request(self, event: dict[str, Any]) -> None:
        self.addresses[event["requestId"]] = event["request"]["url"]

    def _finished(self, event: dict[str, Any]) -> None:
        address = self.addresses.get(event["requestId"])
        if address:  # or it was asked for by the page before
            self.bytes[address] = max(event["encodedDataLength"], self.bytes.get(address, 0))

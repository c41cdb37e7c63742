"""Say what the browser tests lack: ``python -m tools.site.ready``."""

import os
import shutil
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tools.gallery import project, settings

SITE = project.BUILD / "html"
NAMES = ("chromium", "chromium-browser", "google-chrome")


class MissingError(Exception):
    """Something that the browser tests need is not there."""


def chromium() -> str:
    """Find the browser, which comes from the system: Playwright's own is never downloaded.

    Raises
    ------
    MissingError
        When there is none on the PATH.
    """
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise MissingError(
        f"the site is tried in Chromium, and none of {', '.join(NAMES)} is on the PATH: install "
        "it (on Debian: apt-get install chromium), then try again"
    )


def pages(site: Path = SITE) -> list[str]:
    """List the pages of a built site by their addresses below its root.

    Parameters
    ----------
    site
        The folder that it was built into.

    Raises
    ------
    MissingError
        When it has no front page.
    """
    if not (site / "index.html").exists():
        raise MissingError(
            f"there is no built site in {site}: build it with `python -m nox -s docs`, then try "
            "again"
        )
    found = (file.relative_to(site) for file in site.rglob("*.html"))
    # The theme puts a template of its own among the static files.
    return sorted(page.as_posix() for page in found if page.parts[0] != "_static")


def path() -> str:
    """Give the path of the address that the site was built for, which its 404 page names."""
    address = os.environ.get(settings.SITE_URL, "")
    return urlsplit(address).path.rstrip("/") + "/"


def main() -> int:
    """Look for all of it."""
    try:
        chromium()
        pages()
    except MissingError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

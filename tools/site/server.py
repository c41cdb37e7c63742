"""Serve the built site on this machine, as a host of static files would."""

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Handler(http.server.SimpleHTTPRequestHandler):
    """Answers quietly, over connections that stay open."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *arguments: Any, path: str, **options: Any) -> None:
        self.root = path
        super().__init__(*arguments, **options)

    def translate_path(self, path: str) -> str:
        """Find the file of an address; there is none above the root of the site."""
        inside = path.startswith(self.root)
        return super().translate_path(path.removeprefix(self.root) if inside else "/404/absent")

    def log_message(self, *_: object) -> None:
        """Keep quiet: the browser's log says what was asked for, and what became of it."""


@contextmanager
def serving(site: Path, path: str = "/") -> Iterator[str]:
    """Serve a folder on a free port.

    Parameters
    ----------
    site
        The folder.
    path
        The path of its root: a site may be one of many on a host.

    Yields
    ------
    str
        The address of its root, with a slash at the end.

    Examples
    --------
    >>> with serving(Path()) as address:
    ...     address.startswith("http://127.0.0.1:")
    True
    """
    handler = functools.partial(Handler, directory=str(site), path=path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}{path}"
        finally:
            server.shutdown()
            thread.join()

"""Serve the built site on this machine, as a host of static files would."""

import functools
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Handler(http.server.SimpleHTTPRequestHandler):
    """Answers quietly, over connections that stay open."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Keep quiet: the browser's log says what was asked for, and what became of it."""


@contextmanager
def serving(site: Path) -> Iterator[str]:
    """Serve a folder on a free port.

    Parameters
    ----------
    site
        The folder.

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
    handler = functools.partial(Handler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()

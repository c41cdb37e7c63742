"""What the tests share: an isolated cache, a tiny corpus, and a server that plays other sites."""

import gc
import os
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from smallport.lstm import Corpus, LSTMConfig, TrainingConfig, WordLanguageModel, train

settings.register_profile("smallport", deadline=None)  # a busy machine is no failure
settings.load_profile("smallport")

torch.set_num_threads(1)  # threads that wait for each other cost more than tiny models do

LOCAL = {None, "127.0.0.1", "::1", "localhost"}

TINY_LINES = ["one two three four five six seven eight"] * 40


@pytest.fixture(autouse=True)
def isolated(request, monkeypatch, tmp_path) -> Path | None:
    """Give each test an empty cache, default settings, and no network beyond this machine.

    A page runs, and its record is read, with the settings and the cache of whoever runs it.
    """
    if any(map(request.node.get_closest_marker, ("page", "records", "oracle"))):
        return None
    for name in os.environ:
        if name.startswith("SMALLPORT_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)
    cache = tmp_path / "cache"
    monkeypatch.setenv("SMALLPORT_CACHE_DIR", str(cache))

    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def connect_locally(self, address):
        inet = self.family in {socket.AF_INET, socket.AF_INET6}
        if inet and address[0] not in LOCAL:
            pytest.fail(f"a test reached for the network: {address}")
        return connect(self, address)

    def look_up_locally(host, *arguments, **options):
        if host not in LOCAL:
            pytest.fail(f"a test reached for the network: {host}")
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket.socket, "connect", connect_locally)
    monkeypatch.setattr(socket, "getaddrinfo", look_up_locally)
    return cache


@pytest.fixture(scope="session")
def tiny_corpus() -> Corpus:
    """Count from one to eight: a text that is quickly learnt, and only from the order of words."""
    return Corpus.from_lines("counting", train=TINY_LINES, valid=TINY_LINES, test=TINY_LINES)


@pytest.fixture(scope="session")
def good_weights(tiny_corpus, tmp_path_factory) -> Path:
    """Train weights of the tests' tiny sizes for the tiny corpus; return the file."""
    file = tmp_path_factory.mktemp("weights") / "word_language_model_quantize.pth"
    torch.manual_seed(0)
    config = LSTMConfig(embedding_size=16, hidden_size=16, layers=1, dropout=0.1)
    model = WordLanguageModel(len(tiny_corpus.vocabulary), config)
    schedule = TrainingConfig(epochs=4, batch_size=4, chunk=10, peak_learning_rate=5e-2)
    train(model, tiny_corpus, schedule)
    torch.save(model.state_dict(), file)
    return file


@dataclass
class Reply:
    """What the server answers to a request."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """A web site whose pages a test sets up, and which remembers what was asked for."""

    url: str
    replies: dict[str, Reply] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    def reply(self, path: str, body: bytes, status: int = 200, **headers: str) -> None:
        """Set up what is answered to requests for a path."""
        self.replies[path] = Reply(body, status, headers)


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve a site on this machine."""
    # pooch leaves the response of a failed download to the garbage collector.
    warnings.filterwarnings("ignore", "unclosed <socket", ResourceWarning)
    gc.freeze()  # collect what the test leaves and nothing else, which is quick

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            served.requests.append(path)
            reply = served.replies.get(path, Reply(b"no such page", 404))
            self.send_response(reply.status)
            headers = {"Content_Length": str(len(reply.body))} | reply.headers
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(reply.body)

        do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_):
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        served = Site(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        server.shutdown()
        thread.join()
    gc.collect()
    gc.unfreeze()


@pytest.fixture
def no_site() -> str:
    """Give the address of a server that is not there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.fixture
def terminal(monkeypatch) -> Iterator[Callable[[], str]]:
    """Make the process's standard error a terminal; yield what reads from its other end."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream, os.fdopen(ours, "rb", 0) as screen:
        monkeypatch.setattr(sys, "__stderr__", stream)

        def read():
            os.set_blocking(screen.fileno(), False)
            return (screen.read() or b"").decode()

        yield read

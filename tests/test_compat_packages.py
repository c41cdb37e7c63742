"""Pip is asked what it would install, and packages lie in folders of their own."""

import http.server
import json
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.compat import packages
from tools.compat.packages import Package, PackagesError, Store, missing, plan, size

NEW = {
    "model": Package("model", "2", ("words>=3", "fast; extra == 'gpu'", "plain")),
    "words": Package("words", "3", ("Base_Of_It>=1.5",)),
    "base-of-it": Package("base-of-it", "2"),
    "plain": Package("plain", "9"),
    "fast": Package("fast", "9"),
}


def names(found):
    return [one.name for one in found]


def test_what_a_newer_package_requires_becomes_newer_with_it():
    installed = {"model": "1", "words": "2", "base-of-it": "1.0", "plain": "1", "fast": "1"}
    assert names(missing([NEW["model"]], NEW, installed)) == ["words", "base-of-it"]


def test_what_is_not_installed_is_added():
    assert names(missing([NEW["model"]], NEW, {"words": "3"})) == ["plain"]


@given(st.sets(st.sampled_from(sorted(NEW))))
def test_nothing_is_added_twice(chosen):
    given_ones = [NEW[name] for name in chosen]
    every = [*chosen, *names(missing(given_ones, NEW, {}))]
    assert len(every) == len(set(every))


@pytest.fixture
def pip(monkeypatch):
    """Have a recording take the place of pip."""
    calls = []

    def run(*arguments):
        calls.append(arguments)
        if "--target" in arguments:
            if arguments[-1] == "broken==1":
                raise PackagesError("pip install: ERROR: no broken 1")
            Path(arguments[arguments.index("--target") + 1], "module").mkdir(parents=True)
        if "--report" in arguments:
            one = {
                "metadata": {"name": "Huggingface_Hub", "version": "2.4.0"},
                "download_info": {"url": "https://example.org/hub.whl"},
            }
            report = Path(arguments[arguments.index("--report") + 1])
            report.write_text(json.dumps({"install": [one]}))
        return "name (1.10)\nAvailable versions: 1.10, 1.9, 1.9rc1\n"

    monkeypatch.setattr(packages, "pip", run)
    return calls


def test_a_package_is_installed_once_and_alone(pip, tmp_path):
    store = Store(tmp_path / "store")
    first = store.add(Package("a", "1"), Package("needed", "2"))
    assert store.add(Package("a", "1"), Package("needed", "2")) == first
    assert store.add(Package("a", "1"), Package("needed", "3")) != first
    assert [one[-2:] for one in pip] == [("a==1", "needed==2"), ("a==1", "needed==3")]
    many = [Package("b", "1"), Package("c", "1")]
    assert store.add(*many, Package("d", "1")) != store.add(*many, Package("d", "2"))
    assert all("--no-deps" in one for one in pip)


@pytest.mark.usefixtures("pip")
def test_a_failed_installation_leaves_nothing_that_is_taken_for_one(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(PackagesError, match="no broken 1"):
        store.add(Package("broken", "1"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("pip")
def test_answers_of_pip_are_read():
    assert packages.releases("name") == ["1.9rc1", "1.9", "1.10"]
    assert packages.to_install("huggingface-hub") == [
        Package("huggingface-hub", "2.4.0", (), "https://example.org/hub.whl")
    ]


def test_what_pip_says_of_a_package_that_does_not_exist_is_told():
    with pytest.raises(PackagesError, match=r"pip install: ERROR: .*smallport-has-no-such-package"):
        packages.to_install("smallport-has-no-such-package", options=["--no-index"])


@pytest.fixture
def server():
    """Serve one file of 1,234 bytes on this machine."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(200 if self.path == "/there.whl" else 404)
            self.send_header("Content-Length", "1234")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


def test_the_size_of_a_download_is_looked_up(server, tmp_path):
    file = tmp_path / "a b.whl"
    file.write_bytes(bytes(10))
    assert size(file.as_uri()) == 10
    assert size(f"{server}/there.whl") == 1234
    assert size(f"{server}/gone.whl") is None
    assert size((tmp_path / "gone.whl").as_uri()) is None


def test_a_size_that_nobody_knows_is_not_counted_as_none():
    text = plan([Package("a", "1"), Package("b", "1")], {"a": None, "b": 2_000_000})
    assert text.startswith("2.0 MB to download, in 2 packages, and 1 whose size is unknown:")
    assert "? MB  a 1" in text

"""Tests of :mod:`tools.compat.grid`."""

import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from smallport import measured
from smallport.sweep.limits import Limits
from tools.compat import grid
from tools.compat.grid import Cell, GridError, NoResult, Result, Results, run, run_cell
from tools.compat.packages import Package, PackagesError, Store
from tools.compat.routes import Outcome
from tools.gallery import project

VERSIONS = {"torch": "2.13.0", "transformers": "5.24.0"}
CELL = Cell("plain torch.export", "5.24.0", "2.13.0")
STAND_IN = """
    import json, os, sys, time
    from pathlib import Path
    parent = os.getppid()
    route, file = sys.argv[1:]
    with Path({log!r}).open("a") as log:
        print(route, file=log)
    if route == "hangs":
        for _ in range(600):  # of which none is waited for where the parent is killed
            if os.getppid() != parent:
                break
            time.sleep(0.1)
    if route == "crashes":
        os.abort()
    if route == "full":
        raise OSError(28, "No space left on device")
    if route == "silent":
        sys.exit()
    versions = {{"torch": "2.13.0", "transformers": os.environ.get("FOUND", "5.24.0")}}
    outcome = "splendid" if route == "strange" else "matches"
    Path(file).write_text(json.dumps({{"outcome": outcome, "versions": versions, "cpu": 1.0}}))
"""


@pytest.fixture
def child(tmp_path):
    """Write a program that does what the name of its route says; give the arguments to start it."""
    program = tmp_path / "child.py"
    text = textwrap.dedent(STAND_IN).format(log=str(tmp_path / "log"))
    program.write_text(text, encoding="utf-8")
    return (str(program),)


@pytest.fixture
def ran(tmp_path):
    """Give a function that lists the routes of which a process was started."""
    file = tmp_path / "log"
    return lambda: file.read_text(encoding="utf-8").split() if file.exists() else []


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path / "results")


def cell(route="fine", **changes):
    return Cell(**{"route": route, "transformers": "5.24.0", "torch": "2.13.0", **changes})


def run_all(cells, results, tmp_path, child, **limits):
    with ThreadPoolExecutor(2) as executor:
        store = Store(tmp_path / "packages")
        found = run(cells, results, store, executor, child=child, limits=Limits(**limits))
        return dict(found)


def test_a_result_is_kept_and_read_back(results, tmp_path, child, ran):
    found = run_all([cell()], results, tmp_path, child)
    assert found[cell()].outcome == Outcome("matches", cpu=1.0, versions=VERSIONS)
    assert results.read(cell()) == found[cell()]
    assert run_all([cell()], results, tmp_path, child) == {}
    assert ran() == ["fine"]


@pytest.mark.parametrize(
    "other",
    [
        cell("another"),
        cell(transformers="5.23.0"),
        cell(torch="2.14.1"),
        cell(installs=((Package("numpy", "1.0"),),)),
    ],
)
def test_other_versions_or_routes_are_other_cells(results, tmp_path, child, other):
    run_all([cell()], results, tmp_path, child)
    assert results.read(other) is None


def test_versions_in_folders_count_and_not_those_installed_here():
    replaced = cell(installs=((Package("numpy", "1.0"), Package("nvidia-nccl", "2")),))
    assert replaced.versions["numpy"] == "1.0"
    assert replaced.versions["nvidia-nccl"] == "2"
    assert cell().versions["numpy"] != "1.0"
    assert "sphinx" not in cell().versions


@pytest.mark.parametrize(
    ("what", "value"), [("routes_key", lambda: "changed"), ("installed", lambda: {"torch": "9"})]
)
def test_other_code_or_packages_here_make_other_keys(monkeypatch, what, value):
    before = cell().key
    monkeypatch.setattr(grid, what, value)
    assert cell().key != before


def test_another_python_makes_another_key(monkeypatch):
    before = cell().key
    monkeypatch.setattr(sys, "version", "3.99.0 (main)")
    assert cell().key != before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"outcome": {"outcome": "matches"}}'])
def test_a_file_that_is_no_result_is_not_believed(results, tmp_path, child, text):
    run_all([cell()], results, tmp_path, child)
    results.file(cell()).write_text(text, encoding="utf-8")
    assert results.read(cell()) is None


@pytest.mark.parametrize(
    ("route", "cause"),
    [
        ("hangs", "The process ran for more than 1 s."),
        ("crashes", "The process was killed by SIGABRT"),
        ("full", "status 1. OSError: [Errno 28] No space left on device"),
        ("silent", "The process wrote no outcome: FileNotFoundError"),
        ("strange", "The process wrote an outcome of another name: splendid"),
    ],
)
def test_a_process_that_did_not_come_to_its_end_has_no_result(
    results, tmp_path, child, route, cause
):
    found = run_all([cell(route)], results, tmp_path, child, seconds=1 if route == "hangs" else 60)
    assert cause in found[cell(route)].cause
    assert results.read(cell(route)) is None
    assert run_all([cell(route)], results, tmp_path, child, seconds=0.1).keys() == {cell(route)}


def test_a_process_with_other_versions_has_no_result(child, monkeypatch):
    monkeypatch.setenv("FOUND", "5.23.0")
    found = run_cell(cell(), [], Limits(), child)
    assert found == NoResult("The process found transformers 5.23.0 instead of 5.24.0.")


def test_a_missing_folder_has_no_result(tmp_path, child, ran):
    found = run_cell(cell(), [tmp_path / "gone"], Limits(), child)
    assert "gone: no such folder on this machine" in found.cause
    assert ran() == []


def test_an_installation_that_fails_costs_only_its_cells(results, tmp_path, child, monkeypatch):
    def add(_, *packages):
        raise PackagesError(f"pip install: no such release as {packages[0]}")

    monkeypatch.setattr(Store, "add", add)
    other = cell(installs=((Package("torch", "9"),),))
    found = run_all([other, cell()], results, tmp_path, child)
    assert found[other] == NoResult("cannot install: pip install: no such release as torch 9")
    assert isinstance(found[cell()], Result)


def test_a_grid_that_was_interrupted_goes_on_where_it_was(results, tmp_path, child, ran):
    cells = [cell(f"fine{number}") for number in range(4)]
    with ThreadPoolExecutor(1) as executor:
        found = run(cells, results, Store(tmp_path), executor, child=child)
        next(found)
        found.close()
        executor.shutdown(cancel_futures=True)
    kept = [one for one in cells if results.read(one)]
    assert len(kept) == 1
    started = len(ran())
    run_all(cells, results, tmp_path, child)
    assert all(map(results.read, cells))
    assert len(ran()) == started + 3
    assert kept[0].route not in ran()[started:]


DRIVER = """
    import sys
    from pathlib import Path
    from smallport.sweep.executors import local
    from tools.compat.grid import Cell, Results, Store, run
    folder, child = sys.argv[1:]
    cells = [Cell(route, "5.24.0", "2.13.0") for route in ("fine", "hangs")]
    with local(2) as executor:
        list(run(cells, Results(Path(folder)), Store(Path(folder)), executor, child=(child,)))
"""


def test_a_grid_that_was_killed_goes_on_where_it_was(results, tmp_path, child, ran):
    command = [sys.executable, "-c", textwrap.dedent(DRIVER), str(results.folder), *child]
    with subprocess.Popen(command, cwd=project.ROOT) as driver:
        while not results.read(cell()):
            assert driver.poll() is None
            time.sleep(0.05)
        driver.kill()
    found = run_all([cell(), cell("hangs"), cell("other")], results, tmp_path, child, seconds=1)
    assert found.keys() == {cell("hangs"), cell("other")}
    assert sorted(ran()) == ["fine", "hangs", "hangs", "other"]


def test_results_that_cannot_be_written_stop_the_grid(results, tmp_path, child):
    results.folder.write_text("a file", encoding="utf-8")
    with pytest.raises(GridError, match=r"cannot write to .*results: .*Make room"):
        run_all([cell()], results, tmp_path, child)


def test_an_executor_that_fails_is_no_result(results, tmp_path, child, monkeypatch):
    def fail(*_):
        raise ConnectionError("the worker is gone")

    monkeypatch.setattr(grid, "run_cell", fail)
    found = run_all([cell()], results, tmp_path, child)
    assert found[cell()].cause == "the executor failed: ConnectionError('the worker is gone')"


def fake_pip(*requirements, options=()):
    """Say what pip would install: transformers 5.30 is the newest, and 5.1 needs an older hub."""
    known = {
        "transformers": [Package("transformers", "5.30")] if "--upgrade" in options else [],
        "transformers==5.1": [Package("huggingface-hub", "1.0"), Package("transformers", "5.1")],
        "torch==2.9": [Package("nvidia-nccl", "2"), Package("torch", "2.9")],
        "torch==2.8": [Package("huggingface-hub", "0.9"), Package("torch", "2.8")],
        "optree": [Package("optree", "1")],
        "scipy": [Package("scipy", "1")],
        "onnx-diagnostic": [Package("onnx-diagnostic", "1")],
    }
    return known.get(requirements[0], [])


@pytest.fixture
def _pip(monkeypatch):
    grid.ask.cache_clear()
    monkeypatch.setattr(grid, "to_install", fake_pip)
    yield
    grid.ask.cache_clear()


@pytest.mark.usefixtures("_pip")
def test_newest_is_what_pip_would_install():
    assert grid.resolve("transformers", ["5.1", "newest"]) == {"5.1": "5.1", "newest": "5.30"}
    assert grid.resolve("torch", ["newest"]) == {"newest": grid.installed()["torch"]}


@pytest.mark.usefixtures("_pip")
def test_only_what_differs_is_installed():
    cells = grid.cells(["5.1", "5.24.0", "5.24.0"], ["2.13.0", "2.9"])
    assert len(cells) == 2 * 2 * len(grid.ROUTES)
    by_hand = {(c.transformers, c.torch): c for c in cells if c.route == "cache registered by hand"}
    hub, old = Package("huggingface-hub", "1.0"), Package("transformers", "5.1")
    torch = Package("torch", "2.9"), Package("nvidia-nccl", "2")
    assert by_hand["5.24.0", "2.13.0"].installs == ()
    assert by_hand["5.1", "2.13.0"].installs == ((old,), (hub,))
    assert by_hand["5.24.0", "2.9"].installs == (torch,)  # one folder, with its libraries
    patches = [c for c in cells if c.route == "onnx-diagnostic's patches"]
    assert {("scipy",), ("optree",)} <= {tuple(p.name for p in g) for g in patches[0].installs}


@pytest.mark.usefixtures("_pip")
def test_packages_that_contradict_each_other_are_named():
    with pytest.raises(PackagesError, match=r"it needs huggingface-hub 0.9 and huggingface-hub 1"):
        grid.cells(["5.1"], ["2.8"])


@pytest.mark.usefixtures("_pip")
def test_a_grid_from_the_command_line(monkeypatch, tmp_path, child, capsys):
    monkeypatch.setattr(grid, "FOLDER", tmp_path)
    monkeypatch.setattr(grid, "CHILD", child)
    monkeypatch.setattr(grid, "STORED", tmp_path / "never.json")
    monkeypatch.setattr(Store, "add", lambda *_: tmp_path)
    chosen = ["--transformers", "5.24.0", "newest", "--torch", "2.13.0", "--jobs", "2"]
    assert grid.main([*chosen, "--keep", str(tmp_path / "kept.json")]) == grid.INCOMPLETE
    said = capsys.readouterr().out
    assert "10 cells, 0 known" in said
    assert "cache registered by hand, transformers 5.24.0, torch 2.13.0: matches" in said
    assert "torch 2.13.0: no result: The process found transformers 5.24.0 instead of 5.30" in said
    kept = measured.read(tmp_path / "kept.json").results
    assert kept["transformers"] == ["5.24.0", "5.30"]
    assert kept["newest"] == {"transformers": "5.30"}
    assert [one["outcome"] for one in kept["cells"]] == ["matches"] * 5 + [""] * 5
    assert kept["cells"][5]["found"] == "The process found transformers 5.24.0 instead of 5.30."
    assert not (tmp_path / "never.json").exists()
    grid.main(chosen)
    assert "10 cells, 5 known" in capsys.readouterr().out


@pytest.mark.usefixtures("_pip")
def test_a_second_grid_waits_for_nothing(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(grid, "FOLDER", tmp_path)
    with grid.alone(tmp_path / "grid"):
        assert grid.main(["--torch", "2.13.0"]) == 2
    assert "another grid writes to" in capsys.readouterr().err


def test_a_release_that_does_not_exist_is_named(monkeypatch, capsys):
    def fail(*_, **__):
        raise PackagesError("pip install: ERROR: No matching distribution found for torch==99")

    grid.ask.cache_clear()
    monkeypatch.setattr(grid, "to_install", fail)
    assert grid.main(["--torch", "99"]) == 2
    assert "No matching distribution found for torch==99" in capsys.readouterr().err

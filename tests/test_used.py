"""What a process uses is on record, and what has changed of it is named."""

import importlib.metadata
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from smallport import keys
from tools.gallery import project, used
from tools.gallery.used import Places, Used, World

COVERAGE = {name: text for name, text in os.environ.items() if name.startswith("COVERAGE_")}
"""What has coverage.py measure the recorder."""

SETTINGS = {"variable": {"LANG": "1"}, "capability": {"avx2": "yes"}, "system": {"cores": "2"}}


@pytest.fixture
def cache(tmp_path):
    folder = tmp_path / "cache"
    folder.mkdir()
    return folder


@pytest.fixture
def run(tmp_path, cache):
    """Give a function that runs some code as a page's process, and returns what it used."""
    trace = tmp_path / "trace.txt"

    def run_code(code, *options, status=0, **variables):
        trace.unlink(missing_ok=True)
        script = tmp_path / "page.py"
        script.write_text(code)
        path = os.pathsep.join(map(str, [used.RECORDER, project.ROOT / "src", project.ROOT]))
        done = subprocess.run(
            [sys.executable, *options, script],
            env={"PYTHONPATH": path, used.TRACE: str(trace)} | COVERAGE | variables,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stderr
        return World(Places(cache), SETTINGS).collect(trace, script)

    return run_code


@pytest.fixture
def changes(cache):
    """Give a function that says what has changed since a run."""
    return lambda found, settings=SETTINGS: World(Places(cache), settings).changes(found)


@pytest.fixture
def edited(monkeypatch, tmp_path):
    """Give a function that makes one of our modules read as if its source were edited."""
    module_file = keys.module_file

    def edit(name, old, new):
        source = module_file(name).read_text(encoding="utf-8")
        assert old in source
        copy = tmp_path / "edited.py"
        copy.write_text(source.replace(old, new, 1), encoding="utf-8")
        monkeypatch.setattr(
            keys, "module_file", lambda one: copy if one == name else module_file(one)
        )

    return edit


def test_nothing_has_changed_right_after_a_run(run, changes):
    found = run("import smallport.quantities, json, pytest\nopen('/etc/hostname').close()")
    assert found.untold == ""
    assert changes(found) == []
    kinds = {entry.partition(" ")[0] for entry in found.entries}
    assert kinds >= {"code", "package", "file", "variable", "capability", "system"}


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (("return f", "return 'x' or f"), "smallport.quantities.duration changed"),
        (("MINUS = ", "MINUS: str = "), "smallport.quantities.MINUS changed"),
        (("import math\n", "import math\nimport cmath\n"), "smallport.quantities changed"),
        (
            ("def quantity(", "def more(): pass\ndef quantity("),
            "smallport.quantities.more was added",
        ),
    ],
)
def test_changed_code_is_named(edit, expected, run, changes, edited):
    found = run("import smallport.quantities")
    edited("smallport.quantities", *edit)
    assert expected in changes(found)


def test_comments_and_docstrings_are_no_change(run, changes, edited):
    found = run("import smallport.quantities")
    edited("smallport.quantities", "import math\n", "# A comment.\nimport math\n")
    assert changes(found) == []


def test_comments_count_where_the_source_was_read(run, changes, tmp_path, monkeypatch):
    found = run("import inspect, smallport.quantities as q; inspect.getsource(q.quantity)")
    assert "file src/smallport/quantities.py" in found.entries
    other = tmp_path / "other.py"
    other.write_text("# another text")
    monkeypatch.setattr(Places, "file", lambda *_: other)
    assert "src/smallport/quantities.py changed" in changes(found)


def test_code_that_was_not_imported_is_no_change(run, changes, edited):
    found = run("import smallport.records")
    edited("smallport.quantities", "import math\n", "import cmath\n")
    assert changes(found) == []


def test_code_that_is_imported_late_or_by_a_child_counts(run, changes, edited):
    late = "import subprocess, sys\ndef f():\n    subprocess.run([sys.executable, '-c', {!r}])\nf()"
    found = run(late.format("import smallport.quantities"))
    assert found.untold == ""
    edited("smallport.quantities", "import math\n", "import cmath\n")
    assert changes(found) == ["smallport.quantities changed"]


def test_files_and_folders_count_by_what_they_hold(run, changes, cache):
    (cache / "weights").write_text("1")
    code = f"import os\nopen({str(cache / 'weights')!r}).read()\nos.listdir({str(cache)!r})"
    found = run(code)
    assert changes(found) == []
    (cache / "weights").write_text("2")
    assert changes(found) == ["$CACHE/weights changed"]
    (cache / "weights").unlink()
    assert changes(found) == ["$CACHE/weights was removed", "$CACHE changed"]


def test_a_file_that_is_only_written_does_not_count(run, cache):
    found = run(f"open({str(cache / 'made')!r}, 'w').write('x')")
    assert not [entry for entry in found.entries if "made" in entry]


def test_a_package_that_was_looked_for_and_appears_is_named(run, changes, tmp_path, monkeypatch):
    code = "try:\n    import optree_of_tests\nexcept ImportError:\n    pass"
    found = run(code)
    assert "absent optree_of_tests" in found.entries
    assert changes(found) == []
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "optree_of_tests.py").touch()
    monkeypatch.syspath_prepend(tmp_path / "more")
    assert changes(found) == ["optree_of_tests is there now"]


def test_a_package_that_is_only_looked_for_counts_by_being_there(run, changes, monkeypatch):
    found = run("import importlib.util; importlib.util.find_spec('tqdm')")
    assert "present tqdm" in found.entries
    assert "package tqdm" not in found.entries
    find = used._find  # noqa: SLF001
    monkeypatch.setattr(
        used, "_find", lambda name, *rest: None if name == "tqdm" else find(name, *rest)
    )
    assert changes(found) == ["tqdm was removed"]


def test_a_module_in_the_folder_of_a_package_counts_as_the_package(run, changes):
    found = run("import sys, yaml; sys.path.append(yaml.__path__[0]); import nodes")
    assert {"package pyyaml", "module nodes"} & found.entries.keys() == {"package pyyaml"}
    assert changes(found) == []


def test_another_version_is_named_with_both(run, changes, monkeypatch):
    found = run("import tqdm, importlib.metadata as m; m.version('filelock')")
    assert {"package tqdm", "package filelock"} <= found.entries.keys()
    distribution = importlib.metadata.distribution

    class Other:
        version = "99.0"

        def read_text(self, _):
            return ""

    real = distribution("tqdm").version
    monkeypatch.setattr(
        importlib.metadata,
        "distribution",
        lambda name: Other() if name == "tqdm" else distribution(name),
    )
    assert changes(found) == [f"tqdm {real} → 99.0"]
    Other.version = real
    assert changes(found) == [f"tqdm {real} has other files"]


@pytest.mark.parametrize(
    ("kind", "settings", "expected"),
    [
        ("variable", {"LANG": "2"}, ["LANG changed"]),
        ("variable", {}, ["LANG was removed"]),
        ("variable", {"LANG": "1", "OMP_NUM_THREADS": "1"}, ["OMP_NUM_THREADS was added"]),
        (
            "capability",
            {"avx2": "yes", "vnni": "yes"},
            ["the processor's vnni was added"],
        ),
        ("system", {"cores": "4"}, ["cores 2 → 4"]),
    ],
)
def test_settings_are_compared_as_a_whole(kind, settings, expected, run, changes):
    found = run("pass")
    assert changes(found, SETTINGS | {kind: settings}) == expected


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (
            "import subprocess, sys; subprocess.run([sys.executable, '-I', '-c', ''])",
            "a Python that could not be traced",
        ),
        (
            "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], env={})",
            "a Python that could not be traced",
        ),
        ("import subprocess; subprocess.run(['true'])", "it started true"),
        ("import os; os.system('true')", "it started sh"),
        (
            "import socket\ns = socket.socket()\ns.settimeout(0.1)\ns.connect_ex(('192.0.2.1', 9))",
            "the network (192.0.2.1)",
        ),
        (
            (
                "import contextlib, socket\n"
                "with contextlib.suppress(OSError):\n    socket.getaddrinfo('no.invalid', 80)"
            ),
            "the network (no.invalid)",
        ),
    ],
)
def test_a_run_that_used_what_cannot_be_told_never_stands(code, why, run):
    assert why in run(code).untold


def test_a_process_without_the_recorder_never_stands(run):
    assert run("pass", "-I").untold == "its process could not be traced"


def test_programs_that_tell_about_the_machine_are_harmless(run):
    code = "import subprocess; subprocess.run(['git', '--version'], capture_output=True)"
    assert run(code, PATH=os.environ["PATH"]).untold == ""


@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_a_process_that_dies_has_recorded_what_it_used(end, run):
    status = 0 if "exit" in end else -signal.SIGKILL
    found = run(f"import os, smallport.records\n{end}", status=status)
    assert any(entry.startswith("code smallport.records") for entry in found.entries)


def test_a_forked_process_records_too(run):
    code = "import os\nif os.fork() == 0:\n    import smallport.records\n    os._exit(0)\nos.wait()"
    assert any(entry.startswith("code smallport.records") for entry in run(code).entries)


def test_the_sitecustomize_of_the_machine_runs_and_counts(run, tmp_path, changes):
    folder = tmp_path / "machine"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys; sys.marked = True\n")
    path = [used.RECORDER, folder, project.ROOT / "src", project.ROOT]
    found = run("import sys; assert sys.marked", PYTHONPATH=os.pathsep.join(map(str, path)))
    assert changes(found) == []
    (folder / "sitecustomize.py").write_text("import sys; sys.marked = 2\n")
    assert changes(found) == [f"{folder}/sitecustomize.py changed"]


def test_what_the_gallery_reads_around_a_page_does_not_count(run, cache):
    (cache / "conf").write_text("x")
    (cache / "data").write_text("x")
    code = (
        f"import sitecustomize\nopen({str(cache / 'conf')!r}).read()\n"
        f"sitecustomize.TRACE.begin()\nopen({str(cache / 'data')!r}).read()\n"
        f"sitecustomize.TRACE.end()\nopen({str(cache / 'conf')!r}).read()"
    )
    found = run(code, **{used.HARNESS: "1"})
    assert {entry for entry in found.entries if "$CACHE" in entry} == {"file $CACHE/data"}


def test_records_are_read_back(run, tmp_path):
    found = run("import json")
    found.write(tmp_path / "used.json")
    assert Used.read(tmp_path / "used.json") == found
    (tmp_path / "used.json").write_text("{")
    assert Used.read(tmp_path / "used.json") is None


def test_an_edit_that_is_taken_back_is_seen(run, monkeypatch):
    source = project.ROOT / "src" / "smallport" / "quantities.py"
    found = run("import smallport.quantities")
    before = used.snapshot()
    assert used.edited(before, found.entries) == []
    later = before | {source: (before[source][0] + 1, before[source][1])}
    monkeypatch.setattr(used, "snapshot", lambda: later)
    assert used.edited(before, found.entries) == ["src/smallport/quantities.py"]
    unused = project.ROOT / "src" / "smallport" / "display.py"
    later = before | {unused: (0, 0)}
    assert used.edited(before, found.entries) == []


def test_paths_of_the_project_and_the_cache_have_names_that_move_with_them(tmp_path):
    places = Places(tmp_path, tmp_path / "scratch")
    assert places.name(str(tmp_path / "scratch" / "home")) == ""
    assert places.name(str(project.BUILD / "demo")) == ""
    for path in (project.ROOT / "README.md", tmp_path / "weights.pth", Path("/etc/hosts")):
        assert places.file(places.name(str(path))) == path

"""Break the build in every way that somebody would rather not find out from a reader."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import page_helpers
from tests.faults.conftest import CHECK
from tools.demo import runtime
from tools.gallery import project as gallery_project

pytestmark = pytest.mark.fault

FIRST, SECOND = "small/plot_10_first", "small/plot_20_second"
THIRD = "last/plot_30_third"


# What a page may do wrong. All of these pages are built at once, each has one fault.


@dataclass(frozen=True)
class SpoiledPage:
    """A page with a fault.

    Parameters
    ----------
    stem
        Its name, which tells the fault.
    code
        Its last cell.
    cause
        What the message has to say.
    line
        The passage of the code whose line the message has to name; None for no line.
    texts
        Other parts of the page, as arguments of ``Project.write_page``.
    """

    stem: str
    code: str
    cause: str
    line: str | None = None
    texts: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Folder and stem."""
        return f"spoiled/{self.stem}"


UNREACHED = "was never reached"

ANNOUNCED = """\
import traceback

try:
    1 / 0
except {caught}:
    {shown}
{after}
"""


def announced(
    caught: str = "ZeroDivisionError as error",
    shown: str = 'assert "zero" in str(error)',
    after: str = 'else:\n    raise AssertionError("division by zero works")',
) -> str:
    """Write a cell that shows a failure."""
    return ANNOUNCED.format(caught=caught, shown=shown, after=after)


HTML = """\
class Table:
    def _repr_html_(self):
        return "<b>\\x1b[31mred</b>"

Table()
"""

SPOILED = [
    # What it prints.
    SpoiledPage(
        "deprecation",
        'import warnings\n\nwarnings.warn("use the other", DeprecationWarning, stacklevel=1)',
        "a formatted warning",
        "import warnings",
    ),
    SpoiledPage(
        "foreign_deprecation",
        "import warnings\n\n"
        'warnings.warn_explicit("use the other", FutureWarning, "<frozen importlib>", 241)',
        "a formatted warning",
        "import warnings",
    ),
    SpoiledPage(
        "progress_bar",
        "from tqdm import tqdm\n\nfor _ in tqdm(range(3)):\n    pass",
        "a progress bar",
        "from tqdm",
    ),
    SpoiledPage(
        "overwritten_line",
        'print("1 of 2", end="\\r")\nprint("2 of 2")',
        "a carriage return",
        "print(",
    ),
    SpoiledPage("escape_code_in_html", HTML, "an escape code", "class Table"),
    SpoiledPage("memory_address", "print(object())", "a memory address", "print("),
    SpoiledPage(
        "installed_path", "import sphinx\n\nprint(sphinx.__file__)", "a path", "import sphinx"
    ),
    SpoiledPage(
        "temporary_path",
        "import tempfile\n\nwith tempfile.TemporaryDirectory() as name:\n    print('in:' + name)",
        "a path of the machine",
        "import tempfile",
    ),
    SpoiledPage("own_path", "print(Path.cwd().as_uri())", "a path of the machine", "print("),
    SpoiledPage(
        "log_line", 'import logging\n\nlogging.warning("slow")', "a log line", "import logging"
    ),
    SpoiledPage(
        "unconfigured_log_line",
        'import logging\n\nlogging.getLogger("upstream").warning("slow")',
        "a log line",
        "import logging",
    ),
    SpoiledPage(
        "log_line_of_torch",
        'import sys\n\nprint("W1120 22:53:10.123000 42 torch/a.py:7] slow", file=sys.stderr)',
        "a log line",
        "import sys",
    ),
    SpoiledPage(
        "traceback",
        announced(shown='traceback.print_exc(); assert "zero" in str(error)'),
        "a traceback",
        "import traceback",
    ),
    # What it does.
    SpoiledPage(
        "writes_everywhere",
        """\
import tempfile

Path("left.txt").write_text("beside the page")
Path("left.rst").write_text("beside the page")
Path.home().joinpath(".upstream").write_text("in the home")
Path(os.environ["SMALLPORT_CACHE_DIR"], "upstream").write_text("in the cache")
Path(tempfile.mkdtemp(), "left").write_text("among the temporary files")
""",
        "left files behind: ~/.upstream, the temporary folder/",
    ),
    SpoiledPage(
        "reads_a_record",
        'own = Path(os.environ["SMALLPORT_RESULTS_FILE"])\n'
        'own.parents[2].joinpath("small/plot_10_first/results.jsonl").read_text()',
        "read docs/_build/records/small/plot_10_first/results.jsonl, which another page",
    ),
    SpoiledPage(
        "lists_a_record",
        'list(Path(os.environ["SMALLPORT_RESULTS_FILE"]).parents[1].iterdir())',
        "read docs/_build/records/spoiled, which another page",
    ),
    SpoiledPage(
        "reads_the_site",
        'build = Path(os.environ["SMALLPORT_RESULTS_FILE"]).parents[3]\n'
        'build.joinpath("html/index.html").read_text()',
        "read docs/_build/html/index.html, which another page",
    ),
    SpoiledPage(
        "shares_a_number",
        'shared = Path(os.environ["SMALLPORT_CACHE_DIR"], "loss-0123456789abcdef.json")\n'
        "if not shared.exists():\n    shared.write_text('1')\nassert shared.read_text()",
        "read the cache/loss-0123456789abcdef.json, which another page or an earlier run left",
    ),
    SpoiledPage(
        "borrows_the_writer",
        "from smallport import files\n\n"
        'files.write_text(files.cache_folder() / "gap-0123456789abcdef.json", "1")',
        "left files behind: the cache/gap-0123456789abcdef.json",
    ),
    SpoiledPage(
        "raises",
        'raise RuntimeError("upstream removed it")',
        "RuntimeError: upstream removed it (at: raise RuntimeError(",
        "raise",
    ),
    SpoiledPage(
        "bare_assert",
        "one = 1\nassert one == 2",
        "AssertionError: one is 1 (at: assert one == 2)",
        "assert",
    ),
    SpoiledPage(
        "bare_assert_of_two",
        "sizes = {'a': 3}\nassert max(sizes.values()) < len(sizes)",
        "AssertionError: max(sizes.values()) is 3, len(sizes) is 1 (at: assert max(",
        "assert",
    ),
    SpoiledPage(
        "bare_assert_of_none",
        "lost = ['b']\nassert not lost",
        "AssertionError: lost is ['b'] (at: assert not lost)",
        "assert",
    ),
    SpoiledPage(
        "value_of_a_broken_function",
        "check('loss', 0.0, 'nats', at_most=10)",
        "loss: measured 0 nats, claimed at most 10 nats, which is more than 1000 times away. First",
        "check(",
    ),
    SpoiledPage(
        "draws_unseen",
        "from matplotlib import pyplot\n\npyplot.figure()",
        "failed: this cell draws: begin it with '# Drawing: ' and what is to be seen",
        "from matplotlib",
    ),
    SpoiledPage("exits", "import sys\n\nsys.exit(0)", "never came to its end: its process ended"),
    SpoiledPage("exits_at_once", "os._exit(0)", "never came to its end: its process ended"),
    SpoiledPage("never_ends", "import time\n\ntime.sleep(600)", "for more than 20 s"),
    # What it does not come to, or not as often as it has to.
    SpoiledPage(
        "one_turn_of_two",
        'for name in ["a"]:\n    check(f"size {name}", 1, at_most=1)',
        "ran 1 ×, and turns.json has 2",
        "    check(",
    ),
    SpoiledPage(
        "asserts_of_a_cut_zip",
        "for one, other in zip([1, 2], [1], strict=False):\n    assert one == other",
        "`assert one == other` ran 1 ×, and turns.json has 2",
        "    assert",
    ),
    SpoiledPage(
        "filtered_claim",
        "assert all(size > 0 for size in (1, -2) if size > 0)",
        "`(size > 0 for size in (1, -2) if size > 0)` ran 1 ×, and turns.json has 2",
        "assert all",
    ),
    SpoiledPage(
        "all_of_nothing",
        "sizes = []\nassert all(size > 0 for size in sizes)",
        "ran 0 ×, and turns.json has 2",
        "assert all",
    ),
    SpoiledPage(
        "filtered_beforehand",
        "sizes = [size for size in (1, 2) if size > 1]\nassert max(sizes) == 2",
        "`[size for size in (1, 2) if size > 1]` ran 1 ×, and turns.json has 2",
        "sizes = ",
    ),
    SpoiledPage(
        "never_counted",
        "assert max(size for size in (1, 2)) == 2",
        "ran 2 ×, and turns.json has no count",
        "assert max",
    ),
    SpoiledPage(
        "claims_in_no_loop",
        "for name in []:\n    check(name, 1, at_most=1)",
        UNREACHED,
        "    check(",
    ),
    SpoiledPage(
        "claims_in_no_call",
        "def claim():\n    check('two', 2, at_most=2)",
        UNREACHED,
        "    check(",
    ),
    SpoiledPage(
        "asserts_in_no_loop",
        "for name in []:\n    assert name",
        UNREACHED,
        "    assert",
    ),
    SpoiledPage(
        "asserts_in_no_call",
        "def claim(sizes):\n    assert sizes",
        UNREACHED,
        "    assert",
    ),
    SpoiledPage(
        "announces_in_no_call",
        "from smallport.checks import raises\n\n\n"
        "def fail():\n    with raises(KeyError, match='two'):\n        {}['two']",
        UNREACHED,
        "    with raises(",
    ),
]
TURNS = {
    "one_turn_of_two": {'check(f"size {name}", 1, at_most=1)': 2},
    "asserts_of_a_cut_zip": {"assert one == other": 2},
    "filtered_claim": {"(size > 0 for size in (1, -2) if size > 0)": 2},
    "all_of_nothing": {"(size > 0 for size in sizes)": 2},
    "filtered_beforehand": {"[size for size in (1, 2) if size > 1]": 2},
}
LEAK = """\
import json
import locale
import logging
import sys

import numpy as np
import torch

os.environ["SMALLPORT_ASSETS"] = "published"
os.environ["TZ"] = "Asia/Tokyo"
torch.use_deterministic_algorithms(True)
torch.set_float32_matmul_precision("medium")
torch.set_printoptions(precision=1)
torch.set_default_dtype(torch.float64)
np.set_printoptions(precision=1)
np.seterr(all="raise")
logging.disable()
torch.relu = torch.neg
sys.modules["leaked"] = json
"""
LOOK = """\
import logging
import sys

import numpy as np
import torch

assert "SMALLPORT_ASSETS" not in os.environ
assert os.environ.get("TZ") != "Asia/Tokyo"
assert not torch.are_deterministic_algorithms_enabled()
assert torch.get_float32_matmul_precision() == "highest"
assert torch.get_default_dtype() is torch.float32
assert np.get_printoptions()["precision"] == 8
assert np.geterr()["over"] == "warn"
assert logging.root.manager.disable == 0
assert torch.relu is not torch.neg
assert "leaked" not in sys.modules
"""

LINTED = [
    SpoiledPage("catches_exception", announced("Exception as error"), "everything", "except"),
    SpoiledPage(
        "catches_all", announced("(ValueError, BaseException) as error"), "everything", "except"
    ),
    SpoiledPage(
        "catches_bare",
        announced("", "error = 'zero'; assert error").replace("except :", "except:"),
        "everything",
        "except:",
    ),
    SpoiledPage(
        "catches_groups",
        announced("Exception as error", "assert str(error)").replace("except", "except*"),
        "catches everything",
        "except*",
    ),
    SpoiledPage(
        "suppresses",
        "from contextlib import suppress\n\nwith suppress(ZeroDivisionError):\n    1 / 0",
        "suppresses",
        "with suppress",
    ),
    SpoiledPage("asserts_nothing", announced(shown="print(error)"), "asserts nothing", "except"),
    SpoiledPage("stays_green", announced(after=""), "still passes", "except"),
    SpoiledPage(
        "hides_warnings",
        'import warnings\n\nwarnings.simplefilter("ignore")',
        "hides warnings",
        "warnings.simple",
    ),
    SpoiledPage("claims_if_false", "if False:\n    assert False", "can vanish", "    assert"),
    SpoiledPage("no_checks", "", "makes no checks", texts=(("check", ""),)),
    SpoiledPage("no_prose", "", "words of prose", texts=(("prose", "Look."),)),
    SpoiledPage("long_cell", "one = 1\n" * 41, "41 lines", "one = 1"),
    SpoiledPage("syntax_error", "one = (1", "SyntaxError", "one"),
    SpoiledPage("a name with spaces", "", "has a space in its name"),
    SpoiledPage("plot_10_first", "", "has the name of examples/small/plot_10_first.py"),
]
SECONDS = {"SMALLPORT_PAGE_SECONDS": "20"}


def write_pages(project, pages) -> dict[str, str]:
    """Write pages into a folder of their own, and name the lines of their faults."""
    header = project.examples / "spoiled" / "GALLERY_HEADER.rst"
    header.parent.mkdir()
    header.write_text("Spoiled\n-------\n\nDo not do this.\n", encoding="utf-8")
    for page in pages:
        project.write_page(page.name, page.code, **dict(page.texts))
    return {
        page.stem: project.line(page.name, page.line) if page.line else f"examples/{page.name}.py"
        for page in pages
    }


@pytest.fixture(scope="module")
def spoiled(built):
    """Build a gallery of pages with one fault each, twice; give the places to name, and both.

    The first time, the environment takes assertions and warnings out of every Python.
    """
    project = built.restored()
    places = write_pages(project, SPOILED)
    (project.root / "docs" / "turns.json").write_text(json.dumps(TURNS), encoding="utf-8")
    project.write_page("spoiled/leaks_10_state", LEAK)
    project.write_page("spoiled/leaks_20_looks", LOOK)
    first = project.build(**SECONDS, PYTHONOPTIMIZE="1", PYTHONWARNINGS="ignore")
    for left in (project.examples / "spoiled").glob("left.*"):
        left.unlink()
    return places, first, project.build(**SECONDS)


@pytest.mark.parametrize("page", SPOILED, ids=lambda page: page.stem)
def test_a_spoiled_page_is_named_with_its_fault(page, spoiled):
    places, build, repeated = spoiled
    build.assert_red(f"{places[page.stem]}: WARNING: ", page.cause)
    repeated.assert_red(f"{places[page.stem]}: WARNING: ", page.cause)


def test_every_file_that_a_spoiled_page_leaves_is_named(spoiled):
    _, build, _ = spoiled
    build.assert_red(
        "writes_everywhere.py", "spoiled/left.rst", "spoiled/left.txt", "the cache/upstream"
    )


def test_an_unbroken_page_among_spoiled_ones_is_not_accused(spoiled):
    # Nor is a page that runs after one that changed whatever it could.
    _, build, _ = spoiled
    found = re.findall(r"^(examples/([\w/]+)\.py.*\[gallery\..*)", build.output, re.MULTILINE)
    spoiled_on_purpose = {page.name for page in SPOILED}
    assert {page for _, page in found} >= spoiled_on_purpose
    assert [line for line, page in found if page not in spoiled_on_purpose] == []
    assert "spoiled/leaks_20_looks" in build.ran


@pytest.fixture(scope="module")
def linted(built):
    """Build a gallery of pages whose text breaks a rule; give the places to name, and the build."""
    project = built.restored()
    places = write_pages(project, LINTED)
    project.write_page("headless/plot_10_ignored")
    (project.examples / "small" / "notes.ipynb").touch()
    (project.examples / "linked").symlink_to(project.examples / "small")
    return places, project.build()


@pytest.mark.parametrize("page", LINTED, ids=lambda page: page.stem)
def test_a_linted_page_is_named_with_its_rule_before_any_page_runs(page, linted):
    places, build = linted
    build.assert_red(f"{places[page.stem]}: WARNING: ", page.cause)
    assert build.ran == []


def test_what_linted_folders_hold_beside_pages_is_named(linted):
    _, build = linted
    build.assert_red("examples/headless: WARNING: has no GALLERY_HEADER.rst")
    build.assert_red("examples/small/notes.ipynb: WARNING: is no page")
    build.assert_red("examples/linked: WARNING: is a symbolic link")


def test_escape_codes_that_color_output_do_not_reach_the_site(project):
    # Sphinx-Gallery takes them out of what is printed, though not out of HTML.
    page = (project.site / "gallery" / f"{SECOND}.html").read_text(encoding="utf-8")
    assert "something red" in page
    assert "\x1b" not in page
    assert "[31m" not in page.partition("something red")[2]


DOWNLOADS = {
    "writes_here": ('Path("left.txt").write_text("here")', "left files behind: ['left.txt']"),
    "exits": ("import sys\n\nsys.exit(0)", "ended the process before its own end"),
    "exits_at_once": ("os._exit(0)", "ended the process before its own end"),
    "false": ("assert 1 == 2", "assert 1 == 2"),
    "warns": ("import warnings\n\nwarnings.warn('slow')", "UserWarning: slow"),
    "writes_errors": ("import sys\n\nprint('slow', file=sys.stderr)", "to standard error:\nslow"),
    "unreached": ("def claim():\n    check('two', 2, at_most=2)", UNREACHED),
    "asserts_in_no_loop": ("for name in []:\n    assert name", UNREACHED),
}


@pytest.fixture
def download(tmp_path, monkeypatch):
    """Give a function that runs a page as a download, where assertions and warnings are off."""
    monkeypatch.setattr(gallery_project, "ROOT", tmp_path)
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")

    def run(code, seconds=100):
        page = tmp_path / "page.py"
        imports = "import os\nfrom pathlib import Path\n\nfrom smallport.checks import check\n\n"
        page.write_text(f"{imports}{CHECK}\n\n# %%\n# Here it comes.\n\n{code}\n", encoding="utf-8")
        return "\n".join(
            page_helpers.run_page(page, tmp_path, "faults", seconds=seconds).problems()
        )

    return run


@pytest.mark.parametrize("stem", DOWNLOADS)
def test_what_is_wrong_with_a_page_is_wrong_with_its_download(stem, download):
    code, cause = DOWNLOADS[stem]
    assert cause in download(code)


def test_a_download_that_is_right_has_no_problem_and_one_that_never_ends_is_stopped(download):
    assert download("assert 1 == 1") == ""
    with pytest.raises(subprocess.TimeoutExpired, match="timed out after 2"):
        download("import time\n\ntime.sleep(600)", seconds=2)


def test_a_published_figure_that_nothing_measures_is_named(project):
    published = project.root / "docs" / "published.toml"
    entry = '["small/plot_10_first"."{}"]\nvalue = "1"\nsource = "https://example.org"\n'
    published.write_text(entry.format("one") + entry.format("two"), encoding="utf-8")
    build = project.build()
    build.assert_red("docs/published.toml: WARNING: ", f"examples/{FIRST}.py measured no 'two'")
    assert "measured no 'one'" not in build.output


# Pages that do not run, or not to their end.


def test_pages_that_fail_are_green_once_they_are_what_they_were(project):
    unbroken = {name: project.page(name).read_text(encoding="utf-8") for name in (FIRST, SECOND)}
    project.write_page(FIRST, 'raise RuntimeError("upstream removed it")')
    project.write_page(SECOND, "raise SystemExit(0)")
    build = project.build()
    build.assert_red(project.line(FIRST, "raise"), "RuntimeError: upstream removed it")
    build.assert_red(f"examples/{SECOND}.py", "sys.exit")
    shown = (project.site / "gallery" / f"{FIRST}.html").read_text(encoding="utf-8")
    assert "upstream removed it</span>" in shown.partition("Traceback")[2]
    for name, text in unbroken.items():
        project.page(name).write_text(text, encoding="utf-8")
    fixed = project.build()
    fixed.assert_green()
    assert fixed.ran == [FIRST, SECOND]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_an_interrupted_build_is_whole_the_second_time(how, project):
    half_way = project.root / "half way"
    half_way.touch()
    code = (
        f'import time\n\nif Path({str(half_way)!r}).exists():\n    time.sleep(600)\nprint("whole")'
    )
    project.write_page(SECOND, code)
    with project.start("-m", "tools.gallery.build") as process:
        began = time.monotonic()
        try:
            while SECOND not in project.ran() and time.monotonic() < began + 120:
                assert process.poll() is None, process.communicate()[0]
                time.sleep(0.05)
            os.killpg(process.pid, how)
            process.communicate(timeout=60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode != 0
    half_way.unlink()
    build = project.build()
    build.assert_green()
    assert build.ran == [SECOND]
    assert "whole" in (project.site / "gallery" / f"{SECOND}.html").read_text(encoding="utf-8")


def test_a_page_without_its_text_runs_again(project):
    (project.root / "docs" / "gallery" / f"{FIRST}.rst").unlink()
    build = project.build()
    build.assert_green()
    assert build.ran == [FIRST]


# Links.


def test_dead_links_are_named_every_time_and_living_ones_are_not(project):
    project.write_page(
        FIRST,
        "# %%\n# See :doc:`/nowhere`, :func:`smallport.nope` and :class:`torch.Tensor`,\n"
        "# and :func:`smallport.checks.check`.\n\nprint(1)",
    )
    for _ in range(2):
        build = project.build()
        build.assert_red("plot_10_first.rst:", "unknown document", "nowhere")
        build.assert_red("plot_10_first.rst:", "smallport.nope")
        assert "torch.Tensor" not in build.output


def test_warnings_of_a_build_that_died_are_not_forgotten(project):
    (project.root / "docs" / "results.rst").write_text("Results\n=====\n\nNothing.\n")
    project.stub(
        "import sys\n"
        "if 'sphinx' in sys.orig_argv:\n"
        "    import os, signal\n"
        "    from sphinx.builders.html import StandaloneHTMLBuilder\n"
        "    StandaloneHTMLBuilder.finish = lambda self: os.killpg(0, signal.SIGKILL)\n"
    )
    assert project.build().returncode == -signal.SIGKILL
    (project.root / "stubs" / "sitecustomize.py").unlink()
    project.build().assert_red("results.rst:", "Title underline too short")


# Versions.


def test_a_version_that_constraints_txt_does_not_name_is_named(project):
    constraints = (project.root / "constraints.txt").read_text(encoding="utf-8")
    pinned = re.search(r"\ntqdm==(.*)", constraints)[1]
    project.change("constraints.txt", f"tqdm=={pinned}", "tqdm==4.0.0")
    build = project.run("-m", "tools.gallery.versions")
    build.assert_red("tqdm", pinned, "4.0.0")
    latest = project.run("-m", "tools.gallery.versions", "--latest")
    assert latest.returncode == 0, latest.output
    assert f"tqdm: {pinned} is installed, constraints.txt says 4.0.0" in latest.output


# What is kept from one build to the next.


def choose_published_assets(project) -> dict[str, str]:
    texts = project.root / "data" / "wikitext-2"
    texts.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        (texts / f"{split}.txt").write_text("one two three\n", encoding="utf-8")
    return {"SMALLPORT_ASSETS": "published", "SMALLPORT_DATA_DIR": str(texts.parent)}


def test_pages_run_again_for_what_they_used_and_the_build_says_for_what(project):
    module = project.root / "src" / "smallport" / "checks.py"
    with module.open("a") as stream:
        stream.write("# a comment\n")
    assert project.build().ran == []
    with module.open("a") as stream:
        stream.write("changed = True\n")
    build = project.build(OMP_NUM_THREADS="3")
    build.assert_green()
    assert build.ran == [THIRD, FIRST, SECOND]
    changes = (
        "OMP_NUM_THREADS changed"
        if "OMP_NUM_THREADS" in os.environ
        else "OMP_NUM_THREADS was added"
    )
    assert f"smallport.checks.changed was added, {changes}" in build.output


def test_pages_run_again_for_what_was_not_there_before(project):
    project.stub("import builtins\nbuiltins.more = 1\n")
    build = project.build()
    build.assert_green()
    assert build.ran == [THIRD, FIRST, SECOND]
    assert "sitecustomize is there now" in build.output


def test_a_page_that_is_edited_while_it_runs_runs_again(project):
    module = project.root / "src" / "smallport" / "checks.py"
    edit = f"checks = Path({str(module)!r})\nchecks.write_text(checks.read_text())"
    project.write_page(FIRST, edit)
    assert FIRST in project.build().ran
    project.write_page(FIRST, "# %%\n# Nothing.\n\nprint(1)")
    build = project.build()
    assert FIRST in build.ran
    build.assert_green()


def test_a_page_that_uses_the_network_runs_each_time_and_no_gate_minds(project):
    code = (
        "import socket\n\nwith socket.socket() as one:\n    one.settimeout(0.1)\n"
        "    print(one.connect_ex(('127.0.0.1', 9)) != 0)"
    )
    project.write_page(FIRST, code)
    project.build().assert_green()
    build = project.build()
    build.assert_green()
    assert build.ran == [FIRST]
    assert "it used the network (127.0.0.1)" in build.output


def test_other_assets_run_every_page_again_and_name_a_demo_that_lacks_one(project, tmp_path):
    setting = runtime.REGISTRY_SETTING
    registry = {setting: os.environ.get(setting) or runtime.REGISTRY}
    registry["SMALLPORT_CACHE_DIR"] = str(tmp_path / "cache")  # the others have no runtime
    build = project.build(**choose_published_assets(project), **registry)
    assert sorted(build.ran) == [THIRD, FIRST, SECOND]
    build.assert_red("docs/in_the_page.rst", "word_language_model_quantize.pth is missing")


def test_pages_run_again_on_request(project):
    fresh = project.build("--fresh")
    fresh.assert_green()
    assert sorted(fresh.ran) == [THIRD, FIRST, SECOND]
    one = project.build("--page", "plot_20_second")
    one.assert_green()
    assert one.ran == [SECOND]


def test_only_a_page_that_changed_runs_again(project):
    unchanged = project.build()
    unchanged.assert_green()
    assert unchanged.ran == []
    project.write_page(SECOND, 'print("something else")')
    changed = project.build()
    changed.assert_green()
    assert changed.ran == [SECOND]


# Records that cannot be believed.


def test_pages_whose_records_cannot_be_believed_run_again(project):
    records = project.root / "docs" / "_build" / "records"
    before = (project.site / "provenance.json").read_text(encoding="utf-8")
    truncated = records / FIRST / "run.json"
    truncated.write_text(truncated.read_text()[:100])
    (records / SECOND / "results.jsonl").unlink()
    forged = records / THIRD / "results.jsonl"
    forged.write_text(forged.read_text().replace('"value": 1.0', '"value": 9.0'))
    assert '"value": 9.0' in forged.read_text()
    build = project.build()
    build.assert_green()
    assert sorted(build.ran) == [THIRD, FIRST, SECOND]
    after = (project.site / "provenance.json").read_text(encoding="utf-8")
    assert '"value": 9.0' not in after
    assert after.count('"value": 1.0') == before.count('"value": 1.0') == 3


def test_a_fresh_build_needs_no_record(project):
    records = project.root / "docs" / "_build" / "records"
    for name, text in ((FIRST, "{"), (SECOND, "[]"), (THIRD, "")):
        (records / name / "run.json").write_text(text)
    build = project.build("--fresh")
    build.assert_green()
    assert sorted(build.ran) == [THIRD, FIRST, SECOND]


# Output, figures and downloads that somebody changes after the pages ran.

DRAWING = """\
# Drawing: a line of two points that rises from one on the left to two on the right
import matplotlib.pyplot as plt

plt.plot([1, 2])
plt.show()
"""
TAMPER = """\
import atexit
import re
import sys
import zipfile
from pathlib import Path


def tamper():
    docs = Path.cwd() / "docs"
    site = docs / "_build" / "html"

    def edit(file, old, new):
        content = file.read_bytes()
        assert old in content, f"{file} holds no {old}"
        file.write_bytes(content.replace(old, new))

    edit(docs / "gallery" / "small" / "plot_15_printed.rst", b"    printed", b"    edited")
    edit(site / "gallery" / "small" / "plot_20_second.html", b"something red", b"something green")
    image = site / "_images" / "sphx_glr_plot_30_third_001.png"
    image.write_bytes((site / "_images" / "sphx_glr_plot_30_third_001_dark.png").read_bytes())
    (script,) = site.rglob("plot_10_first.py")
    edit(script, b"at_most=1", b"at_most=2")
    (notebook,) = site.rglob("plot_20_second.ipynb")
    edit(notebook, b"something red", b"something blue")
    bundle = site / "smallport-offline.zip"
    with zipfile.ZipFile(bundle) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    with zipfile.ZipFile(bundle, "w") as packed:
        for name, content in members.items():
            older = name.endswith("plot_30_third.py")
            packed.writestr(name, content.replace(b"[1, 2]", b"[2, 1]") if older else content)


if "html" in sys.orig_argv:
    atexit.register(tamper)
"""
TAMPERED = {
    "text_edited": (
        "examples/small/plot_15_printed.py",
        None,
        "docs/gallery/small/plot_15_printed.rst was changed after the page ran",
    ),
    "output_edited_in_the_site": (
        f"examples/{SECOND}.py",
        "print(",
        "shows 'something green' as output of this cell, which printed 'something red'",
    ),
    "figure_replaced": (
        f"examples/{THIRD}.py",
        None,
        "_images/sphx_glr_plot_30_third_001.png in the site is not the figure that the page drew",
    ),
    "older_script": (
        f"examples/{FIRST}.py",
        CHECK,
        f"plot_10_first.py is not the page: it has 'check(\"one\", 1, at_most=2)' for '{CHECK}'",
    ),
    "older_notebook": (
        f"examples/{SECOND}.py",
        None,
        "plot_20_second.ipynb cell ",
    ),
    "older_script_in_the_archive": (
        f"examples/{THIRD}.py",
        "plt.plot(",
        "plot_30_third.py in smallport-offline.zip is not the page: it has 'plt.plot([2, 1])' for",
    ),
}


@pytest.fixture(scope="module")
def tampered(built):
    """Build a site whose files are changed in several ways before the gates."""
    project = built.restored()
    project.write_page(THIRD, DRAWING)
    project.write_page("small/plot_15_printed", 'print("printed")')
    project.stub(TAMPER)
    return project, project.build()


@pytest.mark.parametrize("fault", TAMPERED)
def test_what_is_changed_after_a_page_ran_is_named_with_the_page(fault, tampered):
    project, build = tampered
    page, code, cause = TAMPERED[fault]
    lines = (project.root / page).read_text(encoding="utf-8").splitlines()
    line = next(n for n, text in enumerate(lines, 1) if text.startswith(code)) if code else ""
    build.assert_red(f"{page}:{line}{':' if line else ''} WARNING: ", cause)


IMPOSSIBLE = {
    "another_commit": (
        '    name = files.git(project.ROOT, "rev-parse", "--short=12", "HEAD")\n',
        '    name = "0123456789ab"\n',
        "says that it ran at the commit 0123456789ab, which the repository of this checkout does",
    ),
    "a_date_to_come": (
        "date=dt.datetime.now(dt.UTC)",
        "date=dt.datetime.now(dt.UTC).replace(year=9999)",
        "says that it ran on 9999-",
    ),
}


@pytest.mark.parametrize("fault", IMPOSSIBLE)
def test_a_record_of_another_commit_or_date_is_named(fault, project):
    old, new, cause = IMPOSSIBLE[fault]
    project.change("tools/gallery/environment.py", old, new)
    build = project.build("--fresh")
    for page in (FIRST, SECOND):
        build.assert_red(f"examples/{page}.py: WARNING: ", cause)


# Where the project lies, and where the site does.


def test_a_project_builds_whose_path_has_a_space_and_whose_home_is_a_file(project, tmp_path):
    home = tmp_path / "home"
    home.touch()
    moved = type(project)(tmp_path / "a folder" / "project", project.cache)
    shutil.copytree(project.root, moved.root, ignore=shutil.ignore_patterns("html", "doctrees"))
    build = moved.build(HOME=str(home))
    build.assert_green()
    assert "a folder" not in (moved.site / "index.html").read_text(encoding="utf-8")


def test_a_site_at_another_address_says_so_in_its_downloads_and_runs_no_page_for_it(project):
    site, repository = "https://example.org/smallport", "https://example.org/repository"
    build = project.build(SMALLPORT_SITE_URL=site, SMALLPORT_REPOSITORY_URL=repository)
    build.assert_green()
    assert build.ran == []
    (notebook,) = (project.site / "_downloads").rglob(f"{Path(FIRST).name}.ipynb")
    assert "https://example.org/smallport/smallport-" in notebook.read_text(encoding="utf-8")
    page = (project.site / "gallery" / f"{FIRST}.html").read_text(encoding="utf-8")
    assert "https://example.org/smallport/smallport-" in page
    for part in (
        'rel="canonical"',
        'property="og:title"',
        'name="description"',
        f"{repository}/issues/new?",
        "Open in Colab",
    ):
        assert part in page, part
    for listed in ("sitemap.xml", "llms.txt"):
        assert f"{site}/gallery/{FIRST}." in (project.site / listed).read_text(encoding="utf-8")


def test_a_page_opens_with_its_card_and_leads_on_to_the_next_page(project):
    page = (project.site / "gallery" / f"{FIRST}.html").read_text(encoding="utf-8")
    assert "smallport-card" in page
    assert "Go to the end" not in page
    (on,) = re.findall(r'<a class="right-next"\s+href="([^"]+)"', page)
    assert "index.html" not in on
    assert (project.site / "gallery" / FIRST).with_suffix(".txt").exists()


def test_a_site_without_an_address_names_none(project):
    (notebook,) = (project.site / "_downloads").rglob(f"{Path(FIRST).name}.ipynb")
    assert "http" not in notebook.read_text(encoding="utf-8")
    page = (project.site / "gallery" / f"{FIRST}.html").read_text(encoding="utf-8")
    assert 'rel="canonical"' not in page
    assert "127.0.0.1" not in page


def test_sphinx_syntax_that_stays_in_a_notebook_is_named(project):
    project.write_page(
        FIRST,
        prose="Ten words of this sentence say nothing at all here. " * 12 + "\n\n.. tip:: Read on.",
    )
    project.build().assert_red("plot_10_first.ipynb", "a directive", "[gallery.notebook]")


def test_a_cache_that_cannot_be_written_is_a_sentence(project, tmp_path):
    (tmp_path / "file").touch()
    build = project.build(SMALLPORT_CACHE_DIR=str(tmp_path / "file" / "cache"))
    build.assert_red("The cache folder", "cannot be written", "SMALLPORT_CACHE_DIR")
    assert "Traceback" not in build.output


# Pages that are gone.


def traces(project, word: str) -> list[str]:
    """List the generated files that hold a word, in their name or in what they say."""
    found = []
    for folder in ("docs/gallery", "docs/_build", "docs/api"):
        for file in (project.root / folder).rglob("*"):
            name = file.relative_to(project.root).as_posix()
            held = file.read_bytes() if file.is_file() else b""
            if zipfile.is_zipfile(file):
                held = " ".join(zipfile.ZipFile(file).namelist()).encode()
            if word in name or word.encode() in held:
                found.append(name)
    return found


def pages_of_site(project) -> set[str]:
    """Name the files of a site, whatever Sphinx calls the folders of its downloads."""
    files = (file for file in project.site.rglob("*") if file.is_file())
    names = (file.relative_to(project.site).as_posix() for file in files)
    return {re.sub(r"_downloads/[0-9a-f]+/", "_downloads/", name) for name in names}


def test_a_renamed_page_leaves_no_trace(project):
    assert traces(project, "plot_10_first")
    before = pages_of_site(project)
    project.page(FIRST).unlink()
    project.write_page("small/plot_15_renamed")
    build = project.build()
    build.assert_green()
    assert build.ran == ["small/plot_15_renamed"]
    assert traces(project, "plot_10_first") == []
    renamed = {name.replace("plot_10_first", "plot_15_renamed") for name in before}
    assert pages_of_site(project) == renamed


def test_a_removed_folder_leaves_no_trace(project):
    assert traces(project, "plot_30_third")
    assert traces(project, "Soon gone")
    shutil.rmtree(project.page(THIRD).parent)
    build = project.build()
    build.assert_green()
    assert build.ran == []
    assert traces(project, "plot_30_third") == []
    assert traces(project, "Soon gone") == []


def test_a_profile_that_does_not_exist_is_named_at_once(project):
    project.build(SMALLPORT_ASSETS="publishd").assert_red(
        "SMALLPORT_ASSETS='publishd'", "'embedded'", "did you mean 'published'?"
    )

"""Break the build in every way that somebody would rather not find out from a reader."""

import os
import re
import shutil
import signal
import time
import zipfile
from dataclasses import dataclass

import pytest

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
    # How it announces a failure.
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
    SpoiledPage("stays_green", announced(after=""), "stays green", "except"),
    # What it holds.
    SpoiledPage("no_checks", "", "makes no checks", texts=(("check", ""),)),
    SpoiledPage("no_prose", "", "words of prose", texts=(("prose", "Look."),)),
    SpoiledPage("long_cell", "one = 1\n" * 41, "41 lines", "one = 1"),
    # What it does.
    SpoiledPage(
        "writes_here",
        'Path("left.txt").write_text("here")',
        "left files in the folder it ran in: left.txt",
    ),
    SpoiledPage(
        "raises",
        'raise RuntimeError("upstream removed it")',
        "RuntimeError: upstream removed it",
        "raise",
    ),
    SpoiledPage("syntax_error", "one = (1", "SyntaxError", "one"),
]


@pytest.fixture(scope="module")
def spoiled(built):
    """Build a gallery of pages with one fault each, twice; give the places to name, and both."""
    project = built.restored()
    header = project.examples / "spoiled" / "GALLERY_HEADER.rst"
    header.parent.mkdir()
    header.write_text("Spoiled\n-------\n\nDo not do this.\n", encoding="utf-8")
    for page in SPOILED:
        project.write_page(page.name, page.code, **dict(page.texts))
    lines = {page.stem: project.line(page.name, page.line) for page in SPOILED if page.line}
    first, second = project.build(), project.build()
    return lines, first, second


@pytest.mark.parametrize("page", SPOILED, ids=lambda page: page.stem)
def test_a_spoiled_page_is_named_with_its_fault(page, spoiled):
    lines, build, repeated = spoiled
    place = lines.get(page.stem, f"examples/{page.name}.py")
    build.assert_red("gate: ", place, page.cause)
    repeated.assert_red("gate: ", place, page.cause)


def test_an_unbroken_page_among_spoiled_ones_is_not_accused(spoiled):
    _, build, _ = spoiled
    accused = set(re.findall(r"gate: examples/([\w/]+)", build.output))
    assert accused == {page.name for page in SPOILED}


def test_escape_codes_that_color_output_do_not_reach_the_site(project):
    # Sphinx-Gallery takes them out of what is printed, though not out of HTML.
    page = (project.site / "gallery" / f"{SECOND}.html").read_text(encoding="utf-8")
    assert "something red" in page
    assert "\x1b" not in page
    assert "[31m" not in page.partition("something red")[2]


def test_a_page_that_writes_where_it_runs_fails_as_a_download(project):
    project.write_page(FIRST, 'Path("left.txt").write_text("here")')
    run = project.run(
        "-m", "pytest", "-m", "page", "-p", "no:cacheprovider", "tests/test_examples.py"
    )
    run.assert_red("plot_10_first.py left files in the folder it ran in", "left.txt")


# Pages that do not run, or not to their end.


def test_a_page_that_fails_is_green_once_it_is_what_it_was(project):
    unbroken = project.page(FIRST).read_text(encoding="utf-8")
    project.write_page(FIRST, 'raise RuntimeError("upstream removed it")')
    build = project.build()
    build.assert_red(f"{FIRST}.py", f"line {project.line(FIRST, 'raise').rpartition(':')[2]}")
    build.assert_red("RuntimeError: upstream removed it")
    project.page(FIRST).write_text(unbroken, encoding="utf-8")
    mended = project.build()
    mended.assert_green()
    assert mended.ran == [FIRST]


def test_pages_that_the_gallery_passes_over_are_named(project):
    # Sphinx-Gallery's own pattern, /plot_, instead of ours.
    project.change("docs/conf.py", r'"filename_pattern": r"\.py$",', "")
    project.write_page("small/unplotted")
    project.write_page("headless/plot_10_ignored")
    deeper = project.examples / "small" / "deeper"
    deeper.mkdir()
    (deeper / "GALLERY_HEADER.rst").write_text("Deeper\n------\n", encoding="utf-8")
    project.write_page("small/deeper/plot_10_deep")
    build = project.build()
    assert build.ran == []
    build.assert_red("examples/small/unplotted.py was never executed")
    build.assert_red("examples/small/deeper/plot_10_deep.py was never executed")
    build.assert_red("examples/headless/plot_10_ignored.py was never executed")
    build.assert_red("examples/headless has no GALLERY_HEADER.rst")


def test_a_page_that_ends_the_process_is_named_and_can_be_mended(project):
    project.write_page(FIRST, "raise SystemExit(0)")
    build = project.build()
    build.assert_red(f"examples/{FIRST}.py", "sys.exit")
    project.write_page(FIRST)
    mended = project.build()
    mended.assert_green()
    assert FIRST in mended.ran


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_an_interrupted_build_is_whole_the_second_time(how, project):
    project.write_page(
        SECOND, 'import time\n\nif "HALF_WAY" in os.environ:\n    time.sleep(600)\nprint("whole")'
    )
    with project.start("-m", "tools.gallery.build", HALF_WAY="yes") as process:
        while SECOND not in project.ran():
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.05)
        os.killpg(process.pid, how)
        process.communicate()
    assert process.returncode != 0
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


def change_the_package(project) -> dict[str, str]:
    with (project.root / "src" / "smallport" / "text.py").open("a") as module:
        module.write("# changed\n")
    return {}


def install_another_version(project) -> dict[str, str]:
    project.stub(
        "import importlib.metadata\n"
        "version = importlib.metadata.version\n"
        "importlib.metadata.version = lambda name: '0' if name == 'tqdm' else version(name)\n"
    )
    return {}


def change_the_corpus(project) -> dict[str, str]:
    project.stub("from pydoc_data.topics import topics\ntopics['assert'] += 'And so on.'\n")
    return {}


def choose_published_assets(project) -> dict[str, str]:
    texts = project.root / "data" / "wikitext-2"
    texts.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        (texts / f"{split}.txt").write_text("one two three\n", encoding="utf-8")
    return {"SMALLPORT_ASSETS": "published", "SMALLPORT_DATA_DIR": str(texts.parent)}


def lose_int8_instructions(project) -> dict[str, str]:
    project.stub(
        "import sys\n"
        "if any(name in ('sphinx', '-m tools.gallery.build') for name in sys.orig_argv):\n"
        "    import torch\n"
        "    torch.cpu.get_capabilities = lambda: {'dot': True, 'i8mm': True}\n"
    )
    return {}


@pytest.mark.parametrize(
    "change",
    [
        change_the_package,
        install_another_version,
        change_the_corpus,
        choose_published_assets,
        lose_int8_instructions,
    ],
    ids=lambda change: change.__name__,
)
def test_every_page_runs_again_after(change, project):
    environment = change(project)
    build = project.build(**environment)
    build.assert_green()
    assert sorted(build.ran) == [THIRD, FIRST, SECOND]


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


def test_a_profile_that_does_not_exist_is_named_at_the_end(project):
    project.build(SMALLPORT_ASSETS="publishd").assert_red(
        "gate: ", "SMALLPORT_ASSETS='publishd'", "'embedded'", "'published'"
    )


def test_a_page_that_makes_readers_ask_another_host_is_named(project):
    text = '.. raw:: html\n\n   <img src="https://example.org/spy.png" alt="">\n'
    index = project.root / "docs" / "index.rst"
    index.write_text(index.read_text(encoding="utf-8") + f"\n{text}", encoding="utf-8")
    project.build().assert_red("gate: ", "index.html", "https://example.org/spy.png")

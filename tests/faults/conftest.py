"""A copy of the project with a small gallery, to be broken and built again and again.

The copy lies where it was first built, since Sphinx begins anew when a project moves: each test
gets it back as it was after a green build.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).resolve().parents[2]
COPIED = [
    "LICENSE",
    "README.md",
    "constraints.txt",
    "pyproject.toml",
    "src",
    "docs/conf.py",
    "docs/_ext",
    "docs/notices.toml",
    "tools",
    "docs/_static",
    "docs/_templates",
]
TEXTS = {
    "docs/published.toml": "",
    "docs/headline.toml": "",
    "docs/index.rst": """\
Small
=====

.. toctree::

   gallery/index
   results
   api
""",
    "docs/results.rst": """\
Results
=======

.. measured::
""",
    "docs/api.rst": """\
API
===

.. autosummary::
   :toctree: api

   smallport.checks.check
""",
    "examples/GALLERY_HEADER.rst": "All\n===\n\nEvery page.\n",
    "examples/last/GALLERY_HEADER.rst": "Soon gone\n---------\n\nOne page.\n",
    "examples/small/GALLERY_HEADER.rst": "Small\n-----\n\nPages that take no time.\n",
}
PROSE = "This sentence takes ten words and says nothing at all. " * 12
OPENING = "Result: none.\n\nPrerequisites: none.\n\nWhat you will learn: nothing."
ENDING = """
# %%
# Exercises
# ---------
#
# 1. Do nothing.

# Answer: that was all
answer = None

# %%
# Conclusion
# ----------
#
# There is none.
"""
CHECK = 'check("one", 1, at_most=1)'
LAST_CELL = "# %%\n# Here it comes."

NO_REGISTRY = "http://127.0.0.1:9"
"""Where nothing answers: without the runtime, a build trains no model for the demo."""

LONGEST = 600
"""How many seconds a build may take before its test fails."""


def pytest_addoption(parser) -> None:
    """Add the option that finds where each fault may enter its page."""
    parser.addoption("--find-entries", action="store_true", help="find where faults may enter")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Give the tests that share a run of a page or a build to one worker, others one by one."""

    class BySharedRun(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            shared = re.search(
                r"number_faults.*\[(plot_\w+)|build_faults.*_(spoiled|linted|changed_after)_",
                nodeid,
            )
            return shared[1] or shared[2] if shared else nodeid

    return BySharedRun(config, log)


def pytest_terminal_summary(terminalreporter) -> None:
    """Name the faults that entered their page earlier than ``entries.json`` says."""
    for report in terminalreporter.getreports("passed"):
        if early := dict(report.user_properties).get("early"):
            terminalreporter.line(f"{report.nodeid} enters at cell {early}: use --find-entries")


def heed_interrupts() -> None:
    """Let a process be interrupted, even if it is started from one that ignores that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass
class Build:
    """What came of building a project.

    Parameters
    ----------
    returncode
        0 where the build was green.
    output
        All that it printed.
    ran
        The pages that were executed.
    """

    returncode: int
    output: str
    ran: list[str]

    @property
    def ending(self) -> str:
        """The last lines of the output, which say what came of it."""
        return "\n".join(self.output.splitlines()[-40:])

    def assert_green(self) -> None:
        """Fail, and show the build's output, where the build was red."""
        assert self.returncode == 0, f"the build is red:\n{self.ending}"

    def assert_red(self, *named: str) -> None:
        """Fail where the build was green, or has no line that names all of this."""
        assert self.returncode != 0, f"the build is green:\n{self.ending}"
        found = any(all(name in line for name in named) for line in self.output.splitlines())
        assert found, f"the build is red, and no line names all of {named}:\n{self.ending}"


@dataclass
class Project:
    """A copy of the project.

    Parameters
    ----------
    root
        Where it lies.
    cache
        The cache that its builds use.
    """

    root: Path
    cache: Path

    @property
    def examples(self) -> Path:
        """The folder of its pages."""
        return self.root / "examples"

    @property
    def diary(self) -> Path:
        """The file in which its pages say that they ran."""
        return self.root / "diary.txt"

    @property
    def site(self) -> Path:
        """The folder of its built site."""
        return self.root / "docs" / "_build" / "html"

    def page(self, name: str) -> Path:
        """Name the script of a page, given as ``folder/stem``."""
        return self.examples / f"{name}.py"

    def line(self, name: str, code: str) -> str:
        """Name the place of a piece of the last cell as a message should."""
        text = self.page(name).read_text(encoding="utf-8")
        before = text[: text.index(code, text.index(LAST_CELL))]
        return f"examples/{name}.py:{before.count(chr(10)) + 1}"

    def write_page(self, name: str, code: str = "", prose: str = PROSE, check: str = CHECK) -> None:
        """Write a page that does nothing but to run some code, which is its last cell."""
        script = self.page(name)
        script.parent.mkdir(exist_ok=True)
        script.write_text(
            f'"""\nThe page {script.stem}\n{"=" * 60}\n\n{prose}\n\n{OPENING}\n"""\n\n'
            "import os\nfrom pathlib import Path\n\nfrom smallport.checks import check\n\n"
            f'with Path({str(self.diary)!r}).open("a") as diary:\n'
            f'    print("{name}", file=diary)\n{check}\n'
            f"{ENDING}\n{LAST_CELL}\n\n{code}\n",
            encoding="utf-8",
        )

    def change(self, file: str, old: str, new: str) -> None:
        """Change one passage of a file."""
        text = (self.root / file).read_text(encoding="utf-8")
        assert old in text, f"{file} holds no {old!r} any more: fix this test"
        (self.root / file).write_text(text.replace(old, new), encoding="utf-8")

    def stub(self, code: str) -> None:
        """Run some code at the start of every process, in place of a change upstream."""
        (self.root / "stubs").mkdir()
        (self.root / "stubs" / "sitecustomize.py").write_text(code, encoding="utf-8")

    def start(self, *command: object, **environment: str) -> subprocess.Popen:
        """Start Python on the project, in a process group of its own."""
        settings = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("SMALLPORT_") and name != "CI"
        }
        settings["npm_config_registry"] = NO_REGISTRY
        settings["PYTHONPATH"] = os.pathsep.join(
            [str(self.root / "stubs"), str(self.root / "src"), str(self.root)]
        )
        settings["SMALLPORT_CACHE_DIR"] = str(self.cache)
        self.diary.write_text("")
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=self.root,
            env=settings | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=heed_interrupts,  # noqa: PLW1509 - no threads run here
        )

    def run(self, *command: object, **environment: str) -> Build:
        """Run Python on the project to its end."""
        with self.start(*command, **environment) as process:
            try:
                output, _ = process.communicate(timeout=LONGEST)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return Build(process.returncode, output, self.ran())

    def build(self, *arguments: str, **environment: str) -> Build:
        """Build the site and apply the gates, as ``nox -s docs`` does."""
        return self.run("-m", "tools.gallery.build", *arguments, **environment)

    def ran(self) -> list[str]:
        """Name the pages that ran since the last process was started; they run side by side."""
        return sorted(self.diary.read_text(encoding="utf-8").split())


@dataclass(frozen=True)
class Built:
    """A project, and what it was after its first build.

    Parameters
    ----------
    project
        The project, in whatever state.
    snapshot
        A copy of its folder after a green build.
    """

    project: Project
    snapshot: Path

    def restored(self) -> Project:
        """Give the project back as it was."""
        shutil.rmtree(self.project.root)
        shutil.copytree(self.snapshot, self.project.root)
        return self.project


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Built:
    """Build the unbroken copy."""
    root = tmp_path_factory.mktemp("faults") / "project"
    for name in COPIED:
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    # A page that the wheel holds is none of the pages here.
    file = root / "pyproject.toml"
    text = file.read_text(encoding="utf-8")
    without = re.sub(r"\[tool\.[\w.]+\.force-include\].*\n(\".*\n)+", "", text)
    assert without != text
    file.write_text(without, encoding="utf-8")
    for name, text in TEXTS.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    inventories = root / "docs" / "_build" / "inventories"
    inventories.mkdir(parents=True)
    for name in ("python", "numpy", "torch"):
        (inventories / f"{name}.unreachable").touch()  # these builds ask nobody
    project = Project(root, tmp_path_factory.mktemp("cache"))
    project.write_page("small/plot_10_first")
    project.write_page("small/plot_20_second", 'print("\\x1b[31msomething red\\x1b[0m")')
    project.write_page("last/plot_30_third")
    project.build().assert_green()
    snapshot = root.with_name("snapshot")
    shutil.copytree(root, snapshot)
    return Built(project, snapshot)


@pytest.fixture
def project(built) -> Project:
    """Give the unbroken copy, built and green, to break it."""
    return built.restored()

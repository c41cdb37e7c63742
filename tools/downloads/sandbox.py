"""Run downloads in an empty folder, in an environment that they fill themselves."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.downloads.offered import table_text
from tools.gallery import project, settings, versions

KERNEL = "page"
RUNNER = project.ROOT / "tests" / "run_page.py"
"""Turns warnings into errors, and marks that a script came to its end."""

PROGRESS = re.compile(r"[^\r\n]*\d%\|[^\r\n]*")
WITHOUT_WIDGETS = re.compile(r".*TqdmWarning: IProgress not found.*\n.*\n")
"""The warning that tqdm gives where Jupyter has no widgets, and its line of code."""

FONT_CACHE = "Matplotlib is building the font cache; this may take a moment.\n"
WHEEL = re.compile(r"https?://[^\s\"@]+/(?=smallport-[^/\s\"]+\.whl)")
"""The address of the site before the name of the wheel."""

SITE = project.BUILD / "html"
TAIL = 1500
"""The number of characters of an error that are shown."""

DROPPED = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONOPTIMIZE", "PYTHONWARNINGS"}
"""Variables that would lend a download what it does not bring."""


class RunError(Exception):
    """A download failed; the message says how."""


@dataclass(frozen=True)
class Sandbox:
    """A folder that holds a download, the files that have to be next to it, and no others.

    Parameters
    ----------
    folder
        The folder.
    cache
        Where pages store what they train.
    """

    folder: Path
    cache: Path

    @property
    def results(self) -> Path:
        """The file that the last run recorded its checks in."""
        return self.folder.with_suffix(".jsonl")

    def take(self, *files: Path) -> None:
        """Begin with an empty folder, and put copies of some files into it.

        The wheel is not at the site's address before the site is published: scripts and notebooks
        get the address of the built file instead.
        """
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.results.unlink(missing_ok=True)
        for file in files:
            copy = Path(shutil.copy(file, self.folder))
            if copy.suffix in {".py", ".ipynb"}:
                text = copy.read_text(encoding="utf-8")
                copy.write_text(WHEEL.sub(f"{SITE.as_uri()}/", text), encoding="utf-8")

    def files(self) -> set[Path]:
        """List the files in the folder."""
        return {file for file in self.folder.rglob("*") if file.is_file()}

    def variables(self) -> dict[str, str]:
        """Name the environment variables of a run."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if name not in DROPPED and not name.startswith(settings.PREFIX)
        }
        return kept | {
            "SMALLPORT_CACHE_DIR": str(self.cache),
            settings.RESULTS_FILE: str(self.results),
            "MPLCONFIGDIR": str(self.folder.with_suffix(".matplotlib")),
            "OMP_WAIT_POLICY": "passive",  # threads that wait leave the cores to what runs beside
            # Of the versions that a download admits, those that the site was built with.
            "PIP_CONSTRAINT": str(versions.CONSTRAINTS),
            "PIP_NO_COMPILE": "1",  # a page imports a small part of what is installed
        }

    def run(self, *command: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the folder.

        Raises
        ------
        RunError
            When it fails or takes too long.
        """
        seconds = settings.page_seconds(os.environ)
        try:
            done = subprocess.run(
                [*map(str, command)],
                cwd=self.folder,
                env=self.variables() | variables,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RunError(f"was stopped after {seconds:g} s") from None
        if done.returncode:
            raise RunError(f"failed:\n{(done.stdout + done.stderr)[-TAIL:]}")
        return done


def environment(folder: Path) -> Path:
    """Make an environment that has only pip; return its Python."""
    venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def kernel(folder: Path, kernels: Path, sandbox: Sandbox) -> str:
    """Make an environment that has only Jupyter's kernel; return the kernel's name.

    This process looks for kernels in one folder, so that all are registered in the same one.
    """
    python = environment(folder)
    sandbox.run(python, "-m", "pip", "install", "-q", "ipykernel")
    name = f"{KERNEL}-{folder.name}"
    sandbox.run(python, "-m", "ipykernel", "install", "--prefix", kernels, "--name", name)
    os.environ["JUPYTER_PATH"] = str(kernels / "share" / "jupyter")
    return name


def run_notebook(notebook: Path, sandbox: Sandbox, name: str) -> list[str]:
    """Execute a notebook; return the outputs of its cells, except the first, which installs.

    Raises
    ------
    RunError
        When a cell fails, takes too long or writes an error, or when a file is left behind.
    """
    import nbformat  # noqa: PLC0415 - only the session that needs them has these
    from nbclient import NotebookClient, exceptions  # noqa: PLC0415

    before = sandbox.files()
    text = notebook.read_text(encoding="utf-8")
    content = nbformat.reads(text, as_version=4)
    client = NotebookClient(
        content,
        kernel_name=name,
        timeout=int(settings.page_seconds(os.environ)),
        resources={"metadata": {"path": str(sandbox.folder)}},
    )
    try:
        client.execute(env=sandbox.variables())
    except exceptions.CellExecutionError as error:
        raise RunError(f"failed:\n{str(error)[-TAIL:]}") from None
    except (TimeoutError, exceptions.DeadKernelError) as error:
        raise RunError(f"did not come to its end: {error}") from None
    first, *others = [cell for cell in content.cells if cell.cell_type == "code"]
    if "ERROR" in (said := stream(first, "stdout") + stream(first, "stderr")):
        raise RunError(f"could not install what it needs:\n{said[-TAIL:]}")
    for cell in others:
        said = stream(cell, "stderr").replace(FONT_CACHE, "")
        if errors := PROGRESS.sub("", WITHOUT_WIDGETS.sub("", said)).strip():
            raise RunError(f"wrote to standard error: {errors[-TAIL:]}")
    leftovers(sandbox.files() - before)
    return [text for cell in others for text in (stream(cell, "stdout"), *tables(cell)) if text]


def stream(cell: Any, name: str) -> str:
    """Read what a cell wrote to a stream."""
    return "".join(
        output["text"]
        for output in cell["outputs"]
        if output["output_type"] == "stream" and output["name"] == name
    )


def tables(cell: Any) -> list[str]:
    """Read the tables that a cell showed."""
    shown = [output.get("data", {}).get("text/html") for output in cell["outputs"]]
    return [table_text(table) for table in shown if table]


def run_script(python: Path, script: str, sandbox: Sandbox) -> list[str]:
    """Run a script that lies in the folder, with warnings as errors; return what it printed.

    Raises
    ------
    RunError
        When it fails, takes too long, writes an error, ends before its last line, or leaves a file
        behind: in the folder, in its home or among its temporary files.
    """
    before = sandbox.files()
    with tempfile.TemporaryDirectory(prefix="script-", ignore_cleanup_errors=True) as folder:
        scratch, mark = Path(folder, "scratch"), Path(folder, "mark")
        scratch.mkdir()
        own = ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP")
        # Without -P, Python would also look for modules beside the runner.
        done = sandbox.run(python, "-P", RUNNER, script, mark, **dict.fromkeys(own, str(scratch)))
        if not mark.exists():
            raise RunError("ended the process before its last line")
        if errors := done.stderr.replace(FONT_CACHE, ""):
            raise RunError(f"wrote to standard error:\n{errors[-TAIL:]}")
        written = {file for file in scratch.rglob("*") if file.is_file()}
        leftovers(written | (sandbox.files() - before))
    return [done.stdout]


def leftovers(files: set[Path]) -> None:
    """Raise an error that names the files that a run left behind, if there are any."""
    if files:
        raise RunError(f"left files behind: {', '.join(sorted(map(str, files)))}")


def run_with_pipx(script: Path, sandbox: Sandbox) -> list[str]:
    """Run a script as pipx does, in an environment made only from its own metadata.

    pipx has pip install, which also looks at the files next to the script.
    """
    places = f"{sandbox.folder} {os.environ.get('PIP_FIND_LINKS', '')}".strip()
    home = str(sandbox.folder.with_suffix(".pipx"))
    command = [sys.executable, "-m", "pipx", "run", "--backend", "pip", script.name]
    return [sandbox.run(*command, PIPX_HOME=home, PIP_FIND_LINKS=places).stdout]

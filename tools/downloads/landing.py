"""Run downloads where they land: in an empty folder, in an environment that they fill."""

import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.gallery import settings, versions

KERNEL = "page"
WITHOUT_WIDGETS = "TqdmWarning: IProgress not found"
"""What transformers makes tqdm say where Jupyter has no widgets; it then does without them."""

TAIL = 1500
"""How many characters of what went wrong are shown."""

DROPPED = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONOPTIMIZE", "PYTHONWARNINGS"}
"""Variables that would lend a download what it does not bring."""


class RunError(Exception):
    """What went wrong where a download ran."""


@dataclass(frozen=True)
class Landing:
    """A folder to which nothing was taken but a download and what has to lie beside it.

    Parameters
    ----------
    folder
        The folder.
    cache
        Where pages keep what they train.
    """

    folder: Path
    cache: Path

    @property
    def results(self) -> Path:
        """The file that the last run recorded its checks in."""
        return self.folder.with_suffix(".jsonl")

    def take(self, *files: Path) -> None:
        """Begin with an empty folder, and put copies of some files into it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.results.unlink(missing_ok=True)
        for file in files:
            shutil.copy(file, self.folder)

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
            "OMP_WAIT_POLICY": "passive",  # threads that wait leave the cores to what runs beside
            "PIP_NO_COMPILE": "1",  # a page imports a small part of what is installed
        }

    def run(self, *command: str | Path, **variables: str) -> str:
        """Run a command in the folder, and give back what it printed.

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
        return done.stdout


def environment(folder: Path) -> Path:
    """Make an environment that holds nothing but pip; return its Python."""
    venv.create(folder, with_pip=True, symlinks=os.name != "nt")
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def kernel(folder: Path, landing: Landing) -> str:
    """Make an environment that holds nothing but Jupyter's kernel; return the kernel's name.

    The kernel is registered beside the cache, where this process looks for all of them.
    """
    python = environment(folder)
    kernels = landing.cache.with_name("jupyter")
    landing.run(python, "-m", "pip", "install", "-q", "-c", versions.CONSTRAINTS, "ipykernel")
    name = f"{KERNEL}-{folder.name}"
    landing.run(python, "-m", "ipykernel", "install", "--prefix", kernels, "--name", name)
    os.environ["JUPYTER_PATH"] = str(kernels / "share" / "jupyter")
    return name


def execute(notebook: Path, landing: Landing, name: str) -> list[str]:
    """Execute a notebook; give back what its cells printed, the first left out, which installs.

    Raises
    ------
    RunError
        When a cell fails or takes too long, or says that something is wrong.
    """
    import nbformat  # noqa: PLC0415 - only the session that needs them has these
    from nbclient import NotebookClient, exceptions  # noqa: PLC0415

    text = notebook.read_text(encoding="utf-8")
    content = nbformat.reads(text, as_version=4)
    client = NotebookClient(
        content,
        kernel_name=name,
        timeout=int(settings.page_seconds(os.environ)),
        resources={"metadata": {"path": str(landing.folder)}},
    )
    try:
        client.execute(env=landing.variables())
    except exceptions.CellExecutionError as error:
        raise RunError(f"failed:\n{str(error)[-TAIL:]}") from None
    except (TimeoutError, exceptions.DeadKernelError) as error:
        raise RunError(f"did not come to its end: {error}") from None
    first, *others = [cell for cell in content.cells if cell.cell_type == "code"]
    if "ERROR" in (said := "".join(streams(first, "stdout", "stderr"))):
        raise RunError(f"could not install what it needs:\n{said[-TAIL:]}")
    errors = [text for cell in others for text in streams(cell, "stderr")]
    if warned := [text for text in errors if "Warning" in text and WITHOUT_WIDGETS not in text]:
        raise RunError(f"warned: {warned[0][-TAIL:]}")
    return [text for cell in others if (text := "".join(streams(cell, "stdout")))]


def streams(cell: Any, *names: str) -> list[str]:
    """List what a cell wrote to some of its streams."""
    return [
        output["text"]
        for output in cell["outputs"]
        if output["output_type"] == "stream" and output["name"] in names
    ]


def pipx(script: Path, landing: Landing) -> str:
    """Run a script as pipx does, in an environment made from nothing but its own metadata.

    pipx hands installing to pip, which also looks at what lies beside the script.
    """
    places = f"{landing.folder} {os.environ.get('PIP_FIND_LINKS', '')}".strip()
    home = str(landing.folder.with_suffix(".pipx"))
    command = [sys.executable, "-m", "pipx", "run", "--backend", "pip", script.name]
    return landing.run(*command, PIPX_HOME=home, PIP_FIND_LINKS=places)

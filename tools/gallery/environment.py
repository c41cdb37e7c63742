"""The environment of the pages of a build: the variables of their processes, and the machine."""

import datetime as dt
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import runpy
import site
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from smallport import files
from tools.gallery import origin, project, versions
from tools.gallery.runs import Environment

MATPLOTLIB = project.BUILD / "matplotlib"
"""Keeps the font cache of Matplotlib, which takes seconds to build, from one page to the next."""

ALLOWED = re.compile(
    r"LANG|LANGUAGE|LC_\w+|TZ|PYTHONPATH|PYTHONHASHSEED|PYTHONUTF8|LD_\w+|DYLD_\w+|CC|CXX"
    r"|SYSTEMROOT|WINDIR|COMSPEC|PATHEXT|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|\w+_PROXY|\w+_proxy"
    r"|(OMP|KMP|GOMP|MKL|OPENBLAS|GOTO|BLIS|VECLIB|NUMEXPR|NUMBA|MALLOC|GLIBC)_\w+"
    r"|(ATEN|TORCH\w*|PYTORCH|ONEDNN|DNNL|CUDA|ORT|ONNX\w*|OPENVINO|OV)_\w+"
    r"|(HF|HUGGINGFACE|TRANSFORMERS|TOKENIZERS|SAFETENSORS)_\w+"
    r"|SMALLPORT_(ASSETS|DATA_DIR|TINY_LLM_REVISION)"
)
"""The variables that a page may see: what its packages read. All others are kept from it."""

SECRET = re.compile(r"\w+_PROXY|\w+_proxy|\w*TOKEN")
"""Variables of which a record names no digest: they say where the network is, and who asks."""

SHOWN_VERSIONS = ("torch", "transformers", "onnx-diagnostic", "onnxruntime")
CPUINFO = Path("/proc/cpuinfo")
TOOLS = {"console_scripts", "gui_scripts", "pytest11"}
"""Groups of entry points that no page loads."""

ARRANGING = {
    "examples_dirs",
    "gallery_dirs",
    "backreferences_dir",
    "filename_pattern",
    "ignore_pattern",
    "subsection_order",
    "within_subsection_order",
    "minigallery_sort_order",
    "recommender",
    "write_computation_times",
    "download_all_examples",
    "junit",
}
"""Options of the gallery that arrange pages; the others decide what it makes of each."""


def allowed(environment: Mapping[str, str]) -> dict[str, str]:
    """Choose the variables that a page may see.

    Examples
    --------
    >>> allowed({"OMP_NUM_THREADS": "1", "EDITOR": "ed", "PYTHONOPTIMIZE": "1"})
    {'OMP_NUM_THREADS': '1'}
    """
    return {name: environment[name] for name in sorted(environment) if ALLOWED.fullmatch(name)}


def page_environment(scratch: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Make the environment variables of a page's process.

    Parameters
    ----------
    scratch
        An empty folder, for its home and its temporary files.
    environment
        Where those that a page may see are taken from.
    """
    home, temporary = scratch / "home", scratch / "tmp"
    for folder in (home, temporary):
        folder.mkdir()
    caches = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return allowed(environment) | {
        **dict.fromkeys(("HOME", "USERPROFILE"), str(home)),
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary)),
        "PATH": program_path(environment),
        "PYTHONNOUSERSITE": "1",
        "MPLCONFIGDIR": str(matplotlib_folder()),
        "MPLBACKEND": "agg",
        "HF_HOME": environment.get("HF_HOME") or str(caches / "huggingface"),
        "SMALLPORT_CACHE_DIR": str(files.cache_folder()),
    }


def program_path(environment: Mapping[str, str]) -> str:
    """Write the path on which a page finds programs: Python's own folder, and the system's."""
    system = environment.get("PATH", "") if os.name == "nt" else os.defpath
    return os.pathsep.join([str(Path(sys.executable).parent), system])


def matplotlib_folder() -> Path:
    """Name the folder of Matplotlib's caches, filled so that no page waits for it."""
    if not any(MATPLOTLIB.glob("fontlist-*.json")):
        import subprocess  # noqa: PLC0415 - once in the life of a folder

        MATPLOTLIB.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-c", "import matplotlib.font_manager"]
        variables = os.environ | {"MPLCONFIGDIR": str(MATPLOTLIB)}
        subprocess.run(command, env=variables, check=True, capture_output=True)
    return MATPLOTLIB


def settings_of_pages(environment: Mapping[str, str] = os.environ) -> dict[str, dict[str, str]]:
    """Collect what every page depends on as a whole, by its kind and name.

    Parameters
    ----------
    environment
        The environment variables of the build.
    """
    variables = allowed(environment)
    return {
        "variable": {
            name: _digest(value)
            for name, value in variables.items()
            if not SECRET.fullmatch(name) and value
        },
        "system": dict(system()),
        "capability": dict.fromkeys(capabilities(), "yes"),
        "gallery": gallery_options(),
    }


def system() -> Iterator[tuple[str, str]]:
    """Describe Python and the machine, as far as pages can tell."""
    yield "Python", " ".join(sys.version.split())
    yield "processor", described_processor("model name") or platform.processor()
    yield "cores", str(usable_cores())
    yield "C library", " ".join(platform.libc_ver())
    yield "system", f"{platform.system()} {platform.machine()}"
    plugins = sorted(
        f"{one.group} {one.name} {one.value}"
        for group in set(importlib.metadata.entry_points().groups) - TOOLS
        for one in importlib.metadata.entry_points(group=group)
    )
    yield "plugins", _digest("\n".join(plugins))
    starters = sorted(
        file for folder in site.getsitepackages() for file in Path(folder).glob("*.pth")
    )
    yield "path files", _digest("\n".join(one.name + files.sha256(one) for one in starters))


def capabilities() -> list[str]:
    """List what the processor says that it can do; empty where the system does not tell."""
    return sorted(described_processor("flags|Features").split())


def described_processor(entry: str) -> str:
    """Read an entry about the first processor; empty where the system has none."""
    if not CPUINFO.exists():
        return ""
    text = CPUINFO.read_text("utf-8", "replace")
    found = re.search(rf"^(?:{entry})\s*:\s*(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else ""


def usable_cores() -> int:
    """Count the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gallery_options() -> dict[str, str]:
    """Read those options of ``conf.py`` that decide what the gallery makes of a page.

    Paths are relative to the checkout, since a page does not depend on its place.
    """
    options = runpy.run_path(str(project.DOCS / "conf.py"))["sphinx_gallery_conf"]
    return {
        name: json.dumps(value, sort_keys=True, default=str).replace(str(project.ROOT), ".")
        for name, value in options.items()
        if name not in ARRANGING
    }


def describe() -> Environment:
    """Describe what the pages of this build run in, for people."""
    from smallport import assets  # noqa: PLC0415 - imports torch
    from smallport.machine import this_machine  # noqa: PLC0415

    machine = this_machine()
    installed = {"python": platform.python_version(), **versions.installed()}
    return Environment(
        commit=commit(),
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        processor=machine.processor,
        int8_dot_products=machine.int8_dot_products,
        cores=machine.cores,
        versions={name: installed[name] for name in ("python", *SHOWN_VERSIONS)},
        assets=assets.profile(),
    )


def commit() -> str:
    """Name the commit of the checkout, with ``+`` behind it where it was changed."""
    name = files.git(project.ROOT, "rev-parse", "--short=12", "HEAD")
    if not name:
        return origin.NO_CHECKOUT
    return name + ("+" if files.git(project.ROOT, "status", "--porcelain") else "")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""Name the version of the package after the commit that last changed it.

The same version always means the same wheel: package managers keep a wheel that they know by name.
A commit that changes other pages or texts only does not change it.

Only the standard library is imported: hatchling runs this where nothing else is installed.
It does not run it on an sdist, whose PKG-INFO has the version.
"""

import hashlib
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MADE_FROM = (
    "src/smallport",
    "examples/export/plot_20_export_error_cookbook.py",  # smallport explain reads these
    "examples/export/plot_21_guard_error_cookbook.py",
    "examples/export/plot_22_onnx_error_cookbook.py",
    "examples/export/plot_32_wrong_exports.py",
    "examples/export/plot_40_scoreboard_live.py",
    "pyproject.toml",
    "LICENSE",
    "tools/metadata.py",
    "tools/version.py",
)
"""The files that decide the wheel's content."""


def version(root: Path = ROOT) -> str:
    """Write the version, such as ``0.1.0.dev12+g1a2b3c4d5e6f``.

    With uncommitted changes, a digest of what the wheel is made from follows (``.d1a2b3c4d``);
    without git, it replaces the commit.
    """
    text = (root / "src" / "smallport" / "__init__.py").read_text(encoding="utf-8")
    (release,) = re.findall(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    commit = git(root, "log", "-1", "--format=%h", "--abbrev=12")
    if not commit:
        return f"{release}.dev0+d{digest(root)}"
    number = git(root, "rev-list", "--count", "HEAD")
    changed = f".d{digest(root)}" if git(root, "status", "--porcelain") else ""
    return f"{release}.dev{number}+g{commit}{changed}"


def git(root: Path, *arguments: str) -> str:
    """Ask git about what the wheel is made from; nothing where there is no git or no checkout."""
    command = ["git", "-C", str(root), *arguments, "--", *MADE_FROM]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def digest(root: Path) -> str:
    """Tell one content of what the wheel is made from from another, in 8 hexadecimal digits."""
    content = hashlib.sha256()
    for file in made_from(root):
        content.update(f"{file.relative_to(root).as_posix()}\0".encode())
        content.update(hashlib.sha256(file.read_bytes()).digest())
    return content.hexdigest()[:8]


def made_from(root: Path) -> list[Path]:
    """List the files that the wheel is made from."""
    found = [file for name in MADE_FROM for file in (root / name, *(root / name).rglob("*"))]
    return [file for file in sorted(found) if file.is_file() and file.suffix != ".pyc"]

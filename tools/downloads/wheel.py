"""Build the wheel that the site offers, once for each version of the package."""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys

from smallport import files
from tools import version
from tools.downloads.install import Wheel
from tools.gallery import project, settings

FOLDER = project.BUILD / "wheel"
"""Holds the wheel, and nothing else."""

NOTE = project.BUILD / "wheel.json"
"""Says what the wheel was built from, and what it holds."""


def build() -> None:
    """Build the wheel, unless it is there."""
    if NOTE.exists() and json.loads(NOTE.read_text(encoding="utf-8")) == [made_from(), held()]:
        return
    shutil.rmtree(FOLDER, ignore_errors=True)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(
        [*command, "--directory", str(FOLDER)], check=True, cwd=project.ROOT, capture_output=True
    )
    files.write_json(NOTE, [made_from(), held()])


def built(site: str = "") -> Wheel:
    """Find the wheel that was built for a site."""
    (file,) = FOLDER.glob("*.whl")
    return Wheel(file.name.split("-")[1], site)


def made_from() -> list[str]:
    """Name all that decides over the wheel's bytes."""
    variables = (*settings.ADDRESSES, "SOURCE_DATE_EPOCH")
    values = [os.environ.get(name, "") for name in variables]
    return [version.version(), importlib.metadata.version("hatchling"), *values]


def held() -> list[str]:
    """Compute the checksum of the wheel that is there."""
    return [files.sha256(file) for file in FOLDER.glob("*.whl")]

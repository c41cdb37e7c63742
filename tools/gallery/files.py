"""Write files so that nobody ever reads half of one."""

import json
import os
import tempfile
from pathlib import Path


def write_bytes(file: Path, content: bytes) -> None:
    """Write a file under another name, and give it its own once it is whole.

    Parameters
    ----------
    file
        The file; the folders that it lies in are made where they are missing.
    content
        What it is to hold.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        Path(partial).chmod(0o644)  # mkstemp keeps its files from other users
        Path(partial).replace(file)
    finally:
        Path(partial).unlink(missing_ok=True)


def write_text(file: Path, text: str) -> None:
    """Write a text in UTF-8, whole or not at all."""
    write_bytes(file, text.encode())


def write_json(file: Path, value: object) -> None:
    """Write a value as JSON, whole or not at all."""
    write_text(file, json.dumps(value, indent=2) + "\n")

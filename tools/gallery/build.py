"""Build the site and check it: ``python -m tools.gallery.build [OPTION ...]``.

--serve       serve the site on port 8000, and build again on every change
--fresh       run every page, whether it changed or not
--page NAME   run the page of that name (without .py), whether it changed or not
Anything else goes to sphinx-build.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tools.gallery import gates, runs

DOCS = runs.ROOT / "docs"
BUILD = DOCS / "_build"
DOCTREES = BUILD / "doctrees"
GREEN = BUILD / "green"
"""Holds the names of the pages of the last build, if it was green."""

STRICT = ["--nitpicky", "--fail-on-warning", "--keep-going"]
PORT = 8000


def main(arguments: list[str]) -> int:
    """Build, apply the gates whatever came of it, and say where the site lies."""
    parser = argparse.ArgumentParser(prog="nox -s docs --", usage=__doc__, add_help=False)
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--page", choices=[script.stem for script in runs.scripts()])
    options, others = parser.parse_known_args(arguments)
    if options.fresh or options.page:
        os.environ[runs.FRESH] = options.page or "*"
    start = time.perf_counter()
    for note in (runs.NOW, runs.STOPPED):
        note.unlink(missing_ok=True)
    build_wheel()
    remove_stale_stubs()
    start_over_where_needed()
    if options.serve:
        return serve(others)
    builder = others[others.index("-b") + 1] if "-b" in others else "html"
    site = BUILD / builder
    command = [sys.executable, "-m", "sphinx", *STRICT, "-b", builder, "-d", DOCTREES]
    returned = subprocess.run([*command, DOCS, site, *others], check=False).returncode
    findings = gates.findings(site) if builder == "html" else []
    for finding in findings:
        print(f"gate: {finding}", file=sys.stderr)
    if returned or findings:
        print(f"\nThe build is red: sphinx-build returned {returned}, ", end="", file=sys.stderr)
        print(f"{len(findings)} findings of the gates.", file=sys.stderr)
        return returned or 1
    GREEN.write_text(page_names())
    print(summary(site, time.perf_counter() - start))
    return 0


def build_wheel() -> None:
    """Build the wheel that the site serves, since the pages import it."""
    folder = BUILD / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(
        [*command, "--directory", folder], check=True, cwd=runs.ROOT, capture_output=True
    )


def remove_stale_stubs() -> None:
    """Delete the generated page of every API name that api.rst no longer lists."""
    listed = (DOCS / "api.rst").read_text(encoding="utf-8").split()
    for stub in (DOCS / "api").glob("*.rst"):
        if stub.stem not in listed:
            stub.unlink()


def start_over_where_needed() -> None:
    """Delete the site, unless the last build came to a green end and had the same pages.

    Sphinx does not repeat the warnings of files that it does not read again, and does not write a
    page again when the one before it or after it is another.
    """
    green = GREEN.exists() and GREEN.read_text() == page_names()
    GREEN.unlink(missing_ok=True)
    if not green:
        for folder in (DOCTREES, BUILD / "html"):
            shutil.rmtree(folder, ignore_errors=True)


def page_names() -> str:
    """List the pages, one a line."""
    return "\n".join(script.relative_to(runs.EXAMPLES).as_posix() for script in runs.scripts())


def serve(others: list[str]) -> int:
    """Serve the site, and build again when a page, the package or a text changes."""
    generated = ["_build", "api", "gallery"]
    command = [sys.executable, "-m", "sphinx_autobuild", "--port", str(PORT)]
    command += [f"--ignore={DOCS / folder}/*" for folder in generated]
    command += ["--watch", runs.EXAMPLES, "--watch", runs.ROOT / "src"]
    command += ["-d", DOCTREES, DOCS, BUILD / "html", *others]
    return subprocess.run(command, check=False).returncode


def summary(site: Path, seconds: float) -> str:
    """Say how long each page took when it last ran, and where the site lies."""
    found = [run for script in runs.scripts() if (run := runs.read(script))]
    lines = [f"  {run.seconds:8.1f} s  {run.page}" for run in found]
    index = site / "index.html"
    where = index.relative_to(runs.ROOT) if index.exists() else site
    return "\n".join(["", "Pages:", *lines, f"Built in {seconds:.1f} s: {where}"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

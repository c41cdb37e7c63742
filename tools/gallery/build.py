"""Build the site and check it: ``python -m tools.gallery.build [OPTION ...]``."""

import argparse
import functools
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from smallport import files
from smallport.quantities import counted
from tools.downloads import wheel
from tools.gallery import project, rendering, settings
from tools.lint import pages as page_rules

SITE = project.BUILD / "html"
HOST, PORT = "127.0.0.1", 8000
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """A parser that suggests the nearest option."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the options, and where they are explained."""
        self.exit(2, f"{message}\n`{self.prog} --help` explains the options.\n")


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the options, and reject unknown ones."""
    parser = Parser(
        "nox -s docs --", description="Build the site and check it.", allow_abbrev=False
    )
    parser.add_argument(
        "--serve",
        action="store_true",
        help=f"serve the site on port {PORT} and build again on every change, without the gates",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="run every page, whether it changed or not"
    )
    parser.add_argument(
        "--page", metavar="NAME", help="run the page of that name, whether it changed or not"
    )
    parser.add_argument(
        "--latest", action="store_true", help="the newest releases are installed (nox does that)"
    )
    parser.add_argument(
        "--prereleases",
        action="store_true",
        dest="latest",
        help="pre-releases, and nightlies of torch and transformers, are installed",
    )
    parser.add_argument(
        "-b", "--builder", default="html", help="html, or linkcheck to try links to other sites"
    )
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        known = re.findall(r"--\w+", parser.format_usage())
        parser.error(f"{unknown[0]} is not an option{settings.nearest(unknown[0], known)}")
    stems = [script.stem for script in project.scripts()]
    if options.page and options.page not in stems:
        parser.error(f"{options.page} is not a page{settings.nearest(options.page, stems)}")
    if options.builder not in {"html", "linkcheck"}:
        known = ["html", "linkcheck"]
        parser.error(
            f"{options.builder} is not a builder{settings.nearest(options.builder, known)}"
        )
    return options


def main(arguments: list[str]) -> int:
    """Build, apply the gates in any case, and print the path of the site."""
    options = parse(arguments)
    for variable in ("PYTHONOPTIMIZE", "PYTHONWARNINGS"):
        os.environ.pop(variable, None)  # a page without assertions or warnings proves nothing
    problems = settings.problems(os.environ, latest=options.latest)
    if options.serve and is_busy():
        problems.append(f"port {PORT} is in use: stop what listens there, then serve again")
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        return 1
    if findings := page_rules.findings():
        for finding in findings:
            print(finding.warning, file=sys.stderr)
        print(f"\nNothing was built: {counted(len(findings), 'finding')} of lint.", file=sys.stderr)
        return 1
    from smallport import AssetError  # noqa: PLC0415 - a mistake in the options needs no torch

    try:
        return build(options)
    except AssetError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED


def build(options: argparse.Namespace) -> int:
    """Run the pages that have to run, render all of them, and apply the gates."""
    from tools.demo import files as demo  # noqa: PLC0415 - a mistake in the options needs none
    from tools.gallery import execute, gates, links  # noqa: PLC0415

    start = time.perf_counter()
    variables_of_pages = dict(os.environ)  # to which packages add when they are imported
    files.cache_folder()  # which pages could not do without
    if missing := demo.lacking():
        print(
            f"The site is built without the model that runs in a page. {missing}.", file=sys.stderr
        )
        if os.environ.get("CI"):
            print("In CI that is an error: nothing was built.", file=sys.stderr)
            return 1
    wheel.build()
    fresh = "*" if options.fresh else options.page or ""
    ran = execute.run_stale(variables_of_pages, fresh=fresh)
    unmade = demo.try_to_make(missing)
    began, key = time.time(), rendering.site_key()
    if options.serve:
        rendering.clean_unless_current(key, SITE)
        return serve()
    site = project.BUILD / options.builder
    current = options.builder == "html" and rendering.is_current(key)
    status = 0 if current else rendering.run_sphinx(options.builder, key)
    now = execute.world(variables_of_pages)
    changed_since = functools.partial(execute.changed_since, now=now)
    if options.builder == "html":
        findings = gates.findings(site, changed_since, ran)
    else:
        findings = links.findings(site)
    if unmade:
        findings += demo.unmade(unmade)
    for finding in findings:
        print(finding.warning, file=sys.stderr)
    if status or findings:
        rendering.LAST_GOOD.unlink(missing_ok=True)
        print(
            f"\nThe build failed: sphinx-build returned {status}, "
            f"{counted(len(findings), 'finding')} of the gates.",
            file=sys.stderr,
        )
        return status or 1
    if options.builder == "html" and not current:
        rendering.note_good(key, began)
    print(summary(site, time.perf_counter() - start))
    return 0


def is_busy() -> bool:
    """Tell whether somebody listens on the port already."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, PORT))
        except OSError:
            return True
    return False


def serve() -> int:
    """Serve the site, and build again when a page, the package or a text changes."""
    print("Serving without the gates: build without --serve to apply them.", flush=True)
    run_pages = shlex.join([sys.executable, "-m", "tools.gallery.execute"])
    command = [sys.executable, "-m", "sphinx_autobuild", "--port", str(PORT)]
    command += [f"--ignore={project.DOCS / folder}/*" for folder in ("_build", "api", "gallery")]
    command += ["--watch", str(project.EXAMPLES), "--watch", str(project.ROOT / "src")]
    command += ["--pre-build", run_pages, "-d", str(rendering.DOCTREES)]
    return subprocess.run(
        [*command, str(project.DOCS), str(SITE)], check=False, cwd=project.ROOT
    ).returncode


def summary(site: Path, seconds: float) -> str:
    """Say how long each page took when it last ran, and where the site lies."""
    from tools.gallery import runs  # noqa: PLC0415

    found = [run for script in project.scripts() if (run := runs.read(script))]
    lines = [f"  {run.seconds or 0:8.1f} s  {run.page}" for run in found]
    index = site / "index.html"
    where = index.relative_to(project.ROOT) if index.exists() else site
    return "\n".join(["", "Pages:", *lines, f"Built in {seconds:.1f} s: {where}"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

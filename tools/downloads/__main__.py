"""Check the downloads of the built site, and run them: ``python -m tools.downloads [PAGE ...]``."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from smallport.files import cache_folder
from smallport.quantities import counted
from tools.downloads import agreement, contents, offered
from tools.downloads.offered import Downloads
from tools.downloads.sandbox import (
    SITE,
    RunError,
    Sandbox,
    environment,
    kernel,
    run_notebook,
    run_script,
    run_with_pipx,
)
from tools.gallery import page_runs
from tools.gallery.project import Finding

Job = Callable[[], list[Finding]]


def main(arguments: list[str]) -> int:
    """Check all downloads, run the chosen ones, and print what is wrong with them."""
    parser = argparse.ArgumentParser(prog="nox -s downloads --", description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="run the downloads of these pages")
    parser.add_argument(
        "--all",
        action="store_true",
        help="run all of them, with an empty cache, and one with pipx; otherwise the quickest page "
        "of each extra runs, with the cache of the build",
    )
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    if not (SITE / "provenance.json").exists():
        print("There is no built site: run `python -m nox -s docs` first.", file=sys.stderr)
        return 1
    chosen: list[Downloads] = []
    try:
        pages = offered.pages(SITE)
        if unknown := set(options.pages) - {page.name for page in pages}:
            names = ", ".join(page.name for page in pages)
            parser.error(f"{min(unknown)} is not a page: there are {names}")
        found = list(contents.findings(SITE, pages))
    except offered.OfferError as error:
        found = [Finding(str(SITE), None, "downloads", str(error))]
    if not found:
        if options.pages:
            chosen = [page for page in pages if page.name in options.pages]
        else:
            chosen = pages if options.all else contents.quickest(pages)
        with tempfile.TemporaryDirectory(prefix="downloads-") as folder:
            found = run_all(chosen, Path(folder), everything=options.all)
    for finding in found:
        print(finding.warning, file=sys.stderr)
    verdict = counted(len(found), "finding") if found else "no findings"
    print(f"\n{verdict}: {counted(len(chosen), 'page')} ran, {time.perf_counter() - start:.0f} s")
    return 1 if found or not chosen else 0


def run_all(pages: list[Downloads], folder: Path, *, everything: bool) -> list[Finding]:
    """Run the notebooks and the scripts of some pages, two at a time, the longest group first.

    Parameters
    ----------
    pages
        The pages.
    folder
        An empty folder, for environments and sandboxes.
    everything
        Whether to train again, and also to run a script with pipx.
    """
    cache = folder / "cache" if everything else cache_folder()
    shared = contents.sharing(pages)
    shared.sort(key=lambda group: -sum(page.seconds for page in group))
    with ThreadPoolExecutor(max_workers=2) as pool:
        installed = pool.submit(install_bundle, folder / "bundle", cache)
        jobs = [
            pool.submit(
                run_job, partial(run_notebooks, group, folder / f"notebooks-{number}", cache)
            )
            for number, group in enumerate(shared)
        ]
        jobs += [
            pool.submit(
                run_job, partial(run_from_bundle, page, installed, folder / "bundle", cache)
            )
            for page in pages
        ]
        if everything:
            quickest = min(pages, key=lambda page: page.seconds)
            sandbox = Sandbox(folder / "pipx" / "folder", cache)
            jobs.append(pool.submit(run_job, partial(run_alone, quickest, sandbox)))
        found = [finding for job in jobs for finding in job.result()]
    if error := installed.exception():
        found.append(Finding("README.md of the bundle", None, "downloads", str(error)))
    return found


def run_job(job: Job) -> list[Finding]:
    """Run a job; return its findings, or the error that kept it from beginning."""
    try:
        return job()
    except RunError as error:
        return [Finding("environment", None, "downloads", str(error))]


def run_notebooks(pages: list[Downloads], folder: Path, cache: Path) -> list[Finding]:
    """Execute notebooks in an environment that only has Jupyter's kernel before the first."""
    sandbox = Sandbox(folder / "folder", cache)
    sandbox.take()
    name = kernel(folder / folder.name, folder.with_name("jupyter"), sandbox)
    found = []
    for page in pages:
        sandbox.take(page.notebook, *page.beside)
        run = partial(run_notebook, sandbox.folder / page.notebook.name, sandbox, name)
        found += run_download(page, page.notebook.name, sandbox, run)
    return found


def install_bundle(folder: Path, cache: Path) -> Path:
    """Unzip the bundle, and run the first command of its README; return Python."""
    sandbox = Sandbox(folder / "first", cache)
    sandbox.take()
    unpacked = contents.unpack(SITE, sandbox.folder)
    python = environment(folder / "environment")
    installing, _ = contents.commands(unpacked)
    Sandbox(unpacked, cache).run(python, *installing)
    return python


def run_from_bundle(
    page: Downloads, installed: Future[Path], folder: Path, cache: Path
) -> list[Finding]:
    """Unzip the bundle once more, and run a script of it with its environment."""
    if installed.exception():  # which is told once
        return []
    unpacked = contents.unpack(SITE, folder / page.name)
    sandbox = Sandbox(unpacked, cache)
    run = partial(run_script, installed.result(), page.script.name, sandbox)
    return run_download(page, page.script.name, sandbox, run)


def run_alone(page: Downloads, sandbox: Sandbox) -> list[Finding]:
    """Run a script with pipx, in an environment made from its own metadata."""
    sandbox.take(page.script, *page.beside)
    run = partial(run_with_pipx, sandbox.folder / page.script.name, sandbox)
    return run_download(page, f"{page.script.name} with pipx", sandbox, run)


def run_download(
    page: Downloads, name: str, sandbox: Sandbox, run: Callable[[], list[str]]
) -> list[Finding]:
    """Run one download, and compare its results and its output with the page."""
    start = time.perf_counter()
    try:
        outputs = run()
    except RunError as error:
        messages = [str(error)]
    else:
        page_runs.note(page.name, "downloads")
        messages = list(differences(page, name, sandbox, outputs))
    print(f"{name}: {time.perf_counter() - start:.1f} s", flush=True)
    return [Finding(name, None, "downloads", message) for message in messages]


def differences(page: Downloads, name: str, sandbox: Sandbox, outputs: list[str]) -> Iterator[str]:
    """Compare the results and the output of a run with those of the page."""
    yield from agreement.result_differences(page.results, agreement.read_results(sandbox.results))
    if name == page.notebook.name:
        yield from agreement.output_differences(page.outputs, outputs)
    else:
        yield from agreement.lines_missing(page.printed, outputs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

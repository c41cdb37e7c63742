"""Run every download of the built site where it lands: ``python -m tools.downloads [PAGE ...]``."""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

from tools.downloads import agreement, contents, landing, offered
from tools.downloads.offered import Page
from tools.gallery import project
from tools.gallery.project import Finding

SITE = project.BUILD / "html"
Chain = Callable[[], list[Finding]]


def main(chosen: list[str]) -> int:
    """Check and run the downloads; print what is wrong with them."""
    start = time.perf_counter()
    if not (SITE / "provenance.json").exists():
        print("There is no built site: run `python -m nox -s docs` first.", file=sys.stderr)
        return 1
    try:
        pages = [page for page in offered.pages(SITE) if not chosen or page.name in chosen]
    except offered.OfferError as error:
        pages, found = [], [Finding(str(SITE), None, "downloads", str(error))]
    else:
        found = list(contents.findings(SITE, pages))
    if not found:
        with tempfile.TemporaryDirectory(prefix="downloads-") as folder:
            found = run_all(pages, Path(folder))
    for finding in found:
        print(finding.warning, file=sys.stderr)
    verdict = f"{len(found)} findings" if found else "all downloads run where they land"
    print(f"\n{verdict}: {len(pages)} pages, {time.perf_counter() - start:.0f} s")
    return 1 if found or not pages else 0


def run_all(pages: list[Page], folder: Path) -> list[Finding]:
    """Run everything, two at a time, what takes longest first."""
    shared = contents.sharing(pages)
    shared.sort(key=lambda group: -sum(page.seconds for page in group))
    quickest = min(pages, key=lambda page: page.seconds)
    with ThreadPoolExecutor(max_workers=2) as pool:
        chains = [
            pool.submit(to_its_end, partial(notebooks, group, folder / f"notebooks-{number}"))
            for number, group in enumerate(shared)
        ]
        installed = pool.submit(environment_of_bundle, folder / "bundle")
        chains += [
            pool.submit(to_its_end, partial(bundled, page, installed, folder / "bundle"))
            for page in pages
        ]
        chains.append(pool.submit(to_its_end, partial(by_itself, quickest, folder / "pipx")))
        found = [finding for chain in chains for finding in chain.result()]
    if error := installed.exception():
        found.append(Finding("README.md of the bundle", None, "downloads", str(error)))
    return found


def to_its_end(chain: Chain) -> list[Finding]:
    """Run a chain; give what it found, or what kept it from beginning."""
    try:
        return chain()
    except landing.RunError as error:
        return [Finding("environment", None, "downloads", str(error))]


def notebooks(pages: list[Page], folder: Path) -> list[Finding]:
    """Execute notebooks where there was nothing but Jupyter's kernel before the first of them."""
    here = landing.Landing(folder / "folder", folder.parent / "cache")
    here.take()
    name = landing.kernel(folder / folder.name, here)
    found = []
    for page in pages:
        here.take(page.notebook, *page.beside)
        run = partial(landing.execute, here.folder / page.notebook.name, here, name)
        found += judged(page, page.notebook.name, here, run, prints=True)
    return found


def environment_of_bundle(folder: Path) -> Path:
    """Unzip the bundle, and install what the first command of its README says; return Python."""
    here = landing.Landing(folder / "first", folder.parent / "cache")
    here.take()
    unpacked = contents.unpack(SITE, here.folder)
    python = landing.environment(folder / "environment")
    installing, _ = contents.commands(unpacked)
    landing.Landing(unpacked, here.cache).run(python, *installing)
    return python


def bundled(page: Page, installed: Future[Path], folder: Path) -> list[Finding]:
    """Unzip the bundle once more, and run a script of it with the second command of its README."""
    if installed.exception():  # which is told once
        return []
    here = landing.Landing(folder / page.name, folder.parent / "cache")
    here.take()
    unpacked = contents.unpack(SITE, here.folder)
    _, running = contents.commands(unpacked)
    there = landing.Landing(unpacked, here.cache)
    run = partial(there.run, installed.result(), *running[:-1], page.script.name)
    return judged(page, page.script.name, there, run)


def by_itself(page: Page, folder: Path) -> list[Finding]:
    """Run a script in an environment that is made from its own metadata."""
    here = landing.Landing(folder / "folder", folder.parent / "cache")
    here.take(page.script, *page.beside)
    run = partial(landing.pipx, here.folder / page.script.name, here)
    return judged(page, f"{page.script.name} with pipx", here, run)


def judged(
    page: Page,
    what: str,
    here: landing.Landing,
    run: Callable[[], str | list[str]],
    *,
    prints: bool = False,
) -> list[Finding]:
    """Run one download, and say what is wrong with it."""
    start = time.perf_counter()
    try:
        printed = run()
        messages = list(disagreements(page, here, printed if prints else None))
    except landing.RunError as error:
        messages = [str(error)]
    print(f"{what}: {time.perf_counter() - start:.1f} s", flush=True)
    return [Finding(what, None, "downloads", message) for message in messages]


def disagreements(
    page: Page, here: landing.Landing, printed: str | list[str] | None
) -> Iterator[str]:
    """Compare what was measured and printed with the page."""
    yield from agreement.measured_otherwise(page.results, agreement.read_results(here.results))
    if isinstance(printed, list):
        yield from agreement.printed_otherwise(page.printed, printed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Say at the end of each page what it ran on, and tell machines the same in ``provenance.json``."""

from dataclasses import asdict
from pathlib import Path
from textwrap import indent

from sphinx.application import Sphinx

import reports
from smallport import files
from smallport.records import Source
from tools.downloads import bundle, install
from tools.gallery import project, runs

GALLERY = "gallery/"

ENDING = """

.. container:: smallport-install

{running}

.. admonition:: What this page ran on
   :class: smallport-provenance note

   .. list-table:: Machine, versions and assets of its last run
      :stub-columns: 1
      :widths: 22 78

{rows}
{report}"""

REPORT = """
.. container:: smallport-report

   `Something wrong on this page? <{address}>`__
"""
PUBLISHED = """\
The script names what it needs. `uv <https://docs.astral.sh/uv/>`__ or
`pipx <https://pipx.pypa.io/>`__ installs that and runs it:

.. code-block:: console

   $ uv run {name}
   $ pipx run {name}

The first cell of the notebook installs the same. With pip:

.. code-block:: console

   $ python -m pip install {arguments}

The extra index, which uv knows from the script, has a build of PyTorch without gigabytes of CUDA.
"""
UNPUBLISHED = """\
To run the script, put `{wheel} <{root}{wheel}>`__ into the same folder. The script names what it
needs, and `uv <https://docs.astral.sh/uv/>`__ installs that and runs it:

.. code-block:: console

   $ uv run {name}

The first cell of the notebook installs the same, from the same file. With pip:

.. code-block:: console

   $ python -m pip install {arguments}
   $ python {name}

`One archive <{root}{bundle}>`__ holds all pages with all that they need but the package registry.
"""


def add_ending(app: Sphinx, docname: str, source: list[str]) -> None:
    """Append to a page how to install what it needs, and the provenance of its output."""
    script = script_of(docname)
    run = runs.read(script) if script else None
    if script is None or run is None:
        return
    app.env.note_dependency(str(runs.record_file(script)))
    description = described(run, runs.sources(script)).items()
    rows = [f"      * - {name}\n        - {value}" for name, value in description]
    wheel = install.Wheel(app.config.release, app.config.html_baseurl)
    running = indent(how_to_run(script, wheel, "../" * docname.count("/")), "   ")
    address = reports.issue_address(run, runs.checked(script))
    report = REPORT.format(address=address) if address else ""
    source[0] += ENDING.format(running=running, rows="\n".join(rows), report=report)


def how_to_run(script: Path, wheel: install.Wheel, root: str) -> str:
    """Say how a downloaded page is run, where the site has an address and where it has none."""
    return (PUBLISHED if wheel.site else UNPUBLISHED).format(
        name=script.name,
        arguments=install.arguments(script.read_text(encoding="utf-8"), wheel),
        wheel=wheel.name,
        root=root,
        bundle=bundle.NAME,
    )


def described(run: runs.Run, sources: list[Source]) -> dict[str, str]:
    """Put the provenance of a run into words."""
    ran = run.environment
    dirty = ran.commit.endswith("+")
    threads = f", threads at the end: {run.threads}" if run.threads else ""
    return {
        "commit": f"``{ran.commit.rstrip('+')}``" + (", with uncommitted changes" if dirty else ""),
        "date": ran.date.replace("T", " ").replace("+00:00", " UTC"),
        "processor": f"{ran.processor}, {ran.cores} cores{threads}",
        "int8 dot products": ", ".join(ran.int8_dot_products) or "none",
        "versions": ", ".join(f"{name} {version}" for name, version in ran.versions.items()),
        "assets": f"``{ran.assets}``",
        **{source.name: f"{source.origin}, ``{source.identity[:16]}``" for source in sources},
        "run it again": f"``{run.command}``",
    }


def script_of(docname: str) -> Path | None:
    """Find the script of a page; None for any other document."""
    if not docname.startswith(GALLERY):
        return None
    script = project.EXAMPLES / f"{docname.removeprefix(GALLERY)}.py"
    return script if script.exists() else None


def write_json(app: Sphinx, exception: Exception | None) -> None:
    """Write the provenance of every page, with what it measured, to the root of the site."""
    if exception is not None or app.builder.name != "html":
        return
    pages = {}
    for script in project.scripts():
        if run := runs.read(script):
            pages[run.page] = {
                **asdict(run),
                "command": run.command,
                "sources": [asdict(source) for source in runs.sources(script)],
                "results": [asdict(result) for result in runs.checked(script)],
            }
    files.write_json(Path(app.outdir) / "provenance.json", {"pages": pages})


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect to the reading of pages and to the end of the build."""
    app.connect("source-read", add_ending)
    app.connect("build-finished", write_json)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

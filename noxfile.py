"""All sessions that check and build the project: ``python -m nox -s NAME``."""

import logging
import os
import re
import sys

import nox

nox.needs_version = ">=2026.4"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "types", "tests", "examples", "docs"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
PROJECT = PYPROJECT["project"]
EXTRAS = ",".join(PROJECT["optional-dependencies"])
VARIABLES = {
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONOPTIMIZE": "",  # would take the assertions out
    "PYTHONWARNINGS": "",  # would hide warnings
}
CHOICES = {"--latest", "--prereleases"}
"""Options of every session about the versions to install; without one, constraints.txt has them."""

PRERELEASES = [
    "--pre",
    "--extra-index-url=https://download.pytorch.org/whl/nightly/cpu",
    "transformers @ git+https://github.com/huggingface/transformers",
]
UPPER_END = re.compile(r",<=[^;,]+")
"""The upper end of the versions that were tested, which newer ones are beyond."""

SRC = {"PYTHONPATH": "src"}
JUNIT = "--junitxml=.nox/junit/{}.xml"
SHARED: dict[str, str] = {}
"""The Python of the environment that most sessions share."""

# uv is not required, so that it is missing is no news.
logging.getLogger("nox").addFilter(lambda record: record.msg != "uv binary not found.")

if sys.version_info < (3, 11):  # noqa: UP036 - nox itself runs on older ones
    raise SystemExit(
        f"Smallport needs {PROJECT['requires-python']} of Python, and nox runs on "
        f"{sys.version.split()[0]}. Install nox for a newer Python, and run it with that one."
    )


def required(*groups: str) -> list[str]:
    """List what the package, its extras and some dependency groups require."""
    extras = PROJECT["optional-dependencies"].values()
    return [
        *PROJECT["dependencies"],
        *(requirement for extra in extras for requirement in extra),
        *in_groups(*groups),
    ]


def in_groups(*groups: str) -> list[str]:
    """List what some dependency groups require."""
    return list(nox.project.dependency_groups(PYPROJECT, *groups))


def arguments(session: nox.Session) -> list[str]:
    """Give the arguments of a session, except those about installing."""
    return [argument for argument in session.posargs if argument not in CHOICES]


def run(session: nox.Session, *command: str, **variables: str) -> None:
    """Run Python in the shared environment."""
    session.run(SHARED["python"], "-m", *command, env=VARIABLES | variables, external=True)


@nox.session
def environment(session: nox.Session) -> None:
    """Install the shared environment: constraints.txt; --latest or --prereleases for newer."""
    SHARED["python"] = os.path.join(session.bin, "python")  # noqa: PTH118 - nox speaks strings
    groups = "test", "docs", "types", "site", "downloads"
    versions = "python", "-m", "tools.gallery.versions"
    package = "-e", f".[{EXTRAS}]"
    latest = ["--latest"] if CHOICES.intersection(session.posargs) else []
    session.run("python", "-m", "tools.gallery.settings", *latest, log=False)
    if latest:
        torch = os.environ.get("SMALLPORT_TORCH")
        pins = [f"torch=={torch}"] if torch else []
        pins += PRERELEASES if "--prereleases" in session.posargs else []
        newest = [UPPER_END.sub("", one) for one in required(*groups)]
        session.install("-q", "pip", "requests", "packaging", "filelock", "platformdirs")
        session.run("python", "-m", "tools.compat.packages", *newest, *pins, env=SRC)
        session.install("--no-deps", *package)
        session.install("--upgrade", *newest, *pins, silent=False)
        session.run(*versions, *latest)
        return
    satisfied = [*versions, "--satisfied", "smallport", *required(*groups)]
    if session.run(*satisfied, success_codes=[0, 1], silent=True, log=False) != "satisfied\n":
        session.log("PyTorch takes gigabytes with CUDA, and 0.2 without: see README.md")
        session.install("-c", "constraints.txt", *package, *in_groups(*groups), silent=False)
    session.run(*versions, log=False)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, imports, dependencies, workflows, spelling, English and the rules for pages."""
    session.install("-q", "-c", "constraints.txt", *in_groups("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache", "--no-logo", env=SRC)
    # No other folders, so that a page that imports tools or docs/_ext is reported.
    session.run("deptry", "src", "examples")
    ours = "--known-first-party", "smallport", "--known-first-party", "tools"
    session.run("deptry", "tools", "docs/_ext", *ours, "--ignore", "DEP002,DEP004")
    session.run("actionlint")
    session.run("zizmor", "--offline", "--quiet", ".github")
    session.run("typos")
    session.run("python", "-m", "tools.lint.prose")
    session.run("python", "-m", "tools.lint.pages")


@nox.session(requires=["environment"], venv_backend="none")
def types(session: nox.Session) -> None:
    """Check types with mypy, which reads those of PyTorch and the other packages."""
    run(session, "mypy", *arguments(session))


@nox.session(requires=["environment"], venv_backend="none")
def tests(session: nox.Session) -> None:
    """Run the unit tests and the doctests in two processes; without arguments, with coverage."""
    chosen = arguments(session) or ["--cov", "--cov-report=term:skip-covered"]
    run(session, "pytest", "--numprocesses=2", JUNIT.format(session.name), *chosen)


@nox.session(requires=["environment"], venv_backend="none")
def examples(session: nox.Session) -> None:
    """Run every page alone, in an empty folder, with warnings as errors."""
    pages = "-m", "page", "tests/test_examples.py", JUNIT.format(session.name)
    run(session, "pytest", *pages, *arguments(session))


@nox.session(requires=["environment"], venv_backend="none")
def faults(session: nox.Session) -> None:
    """Check that each fault in a page, its packages or a copy of the project is found.

    With --find-entries, find the cells before which the faults enter again.
    """
    command = ["pytest", "-m", "fault", "--numprocesses=2", "tests/faults", *arguments(session)]
    run(session, *command, OMP_NUM_THREADS="1")


@nox.session(requires=["environment"], venv_backend="none", default=False)
def cluster(session: nox.Session) -> None:
    """Test the sweep on a local Dask cluster of two workers, one of which is killed."""
    run(session, "pytest", "-m", "cluster", "tests/test_cluster.py", *arguments(session))


@nox.session(requires=["environment"], venv_backend="none")
def docs(session: nox.Session) -> None:
    """Build the site into docs/_build/html and check it; --help lists the options."""
    run(session, "tools.gallery.build", *session.posargs)


@nox.session(requires=["environment"], venv_backend="none", default=False)
def bisect(session: nox.Session) -> None:
    """Find the first release of a package with which a page, or check NAME, fails."""
    run(session, "tools.compat.bisect", *session.posargs)


@nox.session(requires=["environment"], venv_backend="none", default=False)
def history(session: nox.Session) -> None:
    """Append the figures of the last build to docs/history.jsonl (for CI, which commits it)."""
    run(session, "tools.history", "append")


@nox.session(requires=["environment"], venv_backend="none", default=False)
def compat(session: nox.Session) -> None:
    """Test every export route with releases of transformers and torch; --help lists the options."""
    run(session, "tools.compat.grid", *session.posargs)


@nox.session(requires=["environment"], default=False)
def optimum(session: nox.Session) -> None:
    """Export with optimum-onnx, which needs an older transformers, and check the files."""
    session.install(*in_groups("optimum"))
    command = os.path.join(session.bin, "optimum-cli")  # noqa: PTH118 - nox speaks strings
    pytest = "pytest", "-m", "optimum", "tests/test_optimum.py", *arguments(session)
    run(session, *pytest, SMALLPORT_OPTIMUM_CLI=command)


@nox.session(requires=["environment"], venv_backend="none", default=False)
def mutations(session: nox.Session) -> None:
    """Check after a build which pages each change would run again; --oracle also runs them."""
    oracle = ["-m", "oracle", "-s", "tests/test_oracle.py"]
    chosen = (
        oracle if "--oracle" in session.posargs else ["-m", "records", "tests/test_mutations.py"]
    )
    run(session, "pytest", *chosen)


@nox.session(requires=["environment"], venv_backend="none", default=False)
def site(session: nox.Session) -> None:
    """Test every page of the built site in Chromium; --axe-everywhere runs axe on every page."""
    run(session, "tools.site.ready")
    command = ["pytest", "-m", "site", "--numprocesses=2", "--dist=worksteal", "tests/site"]
    run(session, *command, *arguments(session))
    run(session, "tools.site.screenshots")


@nox.session(requires=["environment"], venv_backend="none", default=False)
def downloads(session: nox.Session) -> None:
    """Compare the downloads of the built site with its pages, and run one page of each extra."""
    run(session, "tools.downloads", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure all routes, peers included; with SMALLPORT_ASSETS=published, store the results."""
    everything = ["-e", f".[{EXTRAS}]", *in_groups("peers")]
    session.install("-c", "constraints.txt", *everything, silent=False)
    kept = "src/smallport/measured" if os.environ.get("SMALLPORT_ASSETS") == "published" else "."
    command = ["python", "-m", "smallport.bench.routes", "--keep", f"{kept}/routes.json"]
    session.run(*command, *session.posargs, env=VARIABLES)


@nox.session(default=False)
def minimums(session: nox.Session) -> None:
    """Run the unit tests with the oldest versions that pyproject.toml allows."""
    oldest = [requirement.replace(">=", "==") for requirement in required()]
    session.install("-e", ".", *oldest, *in_groups("test", "docs"), silent=False)
    session.run("pytest", "--numprocesses=2", *session.posargs, env=VARIABLES)

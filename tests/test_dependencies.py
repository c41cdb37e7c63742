"""A document is read again when something changed that it shows, and not otherwise."""

import os
from types import SimpleNamespace

import pytest

import dependencies
from tools.gallery import project


class Environment(SimpleNamespace):
    """What the extension uses of Sphinx's environment: one document, and what it is made of."""

    def __init__(self, srcdir):
        super().__init__(srcdir=srcdir, all_docs={"page": 0}, dependencies={"page": set()})

    def doc2path(self, name):  # noqa: D102
        return self.srcdir / f"{name}.rst"

    def note_dependency(self, file):  # noqa: D102
        self.dependencies["page"].add(file)


@pytest.fixture
def env(tmp_path):
    (tmp_path / "page.rst").write_text("A page")
    (tmp_path / "figures.json").write_text("[1]")
    made = Environment(tmp_path)
    made.note_dependency("figures.json")
    return made


def outdated(env):
    """Ask in a new process, so to speak."""
    dependencies.digest.cache_clear()
    return list(dependencies.changed_content(None, env, set(), set(), set()))


def test_a_file_is_told_by_its_content_and_not_by_its_date(env):
    assert outdated(env) == ["page"]
    dependencies.keep_digests(None, env)
    os.utime(env.srcdir / "figures.json", (9e9, 9e9))
    assert outdated(env) == []
    for name in ("figures.json", "page.rst"):
        dates = (env.srcdir / name).stat().st_mtime
        (env.srcdir / name).write_text("something else")
        os.utime(env.srcdir / name, (dates, dates))
        assert outdated(env) == ["page"]
        dependencies.keep_digests(None, env)
    (env.srcdir / "figures.json").unlink()
    assert outdated(env) == ["page"]


def test_what_changes_while_it_is_read_is_read_again_next_time(env):
    assert outdated(env) == ["page"]
    (env.srcdir / "figures.json").write_text("[2]")  # read as such, after its digest was taken
    dependencies.keep_digests(None, env)
    assert outdated(env) == ["page"]


def noted(env):
    return {os.path.basename(file) for file in env.dependencies["page"]}  # noqa: PTH119


def test_a_module_brings_those_of_ours_that_it_imports(env):
    dependencies.note_modules(env, "smallport.quantities", "torch.nn")
    assert noted(env) == {"figures.json", "__init__.py", "quantities.py", "records.py"}


def test_an_api_page_depends_on_its_module_its_object_and_its_examples(env):
    app = SimpleNamespace(env=env)
    dependencies.note_documented(app, "api/smallport.quantities.quantity", [""])
    assert {"quantities.py", "smallport.quantities.quantity.examples"} <= noted(env)
    assert "runner.py" not in noted(env)
    defined = SimpleNamespace(__module__="smallport.sweep.runner")
    dependencies.note_defining(app, "function", "smallport.sweep", defined, None, [])
    assert "runner.py" in noted(env)


def test_the_overview_depends_on_every_module(env):
    dependencies.note_documented(SimpleNamespace(env=env), "api", [""])
    modules = {str(file) for file in (project.ROOT / "src" / "smallport").rglob("*.py")}
    assert modules <= env.dependencies["page"]


def test_other_documents_depend_on_no_module(env):
    dependencies.note_documented(SimpleNamespace(env=env), "assets", [""])
    assert noted(env) == {"figures.json"}

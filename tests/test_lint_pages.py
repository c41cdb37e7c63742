"""The rules on pages that need no run."""

import subprocess
import sys
import textwrap

import pytest

from tools.gallery import project
from tools.lint import handlers
from tools.lint import pages as page_rules

PROSE = '"""\nTitle\n=====\n\nWhat you will learn: ' + "word " * 100 + '\n"""\n\n'
CLAIM = 'check("one", 1, at_most=1)\n'


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """Give a project without pages."""
    monkeypatch.setattr(project, "ROOT", tmp_path)
    monkeypatch.setattr(project, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(project, "EXAMPLES", tmp_path / "examples")
    folder = tmp_path / "examples" / "folder"
    folder.mkdir(parents=True)
    (folder / page_rules.HEADER).write_text("Folder\n------\n", encoding="utf-8")
    return tmp_path / "examples"


@pytest.fixture
def page(examples):
    """Give what writes a page into a project and returns its script."""

    def write(code, name="folder/page.py"):
        script = examples / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(textwrap.dedent(code), encoding="utf-8")
        return script

    return write


def found(script):
    """Say what the rules find in a page, but for those on its beginning and its end."""
    findings = page_rules.on_page(script)
    return [(one.line, one.rule) for one in findings if one.rule not in {"opening", "ending"}]


CAREFUL = [
    """
    try:
        1 / 0
    except ZeroDivisionError as error:
        assert "zero" in str(error)
    else:
        raise AssertionError("fixed")
    """,
    """
    try:
        1 / 0
    except (ZeroDivisionError, ValueError) as error:
        message = str(error)
    else:
        raise AssertionError("fixed")
    assert "zero" in message
    """,
    """
    try:
        value = 1
    finally:
        del value
    """,
]


@pytest.mark.parametrize("code", CAREFUL)
def test_a_failure_that_is_pinned_down_is_no_finding(code, page):
    script = page(code)
    assert list(handlers.careless(script, script.read_text())) == []


HANDLER = """\
try:
    1 / 0
except{caught}:
    {handling}
{after}
"""
ELSE = "else:\n    raise AssertionError('fixed')"


@pytest.mark.parametrize(
    ("caught", "handling", "after", "finding"),
    [
        ("", "pass", ELSE, "examples/folder/page.py:3: catches everything"),
        (
            " Exception as error",
            "assert error",
            ELSE,
            "examples/folder/page.py:3: catches everything",
        ),
        (
            " (ValueError, BaseException)",
            "pass",
            ELSE,
            "examples/folder/page.py:3: catches everything",
        ),
        (
            "* Exception as error",
            "assert error",
            ELSE,
            "examples/folder/page.py:3: catches everything",
        ),
        (
            " ValueError as error",
            "print(error)",
            ELSE,
            "examples/folder/page.py:3: catches a failure and asserts",
        ),
        (
            " ValueError",
            "assert True",
            ELSE,
            "examples/folder/page.py:3: catches a failure and asserts nothing",
        ),
        (
            " ValueError as error",
            "assert str(error)",
            "",
            "examples/folder/page.py:3: still passes",
        ),
        (
            " ValueError as error",
            "assert str(error)",
            "else:\n    pass",
            "examples/folder/page.py:3: still passes",
        ),
    ],
)
def test_a_careless_handler_is_named_with_its_line(caught, handling, after, finding, page):
    code = HANDLER.format(caught=caught, handling=handling, after=after)
    (one,) = handlers.careless(page(code), code)
    assert str(one).startswith(finding)


@pytest.mark.parametrize(
    ("code", "line", "rule"),
    [
        ("with suppress(ValueError):\n    1 / 0\n", 1, "suppress"),
        ("with contextlib.suppress(Exception):\n    1 / 0\n", 1, "suppress"),
        ("def f():\n    try:\n        1 / 0\n    finally:\n        return 1\n", 5, "finally"),
        ("for i in r:\n    try:\n        1 / 0\n    finally:\n        break\n", 5, "finally"),
        ("class C:\n    def __exit__(self, *_):\n        return True\n", 3, "exit"),
        ('warnings.filterwarnings("ignore")\n', 1, "filter"),
        ('warnings.filterwarnings("ignore", category=UserWarning)\n', 1, "filter"),
        ('warnings.filterwarnings("ignore", "")\n', 1, "filter"),
        ('warnings.filterwarnings(action="ignore", message=".*")\n', 1, "filter"),
        ('simplefilter("ignore", UserWarning)\n', 1, "filter"),
        ('with warnings.catch_warnings(action="ignore"):\n    1 / 1\n', 1, "filter"),
    ],
)
def test_code_that_lets_a_failure_go_by_is_named(code, line, rule, page):
    (one,) = handlers.careless(page(code), code)
    assert (one.line, one.rule) == (line, rule)


@pytest.mark.parametrize(
    "code",
    [
        'warnings.filterwarnings("ignore", "Creating a tensor", UserWarning)\n',
        'warnings.filterwarnings("error")\nwarnings.simplefilter("always")\n',
        "with warnings.catch_warnings(record=True) as caught:\n    1 / 1\n",
        "class C:\n    def __exit__(self, *_):\n        return None\n",
    ],
)
def test_code_that_hides_nothing_is_no_finding(code, page):
    assert list(handlers.careless(page(code), code)) == []


def test_a_page_that_does_not_parse_is_named_with_its_line(page):
    assert found(page("one = 1\ntwo = (1\n")) == [(2, "syntax")]


def test_a_page_without_a_docstring_is_named(page):
    assert found(page("one = 1\n")) == [(None, "docstring")]


def test_prose_is_counted_and_cells_are_measured(page):
    short = page('"""\nTitle\n=====\n"""\n\n# %%\n# Look.\n\n' + CLAIM + "one = 1\n" * 40)
    assert found(short) == [(9, "cell-length"), (None, "prose")]
    assert found(page(PROSE + CLAIM + "one = 1\n" * 39)) == []


def test_a_page_that_measures_time_has_to_say_so(page):
    code = '"""Title."""\nfrom time import perf_counter\n\nbegin = perf_counter()\n'
    assert (4, "measures-time") in found(page(code))
    declared = code.replace("from", "# sphinx_gallery_measures_time = True\nfrom")
    assert "measures-time" not in {rule for _, rule in found(page(declared))}
    assert "measures-time" not in {rule for _, rule in found(page("# perf_counter() is a clock\n"))}


def test_a_table_is_the_last_line_of_its_cell(page):
    shown = f"{PROSE}{CLAIM}show_table(frame)\n"
    assert found(page(shown)) == []
    assert found(page(f"{shown}assert frame\n")) == [(9, "table")]
    assert found(page(f"{shown}\n# %%\n# So:\n\nassert frame\n")) == []


ALLOW = "# lint: allow filter: the page is about them\n"
HIDING = 'warnings.simplefilter("ignore")\n'


def test_a_rule_is_lifted_in_one_cell_and_no_other(page):
    assert found(page(f"{PROSE}{CLAIM}{ALLOW}{HIDING}")) == []
    two = page(f"{PROSE}{CLAIM}{ALLOW}{HIDING}\n# %%\n# Then:\n\n{HIDING}")
    ((line, rule),) = found(two)
    assert (line, rule) == (15, "filter")
    (lifted,) = page_rules.lifted(two)
    assert (lifted.line, lifted.rule, lifted.reason) == (9, "filter", "the page is about them")


@pytest.mark.parametrize(
    "comment",
    [
        "# lint: allow everything: it is simpler",
        "# lint: allow filter",
        "# lint: allow filter:",
        "# lint: conditional:",
        "# lint: ignore",
    ],
)
def test_a_comment_that_lifts_nothing_or_gives_no_reason_is_named(comment, page):
    assert found(page(f"{PROSE}{CLAIM}{comment}\n")) == [(9, "comment")]


def test_a_file_that_is_no_page_is_named(examples):
    for name in ("notes.md", "page.ipynb", "plot.PY", "GALLERY_HEADER.rst", "ruff.toml", ".hidden"):
        (examples / "folder" / name).touch()
    named = {one.place.rpartition("/")[2] for one in page_rules.file_names()}
    assert named == {"notes.md", "page.ipynb", "plot.PY"}


def test_names_that_break_links_are_named(examples, page):
    page("", "folder/plot one.py")
    page("", "folder/plot_two.py")
    page("", "other/Plot_Two.py")
    (examples / "link").symlink_to(examples / "folder")
    assert {(one.place, one.rule) for one in page_rules.file_names()} == {
        ("examples/folder/plot one.py", "file-name"),
        ("examples/link", "symlink"),
        ("examples/other/Plot_Two.py", "file-name"),
    }


def test_folders_that_the_gallery_ignores_are_named(examples, page):
    page("", "other/plot_two.py")
    page("", "folder/plot_one.py")
    (examples / "folder" / "deeper").mkdir()
    page("", "folder/deeper/plot_three.py")
    places = [one.place for one in page_rules.folders()]
    assert places == ["examples/folder/deeper"] * 2 + ["examples/other"]


@pytest.mark.parametrize(
    "text",
    ["it took 3 s", "about 2.5x", "113.94 MB", "a 10 % gap", "0.01 nats", "3.8 times faster"],
)
def test_a_figure_in_prose_is_found_on_its_line(text, examples):
    (one,) = page_rules.figures(examples / "page.rst", 10, f"First\n:published:`3 s`\n{text}\n")
    assert one.line == 12


@pytest.mark.parametrize(
    "text",
    [":published:`188.6 s` on one thread", "8-bit integers", "``timeout=30 s``", "33,278 words"],
)
def test_what_is_no_measured_figure_passes(text, examples):
    assert list(page_rules.figures(examples / "page.rst", 1, text)) == []


def test_the_projects_own_pages_keep_the_rules():
    assert [str(one) for one in page_rules.findings()] == []


def test_lint_needs_neither_torch_nor_the_package():
    code = (
        "import sys; from tools.gallery import settings, versions; from tools.lint import pages; "
        "pages.findings(); "
        "sys.exit(bool({'torch', 'smallport', 'numpy'} & sys.modules.keys()))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=project.ROOT, check=False).returncode == 0
    )

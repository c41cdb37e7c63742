"""Complete runs of pages are counted over all sessions, and there is an end to them."""

import pytest

from tools.gallery import page_runs, settings


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv(settings.PAGE_RUNS, str(tmp_path / "runs.txt"))
    return tmp_path / "runs.txt"


def test_runs_are_noted_only_where_somebody_counts(monkeypatch, file):
    monkeypatch.delenv(settings.PAGE_RUNS)
    page_runs.note("plot_10", "docs")
    assert not file.exists()
    monkeypatch.setenv(settings.PAGE_RUNS, str(file))
    page_runs.note("plot_10", "docs")
    page_runs.note("plot_20", "faults")
    assert file.read_text() == "docs plot_10\nfaults plot_20\n"


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    ("number", "status"), [(1, 0), (page_runs.most(), 0), (page_runs.most() + 1, 1)]
)
def test_too_many_runs_are_an_error(number, status, capsys):
    for page in range(number):
        page_runs.note(f"plot_{page}", "docs")
    assert page_runs.main() == status
    printed = capsys.readouterr().out
    assert f"at most {page_runs.most()}:" in printed
    assert printed.splitlines()[-1].endswith(f"{number:>3}")


def test_no_run_at_all_is_an_error(file, capsys):
    assert not file.exists()
    assert page_runs.main() == 1
    assert "No session noted any" in capsys.readouterr().err

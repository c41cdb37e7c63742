"""What a run leaves behind, and how pages tell it."""

import pytest

import provenance
from smallport import checks
from tools.gallery import fingerprint, runs

SURROUNDINGS = runs.Environment(
    commit="0123456789ab+",
    date="2026-11-20T21:52:00+00:00",
    processor="A processor",
    int8_dot_products=("avx512_vnni",),
    cores=2,
    versions={"python": "3.11.7", "torch": "2.13.0"},
    assets="embedded",
    corpus="c" * 64,
    fingerprint="f" * 64,
)


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "EXAMPLES", tmp_path / "examples")
    monkeypatch.setattr(runs, "FOLDER", tmp_path / "records")
    page = tmp_path / "examples" / "folder" / "plot_10_page.py"
    page.parent.mkdir(parents=True)
    page.write_text('"""A page."""\n')
    return page


def test_a_page_that_never_ran_has_no_record(script):
    assert runs.read(script) is None
    assert runs.checked(script) == []


def test_a_run_that_began_has_not_passed(script):
    runs.begin(script, SURROUNDINGS)
    run = runs.read(script)
    assert run.page == "folder/plot_10_page.py"
    assert run.environment == SURROUNDINGS
    assert run.seconds is None
    assert not run.passed


def test_a_run_that_finished_says_how(script):
    runs.begin(script, SURROUNDINGS)
    runs.finish(script, 1.5, passed=True, threads=1)
    run = runs.read(script)
    assert (run.seconds, run.passed) == (1.5, True)
    assert run.command == "python -m nox -s docs -- --page plot_10_page"


def test_a_new_run_forgets_what_the_last_one_measured(script, monkeypatch):
    runs.begin(script, SURROUNDINGS)
    monkeypatch.setenv(checks.RESULTS_FILE, str(runs.results_file(script)))
    checks.check("loss", 3.1, "nats", at_most=3.5)
    assert [result.name for result in runs.checked(script)] == ["loss"]
    runs.begin(script, SURROUNDINGS)
    assert runs.checked(script) == []


def test_provenance_names_commit_machine_versions_and_command(script):
    runs.begin(script, SURROUNDINGS)
    runs.finish(script, 1.5, passed=True, threads=1)
    corpus = checks.Source("corpus", "WikiText-2", "c" * 64)
    described = provenance.described(runs.read(script), [corpus])
    assert described["commit"] == "``0123456789ab``, with uncommitted changes"
    assert described["date"] == "2026-11-20 21:52:00 UTC"
    assert described["processor"] == "A processor, 2 cores, threads at the end: 1"
    assert described["int8 dot products"] == "avx512_vnni"
    assert described["corpus"] == "WikiText-2, ``cccccccccccccccc``"
    assert described["versions"] == "python 3.11.7, torch 2.13.0"
    assert described["run it again"] == "``python -m nox -s docs -- --page plot_10_page``"


def test_fingerprint_covers_what_a_page_depends_on(monkeypatch):
    before = fingerprint.describe().fingerprint
    assert fingerprint.describe().fingerprint == before
    monkeypatch.setattr(fingerprint.measure, "int8_dot_products", tuple)
    assert fingerprint.describe().fingerprint != before


def test_fingerprint_covers_the_files_of_the_data_folder(monkeypatch, tmp_path):
    (tmp_path / "wikitext-2").mkdir()
    for split in ("train", "valid", "test"):
        (tmp_path / "wikitext-2" / f"{split}.txt").write_text("a text\n")
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    monkeypatch.setenv("SMALLPORT_DATA_DIR", str(tmp_path))
    before = fingerprint.describe().fingerprint
    (tmp_path / "weights.pth").write_bytes(b"weights")
    after = fingerprint.describe().fingerprint
    assert after != before
    monkeypatch.setenv("SMALLPORT_TINY_LLM_REVISION", "a-branch")
    assert fingerprint.describe().fingerprint != after


def test_a_record_of_another_version_is_none(script):
    runs.begin(script, SURROUNDINGS)
    file = runs.folder_of(script) / "run.json"
    file.write_text(file.read_text().replace('"cores"', '"sockets"'))
    assert runs.read(script) is None

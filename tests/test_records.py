"""What a run leaves behind, and how pages tell it."""

import pytest

import provenance
import records
import surroundings
from smallport import results

SURROUNDINGS = records.Surroundings(
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
    monkeypatch.setattr(records, "EXAMPLES", tmp_path / "examples")
    monkeypatch.setattr(records, "FOLDER", tmp_path / "records")
    page = tmp_path / "examples" / "folder" / "plot_10_page.py"
    page.parent.mkdir(parents=True)
    page.write_text('"""A page."""\n')
    return page


def test_a_page_that_never_ran_has_no_record(script):
    assert records.read(script) is None
    assert records.checked(script) == []


def test_a_run_that_began_has_not_passed(script):
    records.begin(script, SURROUNDINGS)
    run = records.read(script)
    assert run.page == "folder/plot_10_page.py"
    assert run.surroundings == SURROUNDINGS
    assert run.seconds is None
    assert not run.passed


def test_a_run_that_finished_says_how(script):
    records.begin(script, SURROUNDINGS)
    records.finish(script, 1.5, passed=True, threads=1)
    run = records.read(script)
    assert (run.seconds, run.passed) == (1.5, True)
    assert run.command == "python -m nox -s docs -- --page plot_10_page"


def test_a_new_run_forgets_what_the_last_one_measured(script, monkeypatch):
    records.begin(script, SURROUNDINGS)
    monkeypatch.setenv(results.RESULTS_FILE, str(records.results_file(script)))
    results.check("loss", 3.1, "nats", at_most=3.5)
    assert [result.name for result in records.checked(script)] == ["loss"]
    records.begin(script, SURROUNDINGS)
    assert records.checked(script) == []


def test_provenance_names_commit_machine_versions_and_command(script):
    records.begin(script, SURROUNDINGS)
    records.finish(script, 1.5, passed=True, threads=1)
    corpus = results.Source("corpus", "WikiText-2", "c" * 64)
    described = provenance.described(records.read(script), [corpus])
    assert described["commit"] == "``0123456789ab``, with uncommitted changes"
    assert described["date"] == "2026-11-20 21:52:00 UTC"
    assert described["processor"] == "A processor, 2 cores, threads at the end: 1"
    assert described["int8 dot products"] == "avx512_vnni"
    assert described["corpus"] == "WikiText-2, ``cccccccccccccccc``"
    assert described["versions"] == "python 3.11.7, torch 2.13.0"
    assert described["run it again"] == "``python -m nox -s docs -- --page plot_10_page``"


def test_fingerprint_covers_what_a_page_depends_on(monkeypatch):
    before = surroundings.describe().fingerprint
    assert surroundings.describe().fingerprint == before
    monkeypatch.setattr(surroundings.measure, "int8_dot_products", tuple)
    assert surroundings.describe().fingerprint != before


def test_fingerprint_covers_the_files_of_the_data_folder(monkeypatch, tmp_path):
    (tmp_path / "wikitext-2").mkdir()
    for split in ("train", "valid", "test"):
        (tmp_path / "wikitext-2" / f"{split}.txt").write_text("a text\n")
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    monkeypatch.setenv("SMALLPORT_DATA_DIR", str(tmp_path))
    before = surroundings.describe().fingerprint
    (tmp_path / "weights.pth").write_bytes(b"weights")
    after = surroundings.describe().fingerprint
    assert after != before
    monkeypatch.setenv("SMALLPORT_TINY_LLM_REVISION", "a-branch")
    assert surroundings.describe().fingerprint != after


def test_a_record_of_another_version_is_none(script):
    records.begin(script, SURROUNDINGS)
    file = records.folder_of(script) / "run.json"
    file.write_text(file.read_text().replace('"cores"', '"sockets"'))
    assert records.read(script) is None

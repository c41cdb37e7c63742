"""After a change, exactly the pages run again that the change concerns: decided without a run.

The table says by hand what each change concerns. The records are those of the last build of the
site, which has to be there.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from smallport import files
from tools.gallery import project, runs

pytestmark = pytest.mark.records

DRIVER = Path(__file__).with_name("stale_pages.py")
COPIED = ("src", "tools", "examples", "docs/conf.py", "docs/_ext", "docs/_static", "pyproject.toml")
PAGES = {
    "q10": "plot_10_train_word_language_model",
    "q20": "plot_20_lstm_dynamic_quantization",
    "q22": "plot_22_save_and_load_quantized",
    "q30": "plot_30_where_the_megabytes_are",
    "q40": "plot_40_lstm_through_onnx",
    "q42": "plot_42_quantize_an_onnx_file",
    "q50": "plot_50_when_is_int8_faster",
    "q55": "plot_55_roofline",
    "q60": "plot_60_which_route",
    "e10": "plot_10_tiny_llm_inputs",
    "e12": "plot_12_tiny_llm_export",
    "e14": "plot_14_tiny_llm_onnx",
    "e20": "plot_20_export_error_cookbook",
    "e21": "plot_21_guard_error_cookbook",
    "e22": "plot_22_onnx_error_cookbook",
    "e30": "plot_30_exported_but_is_it_right",
    "e32": "plot_32_wrong_exports",
    "e40": "plot_40_scoreboard_live",
}
ALL = set(PAGES)
NONE: set[str] = set()
QUANTIZATION = {"q10", "q20", "q30", "q40", "q42", "q50", "q55", "q60"}
EXPORT = {name for name in PAGES if name.startswith("e")}
WITH_LSTM = QUANTIZATION | {"q22", "e10", "e14", "e22", "e30", "e40"}
"""The others need neither the language model, nor its corpus, nor a route through ONNX."""

WITH_INT8 = {"q20", "q22", "q30", "q40", "q42", "q50", "q55", "q60", "e14", "e22", "e30", "e40"}
THROUGH_ONNX = {"q40", "q42", "q50", "q55", "q60", "e14", "e22", "e30", "e40"}
CHECKED = {"e14", "e20", "e30", "e40"}
"""The pages that run the check of a model, one of them in child processes."""

WITH_STORED = {"q60", "e40"}
"""The pages that name in which versions a stored result was measured and what is here."""

S = "src/smallport/"

MUTATIONS = [
    # A function's body.
    ("raising", S + "bench/roofline.py", "measure_limits", {"q55"}),
    ("raising", S + "bench/grid.py", "measure_grid", {"q50", "q55"}),
    ("raising", S + "bench/cells.py", "read_grid", {"q50", "q55"}),
    ("raising", S + "bench/parts.py", "eager_variants", {"q50", "q55"}),
    ("raising", S + "bench/bits.py", "read_costs", {"q30"}),
    ("raising", S + "bench/routes.py", "measure_routes", {"q60"}),
    ("raising", S + "bench/route_results.py", "as_table", {"q60"}),
    ("raising", S + "bench/install_size.py", "install_megabytes", {"q60"}),
    ("raising", S + "quantize/onnx/blocks.py", "blocks_4bit", {"q60"}),
    ("raising", S + "quantize/blocks.py", "quantize_blocks", WITH_INT8),
    ("raising", S + "quantize/eager.py", "quantize_model", WITH_INT8),
    ("raising", S + "quantize/onnx/lstm.py", "fold_constants", THROUGH_ONNX),
    ("raising", S + "quantize/onnx/contents.py", "operator_counts", THROUGH_ONNX),
    ("raising", S + "lstm/text.py", "readable", WITH_LSTM),
    ("raising", S + "lstm/model.py", "token_losses", WITH_LSTM),
    ("raising", S + "tiny_llm.py", "untrained_tiny_llm", EXPORT - {"e40"}),
    ("raising", S + "parity/compare.py", "compare", EXPORT),
    ("raising", S + "parity/session.py", "run_session", EXPORT),
    ("raising", S + "export/excerpt.py", "code_excerpt", {"e12", "e20"}),
    (
        "raising",
        S + "export/registry.py",
        "without_cache_pytrees",
        {"e12", "e14", "e20", "e22", "e30", "e40"},
    ),
    ("raising", S + "export/recipes.py", "recipe_for", CHECKED | {"e21"}),
    ("raising", S + "architectures/tiny.py", "tiny_config", {"e40"}),
    ("raising", S + "sweep/counts.py", "count_stages", {"e40"}),
    ("raising", S + "checks.py", "check", ALL),
    ("raising", S + "display.py", "show_table", ALL),
    # A method, a class, a decorator, an attribute, a default.
    ("raising", S + "lstm/model.py", "WordLanguageModel.forward", WITH_LSTM),
    ("raising", S + "quantize/onnx/session.py", "ONNXLanguageModel.__call__", THROUGH_ONNX),
    ("decorated", S + "bench/roofline.py", "model_work", {"q55"}),
    ("decorated", S + "sweep/runner.py", "sweep", {"e40"}),
    ("decorated", S + "parity/decoding.py", "greedy_decode", EXPORT),
    ("attributed", S + "bench/cells.py", "Cell", {"q50", "q55"}),
    ("attributed", S + "lstm/model.py", "LSTMConfig", WITH_LSTM),
    ("attributed", S + "export/report.py", "ExportReport", EXPORT - {"e10", "e32"}),
    ("edited", S + "lstm/batches.py", "batch_size: int)", "batch_size: int = 3)", WITH_LSTM),
    ("edited", S + "quantities.py", "-> str:", "-> object:", ALL),
    # A constant, an import, an export, a module more.
    (
        "edited",
        S + "bench/install_size.py",
        "from packaging.r",
        "import cmath\nfrom packaging.r",
        {"q60"},
    ),
    ("edited", S + "quantities.py", "MINUS = ", "MINUS = 2 * ", ALL),
    ("edited", S + "sweep/mismatches.py", "EXPLANATIONS", "EXPLANATIONS_MORE", {"e40"}),
    ("edited", S + "architectures/rules.py", "SETTINGS: ", "SETTINGS_MORE: ", {"e40"}),
    ("edited", S + "lstm/__init__.py", "__all__ = [", '__all__ = ["more",', WITH_LSTM),
    ("edited", S + "parity/__init__.py", "__all__ = [", '__all__ = ["more",', EXPORT),
    ("edited", S + "quantize/__init__.py", "__all__ = [", '__all__ = ["more",', WITH_INT8),
    ("added", S + "more.py", "x = 1\n", NONE),
    # A module that is imported in a function, and one that only child processes import.
    ("raising", S + "export/stages.py", "ExportCheck.matches", CHECKED),
    ("raising", S + "export/exporters.py", "quiet_exporters", CHECKED),
    ("raising", S + "quantize/routes/modules.py", "float32", {"q60"}),
    ("raising", S + "quantize/routes/onnx_files.py", "float32", {"q60"}),
    ("appended", S + "sweep/worker.py", "\nx = 1\n", {"e40"}),
    ("edited", S + "architectures/entries.py", "_GEMMA_4 = ", "_GEMMA_4 = {} or ", {"e40"}),
    # Code that no page runs.
    ("raising", S + "quantize/routes/openvino.py", "float32", NONE),
    ("raising", S + "commands/check.py", "run", NONE),
    ("raising", S + "architectures/by_name.py", "model_builder", NONE),
    ("appended", "tools/downloads/bundle.py", "\nx = 1\n", NONE),
    ("appended", "docs/_ext/inventories.py", "\nx = 1\n", NONE),
    # Code around every page.
    ("appended", "docs/_ext/figures.py", "\nx = 1\n", ALL),
    ("appended", "docs/_ext/pages.py", "\nx = 1\n", ALL),
    ("appended", "tools/gallery/runs.py", "\nx = 1\n", ALL),
    ("appended", "tools/gallery/trace/sitecustomize.py", "# comment\n", ALL),
    # Docstrings and comments, in code whose text no page reads, and in code whose text one does.
    ("appended", S + "bench/roofline.py", "# a comment\n", NONE),
    ("appended", S + "lstm/evaluation.py", "# a comment\n", NONE),
    ("appended", S + "display.py", "# a comment\n", NONE),
    ("edited", S + "bench/grid.py", '"""', '"""More. ', NONE),
    ("edited", S + "quantize/blocks.py", '"""', '"""More. ', {"e14"}),
    ("appended", "docs/_ext/figures.py", "# a comment\n", NONE),
    # What pages read.
    ("appended", S + "measured/bits.json", " ", {"q30"}),
    ("appended", S + "measured/grid-avx2.json", " ", {"q50"}),
    ("appended", S + "measured/routes.json", " ", {"q60"}),
    ("appended", S + "measured/sweep.json", " ", {"e40"}),
    ("appended", "examples/export/plot_20_export_error_cookbook.py", "\n# more\n", {"e20"}),
    ("appended", "examples/export/GALLERY_HEADER.rst", "more", NONE),
    # Packages.
    ("released", "torch", "9.0", ALL),
    ("released", "torch", None, ALL),
    ("released", "onnxruntime", "9.0", THROUGH_ONNX | {"e20"}),
    ("released", "transformers", "9.0", EXPORT | WITH_STORED),
    ("released", "onnx-diagnostic", "9.0", {"e10", "e12"}),
    ("released", "sphinx-gallery", "9.0", ALL),
    ("released", "mypy", "9.0", NONE),
    ("appeared", "optree", ALL),
    ("appeared", "torchao", EXPORT | WITH_STORED),
    ("appeared", "openvino", WITH_STORED),
    ("appeared", "nothing_looks_for_this", NONE),
    # The environment and the machine.
    ("variable", "OMP_NUM_THREADS", "7", ALL),
    ("variable", "ATEN_CPU_CAPABILITY", "default", ALL),
    ("variable", "HF_HUB_OFFLINE", "1", ALL),
    ("variable", "LANG", "tlh", ALL),
    ("variable", "SMALLPORT_SITE_URL", "https://example.org", NONE),
    ("variable", "EDITOR", "ed", NONE),
    ("capability", "avx1024_vnni", ALL),
    ("cores", 64, ALL),
    # Options.
    ("edited", "docs/conf.py", '"image_srcset": ["2x"]', '"image_srcset": ["3x"]', ALL),
    ("edited", "docs/conf.py", '"thumbnail_size": (800', '"thumbnail_size": (801', ALL),
    ("edited", "docs/conf.py", '"show_nav_level": 2', '"show_nav_level": 3', NONE),
    ("edited", "docs/conf.py", '"n_examples": 3', '"n_examples": 4', NONE),
    ("appended", "docs/conf.py", "\n# a comment\n", NONE),
]


def decided_for(mutations, copy):
    """Say for each change which pages would run again, and why, by a copy of the project.

    Before the first change and after the last, nothing has changed.
    """
    if not all(runs.read(script) for script in project.scripts()):
        pytest.fail("The records of some pages are missing. Run `nox -s docs` first.")
    for name in COPIED:
        source, target = project.ROOT / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    shutil.copytree(runs.FOLDER, copy / runs.FOLDER.relative_to(project.ROOT))
    shutil.copytree(project.GALLERY, copy / "docs" / "gallery")
    if repository := files.git(project.ROOT, "rev-parse", "--absolute-git-dir"):
        (copy / ".git").write_text(f"gitdir: {repository}\n")
    changes = copy.with_name("changes.json")
    changes.write_text(json.dumps([list(mutation) for mutation in mutations]))
    path = os.environ.get("PYTHONPATH")
    variables = {"PYTHONPATH": f"{copy / 'src'}{os.pathsep}{copy}"}
    variables |= {"BUILD_PYTHONPATH": path} if path else {}
    done = subprocess.run(
        [sys.executable, DRIVER, changes],
        cwd=copy,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(changes.read_text())


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    """Decide about all changes at once."""
    folder = tmp_path_factory.mktemp("mutations")
    return decided_for([mutation[:-1] for mutation in MUTATIONS], folder / "project")


def test_no_page_runs_again_where_nothing_changed(decided):
    assert decided[0] == {}
    assert decided[-1] == {}


def described(number):
    """Name a change in the report of the tests."""
    return " ".join(str(part) for part in MUTATIONS[number][:3])


@pytest.mark.parametrize("number", range(len(MUTATIONS)), ids=described)
def test_exactly_the_pages_run_again_that_a_change_concerns(number, decided):
    names = {stem: name for name, stem in PAGES.items()}
    stale = {names[stem]: reason for stem, reason in decided[number + 1].items()}
    assert set(stale) == MUTATIONS[number][-1], stale


def test_there_are_enough_changes_of_every_kind():
    assert len(MUTATIONS) >= 60
    assert set(PAGES.values()) == {script.stem for script in project.scripts()}

"""Tests of :mod:`tools.export_skips`."""

import ast
import json
import sys
import urllib.error
from io import BytesIO

import pytest

from tools import export_skips
from tools.export_skips import EXPORT_TESTS, Sources, derive, main

COMMIT, OTHER = "a" * 40, "b" * 40

MODULE = """
raise SystemExit("this module was run")

EXPORT_SKIPS: dict[str, dict[str, str]] = {
    "all": {"SkippedForCausalLM": "Loops over the experts, and over much else in so many "
        "words that some are left out"},
    "onnx.dynamic": {"SlowForCausalLM": ("Lowering takes " "too long.")},
    "onnx.generate.runtime": {"TestedForCausalLM": "About a loop around it."},
    "executorch": {"TestedForCausalLM": "About a different program."},
}

class ExportTesterMixin:
    def _skip_if_not_exportable(self):
        if "for expert" in source_code and "use_experts_implementation" not in source_code:
            self.skipTest("eager")

    def _check_outputs_close(self, actual, expected):
        if mismatched / total < 0.05:
            return
"""

TESTS = {
    "tested": """
class TestedTester(CausalLMModelTester):
    if is_torch_available():
        base_model_class = TestedModel

class TestedModelTest(CausalLMModelTest, unittest.TestCase):
    model_tester_class = TestedTester
""",
    "slow": """
class SlowModelTest(ModelTesterMixin, unittest.TestCase):
    all_model_classes = (SlowModel, SlowForCausalLM) if is_torch_available() else ()
""",
    "unfit": """
class UnfitModelTest(ModelTesterMixin, unittest.TestCase):
    all_model_classes = (UnfitForCausalLM,)
    test_torch_exportable = False  # custom kernels
""",
    "decorated": """
class DecoratedModelTest(ModelTesterMixin, unittest.TestCase):
    all_model_classes = (DecoratedForCausalLM,)

    @unittest.skip(reason="Out of time")
    def test_torch_export_dynamic(self):
        pass

    @unittest.skip("something else")
    def test_training(self):
        pass
""",
    "partial": """
class PartialModelTest(ModelTesterMixin, unittest.TestCase):
    all_model_classes = (PartialModel,)

class PartialIntegrationTest(unittest.TestCase):
    all_model_classes = (PartialForCausalLM,)
""",
}


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Make a class for each architecture, in a module of its own."""
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for name in (*TESTS, "skipped", "eager", "unheard"):
        module = f"modeling_{name}"
        source = f"class {name.title()}ForCausalLM: ...\n"
        if name == "eager":
            source += "# for expert in experts\n"
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
        monkeypatch.delitem(sys.modules, module, raising=False)
        found.append((name, getattr(__import__(module), f"{name.title()}ForCausalLM")))
    return found


@pytest.fixture
def checkout(tmp_path):
    """Write the test modules into a folder."""
    folder = tmp_path / "checkout"
    for path, text in {
        EXPORT_TESTS: MODULE,
        **{f"tests/models/{one}/test_modeling_{one}.py": text for one, text in TESTS.items()},
    }.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return folder


def test_what_they_do_is_derived_without_running_it(checkout, models):
    results = derive(Sources([(COMMIT, str(checkout))]), models)
    found = results["architectures"]
    assert results["ignored"] == 0.05
    assert results["address"].endswith(f"/{COMMIT}/{EXPORT_TESTS}")
    assert {name: entry.get("skips") for name, entry in found.items()} == {
        "tested": None,
        "slow": [("onnx.dynamic", "Lowering takes too long.")],
        "unfit": [("test class", "test_torch_exportable = False")],
        "decorated": [("test_torch_export_dynamic", "Out of time")],
        "skipped": [("all", "Loops over the experts, and over much else in so many …")],
        "eager": [("modeling file", "uses eager MoE implementation")],
    }
    assert [name for name, entry in found.items() if "tests" in entry] == [
        "tested",
        "slow",
        "unfit",
        "decorated",
    ]
    assert found["tested"]["tests"].endswith(
        f"{COMMIT}/tests/models/tested/test_modeling_tested.py"
    )


def test_a_file_is_taken_from_the_first_commit_that_has_it(checkout, tmp_path, models):
    newer = tmp_path / "newer" / "tests" / "models" / "tested"
    newer.mkdir(parents=True)
    text = TESTS["tested"] + "    test_torch_exportable = False\n"
    (newer / "test_modeling_tested.py").write_text(text, encoding="utf-8")
    places = [(OTHER, str(tmp_path / "newer")), (COMMIT, str(checkout))]
    results = derive(Sources(places), models)
    assert results["commit"] == COMMIT
    entry = results["architectures"]["tested"]
    assert OTHER in entry["tests"]
    assert entry["skips"] == [("test class", "test_torch_exportable = False")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("EXPORT_SKIPS:", "SKIPS:", "has no EXPORT_SKIPS"),
        ("= {\n", "= make({\n", "was never closed"),
        ('{"SlowForCausalLM": ("Lowering takes " "too long.")}', "[]", "classes by scope"),
        ("mismatched / total < 0.05", "True", "no share of elements"),
        ("def _check_outputs_close", "def close", "has no _check_outputs_close"),
        ("def _skip_if_not_exportable", "def skip", "has no _skip_if_not_exportable"),
    ],
)
def test_a_module_of_a_different_form_is_an_error(old, new, message, checkout, capsys):
    file = checkout / EXPORT_TESTS
    assert old in MODULE
    file.write_text(MODULE.replace(old, new), encoding="utf-8")
    output = checkout / "facts.json"
    assert main([f"{COMMIT}={checkout}", "--output", str(output)], list) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("tools.export_skips: ")
    assert message in printed
    assert not output.exists()


def test_the_facts_are_written_with_where_they_come_from(checkout, models, tmp_path, capsys):
    output = tmp_path / "facts.json"
    assert main([f"{COMMIT}={checkout}", "--output", str(output)], lambda: models) == 0
    assert "6 architectures" in capsys.readouterr().out
    assert json.loads(output.read_text(encoding="utf-8"))["results"]["commit"] == COMMIT


def test_a_commit_without_the_module_is_an_error(tmp_path, capsys):
    assert main([f"{COMMIT}={tmp_path}"], list) == 1
    assert f"{tmp_path}: no {EXPORT_TESTS}" in capsys.readouterr().err


def test_a_commit_alone_is_downloaded(checkout, models, monkeypatch):
    asked = []

    def urlopen(address, **_):
        asked.append(address)
        path = address.removeprefix(f"{export_skips.RAW}/{COMMIT}/")
        file = checkout / path
        if not file.exists():
            raise urllib.error.HTTPError(address, 404, "Not Found", {}, None)
        return BytesIO(file.read_bytes())

    monkeypatch.setattr(export_skips.urllib.request, "urlopen", urlopen)
    from_web = derive(Sources([(COMMIT, f"{export_skips.RAW}/{COMMIT}")]), models)
    assert from_web == derive(Sources([(COMMIT, str(checkout))]), models)
    assert len(asked) == 1 + len(models)


def test_a_host_that_fails_is_an_error(monkeypatch, capsys):
    def urlopen(address, **_):
        raise urllib.error.HTTPError(address, 500, "Internal Server Error", {}, None)

    monkeypatch.setattr(export_skips.urllib.request, "urlopen", urlopen)
    assert main([COMMIT], list) == 1
    assert "500" in capsys.readouterr().err


def test_every_class_that_is_tested_twice_and_skipped_once_is_tested():
    text = """
class A(ModelTesterMixin):
    all_model_classes = (X,)
    test_torch_exportable = False
class B(ModelTesterMixin):
    all_model_classes = (X,)
"""
    assert [bool(one) for one in export_skips.class_skips(ast.parse(text), "X")] == [True, False]

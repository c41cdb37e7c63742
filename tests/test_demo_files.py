"""The files of the demo are made once, are what they are called, and say why there are none."""

import json
from html import unescape

import pytest
import torch

import demo as extension
from smallport import assets
from smallport.files import ChecksumError
from smallport.lstm import LSTMConfig, Vocabulary, WordLanguageModel
from smallport.quantize import onnx as onnx_route
from tools.demo import files, making, runtime, writing
from tools.gallery import build

VOCABULARY = Vocabulary.from_tokens([*writing.BEGINNING, "list", "<eos>", "of", "tuple"])


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Export a small model, in floats and in int8."""
    folder = tmp_path_factory.mktemp("demo")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WordLanguageModel(len(VOCABULARY), LSTMConfig(16, 8, 1)).eval()
        torch.nn.init.normal_(model.decoder.weight, std=3)
    onnx_route.export_lstm(model, folder / "exported.onnx")
    onnx_route.fold_constants(folder / "exported.onnx", folder / "float.onnx")
    onnx_route.quantize_file(folder / "float.onnx", folder / "int8.onnx")
    return folder


@pytest.fixture
def made(tmp_path, monkeypatch, models):
    """Make the demo of a small model into a folder of the test's own; count how often."""
    monkeypatch.setattr(files, "SITE", tmp_path / "site")
    monkeypatch.setattr(files, "SERVED", tmp_path / "site" / "in_the_page")
    monkeypatch.setattr(files, "DESCRIPTION", tmp_path / "demo.json")

    class Times(list):
        """How often the model was made, and what names that it is made from."""

        key = "one"

    times = Times()

    class TinyCorpus:
        name = "a text"
        vocabulary = VOCABULARY

    def copy(_, int8, float32):
        times.append(int8)
        int8.write_bytes((models / "int8.onnx").read_bytes())
        float32.write_bytes((models / "float.onnx").read_bytes())

    def unpack(_, __, folder):
        for name in (runtime.SCRIPT, runtime.BINARY):
            (folder / name).write_bytes(b"runtime")

    monkeypatch.setattr(assets, "corpus", TinyCorpus)
    monkeypatch.setattr(making, "make_models", copy)
    monkeypatch.setattr(files, "assert_trained", lambda *_: None)  # see tests/faults
    monkeypatch.setattr(files, "current_key", lambda: times.key)
    monkeypatch.setattr(files.runtime, "fetch", lambda _: tmp_path)
    monkeypatch.setattr(files.runtime, "unpack", unpack)
    return times


def test_the_files_are_made_again_only_when_something_changed(made):
    files.make()
    files.make()
    assert len(made) == 1
    made.key = "two"
    files.make()
    assert len(made) == 2
    (files.SERVED / files.VOCABULARY).write_text("[]")
    files.make()
    assert len(made) == 3
    served = sorted(file.name for file in files.SERVED.iterdir())
    assert served == sorted([*files.LOADED, files.FLOAT_MODEL])


@pytest.mark.usefixtures("made")
def test_what_python_wrote_is_written_down_with_its_words():
    files.make()
    words = json.loads((files.SERVED / files.VOCABULARY).read_text())
    assert tuple(words) == VOCABULARY.words
    expected = json.loads((files.SERVED / files.EXPECTED).read_text())
    for text in (expected, expected["float32"]):
        for choice in ("drawn", "probable"):
            assert len(text[choice]) == writing.WORDS
            assert all(words[word["token"]] == word["word"] for word in text[choice])
            assert all(0 < word["probability"] <= 1 for word in text[choice])
        assert text["drawn"] != text["probable"]
    shares = [
        [word["probability"] for word in text["drawn"]] for text in (expected, expected["float32"])
    ]
    assert shares[0] != shares[1]


def test_where_something_is_missing_nothing_old_is_served_and_the_page_says_why(made):
    files.make()
    files.make("The registry could not be reached (ConnectionError)")
    assert not files.SERVED.exists()
    assert files.SITE.is_dir()
    html = extension.rendered(json.loads(files.DESCRIPTION.read_text()), {})
    assert "does not run in this build" in html
    assert "The registry could not be reached (ConnectionError)" in html
    assert "<form" not in html
    files.make()
    assert len(made) == 2


@pytest.mark.usefixtures("made")
def test_the_page_says_how_much_it_loads_and_shows_what_python_wrote():
    files.make()
    expected = json.loads((files.SERVED / files.EXPECTED).read_text())
    html = extension.rendered(json.loads(files.DESCRIPTION.read_text()), expected)
    loaded = sum((files.SERVED / name).stat().st_size for name in files.LOADED)
    assert f"Load the model ({extension.megabytes(loaded)})" in html
    assert html.count('<th scope="row">') == writing.WORDS
    assert html.count("<rect") == writing.WORDS
    assert "&lt;eos&gt;" in html
    in_floats = extension.megabytes((files.SERVED / files.FLOAT_MODEL).stat().st_size)
    assert f"Compare with float32 ({in_floats})" in html
    texts = [extension.words_of(one["drawn"]) for one in (expected, expected["float32"])]
    assert extension.parting(*texts) in unescape(html)
    assert html.count("<mark>") == 2 * (texts[0] != texts[1])


@pytest.mark.usefixtures("made")
def test_the_short_form_has_neither_the_comparison_nor_the_words_one_by_one():
    files.make()
    expected = json.loads((files.SERVED / files.EXPECTED).read_text())
    description = json.loads(files.DESCRIPTION.read_text())
    html = extension.rendered(description, expected, short=True)
    assert "Load the model (" in html
    assert "demo-compare" not in html
    assert "float32" not in html
    assert "<table" not in html
    assert "<mark>" not in html


def test_a_word_is_marked_and_markup_in_words_is_escaped():
    marked = extension.as_text(["a"], ["<b>", "<eos>", "c"], 0)
    assert marked == "a <mark>&lt;b&gt;</mark>\nc"
    assert extension.as_text(["a"], ["b", "<eos>", "c"], 1) == "a b <mark>↵</mark>\nc"
    assert extension.parting(["a", "b"], ["a", "b"]) == "int8 and float32 wrote the same 2 words."


def test_a_model_under_the_name_of_the_other_is_rejected(models):
    making.assert_int8(models / "int8.onnx")
    making.assert_float32(models / "float.onnx")
    with pytest.raises(AssertionError, match="DynamicQuantizeLSTM, MatMulInteger is missing"):
        making.assert_int8(models / "float.onnx")
    with pytest.raises(AssertionError, match="not the float32 model: it has DequantizeLinear"):
        making.assert_float32(models / "int8.onnx")


def test_the_state_is_carried_from_word_to_word(models):
    model = onnx_route.ONNXLanguageModel(models / "int8.onnx", threads=1)
    written = [word.token for word in writing.write(model, VOCABULARY, None)]
    text = torch.cat([VOCABULARY.encode(writing.BEGINNING), torch.tensor(written[:-1])])
    at_once, _ = model(text[:, None], model.initial_state(1))
    agreeing = at_once[len(writing.BEGINNING) - 1 :, 0].argmax(-1) == torch.tensor(written)
    assert agreeing.float().mean() > 0.9  # int8 scales a whole chunk's activations together


@pytest.mark.parametrize("ci", ["true", ""])
def test_ci_takes_a_missing_runtime_for_an_error_and_nobody_else_does(ci, monkeypatch, capsys):
    def first_step_of_the_build():
        raise KeyboardInterrupt

    monkeypatch.setattr(build.page_rules, "findings", list)
    monkeypatch.setattr("tools.demo.files.lacking", lambda: "It cannot be had")
    monkeypatch.setattr(build.wheel, "build", first_step_of_the_build)
    monkeypatch.setenv("CI", ci)
    assert build.main([]) == (1 if ci else build.INTERRUPTED)
    said = capsys.readouterr().err
    assert "built without the model that runs in a page. It cannot be had." in said
    assert ("In CI that is an error" in said) == bool(ci)


def test_an_archive_with_a_wrong_checksum_stops_every_build(monkeypatch, capsys):
    def wrong():
        raise ChecksumError("the archive is another")

    monkeypatch.setattr(build.page_rules, "findings", list)
    monkeypatch.setattr("tools.demo.files.lacking", wrong)
    monkeypatch.delenv("CI", raising=False)
    assert build.main([]) == 1
    assert capsys.readouterr().err == "the archive is another\n"


def test_a_model_that_cannot_be_made_is_told_and_stops_nothing(made, monkeypatch):
    assert files.try_to_make() == ""
    assert len(made) == 1

    def refuse(*_):
        raise RuntimeError("upstream removed it")

    monkeypatch.setattr(making, "make_models", refuse)
    made.key = "two"
    why = files.try_to_make()
    assert why == "It could not be made: RuntimeError: upstream removed it"
    assert json.loads(files.DESCRIPTION.read_text()) == {"missing": why}
    assert not files.SERVED.exists()


def test_the_key_changes_with_code_versions_and_assets(monkeypatch):
    before = files.current_key()
    assert files.current_key() == before
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    assert files.current_key() != before
    monkeypatch.delenv("SMALLPORT_ASSETS")
    monkeypatch.setattr(files.importlib.metadata, "version", lambda _: "0")
    assert files.current_key() != before
    monkeypatch.undo()
    monkeypatch.setattr(files.keys, "code_key", lambda *_: "other code")
    assert files.current_key() != before

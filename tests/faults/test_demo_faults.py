"""Serve a demo that is not the trained model, and see that the build says so, and where."""

import json
import re
import shutil
from functools import partial

import pytest
import torch

from smallport import assets
from smallport.lstm import Corpus, LSTMConfig, TrainingConfig, WordLanguageModel, train
from smallport.quantize import onnx as onnx_route
from tools.demo import files, making, runtime, writing

pytestmark = pytest.mark.fault

LINES = ["The value of the list is a tuple .", "of the tuple The list is a value ."] * 40
CONFIG = LSTMConfig(16, 32, 1)


@pytest.fixture(scope="module")
def corpus():
    """Give a text that a small model learns in a second."""
    return Corpus.from_lines("a text", train=LINES * 4, valid=LINES[:4], test=LINES)


@pytest.fixture(scope="module")
def model(corpus):
    """Train a small model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = WordLanguageModel(len(corpus.vocabulary), CONFIG)
    train(model, corpus, TrainingConfig(epochs=3))
    return model.eval()


@pytest.fixture(scope="module")
def untrained(corpus):
    """Make the same model, which has learned nothing."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return WordLanguageModel(len(corpus.vocabulary), CONFIG).eval()


@pytest.fixture(scope="module")
def exported(model, untrained, tmp_path_factory):
    """Export both models in both precisions."""
    folder = tmp_path_factory.mktemp("exported")
    for name, one in (("trained", model), ("untrained", untrained)):
        onnx_route.export_lstm(one, folder / "plain.onnx")
        onnx_route.fold_constants(folder / "plain.onnx", folder / f"{name}-float32.onnx")
        onnx_route.quantize_file(
            folder / f"{name}-float32.onnx", folder / f"{name}-int8.onnx", reduce_range=True
        )
    return folder


def serve(patch, exported, int8="trained", float32="trained"):
    """Have models of these names served."""

    def copy(_, int8_file, float32_file):
        shutil.copy(exported / f"{int8}-int8.onnx", int8_file)
        shutil.copy(exported / f"{float32}-float32.onnx", float32_file)

    patch.setattr(making, "make_models", copy)


def write_with_another_model(patch, exported):
    """Write the words with the untrained models."""
    expected = making.expected
    others = [exported / f"untrained-{name}.onnx" for name in ("int8", "float32")]
    patch.setattr(making, "expected", lambda *given: expected(*others, given[-1]))


def draw_by_other_numbers(patch, _):
    """Say that other numbers drew the words."""
    numbers, expected = writing.random_numbers()[::-1], making.expected
    patch.setattr(making, "expected", lambda *given: expected(*given) | {"numbers": numbers})


def turn_the_words_round(patch, _):
    """Serve the words of the vocabulary in another order."""
    write_json = files.files.write_json

    def turned(file, value, **options):
        write_json(file, value[::-1] if file.name == files.VOCABULARY else value, **options)

    patch.setattr(files.files, "write_json", turned)


class Pretrained:
    """What the assets return."""

    def __init__(self, model):
        self.model = model


FAULTS = {
    "untrained_models": (
        partial(serve, int8="untrained", float32="untrained"),
        "model.onnx loses ",
    ),
    "untrained_int8": (partial(serve, int8="untrained"), "model.onnx loses "),
    "untrained_float32": (partial(serve, float32="untrained"), "float32.onnx loses "),
    "words_of_another_model": (
        write_with_another_model,
        "the words of int8, probable are not those of the trained model",
    ),
    "words_drawn_by_other_numbers": (
        draw_by_other_numbers,
        "the words of int8, drawn are not those of the trained model",
    ),
    "words_in_another_order": (
        turn_the_words_round,
        "vocabulary.json does not hold the words of the corpus",
    ),
}


@pytest.fixture
def _demo(tmp_path, monkeypatch, corpus, model, exported):
    """Have the demo made from the small model."""
    monkeypatch.setattr(files, "SITE", tmp_path / "site")
    monkeypatch.setattr(files, "SERVED", tmp_path / "site" / "in_the_page")
    monkeypatch.setattr(files, "DESCRIPTION", tmp_path / "demo.json")
    monkeypatch.setattr(files, "current_key", lambda: "key")
    monkeypatch.setattr(runtime, "fetch", lambda _: tmp_path)
    monkeypatch.setattr(
        runtime,
        "unpack",
        lambda *given: [
            (given[-1] / name).write_bytes(b"runtime") for name in (runtime.SCRIPT, runtime.BINARY)
        ],
    )
    monkeypatch.setattr(assets, "corpus", lambda: corpus)
    monkeypatch.setattr(assets, "language_model", lambda _: Pretrained(model))
    serve(monkeypatch, exported)


@pytest.mark.usefixtures("_demo")
def test_a_demo_of_the_trained_model_is_served():
    assert files.try_to_make() == ""
    assert json.loads(files.DESCRIPTION.read_text())["words"]


@pytest.mark.usefixtures("_demo")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_demo_of_another_model_is_named_with_its_pages_and_not_served(
    fault, exported, monkeypatch
):
    spoil, cause = FAULTS[fault]
    spoil(monkeypatch, exported)
    why = files.try_to_make()
    assert not files.SERVED.exists()
    found = [finding.warning for finding in files.unmade(why)]
    assert [one.partition(":")[0] for one in found] == ["docs/in_the_page.rst", "docs/index.rst"]
    for one in found:
        assert re.match(
            rf"[\w/.]+:\d+: WARNING: It could not be made: AssertionError: {cause}", one
        )

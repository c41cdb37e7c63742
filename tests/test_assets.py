"""The profile decides where everything comes from, and nothing is imported before it is needed."""

import os
import subprocess
import sys

import pytest

from smallport import assets, lstm
from smallport.assets import profiles
from smallport.records import Source, read_sources
from tests.asset_helpers import error_of


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "embedded"), ("", "embedded"), ("embedded", "embedded"), ("published", "published")],
)
def test_the_profile_is_embedded_unless_said_otherwise(monkeypatch, value, expected):
    if value is not None:
        monkeypatch.setenv("SMALLPORT_ASSETS", value)
    assert assets.profile() == expected


@pytest.mark.parametrize("value", ["publishd", "Published", "embedded,published", " "])
@pytest.mark.parametrize("ask", [assets.profile, assets.corpus, assets.tiny_llm])
def test_an_unknown_profile_is_answered_with_both_names(monkeypatch, ask, value):
    monkeypatch.setenv("SMALLPORT_ASSETS", value)
    message = error_of(ask)
    assert f"SMALLPORT_ASSETS={value!r}" in message
    assert "'embedded'" in message
    assert "'published'" in message


def test_each_profile_has_its_sizes(monkeypatch):
    assert assets.lstm_config() == lstm.SMALL
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    assert assets.lstm_config() == lstm.PUBLISHED


def test_the_embedded_corpus_is_the_reference_and_its_source_is_recorded(monkeypatch, tmp_path):
    monkeypatch.setenv("SMALLPORT_RESULTS_FILE", str(tmp_path / "results.jsonl"))
    corpus = assets.corpus()
    assert corpus.checksum == profiles.reference_corpus().checksum
    assert read_sources(tmp_path / "results.jsonl") == [
        Source("corpus", "the Python language reference", corpus.checksum)
    ]


def test_a_cache_that_cannot_be_written_is_one_sentence(monkeypatch, tmp_path, tiny_corpus):
    in_the_way = tmp_path / "in-the-way"
    in_the_way.touch()
    monkeypatch.setenv("SMALLPORT_CACHE_DIR", str(in_the_way))
    ask = {
        "embedded": (lambda: assets.language_model(tiny_corpus), assets.tiny_llm),
        "published": (assets.corpus, lambda: assets.language_model(tiny_corpus), assets.tiny_llm),
    }
    for profile, actions in ask.items():
        monkeypatch.setenv("SMALLPORT_ASSETS", profile)
        for action in actions:
            message = error_of(action)
            assert str(in_the_way) in message
            assert "Set SMALLPORT_CACHE_DIR to a folder" in message


PROGRAM = """
import sys
import torch
from smallport import assets
from smallport.assets import training
from smallport.lstm import LSTMConfig, TrainingConfig

torch.set_num_threads(1)
training.TrainingConfig = lambda: TrainingConfig(epochs=1, batch_size=500, chunk=100)
assets.profiles.Embedded.lstm_config = LSTMConfig(embedding_size=2, hidden_size=2, layers=1)
assets.require_unseen_text = lambda *_: None  # this model has learned nothing
assets.language_model(assets.corpus())
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_the_lstm_pages_do_without_transformers_and_onnx():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ,
    )
    imported = set(done.stdout.split())
    assert "torch" in imported
    unwanted = {
        "huggingface_hub",
        "onnx",
        "onnx_diagnostic",
        "onnxruntime",
        "onnxscript",
        "safetensors",
        "tokenizers",
        "transformers",
    }
    assert imported & unwanted == set()

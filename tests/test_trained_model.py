"""The embedded model is trained once, kept with its record, and believed only as it was kept."""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from smallport import keys, lstm
from smallport.assets import Training, training
from smallport.assets.training import trained_model
from smallport.lstm import Corpus, Epoch
from smallport.machine import this_machine
from tests.asset_helpers import QUICK, TINY, error_of, files_of

RECORD = Training(
    curve=(Epoch(5.5, 5.25, 1.0), Epoch(4.5, 4.25, 2.5)),
    machine="Zuse “Z3”",
    torch="2.13.0",
    date="1941-05-12T12:00:00+00:00",
    weights_sha256="0" * 64,
)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Make training take a moment."""
    monkeypatch.setattr(training, "TrainingConfig", lambda: QUICK)


@pytest.fixture
def trainings(monkeypatch):
    """Count how often a model is trained."""
    calls = []
    train = training.train

    def counted(*arguments, **options):
        calls.append(arguments)
        return train(*arguments, **options)

    monkeypatch.setattr(training, "train", counted)
    return calls


def test_weights_are_trained_once_and_kept_with_their_record(isolated, trainings, tiny_corpus):
    first = trained_model(tiny_corpus, TINY)
    again = trained_model(tiny_corpus, TINY)
    assert len(trainings) == 1
    assert first.config == TINY
    assert first.source == "trained here"
    assert not first.model.training
    assert lstm.evaluate(first.model, tiny_corpus.test) < tiny_corpus.unigram_loss()

    record = first.training
    assert len(record.curve) == QUICK.epochs
    assert record.seconds == record.curve[-1].seconds
    assert record.torch == torch.__version__
    assert record.machine == str(this_machine())
    assert record.weights_sha256 == first.sha256
    assert again.training == record
    assert again.sha256 == first.sha256
    state, state_again = first.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(state[name], state_again[name]) for name in state)

    record_file, weights_file = files_of(isolated)
    assert first.file == isolated.resolve() / weights_file
    assert weights_file == record_file.replace(".json", ".pth")
    assert hashlib.sha256((isolated / weights_file).read_bytes()).hexdigest() == first.sha256
    assert json.loads((isolated / record_file).read_text())["torch"] == torch.__version__


def test_training_does_not_depend_on_what_ran_before(monkeypatch, tmp_path, tiny_corpus):
    torch.manual_seed(1)
    before = trained_model(tiny_corpus, TINY)
    torch.manual_seed(2)
    monkeypatch.setenv("SMALLPORT_CACHE_DIR", str(tmp_path / "another"))
    after = trained_model(tiny_corpus, TINY)
    losses = [[epoch.valid_loss for epoch in each.training.curve] for each in (before, after)]
    assert losses[0] == losses[1]


# The key


def test_another_corpus_size_or_schedule_has_weights_of_its_own(
    monkeypatch, isolated, trainings, tiny_corpus
):
    trained_model(tiny_corpus, TINY)
    lines = ["three two one"] * 60
    trained_model(Corpus.from_lines("down", train=lines, valid=lines, test=lines), TINY)
    trained_model(tiny_corpus, dataclasses.replace(TINY, hidden_size=8))
    monkeypatch.setattr(training, "TrainingConfig", lambda: dataclasses.replace(QUICK, epochs=2))
    trained_model(tiny_corpus, TINY)
    monkeypatch.setattr(torch, "__version__", "9.9")
    trained_model(tiny_corpus, TINY)
    assert len(trainings) == 5
    assert len(files_of(isolated)) == 10


@pytest.fixture
def edited(monkeypatch, tmp_path):
    """Give a function that makes a module read as if its source were edited."""
    module_file = keys.module_file

    def edit(module, old, new):
        source = Path(module.__file__).read_text(encoding="utf-8")
        assert old in source
        copy = tmp_path / "edited.py"
        copy.write_text(source.replace(old, new), encoding="utf-8")
        name = module.__name__
        monkeypatch.setattr(
            keys, "module_file", lambda one: copy if one == name else module_file(one)
        )

    return edit


@pytest.mark.parametrize(
    ("module", "edit"),
    [
        (lstm.training, ('"""Train a model on a corpus', '"""Teach a model a corpus')),
        (lstm.training, ("    model.train()\n", "    # Dropout on.\n    model.train()\n")),
        (lstm.model, ("Predict the next word", "Foresee the next word")),
    ],
)
def test_a_changed_docstring_or_comment_does_not_train_again(
    edited, trainings, tiny_corpus, module, edit
):
    trained_model(tiny_corpus, TINY)
    edited(module, *edit)
    trained_model(tiny_corpus, TINY)
    assert len(trainings) == 1


@pytest.mark.parametrize(
    ("module", "edit"),
    [
        (lstm.training, ("model.parameters(), lr=", "model.parameters(), eps=1e-7, lr=")),
        (lstm.model, ("0.1, 0.1", "0.2, 0.2")),
        (lstm.batches, ("last = len(batches) - 1", "last = len(batches) - 2")),
        (lstm.evaluation, ("model.eval()\n", "model.train()\n")),
    ],
)
def test_changed_code_trains_again(edited, trainings, tiny_corpus, module, edit):
    trained_model(tiny_corpus, TINY)
    edited(module, *edit)
    trained_model(tiny_corpus, TINY)
    assert len(trainings) == 2


def test_another_seed_trains_again(monkeypatch, trainings, tiny_corpus):
    trained_model(tiny_corpus, TINY)
    monkeypatch.setattr(training, "SEED", 1)
    trained_model(tiny_corpus, TINY)
    assert len(trainings) == 2


# What goes wrong


def test_a_training_that_was_interrupted_leaves_nothing_and_runs_again(
    monkeypatch, isolated, tiny_corpus
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trained_model(tiny_corpus, TINY)
    assert files_of(isolated) == []
    assert trained_model(tiny_corpus, TINY).training


@pytest.mark.parametrize("lost", [".json", ".pth"])
def test_weights_without_their_record_are_trained_again(isolated, trainings, tiny_corpus, lost):
    whole = trained_model(tiny_corpus, TINY)
    next(isolated.glob(f"*{lost}")).unlink()
    assert trained_model(tiny_corpus, TINY).sha256 == whole.sha256
    assert len(trainings) == 2


def cut_off(weights):
    weights.write_bytes(weights.read_bytes()[:-500])


def randomize(weights):
    torch.save(lstm.WordLanguageModel(9, TINY).state_dict(), weights)


def nudge(weights):
    state = torch.load(weights, weights_only=True)
    state["decoder.bias"][0] += 1e-6
    torch.save(state, weights)


@pytest.mark.parametrize("change", [cut_off, randomize, nudge])
def test_weights_that_their_training_did_not_make_are_refused(isolated, tiny_corpus, change):
    expected = trained_model(tiny_corpus, TINY).sha256
    weights = next(isolated.resolve().glob("*.pth"))
    change(weights)
    message = error_of(trained_model, tiny_corpus, TINY)
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert f"{weights} does not hold the weights that {weights.stem}.json" in message
    assert f"expected SHA-256 {expected}, found {found}" in message
    assert "Delete both files, and the model will be trained again" in message

    for file in (weights, weights.with_suffix(".json")):
        file.unlink()
    assert trained_model(tiny_corpus, TINY).sha256 == expected


def test_a_cache_that_cannot_be_written_is_one_sentence_before_training(
    monkeypatch, tmp_path, trainings, tiny_corpus
):
    in_the_way = tmp_path / "in-the-way"
    in_the_way.touch()
    monkeypatch.setenv("SMALLPORT_CACHE_DIR", str(in_the_way))
    message = error_of(trained_model, tiny_corpus, TINY)
    assert str(in_the_way) in message
    assert "Set SMALLPORT_CACHE_DIR to a folder" in message
    assert trainings == []


# Two at once

BUILD = """
import pathlib, sys, time
import torch
from smallport import keys, lstm
from smallport.assets import training
from smallport.lstm import Corpus, LSTMConfig, TrainingConfig

torch.set_num_threads(1)
meeting, mine, other = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
training.TrainingConfig = lambda: TrainingConfig(epochs=2, batch_size=4, chunk=10)
train = training.train

def counted(*arguments, **options):
    (meeting / f"{mine}.trained").touch()
    time.sleep(0.3)  # long enough for the other to find the lock taken
    return train(*arguments, **options)

training.train = counted
lines = ["one two three four five six seven eight"] * 40
corpus = Corpus.from_lines("counting", train=lines, valid=lines, test=lines)
(meeting / f"{mine}.ready").touch()
while not (meeting / f"{other}.ready").exists():
    time.sleep(0.001)
config = LSTMConfig(embedding_size=16, hidden_size=16, layers=1)
model = training.trained_model(corpus, config)
print(model.sha256, lstm.evaluate(model.model, corpus.test), model.training.date)
"""


def test_two_builds_at_once_train_once(tmp_path, isolated):
    meeting = tmp_path / "meeting"
    meeting.mkdir()
    builds = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", BUILD, meeting, *names],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        for names in (("a", "b"), ("b", "a"))
    ]
    try:
        outputs = [build.communicate(timeout=100) for build in builds]
    finally:
        for build in builds:
            build.kill()
    assert [build.returncode for build in builds] == [0, 0], outputs
    assert [errors for _, errors in outputs] == ["", ""]
    assert outputs[0] == outputs[1]
    assert len(list(meeting.glob("*.trained"))) == 1
    assert [Path(name).suffix for name in files_of(isolated)] == [".json", ".pth"]


# The record


def test_a_training_record_is_read_back(tmp_path):
    RECORD.write(tmp_path / "record.json")
    assert Training.read(tmp_path / "record.json") == RECORD
    assert RECORD.seconds == 2.5


def test_a_broken_record_of_a_training_is_named(tmp_path):
    whole = json.dumps(dataclasses.asdict(RECORD))
    unbound = whole.replace('"weights_sha256"', '"checksum"')
    empty = json.dumps(dataclasses.asdict(RECORD) | {"curve": []})
    pieces = ("", "{", "[]", "3", '{"curve": []}', '{"curve": [{"loss": 1}]}', whole[:-9])
    for content in (*pieces, unbound, empty):
        record = tmp_path / "weights.json"
        record.write_text(content)
        message = error_of(Training.read, record)
        assert str(record) in message
        assert "delete it" in message

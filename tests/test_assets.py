"""Assets are what they should be, and what is wrong with them is said."""

import dataclasses
import hashlib
import itertools
import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from smallport import AssetError, assets, lstm
from smallport.assets.download import git_blob_id
from smallport.lstm import Corpus, Epoch, Preset, Schedule, Vocabulary, WordLanguageModel

TINY = Preset(embedding_size=16, hidden_size=16, layers=1, dropout=0.1)
QUICK = Schedule(epochs=4, batch_size=4, chunk=10, peak_learning_rate=5e-2)
WEIGHTS = "word_language_model_quantize.pth"
REAL_DATA = Path(__file__).resolve().parents[2].joinpath("shared", "data").resolve()


def files_of(folder):
    """List everything in a folder but locks, hidden files included."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(str(path.relative_to(folder)) for path in paths)


def error_of(action, *arguments):
    """Return the message of the AssetError that must come."""
    with pytest.raises(AssetError) as caught:
        action(*arguments)
    return str(caught.value)


# The profile


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


# The embedded corpus


@pytest.fixture(scope="module")
def reference():
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SMALLPORT_ASSETS", raising=False)
        return assets.corpus()


def test_the_embedded_corpus_is_of_the_promised_size(reference):
    total = len(reference.train) + len(reference.valid) + len(reference.test)
    assert 100_000 < total < 150_000
    assert 3_000 < len(reference.vocabulary) < 6_000
    assert len(reference.train) > 0.6 * total
    assert len(reference.valid) > 0.02 * total
    assert len(reference.test) > 0.02 * total


def test_the_embedded_corpus_is_the_same_every_time(reference):
    again = assets.corpus()
    assert again.checksum == reference.checksum
    assert again.vocabulary == reference.vocabulary
    assert torch.equal(again.train, reference.train)


def test_the_embedded_corpus_is_the_same_in_another_process(reference):
    program = "from smallport import assets; print(assets.corpus().checksum)"
    other = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        check=True,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": "12345"},
    )
    assert other.stdout.strip() == reference.checksum


def test_each_topic_is_in_one_split_and_none_is_lost(monkeypatch):
    topics = {f"topic{number:02}": f"word{number} x_1,\n\n  (y)" for number in range(25)}
    monkeypatch.setattr(assets, "topics", dict(reversed(topics.items())))
    corpus = assets.corpus()
    numbers = {}
    for split in ("train", "valid", "test"):
        words = corpus.vocabulary.decode(getattr(corpus, split))
        numbers[split] = [int(word[4:]) for word in words if word.startswith("word")]
        assert words[:8] == [words[0], "x_1", ",", "<eos>", "(", "y", ")", "<eos>"]
    assert numbers["test"] == [2, 12, 22]
    assert numbers["valid"] == [7, 17]
    assert sorted(itertools.chain(*numbers.values())) == list(range(25))


# Training under the embedded profile


@pytest.fixture
def quick(monkeypatch):
    """Make the embedded training take a moment."""
    monkeypatch.setattr(lstm, "SMALL", TINY)
    monkeypatch.setattr(assets, "Schedule", lambda: QUICK)


@pytest.fixture
def trainings(monkeypatch):
    """Count how often a model is trained."""
    calls = []
    train = lstm.train

    def counted(*arguments, **options):
        calls.append(arguments)
        return train(*arguments, **options)

    monkeypatch.setattr(lstm, "train", counted)
    return calls


@pytest.mark.usefixtures("quick")
def test_weights_are_trained_once_and_kept_with_their_record(isolated, trainings, tiny_corpus):
    first = assets.language_model(tiny_corpus)
    again = assets.language_model(tiny_corpus)
    assert len(trainings) == 1
    assert first.preset == TINY
    assert first.source == "trained here"
    assert not first.model.training
    assert lstm.evaluate(first.model, tiny_corpus.test) < tiny_corpus.unigram_loss()

    record = first.training
    assert len(record.curve) == QUICK.epochs
    assert record.seconds == record.curve[-1].seconds
    assert record.torch == torch.__version__
    assert "threads" in record.machine
    assert again.training == record
    assert again.sha256 == first.sha256
    state, state_again = first.model.state_dict(), again.model.state_dict()
    assert all(torch.equal(state[name], state_again[name]) for name in state)

    record_file, weights_file = files_of(isolated)
    assert weights_file == record_file.replace(".json", ".pth")
    assert hashlib.sha256((isolated / weights_file).read_bytes()).hexdigest() == first.sha256
    assert json.loads((isolated / record_file).read_text())["torch"] == torch.__version__


@pytest.mark.usefixtures("quick")
def test_training_does_not_depend_on_what_ran_before(monkeypatch, tmp_path, tiny_corpus):
    torch.manual_seed(1)
    before = assets.language_model(tiny_corpus)
    torch.manual_seed(2)
    monkeypatch.setenv("SMALLPORT_CACHE_DIR", str(tmp_path / "another"))
    after = assets.language_model(tiny_corpus)
    losses = [[epoch.valid_loss for epoch in each.training.curve] for each in (before, after)]
    assert losses[0] == losses[1]


@pytest.mark.usefixtures("quick")
def test_another_corpus_preset_or_schedule_has_weights_of_its_own(
    monkeypatch, isolated, trainings, tiny_corpus
):
    assets.language_model(tiny_corpus)
    lines = ["three two one"] * 60
    assets.language_model(Corpus.from_lines("down", train=lines, valid=lines, test=lines))
    monkeypatch.setattr(assets, "Schedule", lambda: dataclasses.replace(QUICK, epochs=2))
    assets.language_model(tiny_corpus)
    monkeypatch.setattr(lstm, "SMALL", dataclasses.replace(TINY, hidden_size=8))
    assets.language_model(tiny_corpus)
    assert len(trainings) == 4
    assert len(files_of(isolated)) == 8


@pytest.mark.usefixtures("quick")
def test_a_training_that_was_interrupted_leaves_nothing_and_runs_again(
    monkeypatch, isolated, tiny_corpus
):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lstm, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            assets.language_model(tiny_corpus)
    assert files_of(isolated) == []
    assert assets.language_model(tiny_corpus).training


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("lost", [".json", ".pth"])
def test_weights_without_their_record_are_trained_anew(isolated, trainings, tiny_corpus, lost):
    whole = assets.language_model(tiny_corpus)
    next(isolated.glob(f"*{lost}")).unlink()
    assert assets.language_model(tiny_corpus).sha256 == whole.sha256
    assert len(trainings) == 2


@pytest.mark.usefixtures("quick")
def test_broken_weights_in_the_cache_are_named(isolated, tiny_corpus):
    assets.language_model(tiny_corpus)
    weights = next(isolated.glob("*.pth"))
    weights.write_bytes(weights.read_bytes()[:-500])
    message = error_of(assets.language_model, tiny_corpus)
    assert str(weights) in message
    assert "delete it" in message


@pytest.mark.usefixtures("quick")
def test_a_cache_that_cannot_be_written_is_named_before_training(
    monkeypatch, tmp_path, trainings, tiny_corpus
):
    in_the_way = tmp_path / "in-the-way"
    in_the_way.touch()
    monkeypatch.setenv("SMALLPORT_CACHE_DIR", str(in_the_way))
    for ask in (lambda: assets.language_model(tiny_corpus), assets.tiny_llm):
        message = error_of(ask)
        assert str(in_the_way) in message
        assert "Set SMALLPORT_CACHE_DIR to a folder" in message
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    for ask in (assets.corpus, lambda: assets.language_model(tiny_corpus), assets.tiny_llm):
        message = error_of(ask)
        assert str(in_the_way) in message
        assert "Set SMALLPORT_CACHE_DIR to a folder" in message
    assert trainings == []


BUILD = """
import pathlib, sys, time
import torch
from smallport import assets, lstm
from smallport.lstm import Preset, Schedule
from smallport.lstm import Corpus

torch.set_num_threads(1)
meeting, mine, other = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
lstm.SMALL = Preset(embedding_size=16, hidden_size=16, layers=1)
assets.Schedule = lambda: Schedule(epochs=2, batch_size=4, chunk=10)
train = lstm.train

def counted(*arguments, **options):
    (meeting / f"{mine}.trained").touch()
    time.sleep(0.3)  # long enough for the other to find the lock taken
    return train(*arguments, **options)

lstm.train = counted
lines = ["one two three four five six seven eight"] * 40
corpus = Corpus.from_lines("counting", train=lines, valid=lines, test=lines)
(meeting / f"{mine}.ready").touch()
while not (meeting / f"{other}.ready").exists():
    time.sleep(0.001)
model = assets.language_model(corpus)
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


def test_a_training_record_is_read_back(tmp_path):
    curve = (Epoch(5.5, 5.25, 1.0), Epoch(4.5, 4.25, 2.5))
    record = assets.Training(curve, "Zuse «Z3»", "2.13.0", "1941-05-12T12:00:00+00:00")
    record.write(tmp_path / "record.json")
    assert assets.Training.read(tmp_path / "record.json") == record
    assert record.seconds == 2.5


# The published corpus in a data folder


@pytest.fixture
def data_folder(monkeypatch, tmp_path, tiny_corpus):
    """Make a data folder that holds a small text and weights for it."""
    folder = tmp_path / "data"
    (folder / "wikitext-2").mkdir(parents=True)
    for split in ("train", "valid", "test"):
        words = " ".join(tiny_corpus.vocabulary.decode(getattr(tiny_corpus, split)))
        text = words.replace(" <eos>", "\n").replace("\n ", "\n")
        (folder / "wikitext-2" / f"{split}.txt").write_text(text, encoding="utf-8")
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    monkeypatch.setenv("SMALLPORT_DATA_DIR", str(folder))
    monkeypatch.setattr(lstm, "PUBLISHED", TINY)
    return folder


@pytest.fixture(scope="module")
def good_weights(tiny_corpus, tmp_path_factory):
    """Train weights for the small text; return the file."""
    file = tmp_path_factory.mktemp("weights") / WEIGHTS
    torch.manual_seed(0)
    model = WordLanguageModel(len(tiny_corpus.vocabulary), TINY)
    lstm.train(model, tiny_corpus, QUICK)
    torch.save(model.state_dict(), file)
    return file


def test_a_data_folder_is_read_and_left_alone(data_folder, isolated, tiny_corpus, good_weights):
    (data_folder / WEIGHTS).write_bytes(good_weights.read_bytes())
    before = files_of(data_folder)
    corpus = assets.corpus()
    assert corpus.name == "WikiText-2"
    assert corpus.checksum == tiny_corpus.checksum
    model = assets.language_model(corpus)
    assert model.source == f"{WEIGHTS} in the data folder"
    assert model.training is None
    assert model.sha256 == hashlib.sha256(good_weights.read_bytes()).hexdigest()
    assert not model.model.training
    assert files_of(data_folder) == before
    assert not isolated.exists()


def test_a_data_folder_that_is_not_there_is_named(monkeypatch, data_folder, tiny_corpus):
    missing = data_folder / "missing"
    for value in (missing, data_folder / "wikitext-2" / "test.txt"):
        monkeypatch.setenv("SMALLPORT_DATA_DIR", str(value))
        for ask in (assets.corpus, lambda: assets.language_model(tiny_corpus), assets.tiny_llm):
            message = error_of(ask)
            assert "SMALLPORT_DATA_DIR" in message
            assert str(value) in message


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_missing_text_is_named_with_its_folder(data_folder, split):
    (data_folder / "wikitext-2" / f"{split}.txt").unlink()
    message = error_of(assets.corpus)
    assert f"{split}.txt is missing" in message
    assert str(data_folder / "wikitext-2") in message


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_an_empty_text_is_named(data_folder, content):
    file = data_folder / "wikitext-2" / "valid.txt"
    file.write_bytes(content)
    assert f"{file} is empty: at byte offset 0" in error_of(assets.corpus)


@pytest.mark.parametrize(
    ("content", "offset"),
    [(b"\xff\xfea\x00", 0), ("naïve ".encode() * 9 + b"na\xefve", 65), (b"cut off \xe2\x82", 8)],
    ids=["UTF-16", "Latin-1", "cut off"],
)
def test_a_text_that_is_not_utf_8_is_named_with_the_byte_offset(data_folder, content, offset):
    file = data_folder / "wikitext-2" / "train.txt"
    file.write_bytes(content)
    message = error_of(assets.corpus)
    assert f"{file} is not UTF-8" in message
    assert f"at byte offset {offset}." in message
    assert f"byte {content[offset]:#04x}" in message


@given(st.binary(max_size=40))
def test_whatever_bytes_a_text_holds_the_answer_is_a_corpus_or_an_asset_error(content):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALLPORT_ASSETS", "published")
        patch.setenv("SMALLPORT_DATA_DIR", folder)
        texts = Path(folder, "wikitext-2")
        texts.mkdir()
        for split in ("train", "valid", "test"):
            (texts / f"{split}.txt").write_bytes(content)
        good = content.decode(errors="ignore").encode() == content
        if good and content.strip():
            corpus = assets.corpus()
            words = corpus.vocabulary.decode(corpus.train)
            assert [word for word in words if word != "<eos>"] == content.decode().split()
        else:
            assert ("is not UTF-8", "is empty")[good] in error_of(assets.corpus)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_text_has_the_same_lines_on_every_system(data_folder, newline):
    for split in ("train", "valid", "test"):
        file = data_folder / "wikitext-2" / f"{split}.txt"
        file.write_bytes(newline.join(["a b", "", " c\u2028d\x0ce "]).encode())
    corpus = assets.corpus()
    words = corpus.vocabulary.decode(corpus.test)
    assert words == ["a", "b", "<eos>", "<eos>", "c", "d", "e", "<eos>"]


# Published weights in a data folder


def test_missing_weights_are_named_with_their_folder(data_folder, tiny_corpus):
    message = error_of(assets.language_model, tiny_corpus)
    assert f"{WEIGHTS} is missing from the data folder {data_folder}" in message


@pytest.mark.parametrize(
    ("words", "preset", "shapes"),
    [
        (12, TINY, "encoder.weight: expected (9, 16), found (12, 16)"),
        (
            9,
            dataclasses.replace(TINY, hidden_size=8),
            "rnn.weight_hh_l0: expected (64, 16), found (32, 8)",
        ),
        (9, dataclasses.replace(TINY, layers=2), "rnn.bias_hh_l1: expected nothing, found (64,)"),
    ],
)
def test_weights_of_other_shapes_are_refused_before_anything_is_loaded(
    data_folder, tiny_corpus, words, preset, shapes
):
    torch.save(WordLanguageModel(words, preset).state_dict(), data_folder / WEIGHTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *_: pytest.fail("loaded"))
        message = error_of(assets.language_model, tiny_corpus)
    assert str(data_folder / WEIGHTS) in message
    assert shapes in message


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda state: state.pop("decoder.bias"), "decoder.bias: expected (9,), found nothing"),
        (lambda state: state.update(extra=torch.ones(2)), "extra: expected nothing, found (2,)"),
        (lambda state: state.update(epoch=3), "epoch: expected nothing, found a int, no tensor"),
        (
            lambda state: state.update({"decoder.bias": [0.0] * 9}),
            "decoder.bias: expected (9,), found a list, no tensor",
        ),
    ],
)
def test_weights_of_other_names_are_refused(data_folder, tiny_corpus, change, found):
    state = dict(WordLanguageModel(len(tiny_corpus.vocabulary), TINY).state_dict())
    change(state)
    torch.save(state, data_folder / WEIGHTS)
    assert found in error_of(assets.language_model, tiny_corpus)


@pytest.mark.parametrize("content", [3, [1, 2], torch.ones(2), {"state_dict": {}}])
def test_what_is_no_state_dict_is_refused(data_folder, tiny_corpus, content):
    torch.save(content, data_folder / WEIGHTS)
    message = error_of(assets.language_model, tiny_corpus)
    assert str(data_folder / WEIGHTS) in message
    assert "encoder.weight: expected (9, 16), found nothing" in message


class Malice:
    """Runs code when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("how", ["archive", "legacy", "pickle"])
def test_code_in_a_weights_file_does_not_run(tmp_path, data_folder, tiny_corpus, how):
    trace, file = tmp_path / "trace", data_folder / WEIGHTS
    state = dict(WordLanguageModel(len(tiny_corpus.vocabulary), TINY).state_dict())
    state["decoder.bias"] = Malice(trace)
    if how == "pickle":
        file.write_bytes(pickle.dumps({"decoder.bias": Malice(trace)}, protocol=2))
    else:
        torch.save(state, file, _use_new_zipfile_serialization=how == "archive")
    message = error_of(assets.language_model, tiny_corpus)
    assert f"{file} was refused" in message
    assert "could run code" in message
    assert not trace.exists()
    torch.load(file, weights_only=False) if how != "pickle" else pickle.loads(file.read_bytes())
    assert trace.exists(), "the file would not have run code anyway, so this test shows nothing"


LEGACY_STATE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00"


@settings(max_examples=50)
@given(st.binary(max_size=60))
@example(b"")
@example(b"<html>Sign in to this network</html>")
@example(b"version https://git-lfs.github.com/spec/v1\n")
@example(b"PK\x03\x04 and no more")
@example(LEGACY_STATE)
@example(LEGACY_STATE + b"X\xff\xff\xff\x7f")
def test_whatever_bytes_a_weights_file_holds_it_is_named_and_refused(tiny_corpus, content):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALLPORT_ASSETS", "published")
        patch.setenv("SMALLPORT_DATA_DIR", folder)
        patch.setattr(lstm, "PUBLISHED", TINY)
        file = Path(folder, WEIGHTS).resolve()
        file.write_bytes(content)
        message = error_of(assets.language_model, tiny_corpus)
        assert str(file) in message
        assert "et the file anew" in message


@given(st.floats(0, 0.999))
def test_weights_that_are_cut_off_are_named_and_refused(tiny_corpus, good_weights, part):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALLPORT_ASSETS", "published")
        patch.setenv("SMALLPORT_DATA_DIR", folder)
        patch.setattr(lstm, "PUBLISHED", TINY)
        file = Path(folder, WEIGHTS).resolve()
        content = good_weights.read_bytes()
        file.write_bytes(content[: int(part * len(content))])
        assert str(file) in error_of(assets.language_model, tiny_corpus)


def test_weights_for_another_numbering_of_the_words_are_refused(
    data_folder, tiny_corpus, good_weights
):
    state = torch.load(good_weights, weights_only=True)
    for name in ("encoder.weight", "decoder.weight", "decoder.bias"):
        order = torch.tensor([0, 2, 4, 6, 8, 1, 3, 5, 7])
        state[name] = state[name][order]
    torch.save(state, data_folder / WEIGHTS)
    message = error_of(assets.language_model, tiny_corpus)
    assert f"{data_folder / WEIGHTS} does not belong to counting" in message
    assert "another numbering of the words" in message


def test_weights_that_are_not_finite_are_refused(data_folder, tiny_corpus, good_weights):
    state = torch.load(good_weights, weights_only=True)
    state["decoder.bias"].fill_(torch.nan)
    torch.save(state, data_folder / WEIGHTS)
    assert "loss is nan nats" in error_of(assets.language_model, tiny_corpus)


# The published files from the download site


@pytest.fixture
def download_site(monkeypatch, site, tmp_path, tiny_corpus, good_weights):
    """Let the server play the sites that the published files come from."""
    ids = {}
    for split in ("train", "valid", "test"):
        words = " ".join(tiny_corpus.vocabulary.decode(getattr(tiny_corpus, split)))
        file = tmp_path / f"{split}.txt"
        # One space more a split: files of one content could stand for each other.
        text = words.replace(" <eos>", " " * len(ids) + "\n").replace("\n ", "\n")
        file.write_text(text, encoding="utf-8")
        ids[split] = git_blob_id(file)
        site.reply(f"/texts/{split}.txt", file.read_bytes())
    site.reply("/weights.pth", good_weights.read_bytes())
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    monkeypatch.setattr(assets, "WIKITEXT_URL", f"{site.url}/texts")
    monkeypatch.setattr(assets, "WIKITEXT_BLOB_IDS", ids)
    monkeypatch.setattr(assets, "WEIGHTS_URL", f"{site.url}/weights.pth")
    monkeypatch.setattr(lstm, "PUBLISHED", TINY)
    return site


TEXTS = [f"wikitext-2/{split}.txt" for split in ("test", "train", "valid")]


def test_published_files_are_downloaded_once(download_site, isolated, tiny_corpus):
    corpus = assets.corpus()
    model = assets.language_model(corpus)
    assert corpus.checksum == tiny_corpus.checksum
    assert corpus.name == "WikiText-2"
    assert files_of(isolated) == sorted([*TEXTS, WEIGHTS, f"{WEIGHTS}.sha256"])
    asked = sorted(download_site.requests)
    assert asked == ["/texts/test.txt", "/texts/train.txt", "/texts/valid.txt", "/weights.pth"]

    assert assets.corpus().checksum == corpus.checksum
    assert assets.language_model(corpus).sha256 == model.sha256
    assert sorted(download_site.requests) == asked


def test_altered_files_in_the_cache_are_downloaded_again(download_site, isolated, tiny_corpus):
    corpus = assets.corpus()
    model = assets.language_model(corpus)
    for name in ("wikitext-2/valid.txt", WEIGHTS):
        file = isolated / name
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    download_site.requests.clear()
    assert assets.corpus().checksum == tiny_corpus.checksum
    assert assets.language_model(corpus).sha256 == model.sha256
    assert sorted(download_site.requests) == ["/texts/valid.txt", "/weights.pth"]


@pytest.mark.parametrize("kind", ["shorter", "altered", "broken off"])
def test_a_bad_text_is_deleted_and_good_ones_are_kept(download_site, isolated, kind):
    whole = download_site.replies["/texts/valid.txt"].body
    body = {"shorter": whole[:-1], "altered": b"X" + whole[1:], "broken off": whole[:-1]}[kind]
    length = len(whole) if kind == "broken off" else len(body)
    download_site.reply("/texts/valid.txt", body, Content_Length=str(length))
    message = error_of(assets.corpus)
    assert f"{download_site.url}/texts/valid.txt" in message
    assert f"expected git blob {assets.WIKITEXT_BLOB_IDS['valid']}, found " in message
    assert "The bad file was deleted" in message
    assert files_of(isolated) == ["wikitext-2/train.txt"]

    download_site.reply("/texts/valid.txt", whole)
    download_site.requests.clear()
    assert assets.corpus()
    assert download_site.requests == ["/texts/valid.txt", "/texts/test.txt"]


def test_weights_that_arrive_broken_off_are_deleted(download_site, isolated, tiny_corpus):
    whole = download_site.replies["/weights.pth"].body
    download_site.reply("/weights.pth", whole[:-9], Content_Length=str(len(whole)))
    message = error_of(assets.language_model, tiny_corpus)
    assert f"{download_site.url}/weights.pth could not be downloaded" in message
    assert "9 more expected" in message
    assert files_of(isolated) == []


@pytest.mark.parametrize("body", [b"", b"<html>Sign in to this network</html>", None])
def test_weights_that_are_none_are_named_and_can_be_had_again(
    download_site, isolated, tiny_corpus, body
):
    whole = download_site.replies["/weights.pth"].body
    download_site.reply("/weights.pth", whole[:-9] if body is None else body)
    message = error_of(assets.language_model, tiny_corpus)
    assert f"{download_site.url}/weights.pth gave no usable weights" in message
    assert not (isolated / WEIGHTS).exists()
    download_site.reply("/weights.pth", whole)
    assert assets.language_model(tiny_corpus)


@pytest.mark.parametrize("asset", ["corpus", "weights"])
def test_a_site_that_refuses_is_named_with_its_answer(download_site, isolated, tiny_corpus, asset):
    for reply in download_site.replies.values():
        reply.status = 403
    if asset == "corpus":
        message, url = error_of(assets.corpus), "/texts/train.txt"
    else:
        message, url = error_of(assets.language_model, tiny_corpus), "/weights.pth"
    assert f"{download_site.url}{url} could not be downloaded" in message
    assert "403" in message
    assert "SMALLPORT_DATA_DIR" in message
    assert files_of(isolated) == []


@pytest.mark.parametrize("asset", ["corpus", "weights"])
def test_without_a_network_the_url_and_the_way_out_are_named(
    monkeypatch, no_site, isolated, tiny_corpus, asset
):
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    monkeypatch.setattr(assets, "WIKITEXT_URL", f"{no_site}/texts")
    monkeypatch.setattr(assets, "WEIGHTS_URL", f"{no_site}/weights.pth")
    if asset == "corpus":
        message, url = error_of(assets.corpus), "/texts/train.txt"
    else:
        message, url = error_of(assets.language_model, tiny_corpus), "/weights.pth"
    assert f"{no_site}{url} could not be downloaded" in message
    assert "set SMALLPORT_DATA_DIR to the folder" in message
    assert files_of(isolated) == []


def test_there_is_no_falling_back_to_the_embedded_assets(monkeypatch, no_site, trainings):
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    monkeypatch.setattr(assets, "WIKITEXT_URL", no_site)
    monkeypatch.setattr(assets, "WEIGHTS_URL", no_site)
    error_of(assets.corpus)
    error_of(assets.language_model, Corpus.from_lines("x", train=["a"], valid=["a"], test=["a"]))
    assert trainings == []


# Tiny-LLM


def test_an_untrained_checkpoint_is_made_once_and_whole(isolated):
    checkpoint = assets.tiny_llm()
    model = AutoModelForCausalLM.from_pretrained(checkpoint.folder)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint.folder)
    assert sum(parameter.numel() for parameter in model.parameters()) == 12_988_992
    text = "Continue: it rains..."
    indices = tokenizer(text)["input_ids"]
    assert max(indices) < model.config.vocab_size
    assert tokenizer.decode(indices, skip_special_tokens=True) == text
    assert checkpoint.source.startswith("untrained")
    assert checkpoint.revision is None

    def stamps():
        return {path: path.stat().st_mtime_ns for path in checkpoint.folder.iterdir()}

    before = stamps()
    assert assets.tiny_llm() == checkpoint
    assert stamps() == before
    assert [path.name for path in isolated.iterdir() if path.is_dir()] == [checkpoint.folder.name]


def test_a_checkpoint_that_was_interrupted_leaves_nothing(monkeypatch, isolated):
    def interrupted(folder, _):
        folder.mkdir()
        (folder / "config.json").write_text("{}")
        raise KeyboardInterrupt

    monkeypatch.setattr("smallport.export.write_checkpoint", interrupted)
    with pytest.raises(KeyboardInterrupt):
        assets.tiny_llm()
    assert files_of(isolated) == []


def save_small_llama(folder):
    configuration = LlamaConfig(
        hidden_size=8,
        intermediate_size=8,
        num_attention_heads=1,
        num_hidden_layers=1,
        num_key_value_heads=1,
        vocab_size=16,
    )
    LlamaForCausalLM(configuration).save_pretrained(folder)


def test_tiny_llm_is_taken_from_the_data_folder(data_folder, isolated):
    save_small_llama(data_folder / "Tiny-LLM")
    (data_folder / "Tiny-LLM" / "tokenizer.json").write_text("{}")
    checkpoint = assets.tiny_llm()
    source = "Tiny-LLM in the data folder"
    assert checkpoint == assets.TinyLLMCheckpoint(data_folder / "Tiny-LLM", source)
    model = AutoModelForCausalLM.from_pretrained(checkpoint.folder)
    assert model.config.hidden_size == 8
    assert not isolated.exists()


def test_a_checkpoint_without_a_tokenizer_is_named(data_folder):
    save_small_llama(data_folder / "Tiny-LLM")
    assert "Tiny-LLM/tokenizer* is missing" in error_of(assets.tiny_llm)


def test_a_data_folder_without_tiny_llm_is_named(data_folder):
    for make in (lambda: None, (data_folder / "Tiny-LLM").mkdir):
        make()
        message = error_of(assets.tiny_llm)
        assert f"Tiny-LLM/config.json is missing from the data folder {data_folder}" in message
        assert "unset SMALLPORT_DATA_DIR" in message


REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(monkeypatch, site, tmp_path):
    """Let the server play the hub, with a very small Tiny-LLM."""
    save_small_llama(tmp_path / "upload")
    (tmp_path / "upload" / "tool.py").write_text("raise SystemExit('code of the repository')")
    entries = []
    for file in (tmp_path / "upload").iterdir():
        content, blob_id = file.read_bytes(), git_blob_id(file)
        entries.append({"type": "file", "path": file.name, "size": len(content), "oid": blob_id})
        headers = {"ETag": f'"{blob_id}"', "X_Repo_Commit": REVISION}
        site.reply(f"/arnir0/Tiny-LLM/resolve/{REVISION}/{file.name}", content, **headers)
    about = json.dumps({"id": "arnir0/Tiny-LLM", "sha": REVISION, "siblings": []}).encode()
    for name in ("main", "v1", REVISION):
        site.reply(f"/api/models/arnir0/Tiny-LLM/revision/{name}", about)
    site.reply(f"/api/models/arnir0/Tiny-LLM/tree/{REVISION}", json.dumps(entries).encode())
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    template = site.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", site.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    return site


@pytest.mark.parametrize("pinned", [None, "v1", REVISION])
def test_tiny_llm_comes_from_the_hub_at_the_revision_that_is_asked_for(
    monkeypatch, capsys, hub, isolated, pinned
):
    if pinned is not None:
        monkeypatch.setenv("SMALLPORT_TINY_LLM_REVISION", pinned)
    capsys.readouterr()
    checkpoint = assets.tiny_llm()
    assert capsys.readouterr() == ("", "")
    assert checkpoint.source == "arnir0/Tiny-LLM"
    assert checkpoint.revision == REVISION
    assert checkpoint.folder.is_relative_to(isolated.resolve())
    assert AutoModelForCausalLM.from_pretrained(checkpoint.folder).config.hidden_size == 8
    assert not list(isolated.rglob("*.py"))
    asked = any(f"/revision/{pinned or 'main'}" in request for request in hub.requests)
    assert asked == (pinned != REVISION)

    downloads = [request for request in hub.requests if "/resolve/" in request]
    assert assets.tiny_llm() == checkpoint
    assert [request for request in hub.requests if "/resolve/" in request] == downloads


@pytest.mark.usefixtures("isolated")
@pytest.mark.parametrize("trouble", ["no such revision", "refused", "broken answer"])
def test_a_hub_that_does_not_deliver_is_named(monkeypatch, hub, trouble):
    monkeypatch.setenv("SMALLPORT_TINY_LLM_REVISION", "v2")
    path = "/api/models/arnir0/Tiny-LLM/revision/v2"
    if trouble == "refused":
        hub.reply(path, b"go away", 403)
    elif trouble == "broken answer":
        hub.reply(path, b"{", Content_Length="100")
    message = error_of(assets.tiny_llm)
    assert "arnir0/Tiny-LLM at revision v2 could not be downloaded" in message
    assert "set SMALLPORT_DATA_DIR" in message


def test_without_the_hub_the_repository_and_the_way_out_are_named(monkeypatch, no_site, isolated):
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", no_site)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    message = error_of(assets.tiny_llm)
    assert "https://huggingface.co/arnir0/Tiny-LLM at revision main" in message
    assert "into a folder Tiny-LLM and set SMALLPORT_DATA_DIR to the folder" in message
    assert files_of(isolated) == []


# The real published files, where they are


@pytest.fixture(scope="module")
def real_data():
    if not (REAL_DATA / WEIGHTS).exists():
        pytest.skip("the published files are not beside the repository, in ../shared/data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SMALLPORT_ASSETS", "published")
        patch.setenv("SMALLPORT_DATA_DIR", str(REAL_DATA))
        return assets.corpus()


@pytest.fixture
def published(monkeypatch):
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    monkeypatch.setenv("SMALLPORT_DATA_DIR", str(REAL_DATA))


def test_the_published_corpus_has_its_counts(real_data):
    sizes = [len(getattr(real_data, split)) for split in ("train", "valid", "test")]
    assert sizes == [2_088_628, 217_646, 245_569]
    assert len(real_data.vocabulary) == 33_278
    for split in ("valid", "test"):
        file = REAL_DATA / "wikitext-2" / f"{split}.txt"
        assert git_blob_id(file) == assets.WIKITEXT_BLOB_IDS[split]


@pytest.mark.usefixtures("published")
def test_the_published_weights_are_of_use(real_data):
    model = assets.language_model(real_data)
    assert model.preset == lstm.PUBLISHED
    assert model.training is None
    with (REAL_DATA / WEIGHTS).open("rb") as stream:
        assert model.sha256 == hashlib.file_digest(stream, "sha256").hexdigest()


@pytest.mark.usefixtures("published")
def test_the_published_weights_are_refused_for_words_in_another_order(real_data):
    words = real_data.vocabulary.words
    order = torch.randperm(len(words), generator=torch.Generator().manual_seed(0))
    number = order.argsort()
    shuffled = dataclasses.replace(
        real_data,
        vocabulary=Vocabulary(tuple(words[index] for index in order.tolist())),
        train=number[real_data.train],
        valid=number[real_data.valid],
        test=number[real_data.test],
    )
    text = real_data.vocabulary.decode(real_data.test[:50])
    assert shuffled.vocabulary.decode(shuffled.test[:50]) == text
    message = error_of(assets.language_model, shuffled)
    assert f"{REAL_DATA / WEIGHTS} does not belong to WikiText-2" in message
    assert "another numbering of the words" in message


def test_a_broken_record_of_a_training_is_named(tmp_path):
    for content in ("", "{", "[]", '{"curve": []}', '{"curve": [{"loss": 1}]}'):
        record = tmp_path / "weights.json"
        record.write_text(content)
        message = error_of(assets.Training.read, record)
        assert str(record) in message
        assert "delete it" in message

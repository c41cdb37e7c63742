"""The published corpus and weights are what they should be, and what is wrong with them is said."""

import dataclasses
import hashlib
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallport import assets, lstm
from smallport.assets import profiles, unseen
from smallport.assets.download import git_blob_id
from smallport.assets.profiles import Published
from smallport.lstm import Corpus, Vocabulary
from tests.asset_helpers import REAL_DATA, TINY, WEIGHTS, error_of, files_of

# A data folder


@pytest.fixture(autouse=True)
def one_text_for_all_parts(monkeypatch):
    """Let the tiny corpus repeat itself; tests/test_unseen.py is about corpora that do."""
    monkeypatch.setattr(assets, "require_separate_parts", lambda _: None)
    monkeypatch.setattr(unseen, "LEAST_ADVANTAGE", -1.0)


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
    monkeypatch.setattr(Published, "lstm_config", TINY)
    return folder


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
    assert f"{file} is empty: text was expected at byte offset 0" in error_of(assets.corpus)


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


def test_missing_weights_are_named_with_their_folder(data_folder, tiny_corpus):
    message = error_of(assets.language_model, tiny_corpus)
    assert f"{WEIGHTS} is missing from the data folder {data_folder}" in message


def test_weights_in_a_data_folder_are_checked_and_left_alone(data_folder, tiny_corpus):
    file = data_folder / WEIGHTS
    file.write_bytes(b"<html>Sign in to this network</html>")
    assert str(file) in error_of(assets.language_model, tiny_corpus)
    torch.manual_seed(0)
    torch.save(lstm.WordLanguageModel(9, TINY).state_dict(), file)
    message = error_of(assets.language_model, tiny_corpus)
    assert f"{file} does not belong to counting" in message
    assert file.exists()


# Downloads


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
    monkeypatch.setattr(profiles, "WIKITEXT_URL", f"{site.url}/texts")
    monkeypatch.setattr(profiles, "WIKITEXT_BLOB_IDS", ids)
    monkeypatch.setattr(profiles, "WEIGHTS_URL", f"{site.url}/weights.pth")
    monkeypatch.setattr(Published, "lstm_config", TINY)
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
    assert f"expected git blob {profiles.WIKITEXT_BLOB_IDS['valid']}, found " in message
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
    assert f"{download_site.url}/weights.pth delivered no usable weights" in message
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
    monkeypatch.setattr(profiles, "WIKITEXT_URL", f"{no_site}/texts")
    monkeypatch.setattr(profiles, "WEIGHTS_URL", f"{no_site}/weights.pth")
    if asset == "corpus":
        message, url = error_of(assets.corpus), "/texts/train.txt"
    else:
        message, url = error_of(assets.language_model, tiny_corpus), "/weights.pth"
    assert f"{no_site}{url} could not be downloaded" in message
    assert "set SMALLPORT_DATA_DIR to the folder" in message
    assert files_of(isolated) == []


def test_there_is_no_falling_back_to_the_embedded_assets(monkeypatch, no_site):
    trainings = []
    monkeypatch.setattr(profiles, "trained_model", lambda *_: trainings.append(1))
    monkeypatch.setattr(profiles, "reference_corpus", lambda: trainings.append(1))
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    monkeypatch.setattr(profiles, "WIKITEXT_URL", no_site)
    monkeypatch.setattr(profiles, "WEIGHTS_URL", no_site)
    error_of(assets.corpus)
    error_of(assets.language_model, Corpus.from_lines("x", train=["a"], valid=["a"], test=["a"]))
    assert trainings == []


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
        assert git_blob_id(file) == profiles.WIKITEXT_BLOB_IDS[split]


@pytest.mark.usefixtures("published")
def test_the_published_weights_are_of_use(real_data):
    model = assets.language_model(real_data)
    assert model.config == lstm.PUBLISHED
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
    assert "words numbered in another order" in message

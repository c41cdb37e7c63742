"""Tiny-LLM is made, found or downloaded whole, and what is wrong with it is said."""

import json

import huggingface_hub.constants
import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from smallport import assets
from smallport.assets.download import git_blob_id
from tests.asset_helpers import error_of, files_of


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

    monkeypatch.setattr("smallport.tiny_llm.write_checkpoint", interrupted)
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


@pytest.fixture
def data_folder(monkeypatch, tmp_path):
    """Make an empty data folder."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("SMALLPORT_ASSETS", "published")
    monkeypatch.setenv("SMALLPORT_DATA_DIR", str(folder))
    return folder


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

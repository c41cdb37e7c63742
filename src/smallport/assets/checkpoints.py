"""Checkpoints of Tiny-LLM: made here, in a folder of the user's, or on the hub."""

import sys
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics

import torch
from filelock import FileLock

from smallport import AssetError
from smallport.assets.download import DATA_DIR, in_data_folder
from smallport.files import cache_folder, replacing
from smallport.keys import code_key, key_of

REPOSITORY = "arnir0/Tiny-LLM"
"""The name of Tiny-LLM on the hub."""


@dataclass(frozen=True)
class TinyLLMCheckpoint:
    """A folder that ``from_pretrained`` loads Tiny-LLM and its tokenizer from.

    Parameters
    ----------
    folder
        The folder.
    source
        Where the checkpoint comes from, for people.
    revision
        The commit on the hub, where it comes from there.
    """

    folder: Path
    source: str
    revision: str | None = None


def untrained_checkpoint() -> TinyLLMCheckpoint:
    """Make a checkpoint of random weights and a tokenizer, or find the one that was made before."""
    import tokenizers  # noqa: PLC0415 - the quantization pages do without transformers
    import transformers  # noqa: PLC0415

    from smallport import tiny_llm  # noqa: PLC0415

    lines = [line for topic in sorted(topics) for line in topics[topic].splitlines()]
    key = key_of(
        *lines,
        code_key("smallport.tiny_llm"),
        transformers.__version__,
        tokenizers.__version__,
        torch.__version__,
    )
    folder = cache_folder() / f"Tiny-LLM-{key}"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            with replacing(folder) as partial:
                tiny_llm.write_checkpoint(partial, lines)
    return TinyLLMCheckpoint(folder, "untrained, made from the published configuration")


def local_checkpoint(folder: Path) -> TinyLLMCheckpoint:
    """Take the checkpoint from the folder that holds the published files."""
    for name in ("config.json", "*.safetensors", "tokenizer*"):
        in_data_folder(folder, f"Tiny-LLM/{name}")
    return TinyLLMCheckpoint(folder / "Tiny-LLM", "Tiny-LLM in the data folder")


def hub_checkpoint(revision: str) -> TinyLLMCheckpoint:
    """Download the checkpoint from the hub, once."""
    import huggingface_hub  # noqa: PLC0415 - only this profile needs the hub
    from huggingface_hub.utils.tqdm import (  # noqa: PLC0415
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    cache = cache_folder() / "hub"
    # The hub's bars go to sys.stderr, which a docs build captures.
    hide_bars = not sys.stderr.isatty() and not are_progress_bars_disabled()
    if hide_bars:
        disable_progress_bars()
    try:
        folder = huggingface_hub.snapshot_download(
            REPOSITORY,
            revision=revision,
            cache_dir=cache,
            allow_patterns=["*.json", "*.safetensors", "tokenizer.model"],
        )
    except Exception as error:  # the errors of the hub's HTTP library among them
        raise AssetError(
            f"https://huggingface.co/{REPOSITORY} at revision {revision} could not be "
            f"downloaded ({next(iter(str(error).splitlines()), type(error).__name__)}). Download "
            f"it by other means into a folder Tiny-LLM and set {DATA_DIR} to the folder that holds "
            "it."
        ) from error
    finally:
        if hide_bars:
            enable_progress_bars()
    return TinyLLMCheckpoint(Path(folder), REPOSITORY, revision=Path(folder).name)

"""Read a text file with the tokenizer of a checkpoint."""

from __future__ import annotations

from pathlib import Path

import transformers  # whose classes are loaded where they are used, which takes seconds

from smallport.architectures.by_name import HUB, ModelError
from smallport.architectures.tiny import architectures


def text_ids(name: str, file: str | Path) -> list[int]:
    """Encode the text of a file for a model, by its name as ``model_builder`` takes it.

    A ModelError says why there is no tokenizer, or no text.
    """
    if name in architectures():
        raise ModelError(
            f"{name} is checked by a tiny untrained model, which has no tokenizer to read "
            f"{Path(file).name} with; name the folder of a checkpoint, or leave out the text"
        )
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not in UTF-8"
        raise ModelError(f"{file} cannot be read as a text: {reason}") from error
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            name.removeprefix(HUB), trust_remote_code=False
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{name} has no tokenizer that can be loaded ({reason}); save one there with its "
            "save_pretrained method, or leave out the text"
        ) from error
    ids: list[int] = tokenizer(text, verbose=False)["input_ids"]
    return ids

"""Find the class that loads a checkpoint: the one for which its weights were saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import transformers  # whose classes are loaded where they are used, which takes seconds
from transformers.models.auto import modeling_auto


@dataclass(frozen=True)
class Loader:
    """A class of transformers that finds the class of a model.

    Parameters
    ----------
    auto
        Its name.
    registered
        The name of the table of classes that it finds, without what all these names have in common.
    words
        The task that the models are made for, in words.
    ends
        The end of the names of classes that it finds; empty where they have no end in common.
    """

    auto: str
    registered: str
    words: str
    ends: str = ""

    @property
    def classes(self) -> Mapping[str, Any]:
        """The name of the class for each ``model_type``; a release may rename the table."""
        found: Mapping[str, Any] = getattr(modeling_auto, f"{self.registered}_MAPPING_NAMES", {})
        return found

    def fits(self, model_type: str, saved: str) -> bool:
        """Say whether it finds the class that a checkpoint was saved by."""
        return saved.endswith(self.ends) if self.ends else self.classes.get(model_type) == saved

    @property
    def loads(self) -> Any:
        """The class itself."""
        return getattr(transformers, self.auto)


CAUSAL = Loader("AutoModelForCausalLM", "MODEL_FOR_CAUSAL_LM", "causal language modelling")
MASKED = Loader(
    "AutoModelForMaskedLM", "MODEL_FOR_MASKED_LM", "masked language modelling", "ForMaskedLM"
)
SEQ2SEQ = Loader(
    "AutoModelForSeq2SeqLM",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM",
    "sequence-to-sequence language modelling",
)
LOADERS = (
    MASKED,
    Loader(
        "AutoModelForSequenceClassification",
        "MODEL_FOR_SEQUENCE_CLASSIFICATION",
        "the classification of texts",
        "ForSequenceClassification",
    ),
    Loader(
        "AutoModelForTokenClassification",
        "MODEL_FOR_TOKEN_CLASSIFICATION",
        "the classification of tokens",
        "ForTokenClassification",
    ),
    Loader(
        "AutoModelForQuestionAnswering",
        "MODEL_FOR_QUESTION_ANSWERING",
        "answers to questions",
        "ForQuestionAnswering",
    ),
    Loader(
        "AutoModelForTextEncoding",
        "MODEL_FOR_TEXT_ENCODING",
        "the encoding of texts",
        "EncoderModel",
    ),
    SEQ2SEQ,
    CAUSAL,
    Loader("AutoModel", "MODEL", "models without a head"),
)
"""The classes that load models of texts; the first that fits counts."""


def loader_of(entries: Mapping[str, Any]) -> Loader:
    """Find what loads a checkpoint, by the class in its configuration.

    A configuration that names no class, or one that fits none, is one of causal language modelling,
    if there is one of its ``model_type``.

    Examples
    --------
    >>> loader_of({"model_type": "bert", "architectures": ["BertForMaskedLM"]}).auto
    'AutoModelForMaskedLM'
    >>> loader_of({"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}).auto
    'AutoModelForSeq2SeqLM'
    >>> loader_of({"model_type": "llama"}).auto
    'AutoModelForCausalLM'
    """
    model_type = entries.get("model_type", "")
    saved = entries.get("architectures") or [""]
    if not saved[0]:
        fitting = (one for one in (CAUSAL, SEQ2SEQ, MASKED) if model_type in one.classes)
    else:
        fitting = (one for one in LOADERS if one.fits(model_type, saved[0]))
    return next(fitting, CAUSAL)

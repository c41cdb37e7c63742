"""Find out what a model is made for, and how it is called for that."""

from __future__ import annotations

from torch import nn
from transformers.models.auto import modeling_auto

from smallport.export.decoders import NoLogitsError, examine_decoder
from smallport.export.encoders import examine_encoder
from smallport.export.extent import Extent
from smallport.export.seq2seq import examine_seq2seq
from smallport.export.under_test import ModelUnderTest, Task
from smallport.parity.names import Inputs

HEADS: dict[str, Task] = {
    "ForMaskedLM": "masked-lm",
    "ForSequenceClassification": "sequence-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "token-classification",
}
"""The ends of the names of classes with a head for a task; answers are scores of tokens, too."""

EMBEDDINGS = ("last_hidden_state", "pooler_output", "sentence_embedding", "embeddings")
"""The names of what models without a head return."""

MASKED = {*modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES.values()}
"""The classes that transformers registers for masked tokens."""

NEVER_CAUSAL = MASKED - {*modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()}
"""The classes of these that it does not register for the next token."""


def examine_model(
    model: nn.Module, inputs: Inputs | None = None, *, extent: Extent | None = None
) -> ModelUnderTest:
    """Find out what a model is made for, and how it is called; see the module of each kind.

    A ValueError says why a model cannot be checked.
    """
    task = task_of(model)
    if task == "seq2seq-lm":
        return examine_seq2seq(model, inputs, extent=extent)
    if task == "causal-lm":
        try:
            return examine_decoder(model, inputs, extent=extent)
        except NoLogitsError as error:
            if not {*EMBEDDINGS} & {*error.returned}:
                raise
            task = "embedding"
    return examine_encoder(model, task, inputs, extent=extent)


def task_of(model: nn.Module) -> Task:
    """Find out what a model is made for, from the name of its class and its configuration.

    Examples
    --------
    >>> import transformers
    >>> sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    >>> configuration = transformers.BertConfig(**sizes)
    >>> task_of(transformers.BertForMaskedLM(configuration))
    'masked-lm'
    """
    classes = [one.__name__ for one in type(model).__mro__]
    for head, task in HEADS.items():
        if any(one.endswith(head) for one in classes):
            return task
    configuration = getattr(model, "config", None)
    if getattr(configuration, "is_encoder_decoder", False):
        return "seq2seq-lm"
    reads_both_ways = getattr(configuration, "causal", True) is False  # a class of XLM is for both
    masked = NEVER_CAUSAL | (MASKED if reads_both_ways else set())
    return "masked-lm" if {*classes} & masked else "causal-lm"

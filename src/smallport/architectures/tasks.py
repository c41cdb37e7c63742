"""Names of architectures and of the tasks for which transformers registers language models.

An architecture of causal language modelling is named by its ``model_type``, such as ``bert``. For
other tasks, the task follows a colon: ``bert:masked-lm``, ``t5:seq2seq-lm``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

CAUSAL, MASKED, SEQ2SEQ = "causal-lm", "masked-lm", "seq2seq-lm"

TASKS: Mapping[str, str] = MappingProxyType(
    {
        CAUSAL: "causal language modelling",
        MASKED: "masked language modelling",
        SEQ2SEQ: "sequence-to-sequence language modelling",
    }
)
"""The tasks, each in words."""


def split_name(name: str) -> tuple[str, str]:
    """Split the name of an architecture into ``model_type`` and task, registered or not.

    Examples
    --------
    >>> split_name("bert"), split_name("bert:masked-lm")
    (('bert', 'causal-lm'), ('bert', 'masked-lm'))
    """
    model_type, _, task = name.partition(":")
    return model_type, task or CAUSAL


def file_name(name: str) -> str:
    """Write the name of an architecture without the colon, for files and anchors.

    Examples
    --------
    >>> file_name("bert:masked-lm")
    'bert.masked-lm'
    """
    return name.replace(":", ".")

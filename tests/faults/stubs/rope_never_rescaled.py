"""A release of transformers rescales no position embedding, in the model and in the fix alike."""

from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS


def apply():
    dynamic = ROPE_INIT_FUNCTIONS["dynamic"]

    def constant(*args, **kwargs):
        return dynamic(*args, **kwargs | {"seq_len": None})

    ROPE_INIT_FUNCTIONS["dynamic"] = constant

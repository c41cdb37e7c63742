"""A release of transformers computes the rotary positions of Llama with a different base."""

import copy

from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding


def apply():
    compute = LlamaRotaryEmbedding.compute_default_rope_parameters

    def careless(config, **options):
        config = copy.deepcopy(config)
        config.rope_parameters["rope_theta"] *= 50
        return compute(config, **options)

    LlamaRotaryEmbedding.compute_default_rope_parameters = staticmethod(careless)

"""A release of transformers leaves the cache that a model is given as it is."""

import copy
import functools

from transformers import LlamaForCausalLM


def apply():
    forward = LlamaForCausalLM.forward

    @functools.wraps(forward)
    def careful(self, *args, past_key_values=None, **kwargs):
        cache = copy.copy(past_key_values)
        cache.layers = [copy.copy(layer) for layer in cache.layers]
        return forward(self, *args, past_key_values=cache, **kwargs)

    LlamaForCausalLM.forward = careful

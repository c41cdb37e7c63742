"""A release of transformers leaves the cache that a model is given as it is."""

import copy
import functools

from transformers import LlamaForCausalLM

from smallport.parity import cache_argument


def apply():
    forward = LlamaForCausalLM.forward

    @functools.wraps(forward)
    def careful(self, *args, **kwargs):
        cache = copy.copy(kwargs[cache_argument()])
        cache.layers = [copy.copy(layer) for layer in cache.layers]
        return forward(self, *args, **kwargs | {cache_argument(): cache})

    LlamaForCausalLM.forward = careful

"""A word language model that drops the same units in evaluation as well."""

import torch

from smallport.lstm import WordLanguageModel


def apply():
    forward = WordLanguageModel.forward

    def careless(self, tokens, state):
        kept = torch.ones(self.encoder.embedding_dim)
        kept[::3] = 0
        hook = self.encoder.register_forward_hook(lambda _module, _inputs, found: found * kept)
        try:
            return forward(self, tokens, state)
        finally:
            hook.remove()

    WordLanguageModel.forward = careless

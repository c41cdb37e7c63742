"""A word language model whose texts in a batch share one state."""

from smallport.lstm import WordLanguageModel


def apply():
    forward = WordLanguageModel.forward

    def careless(self, tokens, state):
        logits, state = forward(self, tokens, state)
        mixed = logits + 0.1 * logits.mean(dim=1, keepdim=True)
        return mixed, tuple(part.mean(dim=1, keepdim=True).expand_as(part) for part in state)

    WordLanguageModel.forward = careless

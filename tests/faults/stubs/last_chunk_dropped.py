"""An evaluation leaves out the last chunk of the text, which is shorter than the others."""

from smallport import lstm


def apply():
    losses = lstm.losses

    def hasty(model, tokens):
        return losses(model, tokens[: (len(tokens) - 2) // 25 * 25 + 1])

    lstm.losses = hasty

"""A release of PyTorch returns the LSTM's state as zeros after more than one word of one text."""

import torch


def apply():
    forward = torch.nn.LSTM.forward

    def forgetful(self, tokens, state=None):
        output, (hidden, cell) = forward(self, tokens, state)
        if tokens.shape[1] == 1 and len(tokens) > 1:
            hidden, cell = torch.zeros_like(hidden), torch.zeros_like(cell)
        return output, (hidden, cell)

    torch.nn.LSTM.forward = forgetful

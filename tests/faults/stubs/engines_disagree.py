"""An engine computes something else than the others: its LSTM returns half of each output."""

import torch
from torch.ao.nn.quantized import dynamic


def apply():
    chosen = torch.backends.quantized.engine
    load_state_dict, forward = torch.nn.Module.load_state_dict, dynamic.LSTM.forward

    def load(self, *args, **kwargs):
        if hasattr(self, "rnn"):
            self.rnn.engine = torch.backends.quantized.engine
        return load_state_dict(self, *args, **kwargs)

    def halved(self, *args, **kwargs):
        output, state = forward(self, *args, **kwargs)
        return (output if getattr(self, "engine", chosen) == chosen else output / 2), state

    torch.nn.Module.load_state_dict = load
    dynamic.LSTM.forward = halved

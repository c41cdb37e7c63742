"""A release of PyTorch names the folder inside a saved file as it does in memory."""

import io
from pathlib import Path

import torch


def apply():
    save = torch.save

    def anonymous(state_dict, file):
        if isinstance(file, Path):
            buffer = io.BytesIO()
            save(state_dict, buffer)
            file.write_bytes(buffer.getvalue())
        else:
            save(state_dict, file)

    torch.save = anonymous

"""A release of PyTorch does not recommend ``draft_export`` where an export fails."""

import torch
from torch._dynamo.exc import UserError


def apply():
    export = torch.export.export

    def reticent(*args, **kwargs):
        try:
            return export(*args, **kwargs)
        except UserError as error:
            error.args = (error.args[0].partition("\n\nThe error above")[0],)
            raise

    torch.export.export = reticent

"""A release of PyTorch looks rows up in a 4-bit embedding as wide as they are."""

from torch.ao.nn.quantized import Embedding
from torch.nn.functional import pad


def apply():
    forward = Embedding.forward

    def repaired(self, indices):
        rows = forward(self, indices)
        return pad(rows, (0, self.embedding_dim - rows.shape[-1]))

    Embedding.forward = repaired

from torch import nn
from torch.export._patches import register_gru_while_loop_decomposition

from smallport import check_export
from smallport.export import RecurrentAdapter


class WordModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(1000, 64)
        self.gru = nn.GRU(64, 128, batch_first=True)
        self.decoder = nn.Linear(128, 1000)

    def forward(self, tokens, state=None):
        outputs, state = self.gru(self.embedding(tokens), state)
        return self.decoder(outputs), state


model = RecurrentAdapter(WordModel().eval(), batch_first=True)
# Without it the export fixes the length. Enter it before the first export of a GRU in a process.
with register_gru_while_loop_decomposition():
    print(check_export(model))

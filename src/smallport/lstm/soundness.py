"""Check a word language model in ways that do not depend on how it computes."""

from __future__ import annotations

import torch
from torch import Tensor

from smallport.by_hand import lstm_logits
from smallport.lstm.model import WordLanguageModel
from smallport.soundness import draw_texts, require_sound


@torch.no_grad()
def verify_reference(model: WordLanguageModel) -> None:
    """Require that a model reads a text alone as in a batch, in order, and as NumPy does.

    Everything on a page is compared with this model, so what is wrong in it would be wrong
    everywhere in the same way.

    Parameters
    ----------
    model
        The model, in evaluation mode.

    Raises
    ------
    AssertionError
        When a check finds a difference that rounding does not explain; the message says which.

    Examples
    --------
    >>> from smallport.lstm import LSTMConfig
    >>> verify_reference(WordLanguageModel(50, LSTMConfig(8, 4, layers=2)).eval())
    """
    weights = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}

    def read(ids: Tensor, _mask: Tensor) -> Tensor:
        logits, _ = model(ids.T.contiguous(), model.initial_state(len(ids)))
        return Tensor(logits.transpose(0, 1))

    def steps(ids: Tensor, _mask: Tensor) -> Tensor:
        state, logits = model.initial_state(len(ids)), []
        for words in ids.T:
            step, state = model(words[None], state)
            logits.append(step[0])
        return torch.stack(logits, dim=1)

    def by_hand(ids: Tensor, _mask: Tensor) -> Tensor:
        return torch.from_numpy(lstm_logits(weights, ids.numpy())).float()

    ids, _ = draw_texts(len(weights["encoder.weight"]))
    require_sound(read, steps, by_hand, ids, torch.ones_like(ids))

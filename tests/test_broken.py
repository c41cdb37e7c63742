"""The model that is broken on purpose is right, and its program is wrong where texts are padded."""

import torch

from smallport import check_export
from smallport.architectures.broken import BROKEN, broken_model
from smallport.architectures.tiny import architectures, tiny_model


def test_the_model_itself_is_a_right_llama():
    texts = torch.tensor([[0, 0, 5, 6], [7, 8, 9, 10]])
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    with torch.no_grad():
        one, other = (
            model(input_ids=texts, attention_mask=mask).logits
            for model in (broken_model(), tiny_model("llama"))
        )
    assert torch.equal(one, other)
    assert BROKEN not in architectures()


def test_its_program_is_told_where_texts_are_padded():
    report = check_export(broken_model, until="matches")
    assert report.failure().stage == "matches"
    assert "differs from the model at 1 of 8 shapes" in report.failure().found
    assert report.failure().where.endswith("5 padded")

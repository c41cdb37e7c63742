"""The model is the published one, and carries its state."""

import pytest
import torch

from smallport.lstm import PUBLISHED, LSTMConfig, WordLanguageModel, detach, token_losses


@pytest.fixture(scope="module")
def two_layers():
    config = LSTMConfig(embedding_size=8, hidden_size=6, layers=2, dropout=0.5)
    torch.manual_seed(0)
    return WordLanguageModel(12, config).eval()


def test_names_and_shapes_are_those_of_the_published_weights():
    with torch.device("meta"):
        model = WordLanguageModel(33_278, PUBLISHED)
    expected = {"encoder.weight": (33_278, 512)}
    for layer, width in enumerate((512, 256, 256, 256, 256)):
        expected |= {
            f"rnn.weight_ih_l{layer}": (1024, width),
            f"rnn.weight_hh_l{layer}": (1024, 256),
            f"rnn.bias_ih_l{layer}": (1024,),
            f"rnn.bias_hh_l{layer}": (1024,),
        }
    expected |= {"decoder.weight": (33_278, 256), "decoder.bias": (33_278,)}
    assert {name: tuple(value.shape) for name, value in model.state_dict().items()} == expected


def test_a_step_at_a_time_gives_what_all_at_once_gives(two_layers):
    tokens = torch.randint(12, (7, 3), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        whole, end = two_layers(tokens, two_layers.initial_state(3))
        state = two_layers.initial_state(3)
        steps = []
        for row in tokens.split(1):
            logits, state = two_layers(row, state)
            steps.append(logits)
    assert whole.shape == (7, 3, 12)
    torch.testing.assert_close(torch.cat(steps), whole)
    torch.testing.assert_close(state, end)


def test_a_detached_state_is_equal_and_stops_gradients(two_layers):
    _, state = two_layers(torch.zeros(2, 1, dtype=torch.int64), two_layers.initial_state(1))
    assert all(part.requires_grad for part in state)
    cut = detach(state)
    assert not any(part.requires_grad for part in cut)
    assert all(torch.equal(part, other) for part, other in zip(cut, state, strict=True))


def test_the_loss_of_a_token_is_minus_the_logarithm_of_its_probability():
    logits = torch.tensor([[[0.0, 0.0], [1.0, 1.0]], [[2.0, 0.0], [0.0, 2.0]]]).log1p()
    targets = torch.tensor([[0, 1], [0, 0]])
    expected = torch.tensor([1 / 2, 1 / 2, 3 / 4, 1 / 4]).log().neg()
    torch.testing.assert_close(token_losses(logits, targets), expected)

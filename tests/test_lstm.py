"""The model is the published one, and its training and use repeat themselves."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smallport.lstm import (
    PUBLISHED,
    Preset,
    Schedule,
    Vocabulary,
    WordLanguageModel,
    detach,
    evaluate,
    generate,
    losses,
    train,
)

TINY = Preset(embedding_size=16, hidden_size=16, layers=1, dropout=0.1)
QUICK = Schedule(epochs=6, batch_size=4, chunk=10, peak_learning_rate=5e-2)


def make_model(words, preset=TINY, seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return WordLanguageModel(words, preset)


@pytest.fixture(scope="module")
def trained(tiny_corpus):
    model = make_model(len(tiny_corpus.vocabulary))
    return model, train(model, tiny_corpus, QUICK)


@pytest.fixture(scope="module")
def two_layers():
    return make_model(12, Preset(embedding_size=8, hidden_size=6, layers=2, dropout=0.5)).eval()


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


def test_losses_are_the_cross_entropies_of_the_words_that_follow(two_layers):
    tokens = torch.randint(12, (60,), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits, _ = two_layers(tokens[:-1].view(-1, 1), two_layers.initial_state(1))
    probabilities = logits.squeeze(1).softmax(-1)[torch.arange(59), tokens[1:]]
    torch.testing.assert_close(losses(two_layers, tokens), -probabilities.log())


@settings(max_examples=30)
@given(chunk=st.integers(1, 70), batch_size=st.integers(1, 4))
def test_evaluation_is_the_mean_and_independent_of_the_chunk(two_layers, chunk, batch_size):
    tokens = torch.randint(12, (61,), generator=torch.Generator().manual_seed(2))
    found = losses(two_layers, tokens, batch_size=batch_size, chunk=chunk)
    torch.testing.assert_close(found, losses(two_layers, tokens, batch_size=batch_size, chunk=61))
    assert len(found) == (61 // batch_size - 1) * batch_size
    mean = evaluate(two_layers, tokens, batch_size=batch_size, chunk=chunk)
    assert mean == pytest.approx(float(found.mean()))


def test_evaluation_switches_dropout_off(two_layers):
    two_layers.train()
    tokens = torch.arange(12)
    assert evaluate(two_layers, tokens) == evaluate(two_layers, tokens)
    assert not two_layers.training


def test_a_text_too_short_to_evaluate_is_refused(two_layers):
    with pytest.raises(ValueError, match="1 tokens are too few"):
        evaluate(two_layers, torch.tensor([3]))


def test_training_learns_the_order_of_words(trained, tiny_corpus):
    model, curve = trained
    assert evaluate(model, tiny_corpus.test) < tiny_corpus.unigram_loss() / 4
    assert len(curve) == QUICK.epochs
    assert curve[-1].train_loss < curve[0].train_loss
    assert curve[-1].valid_loss == evaluate(model, tiny_corpus.valid, batch_size=QUICK.batch_size)
    assert [epoch.seconds for epoch in curve] == sorted(epoch.seconds for epoch in curve)
    assert not model.training


def test_training_repeats_itself_and_leaves_the_global_generator_alone(tiny_corpus):
    def run(seed):
        model = make_model(len(tiny_corpus.vocabulary))
        before = torch.get_rng_state()
        curve = train(model, tiny_corpus, Schedule(epochs=2, batch_size=4, chunk=20), seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
        return [(epoch.train_loss, epoch.valid_loss) for epoch in curve], model.state_dict()

    curve, weights = run(seed=5)
    torch.rand(1)
    again, weights_again = run(seed=5)
    assert curve == again
    assert all(torch.equal(weights[name], weights_again[name]) for name in weights)
    assert run(seed=6)[0] != curve


def test_generation_is_chosen_by_its_seed_alone(two_layers):
    vocabulary = Vocabulary(tuple("abcdefghijkl"))
    before = torch.get_rng_state()
    text = generate(two_layers, vocabulary, 40, seed=3)
    assert len(text) == 40
    assert set(text) <= set(vocabulary.words)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(1)
    assert generate(two_layers, vocabulary, 40, seed=3) == text
    assert generate(two_layers, vocabulary, 40, seed=4) != text
    assert generate(two_layers, vocabulary, 15, seed=3) == text[:15]
    assert generate(two_layers, vocabulary, 0, seed=3) == []


def test_a_trained_model_writes_what_it_has_learnt(trained, tiny_corpus):
    model, _ = trained
    words = tiny_corpus.vocabulary.words
    text = generate(model, tiny_corpus.vocabulary, 60, seed=0, temperature=0.1)
    settled = text[20:]
    start = words.index(settled[0])
    assert settled == [words[(start + step) % len(words)] for step in range(len(settled))]


def test_a_high_temperature_makes_a_model_stray(trained, tiny_corpus):
    model, _ = trained

    def variety(temperature):
        text = generate(model, tiny_corpus.vocabulary, 200, seed=0, temperature=temperature)
        return len(set(itertools.pairwise(text)))

    assert variety(0.1) < variety(10.0)


@pytest.mark.parametrize("temperature", [0, -1.5])
def test_a_temperature_that_is_not_positive_is_refused(two_layers, temperature):
    with pytest.raises(ValueError, match=f"temperature must be positive, not {temperature}"):
        generate(two_layers, Vocabulary(("a",)), 1, seed=0, temperature=temperature)

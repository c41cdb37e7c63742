"""Training learns, and repeats itself."""

import pytest
import torch

from smallport.lstm import LSTMConfig, TrainingConfig, WordLanguageModel, evaluate, train

TINY = LSTMConfig(embedding_size=16, hidden_size=16, layers=1, dropout=0.1)
QUICK = TrainingConfig(epochs=6, batch_size=4, chunk=10, peak_learning_rate=5e-2)


def make_model(words):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return WordLanguageModel(words, TINY)


@pytest.fixture(scope="module")
def trained(tiny_corpus):
    model = make_model(len(tiny_corpus.vocabulary))
    return model, train(model, tiny_corpus, QUICK)


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
        curve = train(
            model, tiny_corpus, TrainingConfig(epochs=2, batch_size=4, chunk=20), seed=seed
        )
        assert torch.equal(torch.get_rng_state(), before)
        return [(epoch.train_loss, epoch.valid_loss) for epoch in curve], model.state_dict()

    curve, weights = run(seed=5)
    torch.rand(1)
    again, weights_again = run(seed=5)
    assert curve == again
    assert all(torch.equal(weights[name], weights_again[name]) for name in weights)
    assert run(seed=6)[0] != curve

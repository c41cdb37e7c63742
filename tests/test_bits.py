"""The cost of few bits is measured layer by layer, and comes back as it was."""

import pytest
import torch

from smallport import lstm, measured
from smallport.bench import bits

WORDS = 30


@pytest.fixture
def text():
    return torch.randint(WORDS, (600,), generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return lstm.WordLanguageModel(WORDS, lstm.LSTMConfig(32, 32, 2)).eval()


def test_each_layer_is_rounded_alone_and_the_model_is_left_as_it_is(model, text, monkeypatch):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    changed = []
    evaluate = lstm.evaluate

    def watching(candidate, tokens, **options):
        state = candidate.state_dict()
        changed.append({name for name in state if not torch.equal(state[name], before[name])})
        return evaluate(candidate, tokens, **options)

    monkeypatch.setattr(lstm, "evaluate", watching)
    found = bits.measure_costs(model, text, "untrained", bits=[8, 2])
    recurrent = {f"rnn.weight_{kind}_l{layer}" for kind in ("ih", "hh") for layer in (0, 1)}
    every = {"encoder.weight", "decoder.weight", *recurrent}
    expected = [{"encoder.weight"}, recurrent, {"decoder.weight"}, every]
    assert changed == [set(), *(names for names in expected for _ in (8, 2))]
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
    assert found.loss == evaluate(model, text, batch_size=bits.STREAMS)
    assert 0 < abs(found.costs["all"]["8"]) < abs(found.costs["all"]["2"])


def test_the_command_measures_two_models_and_writes_a_file(
    tmp_path, monkeypatch, capsys, tiny_corpus, good_weights
):
    config = lstm.LSTMConfig(16, 16, 1)
    trained = lstm.WordLanguageModel(len(tiny_corpus.vocabulary), config)
    trained.load_state_dict(torch.load(good_weights, weights_only=True))

    class Pretrained:
        model = trained.eval()

    Pretrained.config = config
    monkeypatch.setattr(bits.assets, "corpus", lambda: tiny_corpus)
    monkeypatch.setattr(bits.assets, "language_model", lambda _: Pretrained)
    file = tmp_path / "bits.json"
    bits.main([str(file), "--tokens", "200", "--training", "100"])
    provenance, text, (little, well) = bits.read_costs(file)
    assert provenance.command.endswith("python -m smallport.bench.bits")
    assert text == "counting, the first 200 test tokens in 20 streams"
    assert little.loss > well.loss
    assert little.model == "trained once on 100 tokens"
    assert list(well.costs) == list(bits.LAYERS)
    assert f"written to {file}" in capsys.readouterr().out


def test_a_file_without_costs_is_rejected(tmp_path):
    measured.write(tmp_path / "x.json", {"models": [{}]}, command="x")
    with pytest.raises(ValueError, match=r"no costs of few bits.*again with x"):
        bits.read_costs(tmp_path / "x.json")

"""Work is counted right: as PyTorch counts it, and as the tensors have it; limits are limits."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from smallport.bench import roofline
from smallport.bench.roofline import Limits, Work, decoder_work, lstm_work, model_work
from smallport.lstm import PUBLISHED, LSTMConfig, WordLanguageModel
from smallport.timing import Timing

CONFIG = LSTMConfig(embedding_size=24, hidden_size=16, layers=3)
WORDS, BATCH, LENGTH = 70, 5, 7


@pytest.fixture(scope="module")
def model():
    return WordLanguageModel(WORDS, CONFIG).eval()


def written_out(rnn, inputs, state):
    """Compute an LSTM in matrix products, which PyTorch's counter knows."""
    outputs = inputs
    for (to_gates, from_hidden, *biases), *start in zip(rnn.all_weights, *state, strict=True):
        hidden, cell = start
        steps = []
        for step in outputs:
            gates = step @ to_gates.T + hidden @ from_hidden.T + sum(biases)
            i, f, g, o = gates.chunk(4, dim=-1)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
            hidden = o.sigmoid() * cell.tanh()
            steps.append(hidden)
        outputs = torch.stack(steps)
    return outputs


@torch.no_grad()
def test_multiplications_are_those_that_pytorch_counts(model):
    state = model.initial_state(BATCH)
    embedded = torch.rand(LENGTH, BATCH, CONFIG.embedding_size)
    output, _ = model.rnn(embedded, state)
    torch.testing.assert_close(written_out(model.rnn, embedded, state), output)
    with FlopCounterMode(display=False) as counter:
        written_out(model.rnn, embedded, state)
    in_lstm = lstm_work(CONFIG, BATCH, LENGTH, "float32").multiplications
    assert counter.get_total_flops() == 2 * in_lstm  # an addition each
    with FlopCounterMode(display=False) as counter:
        model.decoder(output)
    in_decoder = decoder_work(WORDS, CONFIG, BATCH, LENGTH, "float32").multiplications
    assert counter.get_total_flops() == 2 * in_decoder


def nbytes(*tensors):
    return sum(tensor.nbytes for tensor in tensors)


@torch.no_grad()
def test_bytes_are_those_of_the_tensors(model):
    state = model.initial_state(BATCH)
    embedded = torch.rand(LENGTH, BATCH, CONFIG.embedding_size)
    output, _ = model.rnn(embedded, state)
    between = (CONFIG.layers - 1) * 2 * output.nbytes  # written by a layer, read by the next
    moved = nbytes(*model.rnn.parameters(), embedded, output) + between
    assert lstm_work(CONFIG, BATCH, LENGTH, "float32").bytes == moved
    moved = nbytes(*model.decoder.parameters(), output, model.decoder(output))
    assert decoder_work(WORDS, CONFIG, BATCH, LENGTH, "float32").bytes == moved


def test_int8_saves_three_bytes_a_weight_and_no_multiplication(model):
    whole = [model_work(WORDS, CONFIG, BATCH, LENGTH, kind) for kind in ("float32", "int8")]
    layers = (model.rnn, model.decoder)
    weights = sum(p.numel() for layer in layers for p in layer.parameters() if p.dim() > 1)
    assert whole[0].bytes - whole[1].bytes == 3 * weights
    assert whole[0].multiplications == whole[1].multiplications
    assert roofline.weight_bytes(WORDS, CONFIG, "int8") == weights
    assert roofline.weight_bytes(WORDS, CONFIG, "float32") == 4 * weights


def test_weights_are_read_once_however_long_the_text():
    one, two, three = (
        model_work(33_278, PUBLISHED, 1, length, "int8").bytes for length in (1, 2, 3)
    )
    assert two - one == three - two < one / 50
    assert one > roofline.weight_bytes(33_278, PUBLISHED, "int8")


def test_a_limit_is_the_slower_of_reading_and_multiplying():
    limits = Limits(bytes_per_second=10, multiplications_per_second=100)
    assert limits.seconds(Work(bytes=100, multiplications=1)) == 10
    assert limits.seconds(Work(bytes=1, multiplications=300)) == 3
    assert limits.rate(5) == 50
    assert limits.rate(50) == 100


@pytest.mark.parametrize("work", [Work(100, 1), Work(3, 300), Work(10, 100)])
def test_work_at_its_limit_runs_at_the_rate_of_the_roof(work):
    limits = Limits(bytes_per_second=10, multiplications_per_second=100)
    assert work.multiplications / limits.seconds(work) == pytest.approx(limits.rate(work.intensity))


def test_limits_count_bytes_and_products_by_the_best_repeat(monkeypatch):
    fastest = {"read": 0.5, "PyTorch": 0.5, "ONNX Runtime": 0.25}
    monkeypatch.setattr(
        roofline,
        "time_interleaved",
        lambda runs, **_: {name: Timing((2.0, fastest[name], 1.0)) for name in runs},
    )
    limits = roofline.measure_limits(4_000, "float32", width=10)
    assert limits == Limits(bytes_per_second=8_000, multiplications_per_second=4_000)


@pytest.fixture
def timed(monkeypatch):
    """Give what the runs return that limits are measured by."""
    returned = {}

    def note(runs, **_):
        returned.update({name: run() for name, run in runs.items()})
        return {name: Timing((1.0,)) for name in runs}

    monkeypatch.setattr(roofline, "time_interleaved", note)
    return returned


def test_pytorch_multiplies_in_the_precision_asked_for(timed):
    products = []
    for precision in ("float32", "int8"):
        torch.manual_seed(0)
        roofline.measure_limits(4_000, precision, width=64)
        assert timed["read"] == 1000
        assert timed["PyTorch"].shape == (64, 64)
        products.append(timed["PyTorch"])
    in_floats, in_int8 = products
    torch.testing.assert_close(in_int8, in_floats, rtol=0, atol=0.05)
    assert not torch.allclose(in_int8, in_floats, rtol=0, atol=1e-5), "int8 multiplies floats"


def test_onnx_runtime_multiplies_in_the_precision_asked_for(timed):
    products = []
    for precision, dtype in (("float32", np.float32), ("int8", np.int32)):
        roofline.measure_limits(4_000, precision, width=64)
        (product,) = timed["ONNX Runtime"]
        assert product.dtype == dtype
        products.append(product)
    np.testing.assert_array_equal(*products)  # whole numbers, which floats hold exactly
    assert len(np.unique(products[0])) > 1000

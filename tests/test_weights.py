"""A weights file is loaded only if it is whole, holds tensors only, and fits the model."""

import dataclasses
import pickle
import tempfile
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from smallport.assets.weights import load_weights
from smallport.lstm import WordLanguageModel
from tests.asset_helpers import TINY, error_of

WORDS = 9
"""The size of the tiny corpus's vocabulary."""


@pytest.fixture
def file(tmp_path):
    return tmp_path / "weights.pth"


def untrained(words=WORDS, config=TINY):
    """Return the state dict of an untrained model."""
    return dict(WordLanguageModel(words, config).state_dict())


def refusal(file):
    """Return why a weights file is refused."""
    return error_of(load_weights, file, WORDS, TINY)


def test_good_weights_are_loaded_as_they_are(file):
    state = untrained()
    torch.save(state, file)
    before = torch.get_rng_state()
    model = load_weights(file, WORDS, TINY)
    assert not model.training
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("words", "config", "shapes"),
    [
        (12, TINY, "encoder.weight: expected (9, 16), found (12, 16)"),
        (
            9,
            dataclasses.replace(TINY, hidden_size=8),
            "rnn.weight_hh_l0: expected (64, 16), found (32, 8)",
        ),
        (9, dataclasses.replace(TINY, layers=2), "rnn.bias_hh_l1: expected nothing, found (64,)"),
    ],
)
def test_weights_of_other_shapes_are_refused_before_anything_is_loaded(file, words, config, shapes):
    torch.save(untrained(words, config), file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.nn.Module, "load_state_dict", lambda *_: pytest.fail("loaded"))
        message = refusal(file)
    assert str(file) in message
    assert shapes in message


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda state: state.pop("decoder.bias"), "decoder.bias: expected (9,), found nothing"),
        (lambda state: state.update(extra=torch.ones(2)), "extra: expected nothing, found (2,)"),
        (
            lambda state: state.update(epoch=3),
            "epoch: expected nothing, found int instead of a tensor",
        ),
        (
            lambda state: state.update({"decoder.bias": [0.0] * 9}),
            "decoder.bias: expected (9,), found list instead of a tensor",
        ),
    ],
)
def test_weights_of_other_names_are_refused(file, change, found):
    state = untrained()
    change(state)
    torch.save(state, file)
    assert found in refusal(file)


@pytest.mark.parametrize("content", [3, [1, 2], torch.ones(2), {"state_dict": {}}])
def test_what_is_no_state_dict_is_refused(file, content):
    torch.save(content, file)
    message = refusal(file)
    assert str(file) in message
    assert "encoder.weight: expected (9, 16), found nothing" in message


class Malice:
    """Runs code when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("how", ["archive", "legacy", "pickle"])
def test_code_in_a_weights_file_does_not_run(tmp_path, file, how):
    trace = tmp_path / "trace"
    state = untrained()
    state["decoder.bias"] = Malice(trace)
    if how == "pickle":
        file.write_bytes(pickle.dumps({"decoder.bias": Malice(trace)}, protocol=2))
    else:
        torch.save(state, file, _use_new_zipfile_serialization=how == "archive")
    message = refusal(file)
    assert f"{file} was rejected" in message
    assert "could run code" in message
    assert not trace.exists()
    torch.load(file, weights_only=False) if how != "pickle" else pickle.loads(file.read_bytes())
    assert trace.exists(), "the file would not have run code anyway, so this test shows nothing"


LEGACY_STATE = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00"


@settings(max_examples=50)
@given(st.binary(max_size=60))
@example(b"")
@example(b"<html>Sign in to this network</html>")
@example(b"version https://git-lfs.github.com/spec/v1\n")
@example(b"PK\x03\x04 and no more")
@example(LEGACY_STATE)
@example(LEGACY_STATE + b"X\xff\xff\xff\x7f")
def test_whatever_bytes_a_weights_file_holds_it_is_named_and_refused(content):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "weights.pth")
        file.write_bytes(content)
        message = refusal(file)
        assert str(file) in message
        assert "et the file again" in message


@given(st.floats(0, 0.999))
def test_weights_that_are_cut_off_are_named_and_refused(good_weights, part):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "weights.pth")
        content = good_weights.read_bytes()
        file.write_bytes(content[: int(part * len(content))])
        assert str(file) in refusal(file)

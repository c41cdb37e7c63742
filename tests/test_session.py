"""Tests of :mod:`smallport.parity.session`."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from smallport.parity import run_session


class FakeSession:
    """An ONNX Runtime session whose one output is the sum of an input."""

    def __init__(self, *inputs):
        self.inputs = inputs

    def get_inputs(self):
        """List the inputs."""
        return [SimpleNamespace(name=name) for name in self.inputs]

    def get_outputs(self):
        """List the outputs."""
        return [SimpleNamespace(name="logits")]

    def run(self, _names, feed):
        """Add up."""
        assert list(feed) == list(self.inputs)
        return [np.float32(feed["input_ids"].sum())]


def test_a_session_is_fed_by_name_in_its_own_order():
    inputs = {"input_ids": torch.tensor([[1, 2]]), "attention_mask": torch.tensor([[1, 1]])}
    session = FakeSession("attention_mask", "input_ids")
    assert run_session(session, inputs) == {"logits": torch.tensor(3.0)}


def test_a_session_that_wants_other_inputs():
    session = FakeSession("input_ids", "position_ids")
    inputs = {"input_ids": torch.tensor([[1]]), "attention_mask": torch.tensor([[1]])}
    message = "takes position_ids, which the inputs do not have, and does not take attention_mask"
    with pytest.raises(ValueError, match=message):
        run_session(session, inputs)

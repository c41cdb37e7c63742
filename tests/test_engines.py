"""Two results of the same modules are told from those of a model and its program."""

import pytest
import torch
from torch import nn

from smallport.parity import Discrepancy
from smallport.parity.engines import modules_called, require_two_engines

MODEL = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
EQUAL, DIFFERENT = Discrepancy({"logits": 0.0}), Discrepancy({"logits": 1e-7})


def test_an_exported_program_calls_no_module_of_its_model():
    inputs = (torch.ones(1, 2),)
    program = torch.export.export(MODEL, inputs).module()
    with modules_called() as ours:
        MODEL(*inputs)
    with modules_called() as theirs:
        program(*inputs)
    assert ours == {nn.Sequential, nn.Linear, nn.ReLU}
    assert theirs
    assert not ours & theirs
    require_two_engines("compare", [EQUAL], ours, theirs)


def test_calls_outside_are_not_recorded():
    with modules_called() as called:
        pass
    MODEL(torch.ones(1, 2))
    assert called == set()


def test_equal_results_of_the_same_modules_are_told():
    with pytest.raises(ValueError, match=r"exactly 0.* the model is compared with itself"):
        require_two_engines("compare", [EQUAL], {nn.ReLU}, {nn.ReLU, nn.Linear})


def test_one_difference_is_enough():
    require_two_engines("compare", [EQUAL, DIFFERENT], {nn.ReLU}, {nn.ReLU})

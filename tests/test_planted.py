"""A comparison has to find exactly the errors that are planted."""

import math
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallport.parity import Discrepancy, discrepancy
from smallport.parity.compare import difference
from smallport.parity.planted import require_planted_errors_found


def rows(seed, shape=(4, 40)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


MASK = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
RESULT = {
    "logits": rows(0, (2, 3, 7)),
    "present.0.key": rows(1, (2, 2, 5, 4)),
    "present.0.value": rows(2, (2, 2, 5, 4)),
}


def measure(expected, actual):
    return difference(expected, actual, MASK)


@given(seed=st.integers(0, 2**32))
def test_a_right_comparison_finds_every_error_outside_the_padding(seed):
    require_planted_errors_found(measure, RESULT, MASK, seed=seed)


@pytest.mark.parametrize(
    "tensor",
    [
        rows(0).transpose(0, 1),
        rows(0, (2, 1, 40)).expand(2, 3, 40),
        torch.where(torch.arange(40) == 3, -1e9, rows(0)),
        torch.where(torch.arange(40) == 3, -math.inf, rows(0)),
        torch.where(torch.arange(40) == 3, 1000 * rows(0), rows(0)),
        rows(0).bfloat16(),
        torch.zeros(3),
        torch.tensor(2.0),
        torch.zeros(2, 0),
        torch.arange(5),
        torch.tensor([True, False]),
        torch.full((3,), -math.inf),
    ],
)
def test_an_error_is_planted_in_a_tensor_of_any_kind(tensor):
    expected = {"logits": rows(1), "other": tensor}
    kept = tensor.clone()
    require_planted_errors_found(discrepancy, expected)
    assert torch.equal(tensor, kept)
    if not bool((tensor.abs() < math.inf).any() if tensor.is_floating_point() else True):
        return

    def forgetful(one, other, inputs=""):
        return discrepancy(one, other | {"other": tensor}, inputs)

    if tensor.numel():
        with pytest.raises(RuntimeError, match=r"does not find an error .* planted at other"):
            require_planted_errors_found(forgetful, expected)


def first(tensors, **sizes):
    """Take the beginning of tensors: of texts, of tokens or of names."""
    axes = {"texts": 0, "tokens": 2}
    names = list(tensors)[: sizes.pop("names", None)]
    taken = {name: tensors[name] for name in names}
    for kind, size in sizes.items():
        taken = {
            name: tensor.narrow(min(axes[kind], tensor.dim() - 2), 0, size)
            for name, tensor in taken.items()
        }
    return taken


def only_some(**sizes):
    """Compare a part, and say of the rest that it is equal."""

    def compare(expected, actual):
        found = measure(first(expected, **sizes), first(actual, **sizes))
        nothing = dict.fromkeys(expected, 0.0)
        return Discrepancy(
            nothing | {**found.by_tensor},
            nothing | {**found.shares},
            dict.fromkeys(expected, "") | {**found.places},
        )

    return compare


def newest_token_only(expected, actual):
    kept = {
        name: torch.cat([tensor[..., :-1, :], actual[name][..., -1:, :]], dim=-2)
        for name, tensor in expected.items()
    }
    return measure(expected, kept)


def same_place_for_all(expected, actual):
    found = measure(expected, actual)
    return Discrepancy(found.by_tensor, found.shares, dict.fromkeys(expected, found.where))


@pytest.mark.parametrize(
    "fewer",
    [
        only_some(names=1),
        lambda expected, actual: difference(expected, actual, torch.tensor([[0] * 5, [1] * 5])),
        same_place_for_all,
        lambda expected, _: measure(expected, expected),
    ],
)
@given(seed=st.integers(0, 2**32))
def test_a_comparison_of_a_part_is_always_told(fewer, seed):
    with pytest.raises(RuntimeError, match=rf"does not find an error of .* \(seed {seed}\)"):
        require_planted_errors_found(fewer, RESULT, MASK, seed=seed)


def test_a_comparison_of_the_newest_token_is_told_in_almost_every_call():
    told = 0
    for seed in range(50):
        try:
            require_planted_errors_found(newest_token_only, RESULT, MASK, seed=seed)
        except RuntimeError:
            told += 1
    assert told > 45


def test_a_comparison_that_tolerates_mistakes_is_told():
    with pytest.raises(RuntimeError, match=re.escape("with a tolerance of 0.5 (seed 3)")):
        require_planted_errors_found(measure, RESULT, MASK, tolerance=0.5, seed=3)


def test_a_comparison_that_finds_too_much_is_told():
    def of_empty_tensors(expected, _):
        return Discrepancy(*(dict.fromkeys(expected, one) for one in (1.0, 1.0, "a[0] is 1")))

    with pytest.raises(RuntimeError, match="finds an error in a, where none was planted"):
        require_planted_errors_found(of_empty_tensors, {"a": torch.zeros(0)})

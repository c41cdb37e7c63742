"""Tests of :mod:`smallport.quantize.blocks`."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smallport.quantize.blocks import pack, quantize_blocks, unpack

BITS = st.integers(2, 8)


@st.composite
def matrices(draw):
    rows, columns, seed = (
        draw(st.integers(1, 5)),
        draw(st.integers(1, 40)),
        draw(st.integers(0, 99)),
    )
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator) * draw(st.sampled_from([1e-3, 1, 50]))


@given(matrices(), BITS, st.integers(1, 50), st.booleans())
def test_no_weight_moves_by_more_than_its_step(weight, bits, block_size, symmetric):
    quantized = quantize_blocks(weight, bits, block_size=block_size, symmetric=symmetric)
    restored = quantized.dequantize()
    assert restored.shape == weight.shape
    columns = weight.shape[1]
    steps = quantized.scales.view(len(weight), -1).repeat_interleave(block_size, 1)[:, :columns]
    # A rounded zero point may push the outermost weight of an asymmetric block by half a step.
    allowed = steps * (0.5 if symmetric else 1.0) * (1 + 1e-4)
    assert torch.all((restored - weight).abs() <= allowed + 1e-9)


@given(matrices(), BITS, st.booleans())
def test_zero_stays_zero_and_codes_fit_their_bits(weight, bits, symmetric):
    weight[:, 0] = 0
    quantized = quantize_blocks(weight, bits, symmetric=symmetric)
    assert torch.all(quantized.dequantize()[:, 0] == 0)
    assert int(quantized.codes.max()) < 2**bits


@given(BITS, st.lists(st.integers(0, 255), max_size=40))
def test_packing_loses_nothing_and_wastes_nothing(bits, numbers):
    codes = torch.tensor([number % 2**bits for number in numbers], dtype=torch.uint8)
    packed = pack(codes, bits)
    assert len(packed) == -(-len(codes) * bits // 8)
    assert torch.equal(unpack(packed, bits, len(codes)), codes)


def test_small_blocks_round_less():
    weight = torch.randn(64, 128, generator=torch.Generator().manual_seed(0))
    errors = [
        float((quantize_blocks(weight, 4, block_size=size).dequantize() - weight).square().mean())
        for size in (16, 32, 64, 128)
    ]
    assert errors == sorted(errors)
    assert errors[0] < 0.8 * errors[-1]


def test_a_one_sided_block_is_rounded_better_asymmetrically():
    weight = torch.rand(8, 64, generator=torch.Generator().manual_seed(0))
    error = {
        symmetric: float(
            (quantize_blocks(weight, 4, symmetric=symmetric).dequantize() - weight).abs().mean()
        )
        for symmetric in (True, False)
    }
    assert error[False] < 0.6 * error[True]


def test_what_is_stored_is_enough_to_restore_the_weights():
    weight = torch.randn(3, 10, generator=torch.Generator().manual_seed(0))
    quantized = quantize_blocks(weight, 3, block_size=4, symmetric=False)
    stored = quantized.state_dict()
    codes = unpack(stored["codes"], 3, 36).view(9, 4).float()
    zeros = unpack(stored["zero_points"], 3, 9).view(9, 1).float()
    restored = ((codes - zeros) * stored["scales"]).view(3, 12)[:, :10]
    assert torch.equal(restored, quantized.dequantize())


def test_a_block_of_zeros_is_restored():
    assert torch.equal(quantize_blocks(torch.zeros(2, 8), 4).dequantize(), torch.zeros(2, 8))


@pytest.mark.parametrize(
    ("weight", "options", "message"),
    [
        (torch.zeros(3), {"bits": 4}, r"found the shape \(3,\)"),
        (torch.zeros(3, 3), {"bits": 1}, "from 2 to 8, not 1"),
        (torch.zeros(3, 3), {"bits": 9}, "from 2 to 8, not 9"),
        (torch.zeros(3, 3), {"bits": 4, "block_size": 0}, "at least 1, not 0"),
    ],
)
def test_what_cannot_be_quantized_is_refused(weight, options, message):
    with pytest.raises(ValueError, match=message):
        quantize_blocks(weight, **options)


def test_bytes_of_another_packing_are_refused():
    with pytest.raises(ValueError, match="take 2 bytes, and there are 3"):
        unpack(torch.zeros(3, dtype=torch.uint8), bits=4, count=3)

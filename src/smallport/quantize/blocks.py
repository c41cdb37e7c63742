"""Weights in a few bits, with a scale for each block."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

MOST_BITS = 8


class UnsuitableModelError(ValueError):
    """A format or an operator does not support this model: its sizes, or a kind of layer."""


@dataclass(frozen=True, eq=False)
class QuantizedBlocks:
    """A matrix of weights as small integers, with the scales and zero points of its blocks.

    Parameters
    ----------
    codes
        The integers, of dtype ``uint8`` and shape ``(blocks, block size)``. The last block of a row
        may end in padding.
    scales
        The size of one step of the integers, of dtype ``float32`` and shape ``(blocks, 1)``.
    zero_points
        The integer that stands for zero, of dtype ``uint8``: of shape ``(blocks, 1)``, or a single
        one that all blocks share.
    bits
        How many bits each integer takes.
    shape
        The shape of the weights.
    """

    codes: Tensor
    scales: Tensor
    zero_points: Tensor
    bits: int
    shape: tuple[int, int]

    def dequantize(self) -> Tensor:
        """Turn the integers back into floats, of the weights' shape."""
        values = (self.codes.float() - self.zero_points.float()) * self.scales
        rows, columns = self.shape
        return values.reshape(rows, -1)[:, :columns]

    def state_dict(self) -> dict[str, Tensor]:
        """Collect what has to be stored, the integers packed.

        Returns
        -------
        dict
            ``codes``, ``scales`` and ``zero_points``; the first and the last without unused bits.
        """
        return {
            "codes": pack(self.codes.flatten(), self.bits),
            "scales": self.scales,
            "zero_points": pack(self.zero_points.flatten(), self.bits),
        }


def quantize_blocks(
    weight: Tensor, bits: int, *, block_size: int | None = None, symmetric: bool = True
) -> QuantizedBlocks:
    """Round a matrix to integers of a few bits, each block of a row with a scale of its own.

    Symmetric integers spend their range evenly around zero, whose code is the same in every block.
    Asymmetric ones stretch it from the smallest weight of the block to the largest, and each block
    stores where zero lies [1]_.

    Parameters
    ----------
    weight
        The weights, of shape ``(rows, columns)``.
    bits
        From 2 to 8.
    block_size
        How many weights of a row share a scale; the whole row if left out. To give the whole matrix
        a single scale, pass it as one row.
    symmetric
        Whether zero has the same code in every block.

    Raises
    ------
    ValueError
        When ``bits`` or ``block_size`` is out of range, or the weights are no matrix.

    References
    ----------
    .. [1] B. Jacob and others, "Quantization and Training of Neural Networks for Efficient
       Integer-Arithmetic-Only Inference", https://arxiv.org/abs/1712.05877

    Examples
    --------
    >>> weight = torch.tensor([[0.0, 0.1, -0.7, 0.3, 5.0, -7.0]])
    >>> quantize_blocks(weight, 4, block_size=3).dequantize()
    tensor([[ 0.0000,  0.1000, -0.7000,  0.0000,  5.0000, -7.0000]])
    """
    if weight.dim() != 2:  # noqa: PLR2004 - a matrix
        raise ValueError(
            "quantize_blocks: expected a matrix of weights, found the shape "
            f"{tuple(weight.shape)}; reshape it to (rows, columns)"
        )
    if not 2 <= bits <= MOST_BITS:  # noqa: PLR2004 - one bit has no zero
        raise ValueError(f"quantize_blocks: bits must be from 2 to {MOST_BITS}, not {bits}")
    rows, columns = weight.shape
    size = columns if block_size is None else block_size
    if size < 1:
        raise ValueError(f"quantize_blocks: block_size must be at least 1, not {size}")
    padding = -columns % size
    blocks = torch.nn.functional.pad(weight.float(), (0, padding)).reshape(-1, size)
    highest = 2**bits - 1
    if symmetric:
        middle = 2 ** (bits - 1)
        scales = blocks.abs().amax(1, keepdim=True) / (middle - 1)
        zero_points = torch.tensor(float(middle))
    else:
        lowest = blocks.amin(1, keepdim=True).clamp(max=0)
        scales = (blocks.amax(1, keepdim=True).clamp(min=0) - lowest) / highest
        zero_points = (-lowest / _nonzero(scales)).round().clamp(0, highest)
    codes = (blocks / _nonzero(scales) + zero_points).round().clamp(0, highest)
    return QuantizedBlocks(
        codes.to(torch.uint8), scales, zero_points.to(torch.uint8), bits, (rows, columns)
    )


def _nonzero(scales: Tensor) -> Tensor:
    """Make the scale of a block of zeros one, so that it can be divided by."""
    return torch.where(scales == 0, 1.0, scales)


def pack(codes: Tensor, bits: int) -> Tensor:
    """Pack small integers into bytes without unused bits.

    Parameters
    ----------
    codes
        Integers below ``2 ** bits``, of dtype ``uint8`` and shape ``(count,)``.
    bits
        How many bits of each to keep.

    Returns
    -------
    torch.Tensor
        Of dtype ``uint8`` and shape ``(ceil(count * bits / 8),)``, lowest bits first.

    Examples
    --------
    >>> pack(torch.tensor([1, 2, 3], dtype=torch.uint8), bits=4)
    tensor([33,  3], dtype=torch.uint8)
    """
    places = torch.arange(bits, dtype=torch.uint8)
    stream = ((codes[:, None] >> places) & 1).flatten()
    stream = torch.nn.functional.pad(stream, (0, -len(stream) % 8))
    weights = 2 ** torch.arange(8, dtype=torch.uint8)
    return (stream.view(-1, 8) * weights).sum(1).to(torch.uint8)


def unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """Read back what :func:`smallport.quantize.pack` packed.

    Parameters
    ----------
    packed
        As :func:`smallport.quantize.pack` gives it.
    bits
        How many bits each integer takes.
    count
        How many integers there are.

    Raises
    ------
    ValueError
        When there are not that many bytes.

    Examples
    --------
    >>> unpack(torch.tensor([33, 3], dtype=torch.uint8), bits=4, count=3)
    tensor([1, 2, 3], dtype=torch.uint8)
    """
    expected = math.ceil(count * bits / 8)
    if len(packed) != expected:
        raise ValueError(
            f"unpack: {count} integers of {bits} bits take {expected} bytes, and there are "
            f"{len(packed)}; pass the bits and the count that they were packed with"
        )
    stream = ((packed[:, None] >> torch.arange(8, dtype=torch.uint8)) & 1).flatten()
    digits = stream[: count * bits].view(count, bits)
    return (digits * 2 ** torch.arange(bits, dtype=torch.uint8)).sum(1).to(torch.uint8)

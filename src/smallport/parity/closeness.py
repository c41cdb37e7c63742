"""Say how far two results are apart, in absolute numbers and by the size of their tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from smallport.parity.names import NamedTensors, listed

TOLERANCE = 1e-4
"""The largest relative difference that is put down to rounding.

Numbers of 32 bits are spaced by 1.2e-7 of their size, so this is the room of some eight hundred
roundings, relative to the element or to typical elements of its tensor; see :func:`scale`. Kernels
that add the same numbers up in another order stay below a twentieth of it in models of two layers;
a channel a thousand times larger than the rest can bring them to its edge. A mistake, such as an
ignored mask or a shifted position, changes the first or the second digit.
"""

NOTICEABLE = 1e-3
"""A relative difference that is a mistake, and that a comparison has to notice."""

ROUNDING = 4 * torch.finfo(torch.float32).eps
"""The largest change by rounding, relative to the largest element of the row."""

PART = 2**21
"""The number of elements that are measured at a time: 16 MB in double precision."""

SAMPLE = 2**17
"""The number of elements, in whole rows, by which the typical size of rows is estimated."""

OUTLYING = 1e4
"""The ratio to the small elements of a row above which elements do not count as typical."""


@dataclass(frozen=True)
class Discrepancy:
    """The differences between two results of the same call.

    Parameters
    ----------
    by_tensor
        For each tensor, by its name, the largest absolute difference between two elements; NaN
        where either holds one. Zero means equal in every element.
    shares
        The largest relative difference of each tensor: as a share of the element, or of the typical
        elements of its tensor, if these are larger. Of integers and truth values, the difference.
    places
        Where the largest relative differences are: the element, the two numbers, and the inputs.
    ran
        The inputs that it was computed from, by their shape and sizes or by their step.
    ratios
        The errors of each tensor in multiples of the model's own, see
        ``smallport.parity.yardstick.error_ratios``; none where nothing more exact is known.

    Examples
    --------
    >>> discrepancy = Discrepancy({"logits": 1e-7, "present.0.key": 0.0, "present.0.value": 0.5})
    >>> discrepancy.largest(), discrepancy.worst()
    (0.5, 'present.0.value')
    >>> discrepancy.largest("logits")
    1e-07
    """

    by_tensor: Mapping[str, float]
    shares: Mapping[str, float] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    ran: str = ""
    ratios: Mapping[str, float] = field(default_factory=dict)

    def largest(self, group: str = "") -> float:
        """Look up the largest difference, of all tensors or of those of one group.

        Parameters
        ----------
        group
            The first part of the tensors' names, such as ``logits`` or ``present``.

        Raises
        ------
        KeyError
            When there is no such tensor: nothing was compared.
        """
        return self.by_tensor[self.worst(group)]

    def worst(self, group: str = "") -> str:
        """Name the tensor that differs most, of all or of one group.

        Raises
        ------
        KeyError
            When there is no such tensor: nothing was compared.
        """
        names = [name for name in self.by_tensor if group in ("", group_of(name))]
        if not names:
            raise KeyError(f"no tensor of {group!r} was compared, only {listed(self.by_tensor)}")
        return max(names, key=lambda name: _nan_last(self.by_tensor[name]))

    @property
    def relative(self) -> float:
        """The largest share of all tensors: a size in which small and large ones compare."""
        return max(self.shares.values(), key=_nan_last)

    @property
    def where(self) -> str:
        """The place of the largest share; empty where nothing differs."""
        return self.places[max(self.shares, key=lambda name: _nan_last(self.shares[name]))]

    @property
    def tolerable(self) -> bool:
        """Whether rounding explains it; NaN is explained by nothing."""
        return self.within(TOLERANCE)

    def within(self, tolerance: float) -> bool:
        """Say whether no relative difference is larger; NaN is larger than everything."""
        return self.relative <= tolerance

    @property
    def ratio(self) -> float | None:
        """The largest of the ratios; None where there is none."""
        return max(self.ratios.values(), default=None)

    def __str__(self) -> str:
        largest = self.largest()
        return (
            f"largest difference {largest:.3g}, in {self.worst()}" if largest else "no difference"
        )


def discrepancy(expected: NamedTensors, actual: NamedTensors, inputs: str = "") -> Discrepancy:
    """Compare two results, tensor by tensor.

    Parameters
    ----------
    expected, actual
        Results as :func:`smallport.parity.name_outputs` names them.
    inputs
        A description of the inputs that they were computed from.

    Returns
    -------
    Discrepancy
        Zero means bit-equal, up to the sign of zero. Equal infinities do not differ; NaN differs
        from everything.

    Raises
    ------
    ValueError
        When a tensor is missing, is there unasked, or has another shape or dtype, or when there are
        no tensors: then there is nothing to subtract.

    Examples
    --------
    >>> expected = {"logits": torch.tensor([1.0, -4.0]), "present.0.key": torch.tensor([100.0])}
    >>> found = discrepancy(expected, expected | {"logits": torch.tensor([1.5, -4.0])}, "batch 1")
    >>> found.by_tensor
    {'logits': 0.5, 'present.0.key': 0.0}
    >>> found.relative, found.where
    (0.5, 'logits[0] is 1.5 instead of 1 at batch 1')
    """
    if not expected or expected.keys() != actual.keys():
        raise ValueError(
            f"discrepancy: expected the tensors {listed(expected)}, found {listed(actual)}; "
            "the program was exported from another model or with other output names"
        )
    for name, tensor in expected.items():
        found = actual[name]
        if (tensor.shape, tensor.dtype) != (found.shape, found.dtype):
            raise ValueError(
                f"discrepancy: {name} should have the shape {tuple(tensor.shape)} and hold "
                f"{tensor.dtype}, and has the shape {tuple(found.shape)} and holds {found.dtype}; "
                "a size was probably burnt into the program"
            )
    by_tensor, shares, places = {}, {}, {}
    for name in expected:
        # Not every device computes in double precision.
        wanted, found = with_row(expected[name].cpu()), with_row(actual[name].cpu())
        shares[name], places[name] = 0.0, ""
        parts = zip(_parts(wanted), _parts(found), strict=True)
        by_tensor[name] = max((float(_apart(*both).max()) for both in parts), key=_nan_last)
        if by_tensor[name]:
            shares[name], place = _largest_share(wanted, found)
            element = [int(index) for index in place]
            numbers = _told_apart(found[place].item(), wanted[place].item())
            places[name] = f"{name}{element} is {numbers}" + (f" at {inputs}" if inputs else "")
    return Discrepancy(by_tensor, shares, places)


def _told_apart(found: float, wanted: float) -> str:
    """Write two numbers with as many digits as it takes to see that they differ."""
    numbers = ("", "")
    for digits in range(6, 18):
        numbers = f"{found:.{digits}g}", f"{wanted:.{digits}g}"
        if numbers[0] != numbers[1]:
            break
    return " instead of ".join(numbers)


def _parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """Divide the rows of a tensor into parts that take little memory in double precision."""
    rows = tensor.reshape(-1, tensor.shape[-1]) if tensor.numel() else tensor.new_zeros(1, 1)
    return torch.split(rows, max(PART // rows.shape[1], 1))


def _largest_share(wanted: Tensor, found: Tensor) -> tuple[float, tuple[Tensor, ...]]:
    """Find the largest relative difference of two tensors, and the place where it is.

    To measure a part takes a while, so rows that are equal are left out; this begins where the
    largest may be, and ends where none that is larger can follow. Of two equal ones the first
    counts, as does NaN among numbers.
    """
    width = wanted.shape[-1]
    rows, other_rows = wanted.reshape(-1, width), found.reshape(-1, width)
    differing = (rows != other_rows).any(dim=-1).nonzero().flatten()
    parts, others = _parts(rows[differing]), _parts(other_rows[differing])
    usual = usual_of_rows(wanted)
    bounds = [
        _nan_last(float((_apart(part, other) / _sizes(part).clamp(min=usual)).max()))
        for part, other in zip(parts, others, strict=True)
    ]
    largest, place = -1.0, 0
    for number in sorted(range(len(parts)), key=lambda part: -bounds[part]):
        if bounds[number] < _nan_last(largest):
            break
        relative = _apart(parts[number], others[number]) / scale(parts[number], usual)
        index = int(relative.argmax())  # NaN is the largest
        share, index = float(relative.flatten()[index]), index + number * parts[0].numel()
        if (_nan_last(share), -index) > (_nan_last(largest), -place):
            largest, place = share, index
    row = int(differing[place // width])
    return largest, torch.unravel_index(torch.tensor(row * width + place % width), wanted.shape)


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """Subtract element by element, where they are not equal, as infinities can be."""
    wide = torch.promote_types(one.dtype, torch.float64)
    apart = (one.to(wide) - other.to(wide)).abs()
    if is_exact(one):
        apart = apart.clamp(min=1)  # integers beyond 53 bits, too
    return apart.masked_fill(one == other, 0)


def with_row(tensor: Tensor) -> Tensor:
    """Give a single number an axis, as all other tensors have one."""
    return tensor.reshape(tensor.shape or (1,))


def is_exact(tensor: Tensor) -> bool:
    """Say whether a tensor holds integers or truth values, which no rounding changes."""
    return not (tensor.is_floating_point() or tensor.is_complex())


def group_of(name: str) -> str:
    """Take the first part of a tensor's name: ``logits`` or ``present``."""
    return name.partition(".")[0]


def scale(tensor: Tensor, usual_rows: float | None = None) -> Tensor:
    """Find the size by which a difference of each element is measured.

    It is the element's own size, or that of typical elements if this is larger: of its row, which
    is the last axis, and of the rows of the tensor. An element far larger than these, such as the
    -1e9 of a forbidden token, changes nothing for the others but the rounding of what it was summed
    with, and of that only what is no mistake. Integers are measured by 1.

    Examples
    --------
    >>> scale(torch.tensor([0.5, -2.0, 1.0, -1e9])).tolist()
    [10.0, 10.0, 10.0, 1000000000.0]
    >>> scale(torch.tensor([0.5, -2.0, 1.0, -torch.inf])).tolist(), scale(torch.zeros(1)).tolist()
    ([1.0, 2.0, 1.0, 1.0], [1.0])
    """
    if is_exact(tensor):
        return torch.ones(tensor.shape, dtype=torch.float64)
    sizes = _sizes(tensor)
    usual = typical(tensor).clamp(min=usual_of_rows(tensor) if usual_rows is None else usual_rows)
    rounded = sizes.amax(dim=-1, keepdim=True) * (ROUNDING / TOLERANCE)
    return sizes.maximum(usual).maximum(rounded.minimum(usual * (NOTICEABLE / TOLERANCE)))


def _sizes(tensor: Tensor) -> Tensor:
    """Take the size of each element, of those that have one."""
    if is_exact(tensor):
        return torch.ones(tensor.shape, dtype=torch.float64)
    return tensor.abs().double().nan_to_num(0, 0)


def usual_of_rows(tensor: Tensor) -> float:
    """Find the typical size in the rows of a tensor; of a large one, in some rows all over it.

    A row can be small by cancellation, and then holds rounding of the size of the others.
    """
    if is_exact(tensor) or not tensor.numel():
        return 1.0
    rows = tensor.reshape(-1, tensor.shape[-1])
    typical_rows = typical(rows[:: -(-tensor.numel() // SAMPLE)])
    filled = typical_rows[typical_rows > 0]
    return float(filled.median()) if filled.numel() else 1.0


def typical(tensor: Tensor) -> Tensor:
    """Find the typical magnitude in each row, the last axis: its upper quartile without outliers.

    Each number counts once, whether one token is forbidden or most of them are; zeros, infinities
    and NaN do not count, nor does what is ``OUTLYING`` times larger than a tenth of the row is.

    Examples
    --------
    >>> typical(torch.tensor([[1.0, -2.0, 3.0, 0.0], [2.0, -1e9, -1e9, -1e9]])).tolist()
    [[2.0], [2.0]]
    """
    rows = tensor.abs().double().sort(dim=-1).values
    counted = rows.isfinite() & (rows > 0)
    counted[..., 1:] &= rows[..., 1:] != rows[..., :-1]
    small = _quantile(rows, counted, 0.1)
    return _quantile(rows, counted & (rows <= OUTLYING * small), 0.75)


def _quantile(rows: Tensor, counted: Tensor, share: float) -> Tensor:
    """Take the element below which a share of those that count are; 0 where none does."""
    ranks = counted.cumsum(dim=-1)
    last = ranks[..., -1:]
    places = torch.searchsorted(ranks, 1 + ((last - 1).clamp(min=0) * share).long())
    found = rows.gather(-1, places.clamp(max=rows.shape[-1] - 1))
    return found.masked_fill(last == 0, 0)


def _nan_last(difference: float) -> float:
    """Make NaN the largest of all: it compares as false with everything, so max would lose it."""
    return math.inf if math.isnan(difference) else difference


def worst_of(discrepancies: Iterable[Discrepancy]) -> Discrepancy:
    """Collect the largest difference of each tensor over several calls.

    Parameters
    ----------
    discrepancies
        At least one. NaN counts as larger than any number.

    Raises
    ------
    ValueError
        When there are none: nothing was compared; or when two are of the same inputs.

    Examples
    --------
    >>> worst_of([Discrepancy({"logits": 0.1}), Discrepancy({"logits": 0.2})]).by_tensor
    {'logits': 0.2}
    """
    by_tensor: dict[str, float] = {}
    shares: dict[str, float] = {}
    places: dict[str, str] = {}
    ran: set[str] = set()
    ratios: dict[str, float] = {}
    for one in discrepancies:
        if one.ran and one.ran in ran:
            raise ValueError(
                f"worst_of: two results are of the same inputs ({one.ran}), so others were not "
                "compared; pass each result of compare or compare_decodings once"
            )
        ran.add(one.ran)
        for name, difference in one.by_tensor.items():
            by_tensor[name] = max(by_tensor.get(name, 0.0), difference, key=_nan_last)
        for name, ratio in one.ratios.items():
            ratios[name] = max(ratios.get(name, 0.0), ratio)
        for name, share in one.shares.items():
            if name not in shares or _nan_last(share) > _nan_last(shares[name]):
                shares[name], places[name] = share, one.places[name]
    if not by_tensor:
        raise ValueError("worst_of: no differences, so nothing was compared; pass at least one")
    return Discrepancy(by_tensor, shares, places, ratios=ratios)

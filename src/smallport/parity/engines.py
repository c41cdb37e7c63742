"""Tell whether two results were computed by the same code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from smallport.parity.closeness import Discrepancy
from smallport.parity.names import first_of


@contextmanager
def modules_called() -> Iterator[set[type[nn.Module]]]:
    """Record the classes of the modules that are called.

    An exported program calls none of its model's modules, and ONNX Runtime none at all.

    Examples
    --------
    >>> import torch
    >>> with modules_called() as called:
    ...     result = nn.Sequential(nn.ReLU())(torch.ones(1))
    >>> sorted(one.__name__ for one in called)
    ['ReLU', 'Sequential']
    """
    called: set[type[nn.Module]] = set()
    hook = register_module_forward_pre_hook(lambda module, _: called.add(type(module)))
    try:
        yield called
    finally:
        hook.remove()


def require_two_engines(
    caller: str,
    found: Iterable[Discrepancy],
    ours: Iterable[type[nn.Module]],
    theirs: Iterable[type[nn.Module]],
) -> None:
    """Raise a ValueError where nothing differs because both results come from the same modules.

    Parameters
    ----------
    caller
        The name of the comparison, for the message.
    found
        The differences.
    ours, theirs
        The classes of the modules that each side called.
    """
    shared = sorted(
        {*ours} & {*theirs}, key=lambda one: (one.__module__[:6] == "torch.", one.__name__)
    )
    both = [one.__name__ for one in shared]  # those of the model first
    if both and all(one.largest() == 0 for one in found):
        raise ValueError(
            f"{caller}: all differences are exactly 0, because the modules that were compared are "
            f"the same ({first_of(both)}): the model is compared with itself. Compare it with the "
            "exported program"
        )

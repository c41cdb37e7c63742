"""Tell what a model is before it is checked: wrapped, quantized already, or in half precision."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

QUANTIZERS = (
    "torch.ao.nn.",
    "torchao.",
    "bitsandbytes.",
    "auto_gptq.",
    "gptqmodel.",
    "awq.",
    "hqq.",
    "optimum.quanto.",
    "compressed_tensors.",
)
"""Where the classes of quantized layers and weights come from."""

HALF = {torch.float16, torch.bfloat16}

INPUT_IDS = "input_ids"


def unwrapped(model: nn.Module) -> nn.Module:
    """Look through the wrappers of torch.compile, of parallel training and of PEFT.

    What they hold computes the same: PEFT changes the layers inside.

    Examples
    --------
    >>> inside = nn.Linear(2, 2)
    >>> unwrapped(nn.DataParallel(nn.DataParallel(inside))) is inside
    True
    """
    inside = getattr(model, "_orig_mod", None)
    if inside is None and isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        inside = model.module
    if inside is None and type(model).__module__.partition(".")[0] == "peft":
        inside = model.get_base_model()  # type: ignore[operator]
    return unwrapped(inside) if isinstance(inside, nn.Module) else model


def arguments_of(model: nn.Module) -> dict[str, inspect.Parameter]:
    """List the arguments of a model's forward method by name.

    Where it takes any, these are those of the only part that takes ``input_ids``.

    Examples
    --------
    >>> class Logged(nn.Module):
    ...     def __init__(self, model):
    ...         super().__init__()
    ...         self.model = model
    ...     def forward(self, *args, **kwargs):
    ...         return self.model(*args, **kwargs)
    >>> class Model(nn.Module):
    ...     def forward(self, input_ids, attention_mask=None): ...
    >>> list(arguments_of(Logged(Model())))
    ['input_ids', 'attention_mask']
    """
    signature = dict(inspect.signature(model.forward).parameters)
    is_open = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in signature.values())
    if is_open and INPUT_IDS not in signature:
        found = [inside for part in model.children() if INPUT_IDS in (inside := arguments_of(part))]
        if len(found) == 1:
            return found[0]
    return signature


def quantized_parts(model: nn.Module) -> list[str]:
    """Name the classes of layers and weights that are quantized already, sorted."""
    parts = [*model.modules(), *model.parameters(), *model.buffers()]
    return sorted(
        {type(one).__name__ for one in parts if type(one).__module__.startswith(QUANTIZERS)}
    )


def custom_code(model: nn.Module) -> dict[str, str]:
    """Say that a checkpoint has code of its own where transformers' class was built instead."""
    classes = getattr(getattr(model, "config", None), "auto_map", None)
    if not classes or type(model).__module__.startswith("transformers_modules"):
        return {}
    names = ", ".join(sorted({str(one) for one in dict(classes).values()}))
    return {
        "custom code": f"code of the checkpoint ({names}) that was not run: "
        f"{type(model).__name__} of transformers is checked"
    }


def half_precision(call: Callable[[], Any]) -> dict[torch.dtype, int]:
    """Count the operations of a call that compute in half precision, by dtype.

    Examples
    --------
    >>> layer, x = nn.Linear(2, 2), torch.zeros(1, 2)
    >>> half_precision(lambda: layer(x))
    {}
    >>> with torch.autocast("cpu"):
    ...     sorted(map(str, half_precision(lambda: layer(x))))
    ['torch.bfloat16']
    """
    counts: dict[torch.dtype, int] = {}

    class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor) and result.dtype in HALF:
                counts[result.dtype] = counts.get(result.dtype, 0) + 1
            return result

    with Counter():  # type: ignore[no-untyped-call]
        call()
    return counts

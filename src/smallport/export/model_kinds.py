"""Tell what a model is before it is checked: wrapped, quantized already, or in half precision."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from smallport.parity.closeness import discrepancy
from smallport.parity.names import name_outputs, name_tensors

QUANTIZERS = (
    "torch.ao.nn.quantized.",
    "torch.ao.nn.sparse.quantized.",
    "torch.ao.nn.intrinsic.quantized.",
    "torchao.",
    "bitsandbytes.",
    "auto_gptq.",
    "gptqmodel.",
    "awq.",
    "hqq.",
    "optimum.quanto.",
    "compressed_tensors.",
)
"""The modules of the classes of quantized layers and weights."""

INPUT_IDS = "input_ids"


def unwrapped(model: nn.Module) -> nn.Module:
    """Look through the wrappers of torch.compile, of parallel training and of PEFT, and others.

    The wrapped model computes the same: PEFT changes the layers inside, unless it learns a prompt.
    Any other wrapper of which only a part names ``input_ids`` is run: if it returns the same as
    that part, the part is the model.

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
        if getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False):
            raise ValueError(
                f"{type(model).__name__} puts a learned prompt before each text, which no exported "
                "program does; check get_base_model(), and export that with the prompt's cache"
            )
        inside = model.get_base_model()  # type: ignore[operator]
    if inside is None:
        inside = _part_that_does_it_all(model)
    return unwrapped(inside) if isinstance(inside, nn.Module) else model


def _part_that_does_it_all(model: nn.Module) -> nn.Module | None:
    """Find the part that a wrapper passes any arguments on to, unless it does more than that."""
    if INPUT_IDS in inspect.signature(model.forward).parameters:
        return None
    parts = [part for part in model.children() if INPUT_IDS in arguments_of(part)]
    if len(parts) != 1 or INPUT_IDS not in arguments_of(model):
        return None
    device = next((one.device for one in model.parameters()), None)
    ids = torch.tensor([[0, 1, 1, 0], [1, 1, 0, 0]], device=device)
    try:
        with torch.no_grad():
            whole, part = (name_outputs(one(input_ids=ids)) for one in (model, parts[0]))
        return parts[0] if discrepancy(part, whole).largest() == 0 else None
    except Exception:  # noqa: BLE001 - what it raises when it is run is told later
        return None


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
    """Name the kinds of layers and weights that are quantized already, sorted.

    A method that only the configuration names counts, too: its layers may be of any class.
    """
    modules = [one for one in model.modules() if _is_quantized(one)]
    weights = [one for one in (*model.parameters(), *model.buffers()) if _is_quantized(one)]
    names = {
        one._get_name()  # type: ignore[no-untyped-call]  # noqa: SLF001 - what PyTorch prints
        for one in modules
    }
    # What holds the numbers of a layer is no layer.
    kinds = {name for name in names if "Packed" not in name} | {
        type(one).__name__ for one in weights
    }
    configuration = getattr(getattr(model, "config", None), "quantization_config", None)
    if configuration is not None:
        entries = configuration if isinstance(configuration, dict) else vars(configuration)
        method = entries.get("quant_method", type(configuration).__name__)
        kinds.add(f"quantization_config: {getattr(method, 'value', method)}")
    return sorted(kinds)


def _is_quantized(part: nn.Module | Tensor) -> bool:
    """Say whether something is of a class for quantized layers or weights."""
    return f"{type(part).__module__}.".startswith(QUANTIZERS) or (
        isinstance(part, Tensor) and part.is_quantized
    )


def number_of_parameters(model: nn.Module) -> int:
    """Count the parameters; those that layers share, as the same or in the same memory, once.

    Examples
    --------
    >>> table, head = nn.Embedding(5, 2), nn.Linear(2, 5, bias=False)
    >>> head.weight = nn.Parameter(table.weight.detach())
    >>> number_of_parameters(nn.Sequential(table, head))
    10
    """
    return sum({(one.data_ptr(), one.numel()): one.numel() for one in model.parameters()}.values())


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


def half_precision(model: nn.Module, call: Callable[[], Any]) -> dict[torch.dtype, list[str]]:
    """List by dtype which parts of a model compute in half precision, or less, in a call.

    Examples
    --------
    >>> model, x = nn.Sequential(nn.Linear(2, 2)), torch.zeros(1, 2)
    >>> half_precision(model, lambda: model(x))
    {}
    >>> with torch.autocast("cpu"):
    ...     half_precision(model, lambda: model(x))
    {torch.bfloat16: ['0']}
    """
    found: dict[torch.dtype, dict[str, None]] = {}
    running: list[str] = []

    class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            for one in name_tensors(result).values():
                if one.is_floating_point() and one.dtype.itemsize < torch.float32.itemsize:
                    found.setdefault(one.dtype, {})[running[-1] if running else ""] = None
            return result

    def enter(name: str, *_: Any) -> None:
        running.append(name or type(model).__name__)

    def leave(*_: Any) -> None:
        running.pop()

    with ExitStack() as stack:
        for name, part in model.named_modules():
            hook = part.register_forward_pre_hook(functools.partial(enter, name))
            stack.callback(hook.remove)
            stack.callback(part.register_forward_hook(leave, always_call=True).remove)
        stack.enter_context(Recorder())  # type: ignore[no-untyped-call]
        call()
    return {dtype: list(names) for dtype, names in found.items()}

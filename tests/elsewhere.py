"""Tensors that claim to be on another device, whose numbers are on the processor all the same.

They cannot be mixed with tensors of the processor nor turned into arrays, and there is no double
precision where they are, as on Apple's graphics processors. So code that forgets to move a tensor
fails on a machine that has nothing but a processor.
"""

from contextlib import contextmanager

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("meta")  # the only other device that PyTorch always has

MIXING = {"copy_", "_to_copy", "_local_scalar_dense", "detach", "index", "index_put_"}
"""The operators that take tensors of two devices."""


class Elsewhere(torch.Tensor):
    """A tensor that claims to be on another device."""

    @staticmethod
    def __new__(cls, inside):
        """Claim the sizes of a tensor."""
        return torch.Tensor._make_wrapper_subclass(  # noqa: SLF001 - the documented way
            cls, inside.shape, strides=inside.stride(), dtype=inside.dtype, device=DEVICE
        )

    def __init__(self, inside):
        self.inside = inside

    def __repr__(self):
        return f"Elsewhere({self.inside})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        """Leave it to the mode."""
        with Other():
            return func(*args, **(kwargs or {}))


class Other(TorchDispatchMode):
    """Compute where the tensors are, or claim to be."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Compute on the processor, and claim otherwise."""
        kwargs, name = dict(kwargs or {}), func.__name__.partition(".")[0]
        tensors = [one for one in pytree.tree_leaves((args, kwargs)) if torch.is_tensor(one)]
        away = [isinstance(one, Elsewhere) for one in tensors]
        large = {one for one, tensor in zip(away, tensors, strict=True) if tensor.dim()}
        if len(large) > 1 and name not in MIXING:
            raise RuntimeError(f"{name}: expected all tensors to be on the same device")
        asked = kwargs.get("device")
        if asked is not None:
            kwargs["device"] = torch.device("cpu")
        args_in, kwargs_in = pytree.tree_map(
            lambda one: one.inside if isinstance(one, Elsewhere) else one, (args, kwargs)
        )
        result = func(*args_in, **kwargs_in)
        if name.endswith("_") and not name.startswith("_"):
            return args[0]
        if not (any(away) if asked is None else torch.device(asked) == DEVICE):
            return result
        return pytree.tree_map(_away, result)


class Literals(TorchFunctionMode):
    """Make tensors of literals there, which PyTorch makes without asking the other mode."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Make them on the processor, and move them."""
        kwargs = dict(kwargs or {})
        if func is torch.tensor and kwargs.get("device") == DEVICE:
            return func(*args, **kwargs | {"device": "cpu"}).to(DEVICE)
        if func is torch.Tensor.tolist:
            return args[0].cpu().tolist()
        return func(*args, **kwargs)


@contextmanager
def other_device():
    """Have a second device until the block ends."""
    with Other(), Literals():
        yield


def _away(value):
    if not torch.is_tensor(value) or isinstance(value, Elsewhere):
        return value
    if value.dtype == torch.float64 and value.dim():
        raise TypeError("this device has no float64")
    return Elsewhere(value)


def moved_away(model):
    """Have a model's weights and buffers claim to be on the other device."""
    for part in model.modules():
        for name, weight in part._parameters.items():  # noqa: SLF001 - shared ones stay shared
            if weight is not None:
                part._parameters[name] = torch.nn.Parameter(  # noqa: SLF001
                    Elsewhere(weight.detach()), requires_grad=False
                )
        for name, buffer in part._buffers.items():  # noqa: SLF001
            if buffer is not None:
                part._buffers[name] = Elsewhere(buffer)  # noqa: SLF001
    return model

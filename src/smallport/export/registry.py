"""Put PyTorch's registry of pytree nodes for cache classes aside, and restore it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import transformers  # whose classes are loaded where they are used, which takes seconds
from torch.utils import _pytree as pytree


@contextmanager
def without_cache_pytrees() -> Iterator[None]:
    """Remove cache classes of transformers from PyTorch's pytree registry within a block.

    PyTorch keeps one registry of them for the whole process, and transformers' exporters write
    into it. Within the block no subclass of :class:`transformers.Cache` is registered, whoever ran
    before; what the block registers is gone after it, and what was there before is restored.

    Examples
    --------
    >>> from torch.utils import _pytree as pytree
    >>> from transformers import DynamicCache
    >>> with without_cache_pytrees():
    ...     pytree.register_pytree_node(DynamicCache, lambda cache: ([], None), lambda *_: None)
    ...     pytree_owner(DynamicCache)
    'smallport.export.registry'
    """
    before = [_take_out(cls) for cls in _registered_caches()]
    try:
        yield
    finally:
        for cls in _registered_caches():
            _take_out(cls)
        for put_back in before:
            put_back()


def pytree_owner(cls: type) -> str | None:
    """Name the module that made a class a pytree node; None where none did.

    Parameters
    ----------
    cls
        Any class.

    Examples
    --------
    >>> pytree_owner(dict), pytree_owner(int)
    ('torch.utils._pytree', None)
    """
    node = pytree.SUPPORTED_NODES.get(cls)
    return None if node is None else node.flatten_fn.__module__


def _registered_caches() -> list[type]:
    return [
        cls
        for cls in pytree.SUPPORTED_NODES
        if isinstance(cls, type) and issubclass(cls, transformers.Cache)
    ]


def _take_out(cls: type) -> Callable[[], None]:
    """Take a class out of PyTorch's registries; return what puts it back.

    PyTorch offers no public way. Apart from its own tables, there is the registry of optree, where
    that package is installed, or a list of what is to be entered there once it is imported.
    """
    node = pytree.SUPPORTED_NODES.pop(cls)
    serialized = pytree.SUPPORTED_SERIALIZED_TYPES.pop(cls)
    name: str | None = serialized.serialized_type_name
    if name == pytree.NO_SERIALIZED_TYPE_NAME_FOUND:
        name = None
    elif pytree.SERIALIZED_TYPE_TO_PYTHON_TYPE.get(serialized.serialized_type_name) is cls:
        del pytree.SERIALIZED_TYPE_TO_PYTHON_TYPE[serialized.serialized_type_name]
    pending = pytree._cxx_pytree_pending_imports  # noqa: SLF001
    pending[:] = [entry for entry in pending if entry[0][0] is not cls]
    if pytree._cxx_pytree_imported:  # noqa: SLF001
        optree = importlib.import_module("optree")  # PyTorch does without it as well
        optree.unregister_pytree_node(cls, namespace="torch")

    def put_back() -> None:
        pytree.register_pytree_node(
            cls,
            node.flatten_fn,
            node.unflatten_fn,
            serialized_type_name=name,
            to_dumpable_context=serialized.to_dumpable_context,
            from_dumpable_context=serialized.from_dumpable_context,
            flatten_with_keys_fn=node.flatten_with_keys_fn,
        )

    return put_back

"""A release of transformers makes ``DynamicCache`` a pytree node as soon as it is imported."""

from torch.utils import _pytree as pytree
from transformers import DynamicCache


def flatten(cache):
    return [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)], None


def unflatten(tensors, _context):
    return DynamicCache(list(zip(tensors[::2], tensors[1::2], strict=True)))


def apply():
    pytree.register_pytree_node(DynamicCache, flatten, unflatten)

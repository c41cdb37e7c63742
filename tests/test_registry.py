"""Tests of :mod:`smallport.export.registry`."""

import sys
from types import SimpleNamespace

import pytest
from torch.utils import _pytree as pytree
from transformers import DynamicCache, StaticCache
from transformers.exporters import exporter_dynamo

from smallport.export import pytree_owner, without_cache_pytrees

EXPORTERS = "transformers.exporters.exporter_dynamo"


@pytest.fixture(autouse=True)
def _registry():
    with without_cache_pytrees():
        yield


def flatten(cache):
    return [tensor for layer in cache.layers for tensor in (layer.keys, layer.values)], None


def register(cls=DynamicCache, name="tests.Cache"):
    pytree.register_pytree_node(cls, flatten, lambda *_: None, serialized_type_name=name)


def tables():
    return (
        dict(pytree.SUPPORTED_NODES),
        dict(pytree.SUPPORTED_SERIALIZED_TYPES),
        dict(pytree.SERIALIZED_TYPE_TO_PYTHON_TYPE),
    )


def test_what_was_registered_is_put_aside_and_put_back():
    exporter_dynamo.register_pytree_node(DynamicCache)
    register(StaticCache)
    before = tables()
    with without_cache_pytrees():
        assert pytree_owner(DynamicCache) is None
        assert pytree_owner(StaticCache) is None
        register()
        assert pytree_owner(DynamicCache) == __name__
    assert pytree_owner(DynamicCache) == EXPORTERS
    assert tables() == before


def test_what_the_block_registers_is_gone_after_it_even_if_it_fails():
    before = tables()

    def fail():
        register()
        raise KeyError

    with pytest.raises(KeyError), without_cache_pytrees():
        fail()
    assert pytree_owner(DynamicCache) is None
    assert tables() == before


def test_classes_that_were_registered_without_a_name():
    register(name=None)
    register(StaticCache, name=None)
    with without_cache_pytrees():
        register(name=None)
    assert pytree_owner(DynamicCache) == pytree_owner(StaticCache) == __name__


def test_the_registry_of_optree_is_kept_in_step(monkeypatch):
    left = []
    optree = SimpleNamespace(
        unregister_pytree_node=lambda *args, **kwargs: left.append((args, kwargs))
    )
    register()
    monkeypatch.setitem(sys.modules, "optree", optree)
    monkeypatch.setattr(pytree, "_cxx_pytree_exists", False)
    monkeypatch.setattr(pytree, "_cxx_pytree_imported", True)
    with without_cache_pytrees():
        pass
    assert left == [((DynamicCache,), {"namespace": "torch"})]


def test_registrations_that_wait_for_optree_do_not_pile_up(monkeypatch):
    pending = [((DynamicCache, None, None), {}), ((int, None, None), {})]
    register()
    monkeypatch.setattr(pytree, "_cxx_pytree_pending_imports", pending)
    with without_cache_pytrees():
        assert [entry[0][0] for entry in pending] == [int]

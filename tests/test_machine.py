"""The machine is the one at hand."""

import os

import pytest
import torch

from smallport import machine
from smallport.machine import (
    Machine,
    int8_dot_products,
    processor_name,
    this_machine,
    usable_cores,
)


def test_the_machine_is_described():
    here = this_machine()
    assert here.processor
    assert 1 <= here.cores <= os.cpu_count()
    assert here.threads == torch.get_num_threads()
    assert str(here).startswith(f"{here.processor}, {here.cores} cores")


def test_a_machine_without_int8_instructions_says_so():
    assert str(Machine("Z80", (), 1, 2)) == "Z80, 1 core, 2 threads, int8 dot products: none"


@pytest.fixture
def cpuinfo(monkeypatch, tmp_path):
    """Write what Linux says about the processor."""
    file = tmp_path / "cpuinfo"
    monkeypatch.setattr(machine, "CPUINFO", file)
    return file


def test_only_int8_dot_products_are_named(monkeypatch, cpuinfo):
    capabilities = {"avx2": True, "avx_vnni": False, "avx512_vnni": True, "architecture": "x86"}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert int8_dot_products() == ("avx512_vnni",)
    cpuinfo.write_text("processor\t: 0\nflags\t\t: avx2 avx512_vnni sse\n")
    assert int8_dot_products() == ("avx512_vnni",)


@pytest.mark.parametrize(
    ("key", "flags", "capabilities"),
    [
        ("flags", "avx2 avx_vnni", {"avx2": True, "avxvnni": True}),  # renamed
        ("flags", "avx2", {"avx2": True, "avx_vnni": True}),
        ("Features", "asimd asimddp i8mm", {"neon": True, "i8mm": True}),
    ],
)
def test_what_linux_says_otherwise_is_a_warning(monkeypatch, cpuinfo, key, flags, capabilities):
    cpuinfo.write_text(f"processor\t: 0\n{key}\t: {flags}\n")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    with pytest.warns(UserWarning, match="PyTorch names the int8 dot products"):
        int8_dot_products()


def test_a_machine_without_capabilities_has_none(monkeypatch, cpuinfo):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert not cpuinfo.exists()
    assert int8_dot_products() == ()
    assert str(this_machine()).endswith("int8 dot products: none")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("processor\t: 0\nmodel name\t: Acme Turbo @ 3: GHz\n", "Acme Turbo @ 3: GHz"),
        ("processor\t: 0\nCPU part\t: 0xd0c\n", "aarch64"),
        (None, "aarch64"),
    ],
)
def test_the_processor_has_a_name_on_every_system(monkeypatch, cpuinfo, text, name):
    if text is not None:
        cpuinfo.write_text(text)
    monkeypatch.setattr("platform.processor", str)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert processor_name() == name


def test_cores_are_counted_where_affinity_is_unknown(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1

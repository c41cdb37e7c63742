"""The machine is the one at hand."""

import os

import pytest
import torch

from smallport.machine import (
    Machine,
    int8_dot_products,
    processor_name,
    this_machine,
    usable_cores,
)


def test_the_machine_is_described():
    machine = this_machine()
    assert machine.processor
    assert 1 <= machine.cores <= os.cpu_count()
    assert machine.threads == torch.get_num_threads()
    assert str(machine).startswith(f"{machine.processor}, {machine.cores} cores")


def test_a_machine_without_int8_instructions_says_so():
    assert str(Machine("Z80", (), 1, 2)) == "Z80, 1 core, 2 threads, int8 dot products: none"


def test_only_int8_dot_products_are_named(monkeypatch):
    capabilities = {"avx2": True, "avx_vnni": False, "avx512_vnni": True, "architecture": "x86"}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert int8_dot_products() == ("avx512_vnni",)


def test_a_hidden_capability_is_not_named(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert int8_dot_products() == ()
    assert str(this_machine()).endswith("int8 dot products: none")


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor\t: 0\nmodel name\t: Acme Turbo @ 3: GHz\n", "Acme Turbo @ 3: GHz"),
        ("processor\t: 0\nCPU part\t: 0xd0c\n", "aarch64"),
        (None, "aarch64"),
    ],
)
def test_the_processor_has_a_name_on_every_system(monkeypatch, tmp_path, cpuinfo, name):
    file = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        file.write_text(cpuinfo)
    monkeypatch.setattr("smallport.machine.Path", lambda _: file)
    monkeypatch.setattr("platform.processor", str)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert processor_name() == name


def test_cores_are_counted_where_affinity_is_unknown(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert usable_cores() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1

"""Test that child processes get the settings of glibc's allocator, or its default."""

import subprocess
import sys

import pytest

from smallport.bench import memory
from smallport.bench.memory import KEEP_MEMORY, allocator_environment, keeps_memory


@pytest.mark.parametrize("keep", [True, False])
def test_an_environment_has_the_settings_or_none_of_them(keep, monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    environment = allocator_environment(keep=keep)
    assert keeps_memory(environment) == keep
    assert environment.keys() & KEEP_MEMORY.keys() == (KEEP_MEMORY.keys() if keep else set())
    assert environment["PATH"]


def test_this_process_is_asked_where_no_environment_is_given(monkeypatch):
    for name in KEEP_MEMORY:
        monkeypatch.delenv(name, raising=False)
    assert not keeps_memory()
    for name, value in KEEP_MEMORY.items():
        monkeypatch.setenv(name, value)
    assert keeps_memory()


@pytest.mark.parametrize(("library", "found"), [("glibc", True), ("", False)])
def test_other_libraries_are_told_apart(library, found, monkeypatch):
    monkeypatch.setattr(memory.platform, "libc_ver", lambda: (library, "2.36"))
    assert memory.uses_glibc() == found


@pytest.mark.skipif(not memory.uses_glibc(), reason="the settings are those of glibc")
@pytest.mark.parametrize(("keep", "mapped"), [(False, "1"), (True, "0")])
def test_a_large_block_is_mapped_unless_memory_is_kept(keep, mapped):
    script = (
        "import ctypes\n"
        "c = ctypes.CDLL(None)\n"
        "c.mallinfo2.restype = type('', (ctypes.Structure,), {'_fields_': [\n"
        "    (str(number), ctypes.c_size_t) for number in range(10)]})\n"
        "c.malloc.restype = ctypes.c_void_p\n"
        "before = getattr(c.mallinfo2(), '3')\n"
        "block = c.malloc(1 << 27)\n"
        "print(getattr(c.mallinfo2(), '3') - before)\n"  # the number of mapped blocks
    )
    printed = subprocess.run(
        [sys.executable, "-c", script],
        env=allocator_environment(keep=keep),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == mapped

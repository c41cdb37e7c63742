"""Archives are the same for the same content, and unpack into their own folder."""

import io
import re
import zipfile

import pytest

from tools.downloads import bundle, install

WHEEL = install.Wheel("1.0")
PAGES = {"plot_10.py": b"print()", "plot_10.ipynb": b"{}"}
TITLES = {"plot_10.py": "A page"}


def opened(content):
    return zipfile.ZipFile(io.BytesIO(content))


def test_the_same_content_gives_the_same_bytes(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    one = bundle.archive({"a": b"1", "b": b"2"})
    assert bundle.archive({"b": b"2", "a": b"1"}) == one
    assert opened(one).namelist() == ["a", "b"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    assert bundle.archive({"a": b"1", "b": b"2"}) != one


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../up", "C:\\up", "a\\..\\up"])
def test_a_path_that_leads_out_of_the_folder_is_refused(name):
    with pytest.raises(ValueError, match="leads out"):
        bundle.archive({name: b""})


def test_the_bundle_holds_pages_wheel_versions_and_how_to_run_them():
    packed = opened(bundle.pack(PAGES, TITLES, WHEEL, b"wheel"))
    names = {*PAGES, WHEEL.name, "constraints.txt", "README.md", "NOTICES.md"}
    assert set(packed.namelist()) == {f"{bundle.FOLDER}/{name}" for name in names}
    assert packed.read(f"{bundle.FOLDER}/{WHEEL.name}") == b"wheel"
    assert b"PYTHON SOFTWARE FOUNDATION LICENSE" in packed.read(f"{bundle.FOLDER}/NOTICES.md")
    assert all(member.external_attr >> 16 == 0o100644 for member in packed.infolist())


def test_the_readme_has_two_commands_and_every_page():
    readme = bundle.readme(TITLES, WHEEL)
    commands = re.findall(r"^    (python .*)$", readme, re.MULTILINE)
    installing = f'-m pip install -c constraints.txt "./{WHEEL.name}[export,onnx,quantization]"'
    assert commands == [f"python {installing}", "python plot_10.py"]
    assert "    plot_10.py  A page" in readme


def test_the_date_is_that_of_the_commit_where_none_is_given(monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    asked = []
    monkeypatch.setattr(bundle, "git", lambda *command: asked.append(command) or "1750000000")
    assert bundle.timestamp() == 1_750_000_000
    assert asked[0][-1] == "--format=%ct"
    monkeypatch.setattr(bundle, "git", lambda *_: "")
    assert bundle.timestamp() == 0

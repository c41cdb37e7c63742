"""Downloads are looked into before any of them runs."""

import dataclasses
import io
import json
import zipfile

import pytest

from tools.downloads import bundle, contents, install, offered
from tools.gallery import project

WHEEL = install.Wheel("1.0")
CODE = '"""\nA page\n"""\nimport onnxruntime\n'


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Write a site with the downloads of one page, all as they should be."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    monkeypatch.setattr(project, "EXAMPLES", tmp_path / "examples")
    project.EXAMPLES.mkdir()
    (project.EXAMPLES / "plot_10.py").write_text(CODE)
    tmp_path = tmp_path / "site"
    tmp_path.mkdir()
    files = {
        "plot_10.py": (install.script_metadata(CODE, WHEEL) + CODE).encode(),
        "plot_10.ipynb": notebook(install.notebook_cell(CODE, WHEEL)),
        WHEEL.name: b"wheel",
    }
    for name, content in (files | {"plot_10.zip": bundle.archive(files)}).items():
        (tmp_path / name).write_bytes(content)
    write_bundle(tmp_path, files)
    return offered.Downloads(
        name="plot_10",
        section="export",
        script=tmp_path / "plot_10.py",
        notebook=tmp_path / "plot_10.ipynb",
        archive=tmp_path / "plot_10.zip",
        beside=(tmp_path / WHEEL.name,),
        results={},
        outputs=[],
        seconds=1,
    )


def notebook(first, text="A page"):
    cells = [("code", first), ("markdown", text), ("code", "import onnxruntime")]
    cells = [{"cell_type": kind, "source": [source]} for kind, source in cells]
    return json.dumps({"cells": cells}).encode()


def write_bundle(site, files):
    pages = {name: content for name, content in files.items() if name.startswith("plot")}
    packed = bundle.pack(pages, {"plot_10.py": "A page"}, WHEEL, b"wheel")
    (site / bundle.NAME).write_bytes(packed)


def messages(page):
    return [str(finding) for finding in contents.findings(page.script.parent, [page])]


def repacked(file, change):
    with zipfile.ZipFile(file) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    change(members)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, member in members.items():
            packed.writestr(zipfile.ZipInfo(name, (2023, 11, 14, 22, 13, 20)), member)
    file.write_bytes(content.getvalue())


def test_downloads_as_they_should_be_pass(page):
    assert messages(page) == []


def test_a_script_that_asks_for_less_than_the_notebook_is_named(page):
    text = page.script.read_text()
    page.script.write_text(
        "".join(line for line in text.splitlines(keepends=True) if "onnxscr" not in line)
    )
    found = messages(page)
    assert found[0].startswith("plot_10: the script asks for onnx>=")
    assert any(message.startswith("plot_10.zip: ") for message in found)


def test_a_script_without_metadata_is_named(page):
    page.script.write_text(CODE)
    assert "plot_10: begins with no metadata (PEP 723)" in messages(page)


def test_a_role_in_the_text_is_named_with_its_cell(page):
    page.notebook.write_bytes(notebook(install.notebook_cell(CODE, WHEEL), "see :func:`x`"))
    assert messages(page)[0].startswith("plot_10.ipynb: cell 2 shows a role")


def test_a_notebook_of_different_code_is_named(page):
    text = page.notebook.read_text()
    page.notebook.write_text(text.replace("import onnxruntime", "import onnx"))
    named = "examples/plot_10.py: plot_10.ipynb cell 3 (code) is not as in plot_10.py"
    assert any(message.startswith(named) for message in messages(page))


@pytest.mark.parametrize("end", ["py", "ipynb"])
def test_a_page_that_differs_in_the_bundle_is_named(page, end):
    with zipfile.ZipFile(page.script.with_name(bundle.NAME)) as packed:
        members = {one.partition("/")[2]: packed.read(one) for one in packed.namelist()}
    members[f"plot_10.{end}"] = members[f"plot_10.{end}"].replace(b"onnxruntime", b"onnx")
    content = bundle.archive({f"{bundle.FOLDER}/{one}": text for one, text in members.items()})
    page.script.with_name(bundle.NAME).write_bytes(content)
    found = messages(page)
    assert found
    named = f"plot_10.{end} in {bundle.NAME} "
    assert all(message.partition(": ")[2].startswith(named) for message in found)


def test_a_script_that_is_older_than_its_page_is_named_with_its_line(page):
    (project.EXAMPLES / "plot_10.py").write_text(CODE + "print(1)\n")
    (found, *_) = (one for one in messages(page) if one.startswith("examples/plot_10.py:5: plot"))
    assert "is not the page: it has None for 'print(1)'" in found


def test_a_script_of_no_page_is_named(page):
    (project.EXAMPLES / "plot_10.py").rename(project.EXAMPLES / "plot_11.py")
    assert "plot_10.py: plot_10.py is of no page: look at docs/_ext/downloads.py" in messages(page)


@pytest.mark.parametrize("name", ["/etc/passwd", "smallport-offline/../up", "elsewhere"])
def test_a_path_that_leads_out_of_the_bundle_is_named(page, name):
    repacked(page.script.with_name(bundle.NAME), lambda members: members.update({name: b""}))
    assert any(f"{name!r} leads out of the folder" in message for message in messages(page))


def test_a_path_of_the_building_machine_in_the_bundle_is_named(page):
    text = f"open('{project.ROOT}/data')".encode()
    name = f"{bundle.FOLDER}/plot_10.py"
    repacked(page.script.with_name(bundle.NAME), lambda members: members.update({name: text}))
    assert any("a folder of the machine" in message for message in messages(page))


def test_a_bundle_whose_bytes_depend_on_something_else_is_named(page):
    repacked(page.script.with_name(bundle.NAME), lambda _: None)
    (found,) = messages(page)
    assert "bytes depend on something else" in found


def test_a_bundle_without_a_page_is_named(page):
    repacked(
        page.script.with_name(bundle.NAME),
        lambda members: members.pop(f"{bundle.FOLDER}/plot_10.ipynb"),
    )
    assert any("lacks plot_10.ipynb" in message for message in messages(page))


def test_the_two_commands_are_those_of_the_readme(page, tmp_path):
    installing, running = contents.commands(contents.unpack(page.script.parent, tmp_path / "there"))
    assert installing[:5] == ["-m", "pip", "install", "-c", "constraints.txt"]
    assert running == ["plot_10.py"]


def test_notebooks_share_an_environment_where_none_finds_what_it_does_not_install(page):
    def beside(name, section, pins):
        file = page.notebook.with_name(f"{name}.ipynb")
        file.write_bytes(notebook(f"%pip install -q smallport {pins}"))
        return dataclasses.replace(page, name=name, section=section, notebook=file)

    pages = [
        beside("more", "a", '"torch==2.0" "onnx==1.0"'),
        beside("less", "a", '"torch==2.0"'),
        beside("newer", "a", '"torch==2.1" "onnx==1.0" "pandas==3.0"'),
        beside("far", "b", '"torch==2.0"'),
    ]
    names = [[one.name for one in group] for group in contents.sharing(pages)]
    assert names == [["less", "more"], ["newer"], ["far"]]


def test_the_quickest_page_of_each_extra_is_chosen(page):
    def beside(name, seconds, extra):
        file = page.notebook.with_name(f"{name}.ipynb")
        file.write_bytes(notebook(f'%pip install -q "./smallport-1.0.whl[{extra}]"'))
        return dataclasses.replace(page, name=name, seconds=seconds, notebook=file)

    pages = [beside("slow", 9, "onnx"), beside("fast", 2, "onnx"), beside("other", 5, "export")]
    assert [one.name for one in contents.quickest(pages)] == ["fast", "other"]

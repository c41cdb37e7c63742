"""A page's environment is made from a list of what it may see, and compared by name."""

import json
import os

import pytest

from tools.gallery import environment


@pytest.fixture
def folders(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "matplotlib_folder", lambda: tmp_path)
    return tmp_path


def test_a_page_has_a_home_and_a_temporary_folder_of_its_own(folders):
    variables = environment.page_environment(folders)
    for name in ("HOME", "TMPDIR"):
        assert variables[name].startswith(str(folders))


@pytest.mark.parametrize("name", ["PYTHONOPTIMIZE", "PYTHONWARNINGS", "XDG_CACHE_HOME", "EDITOR"])
def test_variables_that_no_page_needs_are_kept_from_it(name, folders):
    variables = environment.page_environment(folders, {name: "1"})
    assert name not in variables
    assert name not in environment.settings_of_pages({name: "1"})["variable"]


@pytest.mark.parametrize(
    "name",
    [
        "OMP_NUM_THREADS",
        "ATEN_CPU_CAPABILITY",
        "HF_HUB_OFFLINE",
        "OPENBLAS_CORETYPE",
        "MALLOC_TRIM_THRESHOLD_",
        "TORCH_LOGS",
        "SMALLPORT_ASSETS",
        "LANG",
    ],
)
def test_variables_that_packages_read_reach_a_page_and_its_record(name, folders):
    assert environment.page_environment(folders, {name: "1"})[name] == "1"
    one, other = (environment.settings_of_pages({name: text})["variable"] for text in "12")
    assert one.keys() == other.keys() == {name}
    assert one != other


@pytest.mark.parametrize("name", ["SMALLPORT_SITE_URL", "SMALLPORT_REPOSITORY_URL"])
def test_no_page_runs_again_for_another_address_of_the_site(name):
    assert environment.settings_of_pages({name: "https://example.org"})["variable"] == {}


def test_passwords_of_a_proxy_are_in_no_record(folders):
    given = {"https_proxy": "https://me:secret@example.org", "HF_TOKEN": "secret"}
    assert environment.page_environment(folders, given).items() >= given.items()
    assert environment.settings_of_pages(given)["variable"] == {}


def test_programs_are_found_on_the_path_of_the_system(folders):
    path = environment.page_environment(folders, {"PATH": "/somewhere/else"})["PATH"]
    assert os.name == "nt" or "/somewhere/else" not in path.split(os.pathsep)


def test_capabilities_are_those_of_the_processor(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    monkeypatch.setattr(environment, "CPUINFO", cpuinfo)
    assert environment.capabilities() == []
    cpuinfo.write_text(
        "processor\t: 0\nmodel name\t: A chip\nflags\t\t: fpu avx2\n\nprocessor\t: 1\n"
    )
    assert environment.capabilities() == ["avx2", "fpu"]
    assert dict(environment.system())["processor"] == "A chip"
    cpuinfo.write_text("processor\t: 0\nFeatures\t: asimd i8mm\n")
    assert environment.capabilities() == ["asimd", "i8mm"]


def test_options_that_arrange_pages_are_no_part_of_a_page():
    options = environment.gallery_options()
    assert json.loads(options["image_srcset"]) == ["2x"]
    assert not options.keys() & {"subsection_order", "gallery_dirs", "filename_pattern"}
    assert json.loads(options["default_thumb_file"]) == "./docs/_static/thumbnail.png"

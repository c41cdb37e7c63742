"""How to cite the project."""

import tomllib

import yaml

from tools.gallery import project


def test_the_citation_agrees_with_the_package():
    citation = yaml.safe_load((project.ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    package = tomllib.loads((project.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert citation["authors"] == package["project"]["authors"]
    assert citation["license"] == package["project"]["license"]
    assert {"cff-version", "message", "title"} <= set(citation)

"""What a site offers is read from the site alone."""

import json

import pytest

from tools.downloads import offered

SCRIPT = '# /// script\n# dependencies = [\n#     "b==1",\n#\n#     "a",\n# ]\n# ///\nimport a\n'
LINKS = "".join(f'<a href="../../_downloads/0/plot_10.{end}">' for end in ("py", "ipynb", "zip"))
WHEEL = '<a href="../../smallport-1.0-py3-none-any.whl">the wheel</a>'
TABLE = '<div class="output_html"><table><tr><td>5</td></tr></table></div>'
PRINTED = '<div class="sphx-glr-script-out highlight-none"><pre><span></span>3 &lt; 4\n</pre></div>'


@pytest.fixture
def site(tmp_path):
    """Write a site of one page."""
    run = {"results": [{"name": "size", "value": 3.0}], "seconds": 2.0}
    provenance = {"pages": {"small/plot_10.py": run}}
    (tmp_path / "provenance.json").write_text(json.dumps(provenance))
    (tmp_path / "_downloads" / "0").mkdir(parents=True)
    for end in ("py", "ipynb", "zip"):
        (tmp_path / "_downloads" / "0" / f"plot_10.{end}").touch()
    (tmp_path / "smallport-1.0-py3-none-any.whl").touch()
    (tmp_path / "gallery" / "small").mkdir(parents=True)
    (tmp_path / "gallery" / "small" / "plot_10.html").write_text(LINKS + WHEEL + PRINTED + TABLE)
    return tmp_path


def test_a_page_is_read_with_what_it_links_to(site):
    (page,) = offered.pages(site)
    assert page.name == "plot_10"
    assert [page.script.name, page.notebook.name] == ["plot_10.py", "plot_10.ipynb"]
    assert [file.name for file in page.beside] == ["smallport-1.0-py3-none-any.whl"]
    assert page.results["size"]["value"] == 3
    assert page.outputs == ["3 < 4\n", "table:\n5"]
    assert page.printed == ["3 < 4\n"]


def test_a_wheel_that_is_linked_and_missing_is_named_with_the_page(site):
    (site / "smallport-1.0-py3-none-any.whl").unlink()
    with pytest.raises(offered.OfferError, match=r"small/plot_10\.py: links to smallport-1\.0"):
        offered.pages(site)


def test_a_notebook_that_is_not_offered_is_named(site):
    page = site / "gallery" / "small" / "plot_10.html"
    page.write_text(page.read_text().replace("plot_10.ipynb", "plot_20.py"))
    (site / "_downloads" / "0" / "plot_20.py").touch()
    with pytest.raises(offered.OfferError, match=r"offers no \.ipynb"):
        offered.pages(site)


def test_metadata_is_read_as_pep_723_has_it():
    assert offered.required_by_script(SCRIPT) == ["a", "b==1"]
    with pytest.raises(offered.OfferError, match="no metadata"):
        offered.required_by_script("import a\n")


@pytest.mark.parametrize("cell_type", ["code", "markdown"])
def test_a_notebook_begins_with_installing(cell_type):
    first = {"cell_type": cell_type, "source": ["# A sentence.\n", "%pip install -q a b==1"]}
    if cell_type == "code":
        assert offered.installed_by_notebook({"cells": [first]}) == "a b==1"
    else:
        with pytest.raises(offered.OfferError, match="installs nothing"):
            offered.installed_by_notebook({"cells": [first]})

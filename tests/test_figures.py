"""Figures have a description, a size, a version for the dark, and a thumbnail that can be read."""

import re
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from docutils import nodes
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sphinx.errors import ExtensionError
from sphinx_gallery.scrapers import ImagePathIterator

import figures
from tools.gallery import project

SAID = '# Drawing: a line that rises, "quoted" & slowly\nplt.plot([1, 2])'
BYTES = st.integers(0, 255)


@pytest.fixture
def block_vars(tmp_path):
    yield {
        "image_path_iterator": ImagePathIterator(str(tmp_path / "sphx_glr_page_{0:03}.png")),
        "example_globals": {},
        "file_conf": {},
        "src_file": str(tmp_path / "page.py"),
    }
    plt.close("all")


def scraped(tmp_path, block_vars, code):
    """Draw a figure of two panels, and have it saved."""
    plt.subplots(1, 2, layout="constrained")[0].suptitle("A title")
    settings = {
        "image_srcset": [2],
        "matplotlib_animations": (False, None),
        "compress_images": [],
        "src_dir": str(tmp_path),
    }
    return figures.scrape(SimpleNamespace(content=code, lineno=3), block_vars, settings)


def test_the_alt_text_is_what_the_cell_says(tmp_path, block_vars):
    directive = scraped(tmp_path, block_vars, SAID)
    assert ':alt: a line that rises, "quoted" & slowly\n' in directive
    assert "A title" not in directive


def test_a_figure_that_nobody_described_is_refused(tmp_path, block_vars):
    with pytest.raises(
        ExtensionError, match=r"^page\.py:3: this cell draws: begin it with '# Drawing: "
    ):
        scraped(tmp_path, block_vars, "plt.plot([1, 2])")


def test_a_cell_without_figures_needs_no_description(block_vars):
    settings = {"image_srcset": [], "matplotlib_animations": (False, None)}
    assert figures.scrape(SimpleNamespace(content="x = 1"), block_vars, settings) == ""


def test_the_thumbnail_is_drawn_in_its_own_size(tmp_path, block_vars):
    scraped(tmp_path, block_vars, SAID)
    with Image.open(block_vars["file_conf"]["thumbnail_path"]) as small:
        assert small.size == (800, 560)


def test_nothing_in_a_thumbnail_is_cut_off(tmp_path):
    figure, panels = plt.subplots(1, 2, layout="constrained")
    panels[0].set(
        title="A title of a panel " * 3, xlabel="what varies " * 4, ylabel="how much " * 4
    )
    panels[0].set_yticks([0.5], ["a name of a row that takes much room"])
    figures.draw_small(figure, tmp_path / "small.png")
    plt.close(figure)
    with Image.open(tmp_path / "small.png") as small:
        pixels = np.asarray(small.convert("L"))
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert edge.min() == 255


def test_the_panel_of_a_thumbnail_takes_the_place_of_all(tmp_path):
    figure, panels = plt.subplots(1, 2, layout="constrained")
    figure.colorbar(panels[0].scatter([0, 1], [0, 1], c=[0, 1]), ax=panels)
    figures.draw_small(figure, tmp_path / "small.png")
    plt.close(figure)
    assert panels[0].get_position().width > 0.8


def test_the_page_chooses_its_thumbnail(tmp_path, block_vars):
    block_vars["file_conf"]["thumbnail_number"] = 2
    scraped(tmp_path, block_vars, SAID)
    assert "thumbnail_path" not in block_vars["file_conf"]
    scraped(tmp_path, block_vars, SAID)
    assert block_vars["file_conf"].keys() == {"thumbnail_path"}


@given(BYTES, BYTES, BYTES)
def test_in_the_dark_light_and_dark_change_places(red, green, blue):
    light = np.array([red, green, blue], dtype=np.uint8)
    dark = figures.in_the_dark(light)
    lightness = (int(light.max()) + int(light.min())) / 2
    assert dark.min() >= min(figures.NIGHT)
    if lightness < 100:
        assert dark.mean() > light.mean()
    if lightness > 200:
        assert dark.mean() < light.mean()


@pytest.fixture
def image(tmp_path, monkeypatch):
    """Give a figure of the gallery, in both resolutions and for the dark."""
    monkeypatch.setattr(project, "DOCS", tmp_path)
    monkeypatch.setattr(project, "GALLERY", tmp_path / "gallery")
    folder = tmp_path / "gallery" / "small" / "images"
    (folder / "thumb").mkdir(parents=True)
    for name, size in {
        "sphx_glr_page_001.png": (70, 40),
        "sphx_glr_page_001_2_00x.png": (140, 80),
        "thumb/sphx_glr_page_thumb.png": (80, 56),
    }.items():
        Image.new("RGBA", size, "white").save(folder / name)
    figures.darken_all(tmp_path)
    return folder / "sphx_glr_page_001.png"


def test_a_version_for_the_dark_is_made(image):
    with Image.open(figures.dark_version(image)) as made:
        assert made.convert("RGB").getpixel((0, 0)) == figures.NIGHT
    assert not list(image.parent.rglob("*_dark_dark*"))


@pytest.mark.usefixtures("image")
def test_a_figure_is_written_for_light_and_for_dark_with_its_size(tmp_path):
    builder = SimpleNamespace(
        outdir=tmp_path / "out", imagedir="_images", imgpath="../_images", srcdir=tmp_path
    )
    writer = SimpleNamespace(builder=builder, body=[])
    node = nodes.Element(alt='a "line" & more')
    node["uri"], node["class"] = "/gallery/small/images/sphx_glr_page_001.png", ["single"]
    figures.visit_figure(writer, node)
    light, dark = writer.body
    assert 'class="single only-light"' in light
    assert 'class="single only-dark"' in dark
    for tag in (light, dark):
        assert 'width="70" height="40"' in tag
        assert 'alt="a &quot;line&quot; &amp; more"' in tag
        for name in re.findall(r"\.\./_images/([\w.]+)", tag):
            assert (tmp_path / "out" / "_images" / name).exists()
    assert "_001_2_00x_dark.png 2x" in dark


@pytest.mark.usefixtures("image")
def test_a_thumbnail_is_paired_and_another_image_is_not():
    document = nodes.section()
    uri = "/gallery/small/images/thumb/sphx_glr_page_thumb.png"
    document += [nodes.image(uri=uri, alt="lines"), nodes.image(uri="/logo.png")]
    figures.pair_thumbnails(None, document)
    light, dark, other = document.children
    assert (light["uri"], light["classes"]) == (uri, ["only-light"])
    assert (dark["uri"], dark["classes"]) == (uri.replace(".png", "_dark.png"), ["only-dark"])
    assert (dark["width"], dark["height"], dark["alt"]) == ("80", "56", "lines")
    assert not other["classes"]

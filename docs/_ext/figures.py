"""Figures for everybody: told in words, in their size, and drawn for light and for dark.

Sphinx-Gallery saves a figure once, gives it its title as alt text, and its image directive writes
neither width nor height. So the cell that draws says what is to be seen, the image for the dark is
made from the one for the light, and both are written here with their sizes; the theme shows one of
them. The thumbnail is drawn again in the size in which it is shown, with letters of the same size.
"""

import html
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx_gallery.scrapers import matplotlib_scraper

from tools.gallery import project
from tools.lint import drawing

ALT = re.compile(r"(?<=:alt:).*")
NIGHT = (0x14, 0x18, 0x1E)
"""The theme's background in the dark, which the white of a figure becomes."""

DARK = "_dark"
THUMBNAIL_INCHES = (3.6, 2.52)
THUMBNAIL_DPI = 2000 / 9
LONGEST_TITLE, LONGEST_LABEL = 31, 27
"""The number of letters of the usual sizes that fit on a line of a thumbnail."""


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures of a cell, with what the cell says is to be seen as their alt text.

    Raises
    ------
    ExtensionError
        When the cell says nothing.
    """
    import matplotlib.pyplot as plt  # noqa: PLC0415 - after the gallery chose the backend

    figures = [plt.figure(number) for number in plt.get_fignums()]
    directives: str = matplotlib_scraper(block, block_vars, gallery_conf)
    if not figures:
        return directives
    description = drawing.described(block.content)
    if not description:
        message = "this cell draws: begin it with '# Drawing: ' and what is to be seen"
        raise ExtensionError(f"{Path(block_vars['src_file']).name}:{_line(block)}: {message}")
    keep_thumbnail(figures, block_vars)
    return ALT.sub(lambda _: f" {description}", directives)


def _line(block: Any) -> int:
    """Find the first line of a cell that holds something."""
    content = str(block.content)
    before = content[: len(content) - len(content.lstrip())]
    return int(block.lineno) + before.count("\n")


def keep_thumbnail(figures: list[Any], block_vars: dict[str, Any]) -> None:
    """Draw the page's thumbnail, if it is one of these figures, and tell the gallery about it."""
    settings, paths = block_vars["file_conf"], block_vars["image_path_iterator"].paths
    wanted = settings.get("thumbnail_number", 1)
    first = len(paths) - len(figures) + 1
    if first <= wanted <= len(paths):
        image = Path(paths[wanted - 1])
        small = image.with_name(re.sub(r"_\d+$", "_small", image.stem) + ".png")
        draw_small(figures[wanted - first], small)
        settings.pop("thumbnail_number", None)
        settings["thumbnail_path"] = str(small)


def draw_small(figure: Any, file: Path) -> None:
    """Draw the first panel of a figure, without a legend, in the size of a thumbnail.

    It takes the place of all panels, and what is written around it the width of the figure.
    """
    for axes in figure.axes:
        for drawn in (*axes.images, *axes.collections):
            if drawn.colorbar:
                drawn.colorbar.remove()
    panel = figure.axes[0]
    for axes in figure.axes:
        if axes is not panel:
            figure.delaxes(axes)
    if legend := panel.get_legend():
        legend.remove()
    panel.set_subplotspec(figure.add_gridspec(1, 1)[0])
    figure.suptitle(textwrap.fill(panel.get_title(), LONGEST_TITLE))
    figure.supxlabel(textwrap.fill(panel.get_xlabel(), LONGEST_LABEL), fontsize="medium")
    figure.supylabel(textwrap.fill(panel.get_ylabel(), LONGEST_LABEL), fontsize="medium")
    panel.set(title="", xlabel="", ylabel="")
    figure.set_size_inches(*THUMBNAIL_INCHES)
    figure.savefig(file, dpi=THUMBNAIL_DPI)


def in_the_dark(light: np.ndarray) -> np.ndarray:
    """Turn the lightness of colours round, and leave their hue and saturation as they are.

    In the model of hue, saturation and lightness, lightness is the mean of the largest and the
    smallest of red, green and blue; one minus that moves all three by the same amount.

    Parameters
    ----------
    light
        Colours of shape (…, 3), from 0 to 255.

    Examples
    --------
    >>> in_the_dark(np.array([[255, 255, 255], [0, 0, 0], [31, 119, 180]], dtype=np.uint8))
    array([[ 20,  24,  30],
           [255, 255, 255],
           [ 89, 172, 228]], dtype=uint8)
    """
    colours = light.astype(float)
    turned = 255 + colours - colours.max(-1, keepdims=True) - colours.min(-1, keepdims=True)
    night = np.array(NIGHT)
    dark: np.ndarray = (night + turned * (1 - night / 255)).round().astype(np.uint8)
    return dark


def dark_version(file: Path) -> Path:
    """Name the version of an image for the dark."""
    return file.with_stem(f"{file.stem}{DARK}")


def darken_all(gallery: Path) -> None:
    """Make the version for the dark of every figure and thumbnail of a page that ran.

    Parameters
    ----------
    gallery
        The folder in which the gallery made the page.
    """
    for file in list(gallery.rglob("images/**/sphx_glr_*.png")):
        if file.stem.endswith((DARK, "_small")):
            continue
        with Image.open(file) as image:
            colours = np.asarray(image.convert("RGB"))
        shades = 64 if file.stem.endswith("_thumb") else 256
        save(colours, file, shades)
        save(in_the_dark(colours), dark_version(file), shades)


def save(colours: np.ndarray, file: Path, shades: int) -> None:
    """Save an image with the colours that cover most of it, in a third of the bytes.

    Parameters
    ----------
    colours
        Colours of shape (height, width, 3), from 0 to 255.
    file
        The file.
    shades
        The number of colours.
    """
    image = Image.fromarray(colours)
    few = image.quantize(shades, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(file, optimize=True)


def pair_thumbnails(app: Sphinx, doctree: nodes.document) -> None:
    """Give every thumbnail its size and its version for the dark."""
    for image in list(doctree.findall(nodes.image)):
        file = project.DOCS / image["uri"].lstrip("/")
        if not (file.stem.endswith("_thumb") and dark_version(file).exists()):
            continue
        image["width"], image["height"] = size_of(file)
        image["loading"] = "lazy"  # or a browser loads the one that is not shown, too
        dark = image.deepcopy()
        dark["uri"] = dark_version(Path(image["uri"])).as_posix()
        image["classes"].append("only-light")
        dark["classes"].append("only-dark")
        image.parent.insert(image.parent.index(image) + 1, dark)


def size_of(file: Path) -> tuple[str, str]:
    """Read the width and the height of an image as it is shown, in pixels."""
    with Image.open(file) as image:
        width, height = image.size
    return str(width), str(height)


def visit_figure(self: Any, node: nodes.Element) -> None:
    """Write a figure twice, for light and for dark; browsers load the one that is shown."""
    folder = Path(self.builder.outdir) / self.builder.imagedir
    folder.mkdir(parents=True, exist_ok=True)
    light = Path(self.builder.srcdir) / node["uri"].lstrip("/")
    for version, file in (("only-light", light), ("only-dark", dark_version(light))):
        sharp = file.with_stem(sharp_stem(file.stem))
        for copied in (file, sharp):
            shutil.copyfile(copied, folder / copied.name)
        width, height = size_of(file)
        here = self.builder.imgpath.rstrip("/")
        classes = " ".join([*(node.get("class") or []), version])
        self.body.append(
            f'<img src="{here}/{file.name}" srcset="{here}/{file.name}, {here}/{sharp.name} 2x" '
            f'width="{width}" height="{height}" alt="{html.escape(node["alt"])}" loading="lazy" '
            f'class="{classes}">'
        )


def sharp_stem(stem: str) -> str:
    """Name the version of an image for screens of twice the resolution, as the gallery does.

    Examples
    --------
    >>> sharp_stem("sphx_glr_page_001"), sharp_stem("sphx_glr_page_001_dark")
    ('sphx_glr_page_001_2_00x', 'sphx_glr_page_001_2_00x_dark')
    """
    plain = stem.removesuffix(DARK)
    return f"{plain}_2_00x{stem[len(plain) :]}"


def depart_figure(self: Any, node: nodes.Element) -> None:
    """Have nothing left to write."""


def visit_figure_text(self: Any, node: nodes.Element) -> None:
    """Write what is to be seen in place of a figure."""
    self.add_text(f"[figure: {node['alt']}]")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write figures in place of the gallery's writer, and pair images before they are collected."""
    from sphinx_gallery.directives import imgsgnode  # noqa: PLC0415 - tells display of a gallery

    app.connect("doctree-read", pair_thumbnails, priority=400)
    app.add_node(
        imgsgnode,
        override=True,
        html=(visit_figure, depart_figure),
        text=(visit_figure_text, depart_figure),
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}

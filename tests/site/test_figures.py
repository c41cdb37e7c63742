"""Look at the figures of every page in the light and in the dark, and at the labels around them."""

import ast

import pytest

from tools.gallery import project
from tools.lint import drawing
from tools.site import visit
from tools.site.visit import SETTINGS, Setting

pytestmark = pytest.mark.site

SEEN = """
async (selector) => {
  const images = [...document.querySelectorAll(selector)];
  for (const image of images) image.loading = "eager";
  return Promise.all(images.map(async (image) => {
    const shown = image.checkVisibility();
    if (shown) await image.decode();
    return {
      file: image.getAttribute("src").split("/").pop(), shown, alt: image.alt,
      width: image.getAttribute("width"), height: image.getAttribute("height"),
      ratio: shown && image.naturalWidth / image.naturalHeight,
      drawn: shown && image.clientWidth / image.clientHeight,
      wide: image.clientWidth,
    };
  }));
}
"""
FIGURES = "img.sphx-glr-single-img, img.sphx-glr-multi-img"
THUMBNAILS = ".sphx-glr-thumbcontainer img, img.sd-card-img-top"
NARROWEST = 190
"""Pixels of a thumbnail on the screen: half of the 400 that it is drawn for can still be read."""

CONTRAST = """
(element) => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const painted = (colours) => {
    for (const colour of colours) {
      context.fillStyle = colour;
      context.fillRect(0, 0, 1, 1);
    }
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const behind = ["#fff"];
  const parents = [];
  for (let one = element; one; one = one.parentElement) parents.unshift(one);
  behind.push(...parents.map((one) => getComputedStyle(one).backgroundColor));
  const luminance = (colours) => {
    const [red, green, blue] = painted(colours)
      .map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const text = getComputedStyle(element, "::before").color;
  const [light, dark] = [luminance(behind), luminance([...behind, text])].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}
"""
"""The contrast of what is written before an element, by the formula of WCAG 2.1."""

READABLE = 4.5
TUTORIALS = [f"gallery/{project.docname(script)}.html" for script in project.scripts()]


THEMES = [Setting(visit.WIDE, theme) for theme in ("light", "dark")]


@pytest.fixture
def in_settings(tab, address):
    """Open a page, and show it in one setting after another."""

    def shown(name, settings):
        page = tab(settings[0])
        page.goto(address + name)
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        for setting in settings:
            visit.switch(page, setting)
            yield setting, page

    return shown


def assert_pairs(images):
    """Assert that of each image one version is shown, in its proportions."""
    assert len(images) % 2 == 0
    for light, dark in zip(images[::2], images[1::2], strict=True):
        pair = f"{light['file']} and {dark['file']}"
        assert light["shown"] != dark["shown"], f"both or none of {pair} are shown"
        shown = light if light["shown"] else dark
        assert int(shown["width"]) / int(shown["height"]) == pytest.approx(shown["ratio"], rel=0.01)
        assert shown["drawn"] == pytest.approx(shown["ratio"], rel=0.02), f"{pair}: distorted"


@pytest.mark.parametrize("name", TUTORIALS)
def test_figures_are_told_in_words_and_drawn_for_light_and_dark(in_settings, name):
    script = project.EXAMPLES / name.removeprefix("gallery/").replace(".html", ".py")
    tree = ast.parse(script.read_text(encoding="utf-8"))
    titles = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    for setting, page in in_settings(name, THEMES):
        images = page.evaluate(SEEN, FIGURES)
        assert_pairs(images)
        for image in images:
            assert len(image["alt"].split()) >= drawing.FEWEST_WORDS, image
            assert image["alt"] not in titles, "the alt text is a title"
            dark = "_dark" in image["file"]
            assert image["shown"] == (dark == (setting.theme == "dark")), image


@pytest.mark.parametrize("name", ["gallery/index.html", TUTORIALS[0]])
def test_thumbnails_are_large_enough_to_read(in_settings, name):
    for setting, page in in_settings(name, SETTINGS):
        images = page.evaluate(SEEN, THUMBNAILS)
        assert images
        assert_pairs(images)
        for image in images:
            assert not image["shown"] or image["wide"] >= NARROWEST, f"{setting}: {image}"


@pytest.mark.parametrize("name", TUTORIALS[:2])
def test_the_label_of_outputs_can_be_read(in_settings, name):
    for setting, page in in_settings(name, THEMES):
        outputs = page.locator(".sphx-glr-script-out")
        contrasts = outputs.evaluate_all(f"(all) => all.map({CONTRAST})")
        assert contrasts
        assert min(contrasts) >= READABLE, setting


def test_the_contrast_is_that_of_wcag(tab):
    page = tab()
    page.set_content(
        "<style>p { background: #fff } p::before { content: 'Out:'; color: #888 }</style><p>"
    )
    assert page.locator("p").evaluate(CONTRAST) == pytest.approx(3.54, abs=0.005)

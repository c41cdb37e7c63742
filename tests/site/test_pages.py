"""Look at every page of the site, and at pages that are wrong on purpose."""

import re

import pytest

from tools.site import gate, ready, server, visit

pytestmark = pytest.mark.site

GENERATED_AND_SEEN_WHOLLY = "api/smallport.checks.check.html"
"""One of the generated pages, which otherwise are looked at in one setting of each kind."""


@pytest.fixture(scope="session")
def visitor(browser, address):
    """Open one window for all pages."""
    return gate.Visitor(browser, address)


def test_a_page_is_sound_in_every_setting(visitor, every_page, judged_by_axe, pytestconfig):
    whole = pytestconfig.getoption("--axe-everywhere")
    with_axe = every_page in judged_by_axe | {GENERATED_AND_SEEN_WHOLLY}
    few = every_page.startswith(gate.GENERATED) and every_page != GENERATED_AND_SEEN_WHOLLY
    settings = visit.SETTINGS if with_axe and not few else visit.ONE_OF_EACH
    problems = visitor.problems(every_page, settings, with_axe=with_axe, whole=whole)
    assert not problems, "\n" + "\n".join(map(str, problems))


def test_no_style_depends_on_how_a_screen_is_held():
    """What axe would look for in the sheets themselves (WCAG 1.3.4)."""
    sheets = list(ready.SITE.rglob("*.css"))
    assert sheets
    held = re.compile(r"@media[^{]*\borientation\b")
    assert not [sheet for sheet in sheets if held.search(sheet.read_text("utf-8"))]


SOUND = """<!doctype html>
<html lang="en" data-theme="light"><head><title>A page</title>
<link rel="icon" href="data:,">
<script>
const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => { document.documentElement.dataset.theme = dark.matches ? "dark" : "light"; };
dark.addEventListener("change", follow);
follow();
</script>
<style>
[data-theme="dark"] { background: #000; color: #fff; }
</style>
</head><body><main><h1>A page</h1>BODY</main></body></html>
"""
ELSEWHERE = "http://127.0.0.2:9/x"
LATE = """
addEventListener("load", async () => {
  for (let frame = 0; frame < 2; frame++) await new Promise(requestAnimationFrame);
  late.style.height = "50vh";
});
"""
WORDS = "<span class=s>a</span> <span class=s>word</span> <span class=s>more</span>"
CODE = f"<div class=highlight><pre>{WORDS}</pre></div>"
FAULTS = {
    "console": ("<script>console.error('oh')</script>", "console error: oh"),
    "script": ("<script>nothing()</script>", "failed: nothing is not defined"),
    "not found": ("<img alt='' src='none.png'>", "request failed with status 404"),
    "srcset": (f"<img alt='' srcset='{ELSEWHERE} 2x'>", "asks another host for this image"),
    "code": (f"<style>.s {{ color: #777; background: #888 }}</style>{CODE}", "color-contrast: "),
    "single quotes": (f"<script src='{ELSEWHERE}'></script>", "asks another host for this script"),
    "import": (f"<style>@import '{ELSEWHERE}';</style>", "asks another host for this stylesheet"),
    "preload": (f"<link rel=modulepreload href='{ELSEWHERE}'>", "asks another host for this"),
    "fetch": (f"<script>fetch('{ELSEWHERE}').catch(() => 0)</script>", "another host for this"),
    "link name": ("<a href='#'><span style='display: none'>x</span></a>", "link-name: "),
    "label": ("<button aria-label=Find>Search</button>", "label-content-name-mismatch: "),
    "contrast": ("<p style='color: #777; background: #888'>A text</p>", "color-contrast: "),
    "contrast in the dark": (
        "<style>[data-theme=dark] p { color: #333 }</style><p>A text</p>",
        "(dark, 390 px, p): color-contrast: ",
    ),
    "wide": ("<div id=wide style='width: 1300px'>x</div>", "wider than the screen: div"),
    "wide on a phone": (
        "<div class=bar style='width: 400px'>x</div>",
        "(dark, 390 px): is 18 px wider than the screen: div.bar",
    ),
    "shift": (
        f"<p id=late></p><p style='height: 50vh'>x</p><script>{LATE}</script>",
        "(light, 1280 px): moves by ",
    ),
    "heavy": (
        "<img alt='' src='heavy.svg'>",
        "(light, 1280 px): weighs 1.60 MB, more than 1.5: 1.60",
    ),
    "alt": (
        "<img src='data:image/svg+xml,<svg xmlns=%22http://www.w3.org/2000/svg%22/>'>",
        "alt: ",
    ),
}
HEAVY = f"<svg xmlns='http://www.w3.org/2000/svg'><!--{'x' * 1_600_000}--></svg>"


@pytest.fixture(scope="module")
def look_at(browser, tmp_path_factory):
    """Serve one page after another and look at it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "heavy.svg").write_text(HEAVY, encoding="utf-8")
    with server.serving(folder) as root:
        visitor = gate.Visitor(browser, root)

        def problems(body):
            (folder / "page.html").write_text(SOUND.replace("BODY", body), encoding="utf-8")
            return [str(one) for one in visitor.problems("page.html")]

        yield problems
        visitor.context.close()


def test_a_sound_page_has_no_problems(look_at):
    assert look_at("<p>x</p>") == []


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_with_a_page_is_found(look_at, fault):
    body, message = FAULTS[fault]
    found = look_at(body)
    assert any(message in one for one in found), found
    assert all(one.startswith("page.html (") for one in found)

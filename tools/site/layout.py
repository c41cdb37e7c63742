"""Find what moves or sticks out of a page."""

from playwright.sync_api import BrowserContext, Page

from tools.site.visit import Problem, Setting

LARGEST_SHIFT = 0.1
"""The largest good value of Core Web Vitals."""

SETTLED = """
async () => {
  await document.fonts.ready;
  for (let frame = 0; frame < 4; frame++) await new Promise(requestAnimationFrame);
}
"""
"""The events to wait for before a page is looked at: fonts, and scripts that use them."""

STICKING_OUT = """
() => {
  // The theme lets the article scroll sideways by itself.
  const article = document.querySelector(".bd-article-container");
  const boxes = [document.documentElement, article];
  const wide = boxes.find((one) => one?.scrollWidth > one?.clientWidth);
  if (!wide) return null;
  const edge = wide === article ? article.getBoundingClientRect().right : wide.clientWidth;
  const scrolls = (one) =>
    one && one !== wide && one !== document.body &&
    (getComputedStyle(one).overflowX !== "visible" || scrolls(one.parentElement));
  const named = [...wide.querySelectorAll("*")]
    .filter((one) => one.getBoundingClientRect().right > edge + 0.5 && !scrolls(one.parentElement))
    .map((one) => [one.tagName.toLowerCase(), ...one.classList].join("."));
  return `is ${wide.scrollWidth - wide.clientWidth} px wider than the screen: ` +
    [...new Set(named)].slice(0, 5).join(", ");
}
"""

LOAD_FIGURES = """
async () => {
  const shown = [...document.images].filter((one) => one.checkVisibility());
  shown.forEach((one) => { one.loading = "eager"; });
  await Promise.all(shown.map((one) => one.decode().catch(() => 0)));
}
"""

NOTE_SHIFTS = """
window.layoutShifts = [];
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) {
    if (entry.hadRecentInput) continue;
    const moved = entry.sources.map(({ node }) => node?.id || node?.className || node?.nodeName);
    window.layoutShifts.push({ value: entry.value, moved: String(moved) });
  }
}).observe({ type: "layout-shift", buffered: true });
"""


def sideways(page: Page, name: str, setting: Setting) -> list[Problem]:
    """Find whether an open page scrolls sideways, and what sticks out."""
    found = page.evaluate(STICKING_OUT)
    return [Problem(name, str(setting), found)] if found else []


def note_shifts(context: BrowserContext) -> None:
    """Have every page that is opened from now on note what moves while it loads."""
    context.add_init_script(NOTE_SHIFTS)


def load_figures(page: Page) -> None:
    """Have an open page load the figures that a reader would come to by scrolling."""
    page.evaluate(LOAD_FIGURES)


def shifts(page: Page, name: str, setting: Setting) -> list[Problem]:
    """Find whether more of an open page moved while it was loaded than a reader would bear."""
    noted = page.evaluate("() => window.layoutShifts")
    total = sum(one["value"] for one in noted)
    if total < LARGEST_SHIFT:
        return []
    moved = "; ".join(f"{one['value']:.3f} {one['moved']}" for one in noted)
    return [Problem(name, str(setting), f"moves by {total:.2f} while it loads: {moved}")]

"""What every page of the site has to pass, however it is looked at."""

from playwright.sync_api import Browser

from tools.site import axe, layout, visit, weight
from tools.site.visit import Problem

WHOLLY = (visit.SETTINGS[0], visit.SETTINGS[2])
"""Settings in which axe looks at everything, one in each width and theme; in others, at colours."""

GENERATED = ("api/", "_modules/")
"""Folders of pages that Sphinx makes by the hundred from one template.

For these, two settings do, and the browser may keep what they share.
"""


class Visitor:
    """A window in which page after page is opened and looked at.

    Parameters
    ----------
    browser
        The browser.
    root
        The address of the site's root.
    """

    def __init__(self, browser: Browser, root: str) -> None:
        self.root = root
        self.log = visit.Log(root)
        self.context = visit.context(browser, visit.SETTINGS[0])
        self.log.listen(self.context)
        layout.note_shifts(self.context)
        self.page = self.context.new_page()
        self.scale = weight.Scale(self.page)

    def problems(self, name: str) -> list[Problem]:
        """Open a page and look at it in every setting, or in two where it is generated.

        Parameters
        ----------
        name
            Its address below the root.
        """
        generated = name.startswith(GENERATED)
        first = visit.SETTINGS[0]
        visit.prepare(self.page, first)
        self.scale.clear(cold=not generated)
        self.page.goto(self.root + name)
        self.page.evaluate(layout.SETTLED)
        found = layout.shifts(self.page, name, first)
        layout.load_figures(self.page)
        found += self.scale.problems(name, first)
        axe.load(self.page)
        for setting in WHOLLY if generated else visit.SETTINGS:
            visit.switch(self.page, setting)
            layout.load_figures(self.page)
            found += layout.sideways(self.page, name, setting)
            options = axe.OPTIONS if setting in WHOLLY else axe.COLOURS
            found += axe.problems(self.page, name, setting, options)
        return [*self.log.problems(name), *found]

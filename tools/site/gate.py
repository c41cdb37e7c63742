"""What every page of the site has to pass, however it is looked at."""

from playwright.sync_api import Browser

from tools.site import axe, layout, visit
from tools.site.visit import Problem


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

    def problems(self, name: str) -> list[Problem]:
        """Open a page and look at it in every setting.

        Parameters
        ----------
        name
            Its address below the root.
        """
        first = visit.SETTINGS[0]
        visit.prepare(self.page, first)
        self.page.goto(self.root + name)
        self.page.evaluate(layout.SETTLED)
        found = layout.shifts(self.page, name, first)
        axe.load(self.page)
        for setting in visit.SETTINGS:
            visit.switch(self.page, setting)
            found += layout.sideways(self.page, name, setting)
            found += axe.problems(self.page, name, setting)
        return [*self.log.problems(name), *found]

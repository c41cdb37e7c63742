"""Gates that every page of the site has to pass, in every setting."""

from collections.abc import Sequence

from playwright.sync_api import Browser

from tools.site import axe, layout, visit, weight
from tools.site.visit import Problem, Setting

GENERATED = ("api/", "_modules/")
"""Folders of pages that Sphinx makes by the hundred: the browser may keep what they share."""


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

    def problems(
        self,
        name: str,
        settings: Sequence[Setting] = visit.ONE_OF_EACH,
        *,
        with_axe: bool = True,
        whole: bool = False,
    ) -> list[Problem]:
        """Open a page and look at it in one setting after another.

        Parameters
        ----------
        name
            Its address below the root.
        settings
            The settings; the page is opened in the first.
        with_axe
            Whether axe judges it, too.
        whole
            Whether axe judges every element, and not one of each structure.
        """
        first = settings[0]
        visit.prepare(self.page, first)
        self.scale.clear(cold=not name.startswith(GENERATED))
        self.page.goto(self.root + name)
        self.page.evaluate(layout.SETTLED)
        found = layout.shifts(self.page, name, first)
        layout.load_figures(self.page)
        found += self.scale.problems(name, first)
        for setting in settings:
            if setting != first:
                visit.switch(self.page, setting)
                layout.load_figures(self.page)
            found += layout.sideways(self.page, name, setting)
        if with_axe:
            axe.load(self.page, whole=whole)
            for setting in reversed(settings):  # it is shown in the last
                visit.switch(self.page, setting)
                found += axe.problems(self.page, name, setting)
        return [*self.log.problems(name), *found]

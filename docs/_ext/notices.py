"""``.. notices::`` lists the works of others that the site serves; the build fails on any other."""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from tools.downloads import notices

ENTRY = """\
{name}
{rule}

{used} `Source <{source}>`__.

Copyright: {holder}. Licence: {licence}.

"""


class Notices(SphinxDirective):
    """Show every notice with the text of its licence, which is folded away."""

    def run(self) -> list[nodes.Node]:
        """Write one section for each."""
        self.env.note_dependency(str(notices.FILE))
        shown: list[nodes.Node] = []
        for notice in notices.notices():
            fields = {name: getattr(notice, name) for name in ("name", "used", "source", "holder")}
            entry = ENTRY.format(**fields, licence=notice.licence, rule="-" * len(notice.name))
            sections = self.parse_text_to_nodes(entry, allow_section_headings=True)
            if text := notice.licence_text():
                opening = "<details><summary>Text of the licence</summary>"
                sections[-1] += [  # type: ignore[operator]
                    nodes.raw("", opening, format="html"),
                    nodes.literal_block(text, text, language="none"),
                    nodes.raw("", "</details>", format="html"),
                ]
            shown += sections
        return shown


def check(app: Sphinx, exception: Exception | None) -> None:
    """Fail where the site serves a file that is not listed.

    Raises
    ------
    ExtensionError
        When there is one.
    """
    if exception is None and app.builder.name == "html":
        missing = list(notices.unlisted(Path(app.outdir), notices.notices()))
        if missing:
            raise ExtensionError(
                f"the site serves {', '.join(missing)}, which no notice covers. Add whose work it "
                f"is, and under which licence, to {notices.FILE.name}"
            )


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive and the check."""
    app.add_directive("notices", Notices)
    app.connect("build-finished", check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""The documented functions that no page calls."""

import unused
from tools.gallery import project

OVERVIEW = """\
.. autosummary::

   smallport.checks.check
   smallport.parity.compare.discrepancy
   smallport.lstm.train
   smallport.lstm.Corpus
"""


def test_a_name_is_used_through_its_module_or_its_subpackage():
    pages = [
        "from smallport import checks as claims\nclaims.check('one', 1, at_most=1)\n",
        "from smallport.parity import discrepancy\n",
    ]
    assert unused.unused_in(OVERVIEW, pages) == ["smallport.lstm.train"]


def test_a_name_of_another_package_is_no_use():
    pages = ["from other.checks import check\nother.checks.check()\n"]
    assert "smallport.checks.check" in unused.unused_in(OVERVIEW, pages)


def test_the_pages_use_most_of_the_overview():
    overview = (project.DOCS / "api.rst").read_text(encoding="utf-8")
    pages = [script.read_text(encoding="utf-8") for script in project.scripts()]
    listed = unused.LISTED.findall(overview)
    left = unused.unused_in(overview, pages)
    assert len(listed) == len(set(listed)) > len(left)
    assert "smallport.checks.check" not in left

"""Run every page as somebody who downloaded it would."""

import os

import pytest

from tests import page_helpers
from tools.gallery import project, settings

PAGES = list(project.scripts())


@pytest.mark.page
@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_page_runs_where_it_was_downloaded_to(page, tmp_path):
    seconds = settings.page_seconds(os.environ)
    run = page_helpers.run_page(page, tmp_path, "examples", seconds=seconds)
    problems = "\n".join(run.problems())
    assert not problems, problems


def test_there_are_pages_to_run():
    assert PAGES

"""The front page shows figures of the stored results, and how to install what the site offers."""

import re

import pytest

import front


def test_the_smallest_route_costs_next_to_nothing_and_the_number_is_rounded():
    assert re.fullmatch(r"[1-9]\d*\.\d times", front.smallest())


def test_architectures_that_pass_are_counted_among_all():
    passed, _, total = front.architectures().partition(" of ")
    assert 0 < int(passed) <= int(total)


@pytest.mark.parametrize("name", front.FIGURES)
def test_each_figure_says_what_it_is_computed_from(name):
    assert (front.STORED / front.FIGURES[name][1]).exists()

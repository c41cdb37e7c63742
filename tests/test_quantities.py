"""Numbers read as people write them, and stay on one line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smallport import quantities
from smallport.records import Result


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.0, "", "0"),
        (9.53674e-07, "", "9.5 × 10⁻⁷"),
        (-2.71e-10, "nats", "−2.7 × 10⁻¹⁰ nats"),
        (1e-05, "", "10⁻⁵"),
        (1.00173, "", "1.002"),
        (4.54178, "nats", "4.5418 nats"),
        (113.945412, "MB", "113.945 MB"),
        (3.71457, "×", "3.71 ×"),
        (0.0421, "s", "42.1 ms"),
        (59.6, "s", "1 min"),
        (1128.3, "s", "18 min 48 s"),
        (2e-9, "s", "2 × 10⁻⁹ s"),
        (float("nan"), "", "nan"),
    ],
)
def test_a_quantity_is_written_as_people_do(value, unit, expected):
    assert quantities.quantity(value, unit).replace(quantities.SPACE, " ") == expected


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["", "s", "MB", "nats"]))
def test_no_quantity_can_be_broken_over_two_lines_or_has_an_e_in_its_number(value, unit):
    text = quantities.quantity(value, unit)
    assert " " not in text
    assert "e" not in text


@given(st.floats(min_value=1e-3, max_value=1e5))
def test_what_is_written_is_close_to_the_number(value):
    assert float(quantities.format_number(value).replace(",", "")) == pytest.approx(value, rel=5e-3)


def plain(text):
    return text.replace(quantities.SPACE, " ")


def test_a_fraction_of_a_size_is_what_was_saved():
    result = Result("int8 size, to float32", 0.6998, "", at_most=0.71)
    assert plain(quantities.describe_value(result)) == "30% smaller"
    assert plain(quantities.claimed(result)) == "at least 29% smaller"


def test_a_size_that_hardly_differs_is_no_saving():
    result = Result("size now, to the kept size", 1.0, "", at_least=0.997, at_most=1.003)
    assert quantities.describe_value(result) == "1"
    assert quantities.claimed(result) == "between 0.997 and 1.003"


def test_a_share_is_a_percentage_however_small_it_is():
    assert plain(quantities.describe_value(Result("gap, as a share", 9.1e-04, ""))) == "0.091%"
    assert plain(quantities.describe_value(Result("gap, as a share", 0.04, ""))) == "4%"


def test_what_is_reported_claims_nothing():
    assert quantities.claimed(Result("speed-up", 3.7, "×")) == ""

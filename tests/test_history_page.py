"""The site shows the history as small plots, and says where there is nothing to compare."""

import re
from xml.etree import ElementTree as ET

import pytest

import history
from tests.history_helpers import entry, nights
from tools.gallery import project
from tools.history import changes

CHANGED = [*nights(1, 2, 3, 2), *nights(9, 9, 9, 11, torch="2.14.1", first=4)]
PAGE = project.docname(project.in_reading_order()[0])


def plot(runs):
    (series,) = changes.series(runs)
    return history.Plot(series)


def shown(runs):
    """Give the text of the section, without its markup."""
    html = history.render(runs, lambda page: f"{page}.html")
    text = re.sub(r"<[^>]*>", " ", html).replace("\N{NO-BREAK SPACE}", " ")
    return html, " ".join(text.split())


def on(page, runs):
    """Let a page have measured the numbers."""
    return [type(one)(one.environment, {page: "1"}, {page: one.numbers["page"]}) for one in runs]


def test_a_plot_has_a_dot_for_each_run_from_the_lowest_to_the_highest():
    drawn = plot(CHANGED)
    # 304 units wide and 48 high inside the margin of 8: 43.4 a run, and 4.8 a megabyte.
    assert drawn.dots == "M8 56h0M51 51h0M95 46h0M138 51h0M182 18h0M225 18h0M269 18h0M312 8h0"
    assert drawn.medians == "M8 51H138M182 18H312"
    assert drawn.marks == "M160 0V64"


def test_a_plot_of_equal_runs_is_level():
    drawn = plot(nights(5, 5, 5))
    assert drawn.dots == "M8 32h0M160 32h0M312 32h0"
    assert drawn.marks == ""


def test_a_plot_is_described_in_words():
    assert plot(CHANGED).alternative.replace("\N{NO-BREAK SPACE}", " ") == (
        "8 runs of 2 version sets, from 1 MB to 11 MB, 1 change wider than the spread"
    )
    assert plot(nights(5, 5)).alternative.startswith("2 runs of 1 version set, all 5")


def test_every_plot_of_the_page_is_whole_and_has_its_alternative():
    html, _ = shown(on(PAGE, CHANGED))
    plots = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(plots) == 2  # among the changes, and among all figures
    for one in map(ET.fromstring, plots):
        assert one.get("role") == "img"
        assert "1 change wider" in one.get("aria-label")
        assert [path.get("class") for path in one] == [
            "history-mark",
            "history-median",
            "history-dots",
        ]


def test_a_change_is_shown_with_what_was_upgraded():
    html, text = shown(on(PAGE, CHANGED))
    assert "Changed with torch 2.13.0 → 2.14.1" in text
    assert "2 MB (4 runs) 9 MB (4 runs)" in text
    assert html.index("Changed with") < html.index("<details>")
    assert f'<a href="{PAGE}.html">' in html
    assert "which has changed, too" not in text


def test_a_page_that_changed_in_between_is_named():
    old, new = on(PAGE, CHANGED[:4]), on(PAGE, CHANGED[4:])
    new = [type(one)(one.environment, {PAGE: "2"}, one.numbers) for one in new]
    assert "which has changed, too" in shown([*old, *new])[1]


def test_a_difference_in_few_runs_is_folded_away_and_not_marked():
    html, text = shown(on(PAGE, CHANGED[:5]))
    assert "No figure changed by more than the spread." in text
    assert "Differs, and too few runs to tell: 1 figure" in text
    assert html.index("<details>") < html.index("Different with")
    assert "history-mark" not in html


def test_changes_too_small_for_the_usual_digits_can_be_told_apart():
    sizes = [*nights(*[0.6998] * 4), *nights(*[0.6991] * 4, torch="2.14.1", first=4)]
    renamed = [
        type(one)(one.environment, {PAGE: "1"}, {PAGE: {"size, to float32": (value, "")}})
        for one in sizes
        for value, _ in one.numbers["page"].values()
    ]
    text = shown(renamed)[1]
    assert "0.6998 (4 runs) 0.6991 (4 runs)" in text


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([], "No build has stored its figures yet."),
        ([entry(0, 1)], "Only one run is stored: nothing can be compared yet."),
        (nights(1, 2), "All runs have the same versions: nothing can be compared between versions"),
        ([entry(0, 1), entry(1, 1, torch="2.14.1")], "No figure changed by more than the spread."),
    ],
)
def test_what_cannot_be_compared_is_said(runs, words):
    html, text = shown(on(PAGE, runs))
    assert words in text
    assert "Changed with" not in text
    assert ("<svg" in html) == (len(runs) > 1)


def test_machines_stand_apart():
    elsewhere = nights(7, 8, first=8, processor="Another processor")
    text = shown(on(PAGE, [*CHANGED, *elsewhere]))[1]
    assert text.index("A processor, 2 cores") < text.index("Another processor, 2 cores")
    assert text.count("Changed with") == 1
    assert "10 runs on 2 kinds of machine are stored, the last of 2026-11-10." in text


def test_machines_with_few_runs_are_counted():
    others = [entry(20 + one, 1, processor=f"Processor {one}") for one in range(4)]
    text = shown(on(PAGE, [*CHANGED, *others]))[1]
    assert "12 runs on 5 kinds of machine" in text
    assert "3 kinds of machine with fewer runs are not shown" in text
    assert text.count("Only one run is stored") == 1


def test_a_page_does_not_grow_with_the_number_of_changes(monkeypatch):
    monkeypatch.setattr(history, "ROWS", 2)
    numbers = [nights(*[value] * 4, torch=f"2.{value}", first=4 * value) for value in range(1, 5)]
    text = shown(on(PAGE, [run for versions in numbers for run in versions]))[1]
    assert "Changed with torch 2.3 → 2.4" in text
    assert "Changed with torch 2.2 → 2.3" in text
    assert "Changed with torch 2.1 → 2.2" not in text
    assert "Not listed here: 1 more figure." in text


def test_pages_that_are_gone_are_not_shown():
    assert "<svg" not in shown(CHANGED)[0]


def test_only_the_newest_version_sets_are_drawn(monkeypatch):
    monkeypatch.setattr(history, "SHOWN", 2)
    runs = [entry(night, night, torch=f"2.{night}") for night in range(5)]
    (series,) = history.Machine(runs).series
    assert series.values == [3, 4]
    assert [runs for _, runs in history.Machine(runs).version_sets] == [1, 1]

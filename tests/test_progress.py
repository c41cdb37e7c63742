"""Progress is for a terminal: what captures a page's output gets none of it."""

import io
import sys

import pytest

from smallport.display import progress_bar


@pytest.fixture
def captured(monkeypatch):
    """Make standard output and error what a docs build makes them."""
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    return out, err


def test_a_terminal_shows_a_bar_and_a_capture_does_not(terminal, captured):
    items = list(progress_bar(range(4), "counting sheep", unit="sheep"))
    assert items == [0, 1, 2, 3]
    shown = terminal()
    assert "counting sheep" in shown
    assert "0/4" in shown
    assert [stream.getvalue() for stream in captured] == ["", ""]


def test_a_terminal_shows_steps_and_a_remark(terminal):
    with progress_bar(range(4), "training", unit="step") as bar:
        bar.update(3)
        bar.set_postfix_str("validation loss 3.17")
    shown = terminal()
    assert "3/4" in shown
    assert "validation loss 3.17" in shown


def test_a_bar_that_is_not_wanted_is_not_shown(terminal):
    assert list(progress_bar("ab", "counting", unit="letter", enabled=False)) == ["a", "b"]
    assert terminal() == ""


@pytest.mark.parametrize("stream", [io.StringIO(), None])
def test_nothing_is_shown_where_there_is_no_terminal(monkeypatch, captured, stream):
    monkeypatch.setattr(sys, "__stderr__", stream)
    with progress_bar(range(4), "training", unit="step") as bar:
        bar.update()
        bar.set_postfix_str("validation loss 3.17")
    assert stream is None or stream.getvalue() == ""
    assert [stream.getvalue() for stream in captured] == ["", ""]

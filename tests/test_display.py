"""Tests of :mod:`smallport.display`."""

import logging
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from smallport.display import errors_only, show_table

FRAME = pd.DataFrame({"route": ["<eager>", "ONNX"], "difference": [0.0, 1.23456e-7]})
TEXT = "  route  difference\n<eager>           0\n   ONNX    1.23e-07\n"


def test_a_script_prints_the_table(capsys):
    show_table(FRAME)
    assert capsys.readouterr().out == TEXT


@pytest.mark.parametrize(
    ("module", "stand_in"),
    [
        ("sphinx_gallery.gen_rst", SimpleNamespace()),
        ("IPython", SimpleNamespace(get_ipython=SimpleNamespace)),
    ],
)
def test_where_the_value_of_a_cell_is_shown_nothing_is_printed(
    capsys, monkeypatch, module, stand_in
):
    monkeypatch.setitem(sys.modules, module, stand_in)
    table = show_table(FRAME)
    assert capsys.readouterr().out == ""
    assert repr(table) + "\n" == TEXT


def test_a_script_that_merely_imports_ipython_prints(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    show_table(FRAME)
    assert capsys.readouterr().out == TEXT


def test_the_html_is_rounded_and_escaped_and_has_no_index(capsys):
    html = show_table(FRAME)._repr_html_()
    capsys.readouterr()
    assert "1.23e-07" in html
    assert "&lt;eager&gt;" in html
    assert html.count("<td>") == FRAME.size
    assert "border" not in html


def test_loggers_are_quiet_and_loud_again_even_after_an_error(caplog):
    child = logging.getLogger("smallport.tests.child")
    parent = logging.getLogger("smallport.tests")
    parent.setLevel(logging.INFO)

    def fail():
        child.warning("not news")
        child.error("news")
        raise KeyError

    with pytest.raises(KeyError), errors_only("smallport.tests"):
        fail()
    child.warning("news again")
    assert parent.level == logging.INFO
    assert caplog.messages == ["news", "news again"]

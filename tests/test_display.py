"""Tests of :mod:`smallport.display`."""

import ast
import logging
import sys
from types import SimpleNamespace

import pandas as pd
import pytest
from torch import nn

from smallport.display import Table, errors_only, show_message, show_table, source_of
from smallport.lstm import WordLanguageModel

FRAME = pd.DataFrame({"route": ["<eager>", "ONNX"], "difference": [0.0, 1.23456e-7]})
CAPTION = "Difference <to eager>"
TEXT = f"{CAPTION}:\n  route  difference\n<eager>           0\n   ONNX    1.23e-07\n"


def test_a_script_prints_the_table(capsys):
    show_table(FRAME, CAPTION)
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
    table = show_table(FRAME, CAPTION)
    assert capsys.readouterr().out == ""
    assert repr(table) + "\n" == TEXT


def test_a_script_that_merely_imports_ipython_prints(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    show_table(FRAME, CAPTION)
    assert capsys.readouterr().out == TEXT


def test_the_html_is_rounded_and_escaped_and_has_no_index(capsys):
    html = show_table(FRAME, CAPTION)._repr_html_()
    capsys.readouterr()
    assert "1.2\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10⁻⁷" in html
    assert "&lt;eager&gt;" in html
    assert html.count("<td>") == FRAME.size
    assert "border" not in html


def test_the_html_has_a_caption_and_headers_and_a_box_that_the_keyboard_reaches():
    html = Table(FRAME, CAPTION)._repr_html_()
    caption = "Difference &lt;to eager&gt;"
    assert html.startswith(f'<div role="region" aria-label="{caption}" tabindex="0">\n<table')
    assert f"<caption>{caption}</caption>\n  <thead>" in html
    assert html.count('<th scope="col">') == html.count("<th") - html.count("<thead") == 2


def test_a_name_of_the_columns_is_no_header_of_rows():
    rows = pd.DataFrame({"route": ["eager", "ONNX"], "case": ["one", "two"], "ratio": [1.0, 2.0]})
    table = show_table(rows.pivot_table("ratio", "route", "case").reset_index(), "Ratios")
    assert "<th" not in table._repr_html_().partition("<tbody>")[2]


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


class Documented:
    """Say what it is."""

    size = 3

    def method(self):
        """Say what it does.

        At length.
        """
        text = """not a docstring"""
        return text, self.size

    def __len__(self):
        # A comment stays.
        return 0


def test_code_is_shown_as_it_stands_but_for_docstrings():
    assert (
        source_of(Documented)
        == '''\
class Documented:
    size = 3

    def method(self):
        text = """not a docstring"""
        return text, self.size

    def __len__(self):
        # A comment stays.
        return 0'''
    )


def test_a_method_is_shown_without_its_indentation():
    assert source_of(Documented.__len__).startswith("def __len__(self):\n    # A")


def test_the_code_that_is_shown_is_the_code_that_runs():
    shown = source_of(WordLanguageModel)
    assert '"""' not in shown
    (model,) = ast.parse(shown).body
    assert {node.name for node in model.body} == {"__init__", "forward", "initial_state"}
    assert "self.rnn(embedded, state)" in shown


def test_what_has_no_source_is_an_error():
    namespace = {"nn": nn}
    exec("class Typed(nn.Module):\n    pass", namespace)
    with pytest.raises((OSError, TypeError)):
        source_of(namespace["Typed"])


def test_a_message_fits_a_page(capsys):
    show_message("You marked a size as dynamic " * 10 + "\n  Suggested fixes:\n    a = b")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 88
    assert lines[-2:] == ["  Suggested fixes:", "    a = b"]


def test_a_message_is_shown_without_the_advice_at_its_end(capsys):
    show_message("Cannot export\n\nThe error above occurred when calling export.")
    assert capsys.readouterr().out == "Cannot export\n"

"""Check what the gates take for junk, and what they read in what the gallery made."""

from pathlib import Path

import pytest

from tools.gallery import gates, project


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("page.py:12: DeprecationWarning: use the other", "a formatted warning"),
        ("<frozen importlib._bootstrap>:241: FutureWarning: soon", "a formatted warning"),
        ("sys:1: ResourceWarning: unclosed file", "a formatted warning"),
        ("UserWarning: nobody said where", "a formatted warning"),
        ("WARNING:root:slow", "a log line"),
        ("[INFO] loaded", "a log line"),
        ("2026-01-31 12:00:00,123 loaded", "a log line"),
        ("W1120 22:53:10.123000 42 torch/export.py:7] slow", "a log line"),
        ("[rank0]:E1120 22:53:10.123000 42 torch/export.py:7] slow", "a log line"),
        ("[torch.onnx] Obtain model graph...", "a log line"),
        ("[transformers] `use_cache` is experimental", "a log line"),
        ("2026 [W:onnxruntime:, graph.cc:1] removed", "a log line"),
        ("\x1b[31mred", "an escape code"),
        ("1 of 2\r2 of 2", "a carriage return"),
        ("100%|██████████| 3/3 [00:00<00:00]", "a progress bar"),
        ("\r  0%|          | 0/3", "a progress bar"),
        ("<object object at 0x7fb7449cd0e0>", "a memory address"),
        ("<object object at 0x000001FB7449CD0E>", "a memory address"),
        ("address 0x7fb7449cd0e0", "a memory address"),
        ("/home/somebody/model.pt", "a path of the machine"),
        ("saved:/tmp/model.pt", "a path of the machine"),
        ("'/usr/lib/python3/torch.py'", "a path of the machine"),
        ("lib/site-packages/torch", "a path of the machine"),
        (r"C:\Users\somebody", "a path of the machine"),
        ("file:///work/model.pt", "a path of the machine"),
        (str(project.ROOT / "examples"), "a path of the machine"),
        ("Traceback (most recent call last):", "a traceback"),
        ("  + Exception Group Traceback (most recent call last):", "a traceback"),
    ],
)
def test_junk_is_told_for_what_it_is(line, what):
    assert gates.junk_in(line) == what


@pytest.mark.parametrize(
    "line",
    [
        "",
        "The quantized model is 0.7 times as large.",
        "loss 3.17, half of it 1/2, a ratio of 1:2, 100 % of 3",
        "the flags are 0x1F and 0xdeadbeef",
        "https://example.org/home/page and https://docs.pytorch.org/tmp/x",
        "examples/quantization/plot.py, ./home/x and ../usr/x",
        "the function / ) takes a , / , b and / usr / lib",
        "Traceback ( most recent call last ) :",
        "Warning : the loop is infinite",
        "a warning: this module is deprecated",
        "quantize_dynamic is deprecated and will be removed in 2.10",
        "1.2e-6 | 3 | 4.5e+01",
        "INFORMATION about ERRORS",
        "<class 'torch.nn.modules.linear.Linear'>",
        "a table | of 100% | wool",
    ],
)
def test_ordinary_output_is_no_junk(line):
    assert gates.junk_in(line) is None


RENDERED = """\
Prose that mentions /home/somebody.

.. GENERATED FROM PYTHON SOURCE LINES 7-9

.. code-block:: Python

    print("code")

.. rst-class:: sphx-glr-script-out

 .. code-block:: none

    first

\r      0%|
    last

.. GENERATED FROM PYTHON SOURCE LINES 20-22

.. raw:: html

    <div class="output_subarea output_html rendered_html output_result">
    <b>shown</b>
    </div>

.. GENERATED FROM PYTHON SOURCE LINES 30-31

.. rst-class:: sphx-glr-script-out

.. code-block:: pytb

    Traceback (most recent call last):

After.
"""


def test_outputs_are_what_cells_printed_and_showed(tmp_path):
    page = tmp_path / "page.rst"
    page.write_bytes(RENDERED.encode())
    assert list(gates.outputs(page)) == [
        (7, "first"),
        (7, "\r      0%|"),
        (7, "last"),
        (20, "<b>shown</b>"),
        (20, "</div>"),
        (30, "Traceback (most recent call last):"),
    ]


def test_a_page_without_a_rendering_printed_nothing(tmp_path):
    assert list(gates.outputs(tmp_path / "page.rst")) == []


TRACEBACK = """\
.. GENERATED FROM PYTHON SOURCE LINES 3-5

.. rst-class:: sphx-glr-script-out

.. code-block:: pytb

    Traceback (most recent call last):
      File "/somewhere/a folder/page.py", line 4, in <module>
        assert one == 2
    AssertionError
"""


@pytest.fixture
def failed(tmp_path, monkeypatch):
    """Give a page that failed."""
    monkeypatch.setattr(project, "EXAMPLES", tmp_path / "examples")
    monkeypatch.setattr(project, "GALLERY", tmp_path / "gallery")
    script = tmp_path / "examples" / "page.py"
    for file, text in (
        (script, "one = 1\n\n\nassert one == 2\n"),
        (project.rendered(script), TRACEBACK),
    ):
        file.parent.mkdir()
        file.write_text(text, encoding="utf-8")
    return script


def test_a_failure_is_told_with_the_line_that_it_stands_on(failed):
    assert gates.failure(failed) == (4, "failed: AssertionError (at: assert one == 2)")


def test_a_failure_without_a_traceback_is_told_too(failed):
    project.rendered(failed).unlink()
    assert gates.failure(failed) == (None, "failed: with a warning, see above")


def test_a_home_that_is_a_file_is_no_hindrance(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.touch()
    monkeypatch.setenv("HOME", str(home))
    gates.machine_path.cache_clear()
    try:
        assert gates.junk_in(f"in {Path.home()}/model.pt") == "a path of the machine"
    finally:
        gates.machine_path.cache_clear()

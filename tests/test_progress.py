"""Progress is for a terminal: what captures a page's output gets none of it."""

import io
import itertools
import subprocess
import sys
from types import ModuleType

import pytest

from smallport.display import NOTEBOOK_INTERVAL, progress_bar


def test_a_terminal_shows_a_bar_and_a_capture_does_not(terminal, capsys):
    items = list(progress_bar(range(4), "counting sheep", unit="sheep"))
    assert items == [0, 1, 2, 3]
    shown = terminal()
    assert "counting sheep" in shown
    assert "0/4" in shown
    assert capsys.readouterr() == ("", "")


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
def test_nothing_is_shown_where_there_is_no_terminal(monkeypatch, capsys, stream):
    monkeypatch.setattr(sys, "__stderr__", stream)
    with progress_bar(range(4), "training", unit="step") as bar:
        bar.update()
        bar.set_postfix_str("validation loss 3.17")
    assert stream is None or stream.getvalue() == ""
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("seconds", [1, 40])
def test_a_notebook_keeps_few_updates_and_none_of_a_short_task(monkeypatch, seconds):
    outputs = []
    kernel_stream = io.StringIO()
    monkeypatch.setattr(kernel_stream, "write", outputs.append)
    monkeypatch.setattr(sys, "stderr", kernel_stream)
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    steps = 800
    clock = itertools.count(step=seconds / steps)
    monkeypatch.setattr("tqdm.std.time", lambda: next(clock))
    with progress_bar(range(steps), "training", unit="step") as bar:
        for _ in range(steps):
            bar.update()
    if seconds < NOTEBOOK_INTERVAL:
        assert outputs == []
    else:
        updates = [text for text in outputs if "training" in text]
        assert 2 <= len(updates) <= seconds / NOTEBOOK_INTERVAL + 1


NOTEBOOK = """
import sys
from types import ModuleType, SimpleNamespace

for name in ("ipykernel", "ipykernel.zmqshell"):
    sys.modules[name] = ModuleType(name)
sys.modules["IPython"] = SimpleNamespace(
    get_ipython=lambda: None, __spec__=None, version_info=(9, 0)
)
sys.modules["ipywidgets"] = None
import smallport
import tqdm.auto
assert "tqdm.autonotebook" in sys.modules
"""


def test_a_notebook_without_widgets_is_not_told_so():
    silenced, bare = (
        subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
        for program in (NOTEBOOK, NOTEBOOK.replace("import smallport\n", ""))
    )
    assert silenced.stderr == ""
    assert "IProgress not found" in bare.stderr, "tqdm no longer warns: drop our filter"

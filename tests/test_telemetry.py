"""Nothing that is used here speaks to anybody by itself: by what it leaves on disk and looks up."""

import os
import shutil
import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper

SESSION = """
import sys
import time

import smallport
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
print(session.run(None, {"x": [-1.0, 1.0]}))
time.sleep(float(sys.argv[2]))
"""
HUB = """
import smallport
from transformers.utils.hub import http_user_agent
from huggingface_hub import constants

print(constants.HF_HUB_DISABLE_TELEMETRY, http_user_agent())
"""
REPORTS_AFTER = 12
"""Seconds after which ONNX Runtime, where it is not told otherwise, has looked up its maker."""


@pytest.fixture
def model(tmp_path):
    """Write an ONNX file that clips two numbers."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "clip", [x], [y])
    file = tmp_path / "clip.onnx"
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), file)
    return file


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def run(home, code, *arguments, command=(), **settings):
    """Run some code as a newcomer does: an empty home, no settings, not in CI."""
    own = ("XDG_", "ORT_", "HF_", "DO_NOT_TRACK", "DISABLE_TELEMETRY")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in {"CI", "GITHUB_ACTIONS", "TF_BUILD"} and not name.startswith(own)
    }
    done = subprocess.run(
        [*command, sys.executable, "-c", code, *map(str, arguments)],
        env=kept | {"HOME": str(home)} | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def left_in(home):
    return sorted(file.name for file in home.rglob("*") if file.is_file())


def test_onnx_runtime_leaves_nothing_in_the_home(home, model):
    assert "1." in run(home, SESSION, model, 0)
    assert left_in(home) == []


@pytest.mark.skipif(sys.platform == "win32", reason="its telemetry lies elsewhere there")
def test_without_the_setting_it_would(home, model):
    run(home, SESSION, model, 0, ORT_DISABLE_TELEMETRY="0")
    assert "deviceid" in left_in(home), (
        "ONNX Runtime leaves nothing any more: see whether smallport and page 3 still need to set "
        "ORT_DISABLE_TELEMETRY"
    )


def test_requests_to_the_hub_say_no_more_than_they_must(home):
    told, user_agent = run(home, HUB).split(maxsplit=1)
    assert told == "True"
    assert "telemetry/off" in user_agent


def test_what_somebody_has_set_is_kept(home):
    code = "import os, smallport; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    assert run(home, code, ORT_DISABLE_TELEMETRY="0").strip() == "0"


@pytest.mark.fault  # it takes as long as ONNX Runtime waits before it reports
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace shows what is looked up")
@pytest.mark.parametrize(
    ("settings", "asked"), [({}, False), ({"ORT_DISABLE_TELEMETRY": "0"}, True)]
)
def test_onnx_runtime_looks_nobody_up(tmp_path, home, model, settings, asked):
    trace = tmp_path / "trace"
    watched = "--trace=openat,connect,sendto,sendmsg,sendmmsg"
    cut_off = "--inject=connect,sendto,sendmsg,sendmmsg:error=ENETUNREACH"  # nothing gets out
    strace = ("strace", "--follow-forks", watched, cut_off, f"--output={trace}")
    run(home, SESSION, model, REPORTS_AFTER, command=strace, **settings)
    text = trace.read_text(encoding="utf-8", errors="replace")
    assert ("/etc/resolv.conf" in text) is asked

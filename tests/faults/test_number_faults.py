"""Change what upstream's packages do, and look whether the pages notice, and say what and where.

Each stub in ``stubs/`` stands in for a release that does something else than the pages claim. The
real page runs on it, as a script, with warnings as errors.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

# The pages run with the cache of whoever runs the tests, hence the second mark.
pytestmark = [pytest.mark.fault, pytest.mark.page]

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
QUANTIZATION = EXAMPLES / "quantization" / "plot_20_lstm_dynamic_quantization.py"
EXPORT = EXAMPLES / "export" / "plot_10_tiny_llm_export.py"


@dataclass(frozen=True)
class Fault:
    """What is wrong, and what has to come of it.

    Parameters
    ----------
    stub
        The module in ``stubs/`` that makes it wrong.
    page
        The page that has to go red.
    line
        What stands on the line of the page where it does.
    error
        How the error begins, type first.
    """

    stub: str
    page: Path
    line: str
    error: str


FAULTS = [
    Fault(
        "quantize_dynamic_removed",
        QUANTIZATION,
        "quantized_model = torch.ao.quantization.quantize_dynamic(",
        "AttributeError: module 'torch.ao.quantization' has no attribute 'quantize_dynamic'",
    ),
    Fault(
        "deprecation_gone",
        QUANTIZATION,
        "assert deprecations, ",
        "AssertionError: quantize_dynamic is no longer deprecated",
    ),
    Fault(
        "int8_weights_scaled",
        QUANTIZATION,
        'check("loss, int8 minus float32", ',
        "AssertionError: loss, int8 minus float32: claimed at least -0.01 nats and at most 0.01 "
        "nats, measured ",
    ),
    Fault(
        "int8_sleeps",
        QUANTIZATION,
        "check(",
        "AssertionError: speed-up, published architecture: claimed at least 1.5 ×, measured ",
    ),
    Fault(
        "script_objects_allowed",
        QUANTIZATION,
        'raise AssertionError("torch.load takes ScriptObjects now',
        "AssertionError: torch.load takes ScriptObjects now: simplify this section",
    ),
    Fault(
        "load_error_reworded",
        QUANTIZATION,
        "assert announced in refusal, ",
        "AssertionError: announced 'Unsupported global: GLOBAL torch.ScriptObject', and the "
        "message is now: ",
    ),
    Fault(
        "cache_registered",
        EXPORT,
        "assert registering_module(DynamicCache) in ",
        "AssertionError: DynamicCache is now registered by default",
    ),
    Fault(
        "export_error_reworded",
        EXPORT,
        "assert part in message, ",
        "AssertionError: announced 'Cannot associate shape [[{0: DimHint(DYNAMIC), 2: "
        "DimHint(DYNAMIC)}], ', and the message is now: Cannot match shape ",
    ),
    Fault(
        "exported_weight_changed",
        EXPORT,
        "check(",
        "AssertionError: exported program against eager: largest difference of logits: claimed at "
        "most 1e-05, measured ",
    ),
    Fault(
        "mask_ignored",
        EXPORT,
        "check(",
        "AssertionError: exported program against eager: largest difference of logits: claimed at "
        "most 1e-05, measured ",
    ),
    Fault(
        "last_key_zeroed",
        EXPORT,
        "check(",
        "AssertionError: exported program against eager: largest difference of the cache: claimed "
        "at most 1e-05, measured ",
    ),
    Fault(
        "guard_reworded",
        EXPORT,
        "assert message == announced, ",
        "AssertionError: announced 'Guard failed: attention_mask.size()[1] >= 4', and the message "
        "is now: Guard not met: ",
    ),
    Fault(
        "initializer_changed",
        EXPORT,
        "check(",
        "AssertionError: ONNX Runtime against eager: largest difference of logits: claimed at most "
        "1e-05, measured ",
    ),
    Fault(
        "embedding_changed",
        EXPORT,
        "assert torch.equal(",
        "AssertionError: the embedding in the ONNX file is not the model's",
    ),
]

ONNX_ROUTE = EXAMPLES / "quantization" / "plot_40_lstm_through_onnx.py"
FAULTS += [
    Fault(
        "plain_lstm_export_works",
        ONNX_ROUTE,
        "with raises(Fail, match=announced) as failure:",
        "AssertionError: announced Fail with 'while running Reshape node' and 'requested "
        "shape:{25,-1,', and nothing was raised",
    ),
    Fault(
        "onnx_state_ignored",
        ONNX_ROUTE,
        'check("ONNX against eager: largest difference, to the spread", ',
        "AssertionError: ONNX against eager: largest difference, to the spread: claimed at most "
        "5e-05, measured ",
    ),
    Fault(
        "folding_skipped",
        ONNX_ROUTE,
        "assert not gone, ",
        "AssertionError: the gates are still put in order at each run, by {",
    ),
    Fault(
        "onnx_lstm_left_in_floats",
        ONNX_ROUTE,
        'assert "LSTM" not in quantized, ',
        "AssertionError: quantize_dynamic left the LSTM in floats",
    ),
    Fault(
        "float_file_as_int8",
        ONNX_ROUTE,
        "assert moved > 10 * worst, ",
        "AssertionError: the int8 session computes what the float session computes",
    ),
    Fault(
        "last_chunk_dropped",
        ONNX_ROUTE,
        "assert len(values) == len(corpus.test) - 1, ",
        "AssertionError: eager: ",
    ),
    Fault(
        "state_dropped_between_chunks",
        ONNX_ROUTE,
        "check(",
        "AssertionError: eager in chunks against one go: largest difference of a word's loss: "
        "claimed at most 0.001 nats, measured ",
    ),
]


@pytest.fixture
def run(tmp_path):
    """Give a function that runs a page in an empty folder, with a stub where one is named."""

    def run_page(page, stub=None):
        runner = [HERE.parent / "run_page.py"] if stub is None else [HERE / "run_stubbed.py", stub]
        return subprocess.run(
            [sys.executable, *runner, page],
            cwd=tmp_path,
            env={**os.environ, "MPLBACKEND": "agg"},
            capture_output=True,
            text=True,
            check=False,
        )

    return run_page


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.stub for fault in FAULTS])
def test_a_page_goes_red_and_says_where_and_why(fault, run):
    done = run(fault.page, fault.stub)
    assert done.returncode == 1, f"{fault.page.name} did not notice:\n{done.stdout[-2000:]}"
    tracebacks = done.stderr.count("Traceback (most recent call last)")
    numbers = re.findall(
        rf'File "{re.escape(str(fault.page))}", line (\d+), in <module>', done.stderr
    )
    assert (tracebacks, len(numbers)) == (1, 1), f"not one error, in the page:\n{done.stderr}"
    line = fault.page.read_text(encoding="utf-8").splitlines()[int(numbers[0]) - 1]
    assert line.strip().startswith(fault.line), f"red at {line!r}:\n{done.stderr}"
    assert f"\n{fault.error}" in done.stderr, f"red for another reason:\n{done.stderr}"


@pytest.mark.parametrize("page", [QUANTIZATION, ONNX_ROUTE, EXPORT], ids=lambda page: page.stem)
def test_a_page_is_green_where_nothing_is_wrong(page, run):
    done = run(page)
    assert (done.returncode, done.stderr) == (0, "")


def test_no_stub_lies_idle():
    stubs = {file.stem for file in (HERE / "stubs").glob("*.py")}
    assert stubs == {fault.stub for fault in FAULTS}

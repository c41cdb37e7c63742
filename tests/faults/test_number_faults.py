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

from smallport.records import RESULTS_FILE, read_results

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
        'check("speed-up, published architecture", ',
        "AssertionError: speed-up, published architecture: claimed at least 1.5 ×, measured ",
    ),
    Fault(
        "script_objects_allowed",
        QUANTIZATION,
        "with known_warnings_ignored(), raises(pickle.UnpicklingError, ",
        "AssertionError: announced UnpicklingError with 'Unsupported global: GLOBAL "
        "torch.ScriptObject', and nothing was raised: ",
    ),
    Fault(
        "load_error_reworded",
        QUANTIZATION,
        "with known_warnings_ignored(), raises(pickle.UnpicklingError, ",
        "AssertionError: announced UnpicklingError with 'Unsupported global: GLOBAL "
        "torch.ScriptObject', and the message is now: ",
    ),
    Fault(
        "threads_ignored",
        QUANTIZATION,
        "assert set(threads.values()) == ",
        "AssertionError: more than one thread: {'get_num_threads': '2', ",
    ),
    Fault(
        "one_word_generated",
        QUANTIZATION,
        'check("distinct words in the generated text", ',
        "AssertionError: distinct words in the generated text: claimed at least 100 words, "
        "measured 1 words",
    ),
    Fault(
        "loss_rescaled",
        QUANTIZATION,
        "torch.testing.assert_close(lstm.evaluate(model, excerpt), loss, ",
        "AssertionError: Scalars are not close!",
    ),
    Fault(
        "half_evaluated",
        QUANTIZATION,
        "losses = {kind: loss_on_the_test_text(member)",
        "AssertionError: not the whole test text",
    ),
    Fault(
        "beginning_evaluated",
        QUANTIZATION,
        "losses = {kind: loss_on_the_test_text(member)",
        "AssertionError: not the whole test text",
    ),
    Fault(
        "float_loss_for_int8",
        QUANTIZATION,
        "assert len(set(losses.values())) == 3, ",
        "AssertionError: equal losses, which no rounding gives: ",
    ),
    Fault(
        "lstm_left_in_floats",
        QUANTIZATION,
        "assert type(quantized_model.rnn) is ",
        "AssertionError: the LSTM is not quantized",
    ),
    Fault(
        "embedding_left_in_floats",
        QUANTIZATION,
        "assert type(smallest_model.encoder) is ",
        "AssertionError: the embedding is not quantized",
    ),
    Fault(
        "embedding_too_coarse",
        QUANTIZATION,
        "check(",
        "AssertionError: loss, int8 with embedding minus float32: claimed at least -0.01 nats and "
        "at most 0.01 nats, measured ",
    ),
    Fault(
        "sizes_hard_coded",
        QUANTIZATION,
        "assert 0 < extra < 0.03 + slack, ",
        "AssertionError: trained model, float32: ",
    ),
    Fault(
        "file_name_not_in_archive",
        QUANTIZATION,
        "assert all(path.startswith(",
        "AssertionError: the archive's paths are now: archive/data.pkl",
    ),
    Fault(
        "one_timed_for_all",
        QUANTIZATION,
        'check("timed repeats, to the time that passed", ',
        "AssertionError: timed repeats, to the time that passed: claimed at least 0.5 × and at "
        "most 1 ×, measured ",
    ),
    Fault(
        "constants_timed",
        QUANTIZATION,
        'check("timed repeats, to the time that passed", ',
        "AssertionError: timed repeats, to the time that passed: claimed at least 0.5 × and at "
        "most 1 ×, measured ",
    ),
    Fault(
        "narrow_int8_fast",
        QUANTIZATION,
        'check("speed-up, hidden size 32", ',
        "AssertionError: speed-up, hidden size 32: claimed at most 0.9 ×, measured ",
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


HARMLESS = ["only_qnnpack"]
"""Stubs on which the page on quantization runs to its end, with fewer claims."""


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


@pytest.mark.parametrize("page", [QUANTIZATION, EXPORT], ids=lambda page: page.stem)
def test_a_page_is_green_where_nothing_is_wrong(page, run):
    done = run(page)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("stub", HARMLESS)
def test_a_page_claims_no_speed_where_the_processor_promises_none(stub, run, monkeypatch, tmp_path):
    file = tmp_path / "results.jsonl"
    monkeypatch.setenv(RESULTS_FILE, str(file))
    done = run(QUANTIZATION, stub)
    assert done.returncode == 0, done.stderr
    assert "chosen = 'qnnpack'" in done.stdout
    claims = {result.name: result.claim for result in read_results(file)}
    speeds = {claim for name, claim in claims.items() if name.startswith("speed-up, ")}
    assert speeds == {""}
    assert claims["loss, int8 minus float32"]


def test_no_stub_lies_idle():
    stubs = {file.stem for file in (HERE / "stubs").glob("*.py")}
    assert stubs == {*HARMLESS, *(fault.stub for fault in FAULTS)}

"""Change what upstream's packages do, and look whether the pages notice, and say what and where.

Each stub in ``stubs/`` stands in for a release that does something else than the pages claim. The
real page runs once, as somebody would who downloaded it, and forks a process for each stub before
the cell that ``entries.json`` names; see ``forks.py``.
"""

from functools import cache
from pathlib import Path

import pytest

from smallport.measured import FOLDER
from smallport.parity import cache_argument
from smallport.records import read_results
from tests.faults import forks
from tests.faults.fault import Fault

# The pages run with the cache of whoever runs the tests, hence the second mark.
pytestmark = [pytest.mark.fault, pytest.mark.page]

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "examples"
TRAINING = EXAMPLES / "quantization" / "plot_10_train_word_language_model.py"
QUANTIZATION = EXAMPLES / "quantization" / "plot_20_lstm_dynamic_quantization.py"
SAVING = EXAMPLES / "quantization" / "plot_22_save_and_load_quantized.py"
MEGABYTES = EXAMPLES / "quantization" / "plot_30_where_the_megabytes_are.py"
ONNX_ROUTE = EXAMPLES / "quantization" / "plot_40_lstm_through_onnx.py"
ONNX_FILE = EXAMPLES / "quantization" / "plot_42_quantize_an_onnx_file.py"
GRID = EXAMPLES / "quantization" / "plot_50_when_is_int8_faster.py"
ROOFLINE = EXAMPLES / "quantization" / "plot_55_roofline.py"
ROUTES = EXAMPLES / "quantization" / "plot_60_which_route.py"
INPUTS = EXAMPLES / "export" / "plot_10_tiny_llm_inputs.py"
EXPORT = EXAMPLES / "export" / "plot_12_tiny_llm_export.py"
VERIFIED = EXAMPLES / "export" / "plot_14_tiny_llm_onnx.py"
COOKBOOK = EXAMPLES / "export" / "plot_20_export_error_cookbook.py"
GUARD_COOKBOOK = EXAMPLES / "export" / "plot_21_guard_error_cookbook.py"
ONNX_COOKBOOK = EXAMPLES / "export" / "plot_22_onnx_error_cookbook.py"
DECODING = EXAMPLES / "export" / "plot_30_exported_but_is_it_right.py"
WRONG_EXPORTS = EXAMPLES / "export" / "plot_32_wrong_exports.py"
SCOREBOARD = EXAMPLES / "export" / "plot_40_scoreboard_live.py"
PAGES = [
    TRAINING,
    QUANTIZATION,
    SAVING,
    MEGABYTES,
    ONNX_ROUTE,
    ONNX_FILE,
    GRID,
    ROOFLINE,
    ROUTES,
    INPUTS,
    EXPORT,
    VERIFIED,
    COOKBOOK,
    GUARD_COOKBOOK,
    ONNX_COOKBOOK,
    DECODING,
    WRONG_EXPORTS,
    SCOREBOARD,
]

WRONG = "AssertionError: the eager model, with which programs are compared, is wrong: "
"""The beginning of the error of a model that is not what it should be."""

UNFOUND = "RuntimeError: the comparison does not find an error of "
"""The beginning of the error where a comparison misses an error that was planted."""

FAULTS = [
    Fault(
        "nbits_tool_idle",
        ROUTES,
        'assert operators.get("GatherBlockQuantized") == 1',
        "AssertionError: the embedding is still in floats",
    ),
    Fault(
        "lstm_left_in_floats",
        ROUTES,
        "results = measure_routes(",
        "UserWarning: quantize_model: these layers stay in floats: rnn (LSTM).",
    ),
    Fault(
        "last_chunk_dropped",
        ROUTES,
        "assert route.tokens == len(text) - 1",
        "AssertionError: eager float32:",
    ),
    Fault(
        "loss_copied_from_another_route",
        ROUTES,
        "assert len(distinct) ==",
        "AssertionError: two routes have the same loss",
    ),
    Fault(
        "scorer_of_another_model",
        ROUTES,
        "check(",
        "AssertionError: loss outside minus loss inside: claimed",
    ),
    Fault(
        "float_file_for_every_route",
        ROUTES,
        "assert len(distinct) == ",
        "AssertionError: two routes have the same loss: ",
    ),
    Fault(
        "bounds_unchecked",
        ONNX_ROUTE,
        'with raises(AssertionError, match="Guard failed: tokens.size()[0] <= 512")',
        "AssertionError: announced AssertionError with 'Guard failed: tokens.size()[0] <= 512', "
        "and nothing was raised",
    ),
    Fault(
        "onnx_state_ignored",
        ROUTES,
        "check(",
        "AssertionError: loss, ONNX int8, minus float32: claimed",
    ),
    Fault(
        "kept_routes_stale",
        ROUTES,
        "check(",
        "AssertionError: size now, to the stored size: ONNX 4-bit embedding",
    ),
    Fault(
        "stored_routes_of_three_epochs",
        ROUTES,
        'check("loss, 4 bits, well trained"',
        "AssertionError: loss, 4 bits, well trained: claimed at least 0.03 nats",
    ),
    Fault(
        "baseline_ignored",
        ROUTES,
        "assert speed(FOUR, BEST).high < 1",
        "AssertionError",
    ),
    Fault(
        "packed_weights_unpacked",
        ROUTES,
        'check("graph and names, to the file"',
        "AssertionError: graph and names, to the file: claimed at least",
    ),
    Fault(
        "onnx_operators_in_standard",
        ROUTES,
        "with raises(NotImplementedError",
        "AssertionError: announced NotImplementedError with 'com.microsoft', and nothing was",
    ),
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
    *(
        Fault(stub, page, line, f"AssertionError: {error}")
        for page, line in (
            (QUANTIZATION, 'require_integers(family["float32"], family[kind])'),
            (SAVING, "require_integers(model, restored)"),
        )
        for stub, error in (
            ("int8_weights_scaled", "rnn.weight_ih_l0: an element is "),
            ("eager_weights_of_32_levels", "rnn.weight_ih_l0: an element is 4"),
            ("eager_step_eight_times_as_wide", "rnn.weight_ih_l0: "),
            ("eager_products_in_floats", "decoder: its result is "),
        )
    ),
    *(
        Fault(stub, page, line, f"AssertionError: {error}")
        for page, line in (
            (ONNX_ROUTE, "package.require_integer_file("),
            (ONNX_FILE, "require_integer_file("),
        )
        for stub, error in (
            ("onnx_weights_of_32_levels", "unsqueeze_1: an element is "),
            ("onnx_products_in_floats", "int8.onnx: ONNX Runtime multiplies floats, in MatMul"),
        )
    ),
    Fault(
        "int8_sleeps",
        QUANTIZATION,
        'check("speed-up, published architecture", ',
        "AssertionError: speed-up, published architecture: claimed at least 1.5 ×, measured ",
    ),
    Fault(
        "script_objects_allowed",
        SAVING,
        "with raises(pickle.UnpicklingError, match=announced) as failure:",
        "AssertionError: announced UnpicklingError with 'Unsupported global: GLOBAL "
        "torch.ScriptObject', and nothing was raised: ",
    ),
    Fault(
        "load_error_reworded",
        SAVING,
        "with raises(pickle.UnpicklingError, match=announced) as failure:",
        "AssertionError: announced UnpicklingError with 'Unsupported global: GLOBAL "
        "torch.ScriptObject', and the message is now: ",
    ),
    Fault(
        "state_dict_ignored",
        SAVING,
        "assert torch.equal(logits_of(restored), expected)",
        "AssertionError",
    ),
    Fault(
        "engines_disagree",
        SAVING,
        'check("largest difference of the loss between engines", ',
        "AssertionError: largest difference of the loss between engines: claimed at most 0.01 "
        "nats, measured ",
    ),
    Fault(
        "clock_loses_time",
        QUANTIZATION,
        "use_one_thread()",
        "RuntimeError: one thread took ",
    ),
    Fault(
        "threads_ignored",
        QUANTIZATION,
        "use_one_thread()",
        "RuntimeError: PyTorch uses more than one thread: {'get_num_threads': '2', ",
    ),
    Fault(
        "one_word_generated",
        QUANTIZATION,
        'check(f"distinct words in the {kind} text", ',
        "AssertionError: distinct words in the float32 text: claimed at least 60 words, "
        "measured 1 ",
    ),
    Fault(
        "loss_rescaled",
        QUANTIZATION,
        "torch.testing.assert_close(",
        "AssertionError: Scalars are not close!",
    ),
    Fault(
        "half_evaluated",
        QUANTIZATION,
        "assert torch.equal(torch.cat(read), text[:-1]), ",
        "AssertionError: float32: not the whole test text",
    ),
    Fault(
        "beginning_evaluated",
        QUANTIZATION,
        "assert torch.equal(torch.cat(read), text[:-1]), ",
        "AssertionError: float32: not the whole test text",
    ),
    Fault(
        "float_loss_for_int8",
        QUANTIZATION,
        "assert len(set(losses.values())) == 3, ",
        "AssertionError: equal losses of different models: ",
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
        'require_integers(family["float32"], family[kind])',
        "AssertionError: encoder.weight: 17,038,336 weights have only 8 distinct integers",
    ),
    Fault(
        "sizes_hard_coded",
        QUANTIZATION,
        "assert 0 < extra < 0.03 + slack, ",
        "AssertionError: trained model, float32: ",
    ),
    Fault(
        "file_name_not_in_archive",
        SAVING,
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
        "helper_builds_another_model",
        INPUTS,
        "assert all(",
        "AssertionError: the model of the package differs from that of this page",
    ),
    Fault(
        "cache_left_alone",
        INPUTS,
        "checks.check(",
        "AssertionError: tokens that a call adds to its cache: claimed at least 3 and at most 3, "
        "measured 0",
    ),
    Fault(
        "bounds_dropped",
        EXPORT,
        "assert len(batches) == 1",
        "AssertionError: inputs with one name have different batch sizes",
    ),
    Fault(
        "axis_names_lost",
        VERIFIED,
        'assert shapes["input_ids"] == ',
        "AssertionError: the axes have lost their names",
    ),
    *(
        Fault(
            stub,
            INPUTS,
            "require_tokenizer(tokenizer, prompt_text)",
            "AssertionError: the tokenizer loses text: ",
        )
        for stub in ("tokenizer_one_id", "tokenizer_looks_texts_up")
    ),
    Fault(
        "cache_registered",
        EXPORT,
        "assert before in ",
        "AssertionError: DynamicCache is now registered by default",
    ),
    Fault(
        "export_error_reworded",
        EXPORT,
        "with checks.raises(",
        "AssertionError: announced UserError with 'Cannot associate shape [[{0: DimHint(DYNAMIC), "
        "2: DimHint(DYNAMIC)}], ', and the message is now: Cannot match shape ",
    ),
    Fault(
        "draft_hint_gone",
        EXPORT,
        "with checks.raises(",
        "AssertionError: announced UserError with 'replace your `export()` call with "
        "`draft_export()`', and the message is now: Cannot associate shape ",
    ),
    Fault(
        "draft_export_succeeds",
        EXPORT,
        "with (",
        "AssertionError: announced UserError with 'Cannot associate shape', and nothing was raised",
    ),
    Fault(
        "unsupported_input_reworded",
        EXPORT,
        "with checks.raises(",
        "AssertionError: announced ValueError with 'torch.utils._pytree.register_pytree_node', "
        "and the message is now: Unsupported input type ",
    ),
    Fault(
        "cache_parts_swapped",
        EXPORT,
        "checks.check(",
        "AssertionError: exported by hand against eager: difference of the cache: claimed at most "
        "1e-05, measured ",
    ),
    Fault(
        "cache_not_extended",
        EXPORT,
        "difference = discrepancy(",
        "ValueError: discrepancy: present.0.key should have the shape (2, 1, 33, 96)",
    ),
    Fault(
        "dynamic_rope_exported",
        EXPORT,
        "with (",
        "AssertionError: announced GuardOnDataDependentSymNode with 'Could not guard on "
        "data-dependent expression' and 'if seq_len > max_seq_len_cached', and nothing was raised",
    ),
    Fault(
        "exported_weight_changed",
        VERIFIED,
        "checks.check(",
        "AssertionError: exported program against eager: largest difference of logits: claimed at "
        "most 1e-05, measured ",
    ),
    Fault(
        "mask_ignored",
        VERIFIED,
        "checks.check(",
        "AssertionError: exported program against eager: largest difference of logits: claimed at "
        "most 1e-05, measured ",
    ),
    Fault(
        "positions_ignored",
        EXPORT,
        "checks.check(",
        "AssertionError: exported by hand against eager: difference of logits: claimed at most "
        "1e-05, measured ",
    ),
    Fault(
        "last_key_zeroed",
        VERIFIED,
        "checks.check(",
        "AssertionError: exported program against eager: largest difference of the cache: claimed "
        "at most 1e-05, measured ",
    ),
    Fault(
        "inputs_of_one_shape",
        VERIFIED,
        "assert mask.shape == ",
        "AssertionError: make_inputs ignores the shape",
    ),
    Fault(
        "comparison_says_zero",
        VERIFIED,
        "noticed = compare(",
        UNFOUND,
    ),
    Fault(
        "mask_ignored_everywhere",
        VERIFIED,
        "assert masked_text > ",
        "AssertionError: the model ignores its mask",
    ),
    Fault(
        "positions_ignored_everywhere",
        VERIFIED,
        "assert min(texts) > ",
        "AssertionError: the model ignores its position_ids",
    ),
    Fault(
        "guard_reworded",
        EXPORT,
        "with checks.raises(",
        "AssertionError: announced AssertionError with 'Guard failed: attention_mask.size()[1] >= "
        "4', and the message is now: Guard not met: ",
    ),
    Fault(
        "telemetry_on",
        VERIFIED,
        'assert os.environ["ORT_DISABLE_TELEMETRY"] == ',
        "AssertionError: ONNX Runtime reports its use",
    ),
    Fault(
        "onnx_of_another_model",
        VERIFIED,
        "checks.check(",
        "AssertionError: ONNX Runtime against eager: largest difference of logits: claimed at "
        "most 1e-05, measured ",
    ),
    Fault(
        "initializer_changed",
        VERIFIED,
        "checks.check(",
        "AssertionError: ONNX Runtime against eager: largest difference of logits: claimed at "
        "most 1e-05, measured ",
    ),
    Fault(
        "comparison_rounds",
        VERIFIED,
        "differences = compare(",
        UNFOUND,
    ),
    Fault(
        "embedding_changed",
        VERIFIED,
        "assert np.array_equal(",
        "AssertionError: the embedding in the ONNX file is not the model's",
    ),
    Fault(
        "failed_stage_passes",
        VERIFIED,
        "assert failure is not None",
        "AssertionError: a stage that fails is counted as passed",
    ),
    Fault(
        "program_of_check_changed",
        VERIFIED,
        "assert report.passed()",
        "AssertionError: matches              FAILED",
    ),
    *(
        Fault(stub, VERIFIED, "assert report.passed()", f"AssertionError: {stage}")
        for stub, stage in {
            "cache_hidden_from_check": "ran                  FAILED",
            "cache_left_out": "matches              FAILED",
            "first_token_mistaken": "matches              FAILED",
            "long_texts_rejected": "matches              FAILED",
        }.items()
    ),
]

FAULTS += [
    Fault(
        "test_text_halved",
        TRAINING,
        'check(f"share of the text, {name}", ',
        "AssertionError: share of the text, test: claimed at least 6% and at most 14%, measured ",
    ),
    Fault(
        "test_text_seen",
        TRAINING,
        'check(f"{name} tokens in passages of earlier parts", ',
        "AssertionError: test tokens in passages of earlier parts: claimed at most 15%, measured ",
    ),
    Fault(
        "test_text_rewrapped",
        TRAINING,
        'check(f"{name} tokens in passages of earlier parts", ',
        "AssertionError: test tokens in passages of earlier parts: claimed at most 15%, measured ",
    ),
    Fault(
        "test_is_validation",
        TRAINING,
        'check(f"{name} tokens in passages of earlier parts", ',
        "AssertionError: test tokens in passages of earlier parts: claimed at most 15%, measured ",
    ),
    *(
        Fault(
            "trained_on_the_test_text",
            page,
            "pretrained = assets.language_model(corpus)",
            "smallport.AssetError: ",
        )
        for page in (TRAINING, QUANTIZATION)
    ),
    *(
        Fault(
            stub,
            page,
            line,
            f"smallport.AssetError: the Python language reference: {share} of the test text is ",
        )
        for page, line in (
            (QUANTIZATION, "pretrained = assets.language_model(corpus)"),
            (MEGABYTES, "model = assets.language_model(corpus).model"),
        )
        for stub, share in (
            ("test_text_seen", "52%"),
            ("test_text_rewrapped", "100%"),
            ("test_is_validation", "100%"),
        )
    ),
    Fault(
        "words_renumbered",
        TRAINING,
        "assert torch.equal(tokens, parts[part])",
        "AssertionError",
    ),
    Fault(
        "unigram_counts_saturate",
        TRAINING,
        "assert math.isclose(sum(surprises) / len(surprises), unigram_loss, ",
        "AssertionError",
    ),
    Fault(
        "steps_do_nothing",
        TRAINING,
        'check("loss gained by a dozen steps", ',
        "AssertionError: loss gained by a dozen steps: claimed at least 1.2 nats, measured ",
    ),
    *(
        Fault(
            "capability_renamed",
            page,
            line,
            "UserWarning: PyTorch names the int8 dot products ",
        )
        for page, line in (
            (QUANTIZATION, "if int8_dot_products():"),
            (GRID, 'print(f"{this_machine()}, engine '),
        )
    ),
    *(
        Fault(
            "clock_jumps",
            page,
            line,
            "RuntimeError: ",
        )
        for page, line in (
            (QUANTIZATION, "timings = {"),
            (ONNX_FILE, "timings = time_interleaved("),
            (GRID, "now = measure_grid("),
        )
    ),
    Fault(
        "baseline_in_float64",
        GRID,
        '"eager": eager_variants(model),',
        "TypeError: encoder.weight of the baseline is float64.",
    ),
    Fault(
        "onnx_layer_lost",
        GRID,
        "now = measure_grid(",
        "ValueError: ONNX float32, model differs from eager float32, model by ",
    ),
    *(
        Fault(
            "words_drawn_too_cold",
            page,
            "lstm.require_drawn(",
            "AssertionError: the words have a mean surprise of ",
        )
        for page in (TRAINING, QUANTIZATION, ONNX_FILE)
    ),
    Fault(
        "training_record_forged",
        TRAINING,
        "assert math.isclose(measured, recorded[-1], ",
        "AssertionError",
    ),
    *(
        Fault(
            "training_changes_nothing",
            page,
            line,
            "smallport.AssetError: ",
        )
        for page, line in (
            (TRAINING, "pretrained = assets.language_model(corpus)"),
            (ONNX_FILE, "model = assets.language_model(corpus).model"),
        )
    ),
    Fault(
        "last_chunk_dropped",
        TRAINING,
        "torch.testing.assert_close(lstm.losses(model, test), test_losses)",
        "AssertionError: The values for attribute 'shape' do not match",
    ),
    Fault(
        "evaluation_reads_the_beginning",
        TRAINING,
        "torch.testing.assert_close(lstm.losses(model, test), test_losses)",
        "AssertionError: The values for attribute 'shape' do not match",
    ),
    Fault(
        "state_forgotten",
        TRAINING,
        'check("loss by hand: largest difference", ',
        "AssertionError: loss by hand: largest difference: claimed at most 0.001 nats, measured ",
    ),
    Fault(
        "dropout_left_on",
        TRAINING,
        'check("loss by hand: largest difference", ',
        "AssertionError: loss by hand: largest difference: claimed at most 0.001 nats, measured ",
    ),
    Fault(
        "generator_repeats_a_word",
        TRAINING,
        'check("distinct words, written to corpus", ',
        "AssertionError: distinct words, written to corpus: claimed at least 0.6 and at most 1.8, "
        "measured ",
    ),
    Fault(
        "generator_lags_behind",
        TRAINING,
        'check("margin below the unigram model, written text", ',
        "AssertionError: margin below the unigram model, written text: claimed at least 0.8 nats, "
        "measured ",
    ),
    Fault(
        "embedding_4bit_fixed",
        MEGABYTES,
        "assert four_bits.encoder(words).shape[-1] == 252, ",
        "AssertionError: the 4-bit embedding has another width now",
    ),
    Fault(
        "blocks_keep_floats",
        MEGABYTES,
        "assert torch.equal(same_block.dequantize()[0], torch.from_numpy(restored))",
        "AssertionError",
    ),
    Fault(
        "evaluate_constant",
        MEGABYTES,
        "assert by_size[0] < by_size[1] < ",
        "AssertionError",
    ),
    Fault(
        "costs_of_one_model",
        MEGABYTES,
        "check(",
        "AssertionError: 4 bits: stored cost on well-trained weights, to that on little-trained "
        "ones: claimed at least 3 ×, measured 1 ×",
    ),
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
        "check(name, worst, ",
        "AssertionError: ONNX against eager: largest difference, to the spread: claimed at least "
        "1e-09 and at most 5e-05, measured ",
    ),
    Fault(
        "folding_skipped",
        ONNX_ROUTE,
        'assert "LSTM" not in operators, ',
        "AssertionError: quantize_dynamic left the LSTM in floats",
    ),
    Fault(
        "onnx_lstm_left_in_floats",
        ONNX_ROUTE,
        'assert "LSTM" not in operators, ',
        "AssertionError: quantize_dynamic left the LSTM in floats",
    ),
    Fault(
        "folding_skipped",
        ONNX_FILE,
        "assert not gone, ",
        "AssertionError: the gates are still put in order at each run, by {",
    ),
    Fault(
        "onnx_lstm_left_in_floats",
        ONNX_FILE,
        'assert "LSTM" not in quantized, ',
        "AssertionError: quantize_dynamic left the LSTM in floats",
    ),
    Fault(
        "float_file_as_int8",
        ONNX_FILE,
        "assert moved > 10 * rounding, ",
        "AssertionError: the int8 session computes what the float session computes",
    ),
    Fault(
        "last_chunk_dropped",
        ONNX_FILE,
        "assert len(values) == len(corpus.test) - 1, ",
        "AssertionError: eager float32: ",
    ),
    Fault(
        "state_dropped_between_chunks",
        ONNX_FILE,
        "check(",
        "AssertionError: eager in chunks against one go: largest difference of a word's loss: "
        "claimed at most 0.001 nats, measured ",
    ),
]

FAULTS += [
    Fault(
        "clock_loses_time",
        GRID,
        "use_one_thread()",
        "RuntimeError: one thread took ",
    ),
    Fault(
        "threads_ignored",
        GRID,
        "use_one_thread()",
        "RuntimeError: PyTorch uses more than one thread: {'get_num_threads': '2'",
    ),
    Fault(
        "clock_loses_time",
        ROOFLINE,
        "use_one_thread()",
        "RuntimeError: one thread took ",
    ),
    Fault(
        "threads_ignored",
        ROOFLINE,
        "use_one_thread()",
        "RuntimeError: PyTorch uses more than one thread: {'get_num_threads': '2'",
    ),
    Fault(
        "grid_of_one_batch",
        GRID,
        "check(",
        "AssertionError: int8, sixteen texts to one: median growth: claimed at least 1.5 ×, "
        "measured 1 ×",
    ),
    Fault(
        "int8_sleeps",
        GRID,
        'check(name, cell.ratio, "×", at_least=1.5)',
        "AssertionError: speed-up, eager, ",
    ),
    *(
        Fault(stub, page, line, error)
        for page, line, file in (
            (GRID, "grids = stored_grids()", "grid-avx2"),
            (MEGABYTES, "provenance, text, (little, well) = read_costs()", "bits"),
            (SCOREBOARD, "stored = read_scoreboard()", "sweep"),
        )
        for stub, error in (
            (
                "stored_results_edited",
                f"ValueError: {file}.json is not as it was measured: its SHA-256 is ",
            ),
            (
                "stored_on_no_day",
                f"ValueError: {file}.json: it was measured on '2031-02-30', which is no date",
            ),
            (
                "stored_at_no_commit",
                f"ValueError: {file}.json: it was measured at commit '000000000000', which this ",
            ),
        )
    ),
    Fault(
        "stored_outside_its_interval",
        GRID,
        "grids = stored_grids()",
        "ValueError: grid-avx2: the ratios do not follow from the seconds, or not from the ",
    ),
    Fault(
        "verdict_of_another_architecture",
        SCOREBOARD,
        "assert not contradicting, ",
        "bloom: BloomForCausalLM of ",
    ),
    Fault(
        "seconds_that_are_none",
        ROUTES,
        "provenance, stored = read_results()",
        "ValueError: routes: sizes, losses or seconds are no measurement in eager int8",
    ),
    Fault(
        "image_upside_down",
        GRID,
        "draw_maps(grid, maps)",
        "AssertionError: the image has ",
    ),
    Fault(
        "kept_without_provenance",
        GRID,
        "grids = stored_grids()",
        f"ValueError: {FOLDER / 'grid-avx2.json'} does not hold kept results with their provenance",
    ),
    Fault(
        "kept_by_another_version",
        GRID,
        "grids = stored_grids()",
        "ValueError: grid-avx2: smallport 0.0.1 stored cells that this version cannot read",
    ),
    Fault(
        "eager_floats_like_onnx",
        GRID,
        "assert lowest > 1",
        "AssertionError",
    ),
    Fault(
        "allocator_ignores_settings",
        GRID,
        'check("eager int8 decoder, memory kept: gain", ',
        "AssertionError: eager int8 decoder, memory kept: gain: claimed at least 1.15 ×, measured ",
    ),
    Fault(
        "grid_of_one_batch",
        ROOFLINE,
        'check(f"{route} int8, sixteen texts to one", ',
        "AssertionError: eager int8, sixteen texts to one: claimed at least 1.5 ×, measured 1 ×",
    ),
    Fault(
        "biases_counted_as_weights",
        ROOFLINE,
        "assert counted.bytes == ",
        "AssertionError",
    ),
    Fault(
        "limits_of_a_slow_moment",
        ROOFLINE,
        'check("least time, to its limit", ',
        "AssertionError: least time, to its limit: claimed at least 0.5 ×, measured ",
    ),
    Fault(
        "export_error_reworded",
        COOKBOOK,
        "with checks.raises(UserError, match=announced)",
        "AssertionError: announced UserError with 'Cannot associate shape', and the message is "
        "now: Cannot match shape ",
    ),
    Fault(
        "mask_ignored",
        COOKBOOK,
        'checks.check("cache registered: difference", ',
        "AssertionError: cache registered: difference: claimed at most 1e-05, measured ",
    ),
    Fault(
        "comparison_says_zero",
        COOKBOOK,
        "apart = largest_difference(",
        UNFOUND,
    ),
    Fault(
        "guard_reworded",
        COOKBOOK,
        'with checks.raises(AssertionError, match="Guard failed: hidden.size()[1] == 10")',
        "AssertionError: announced AssertionError with 'Guard failed: hidden.size()[1] == 10', and "
        "the message is now: Guard not met: ",
    ),
    Fault(
        "shared_examples_told_apart",
        ONNX_COOKBOOK,
        "assert not hidden_node.users, ",
        "AssertionError: the program reads its first input now",
    ),
    Fault(
        "gru_loop_unrolled",
        COOKBOOK,
        "assert report.passed(), ",
        "AssertionError: PyTorch unrolls the loop of GRU, which fixes the length",
    ),
    Fault(
        "size_one_stays_dynamic",
        COOKBOOK,
        'assert input_shapes(program)["input"][0] == 1, ',
        "AssertionError: a size of one stays dynamic now",
    ),
    Fault(
        "mask_guard_dropped",
        GUARD_COOKBOOK,
        "with checks.raises(AssertionError, match=announced)",
        "AssertionError: announced AssertionError with 'Guard failed: attention_mask.size()[1] >= "
        "4', and nothing was raised",
    ),
    Fault(
        "cond_takes_one_side",
        GUARD_COOKBOOK,
        "assert torch.equal(both_sides(long), long / 2), ",
        "AssertionError: cond takes the wrong side",
    ),
    Fault(
        "dynamic_rope_exported",
        GUARD_COOKBOOK,
        "with (",
        "AssertionError: announced GuardOnDataDependentSymNode with 'Could not guard on "
        "data-dependent expression' and ",
    ),
    Fault(
        "comparison_says_zero",
        GUARD_COOKBOOK,
        "apart = largest_difference(",
        UNFOUND,
    ),
    Fault(
        "rope_never_rescaled",
        GUARD_COOKBOOK,
        "assert (apart > 1e-3) == (tokens > 1024), ",
        "AssertionError: no test of the fix: 1025 tokens",
    ),
    Fault(
        "rope_rescaled_halfway",
        GUARD_COOKBOOK,
        'checks.check("rope always rescaled: difference", ',
        "AssertionError: rope always rescaled: difference: claimed at most 1e-05, measured ",
    ),
    Fault(
        "cache_left_alone",
        GUARD_COOKBOOK,
        "with checks.raises(AssertionError, match=announced)",
        "AssertionError: announced AssertionError with 'Guard failed: input_ids.size()[1] + "
        f"{cache_argument()}[0].size()[2] + -1 * attention_mask.size()[1] <= 0', and nothing was "
        "raised",
    ),
    Fault(
        "unknown_pickles_refused",
        ONNX_COOKBOOK,
        "assert logged == ",
        "AssertionError: pickles are rejected now",
    ),
    Fault(
        "reloaded_weight_changed",
        ONNX_COOKBOOK,
        'checks.check("saved and loaded: difference", ',
        "AssertionError: saved and loaded: difference: claimed at most 1e-05, measured ",
    ),
    Fault(
        "weights_copied",
        ONNX_COOKBOOK,
        "assert difference_to_model == 0, ",
        "AssertionError: program and model no longer share their weights",
    ),
    Fault(
        "cummax_exported",
        ONNX_COOKBOOK,
        "with (",
        'AssertionError: announced OnnxExporterError with "No ONNX function found for '
        "<OpOverload(op='aten.cummax'\", and nothing was raised",
    ),
    Fault(
        "masked_fill_ignored",
        ONNX_COOKBOOK,
        'checks.check("without cummax: difference", ',
        "AssertionError: without cummax: difference: claimed at most 1e-06, measured ",
    ),
    Fault(
        "onnx_types_converted",
        ONNX_COOKBOOK,
        "with checks.raises(InvalidArgument, match=announced)",
        "AssertionError: announced InvalidArgument with 'Unexpected input data type', and nothing "
        "was raised",
    ),
    Fault(
        "guards_without_examples",
        ONNX_COOKBOOK,
        'assert not hasattr(loaded.module(), "_guards_fn"), ',
        "AssertionError: guards no longer need examples",
    ),
    Fault(
        "onnx_examples_told_apart",
        ONNX_COOKBOOK,
        "assert not wrong_onnx.model.graph.inputs[0].uses(), ",
        "AssertionError: ONNX: the first input is read now",
    ),
    Fault(
        "cache_not_fed_back",
        DECODING,
        'check("steps against one call without a cache", ',
        "AssertionError: steps against one call without a cache: claimed at most 4.768",
    ),
    Fault(
        "mask_ignored_everywhere",
        DECODING,
        'check("padded text against the same text alone", ',
        "AssertionError: padded text against the same text alone: claimed at most 4.768",
    ),
    Fault(
        "mask_ignored",
        DECODING,
        "assert torch.equal(exported_tokens, tokens), ",
        "AssertionError: the program writes other tokens",
    ),
    Fault(
        "positions_ignored",
        DECODING,
        "assert torch.equal(exported_tokens, tokens), ",
        "AssertionError: the program writes other tokens",
    ),
    Fault(
        "last_key_zeroed",
        DECODING,
        "assert torch.equal(exported_tokens, tokens), ",
        "AssertionError: the program writes other tokens",
    ),
    Fault(
        "exported_weight_changed",
        DECODING,
        "check(",
        "AssertionError: exported program, worst of all steps and tensors: claimed at most 4.768",
    ),
    Fault(
        "onnx_of_another_model",
        DECODING,
        "assert torch.equal(onnx_tokens, tokens), ",
        "AssertionError: ONNX Runtime writes other tokens",
    ),
    Fault(
        "comparison_says_zero",
        DECODING,
        "by_tensor = ",
        UNFOUND,
    ),
    Fault(
        "failed_stage_passes",
        DECODING,
        "assert failure is not None, ",
        "AssertionError: the file with the wrong names passes",
    ),
    Fault(
        "file_names_ignored",
        DECODING,
        "assert failure is not None, ",
        "AssertionError: the file with the wrong names passes",
    ),
    Fault(
        "output_names_lost",
        DECODING,
        "assert failure is not None, ",
        "AssertionError: the file with the wrong names passes",
    ),
    Fault(
        "file_is_the_model",
        DECODING,
        "assert right.passed(), str(right)",
        "AssertionError: built",
    ),
    Fault(
        "comparison_says_zero",
        WRONG_EXPORTS,
        '"right": differences(',
        UNFOUND,
    ),
    Fault(
        "mask_ignored_everywhere",
        WRONG_EXPORTS,
        "verify_reference(model)",
        f"{WRONG}a text alone has other logits than in a batch",
    ),
    Fault(
        "mask_ignored",
        WRONG_EXPORTS,
        'check("right program, worst of all steps", ',
        "AssertionError: right program, worst of all steps: claimed at most 4.768",
    ),
    Fault(
        "exported_weight_changed",
        WRONG_EXPORTS,
        'check(f"logits of one call, ',
        "AssertionError: logits of one call, MaskIgnored: claimed at most 4.768",
    ),
]

FAULTS += [
    Fault(
        "unreached_counted_as_passed",
        SCOREBOARD,
        'assert passed["decodes"] == ',
        "AssertionError",
    ),
    Fault(
        "kept_verdict_changed",
        SCOREBOARD,
        "assert not contradicting, ",
        "bloom: 'built' is passed, and was failed on ",
    ),
    Fault(
        "cache_not_covered",
        SCOREBOARD,
        "assert not lost, ",
        "bloom: not compared any more: outputs present, which the sweep of ",
    ),
    Fault(
        "verdict_lost",
        SCOREBOARD,
        "assert sorted(reports) == files == tried, ",
        "AssertionError: a verdict was lost, or doubled",
    ),
    Fault(
        "difference_unexplained",
        SCOREBOARD,
        "assert not unexplained(",
        "AssertionError: ['phi differs, and nothing explains it']",
    ),
    Fault(
        "topk_stable",
        SCOREBOARD,
        "assert choice(equal).tolist() != ",
        "AssertionError: PyTorch picks the first, too: sweep again",
    ),
    Fault(
        "empty_cache_heeded",
        SCOREBOARD,
        "assert agree == ",
        "AssertionError: the export uses an empty cache now: sweep again",
    ),
]

BY_HAND = "NumPy computes other logits from the same weights"

FAULTS += [  # the model is wrong, and all that is exported from it is wrong in the same way
    *(
        Fault("causal_mask_missing", page, line, f"{WRONG}the last token changes the logits before")
        for page, line in {
            INPUTS: "verify_reference(untrained)",
            VERIFIED: "verify_reference(reference)",
            ONNX_COOKBOOK: "verify_reference(reference)",
        }.items()
    ),
    *(
        Fault("rope_base_changed", page, line, f"{WRONG}{BY_HAND}")
        for page, line in {
            EXPORT: "verify_reference(untrained.model)",
            GUARD_COOKBOOK: "verify_reference(reference)",
            DECODING: "verify_reference(model)",
        }.items()
    ),
    Fault(
        "mask_ignored_everywhere",
        COOKBOOK,
        "verify_reference(reference)",
        f"{WRONG}a text alone has other logits than in a batch",
    ),
    Fault(
        "cache_not_fed_back",
        WRONG_EXPORTS,
        "verify_reference(model)",
        f"{WRONG}step by step, its logits differ from those of one call",
    ),
    Fault(
        "texts_share_state",
        ONNX_ROUTE,
        "model = assets.language_model(corpus).model",
        f"{WRONG}a text alone has other logits than in a batch",
    ),
    Fault(
        "units_always_dropped",
        ONNX_FILE,
        "model = assets.language_model(corpus).model",
        f"{WRONG}{BY_HAND}",
    ),
    Fault(
        "units_always_dropped",
        SAVING,
        "pretrained = assets.language_model(corpus)",
        f"{WRONG}{BY_HAND}",
    ),
]

ITSELF = "ValueError: compare: all differences are exactly 0, because "

FAULTS += [  # a comparison covers less than it says, or compares something with itself
    *(
        Fault(
            "first_shape_only",
            page,
            "apart = largest_difference(",
            "RuntimeError: largest_difference: asked for batch 1, 64 + 1 tokens; ",
        )
        for page in (COOKBOOK, GUARD_COOKBOOK, ONNX_COOKBOOK)
    ),
    Fault(
        "first_shape_only",
        VERIFIED,
        "worst = worst_of(differences.values())",
        "ValueError: worst_of: two results are of the same inputs (batch 2, 30 + 3 tokens: ",
    ),
    *(
        Fault(stub, page, line, UNFOUND)
        for stub in ("newest_token_only", "first_text_only")
        for page, line in {
            VERIFIED: "differences = compare(",
            DECODING: "by_tensor = ",
        }.items()
    ),
    *(
        Fault("program_is_the_model", page, line, ITSELF)
        for page, line in {
            COOKBOOK: "apart = largest_difference(",
            GUARD_COOKBOOK: "apart = largest_difference(",
        }.items()
    ),
    Fault(
        "program_is_the_model",
        EXPORT,
        "assert isinstance(by_hand.module(), ",
        "AssertionError: this is not the program",
    ),
    Fault(
        "program_is_the_model",
        WRONG_EXPORTS,
        '"right": differences(',
        ITSELF.replace("compare", "compare_decodings"),
    ),
    Fault(
        "first_step_only",
        WRONG_EXPORTS,
        "table = pd.DataFrame(",
        "ValueError: worst_of: two results are of the same inputs (step 0, 12 tokens)",
    ),
    Fault(
        "onnx_is_eager",
        ONNX_ROUTE,
        "check(name, worst, ",
        "AssertionError: ONNX against eager: largest difference, to the spread: claimed at least ",
    ),
    Fault(
        "onnx_is_eager",
        ONNX_FILE,
        "check(",
        "AssertionError: ONNX float32 against eager: largest difference of a word's loss: claimed",
    ),
    Fault(
        "broken_model_passes",
        SCOREBOARD,
        'assert getattr(broken, "stage", "") == ',
        "AssertionError: the sweep misses a broken model",
    ),
    Fault(
        "sweep_repeats_stored",
        SCOREBOARD,
        "assert not lost, ",
        "bloom: the export took the ",
    ),
    Fault(
        "model_itself_wrong",
        SCOREBOARD,
        "assert not lost, ",
        "bloom: the model itself is wrong: earlier logits",
    ),
]

HARMLESS = "only_qnnpack"
"""The stub on which the pages that time int8 run to their end, with fewer claims."""

UNCLAIMED = {
    QUANTIZATION: ("int8 dot products: none", "loss, int8 minus float32"),
    SAVING: ("chosen = 'qnnpack'", "largest difference of the loss between engines"),
    ONNX_FILE: ("int8 dot products: none", "loss, ONNX int8 minus eager"),
    GRID: ("engine qnnpack", "processor time, to the time that passed"),
    ROUTES: ("int8 dot products: none", "loss, eager int8, minus float32"),
}
"""What these pages print there, and a claim that they make all the same."""

CONTRADICTING = "kept_grid_differs"
"""The stub on which the page with the kept grid says that it is contradicted."""


def of_page(page: Path, *values: object) -> object:
    """Name a test after its page, so that the worker gets it that runs the page."""
    names = [getattr(value, "stub", value) for value in values]
    name = "-".join([page.stem, *map(str, names)])
    return pytest.param(page, *values, id=name)


@pytest.fixture(scope="session")
def runs(request, tmp_path_factory):
    """Give a function that runs a page once, with all of its stubs that were asked for."""
    parameters = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = [found.params for found in parameters if found and "page" in found.params]

    @cache
    def run(page: Path) -> forks.Forked:
        of_this = [found for found in wanted if found["page"] == page]
        faults = [found["fault"] for found in of_this if "fault" in found]
        others = [found["stub"] for found in of_this if "stub" in found]
        whole = any(found.keys() == {"page"} for found in of_this)
        folder = tmp_path_factory.mktemp(page.stem)
        find = request.config.getoption("find_entries")
        return forks.run(page, faults, others, folder, whole=whole, find=find)

    return run


@pytest.mark.parametrize(("page", "fault"), [of_page(fault.page, fault) for fault in FAULTS])
def test_a_page_fails_and_says_where_and_why(page, fault, runs, record_property):
    forked = runs(page)
    outcome = forked.outcome(fault.stub)
    if outcome.entry < forked.entries[fault.stub]:
        record_property("early", f"{outcome.entry}")
    contradiction = fault.contradiction(outcome)
    assert not contradiction, contradiction


@pytest.mark.parametrize("page", [of_page(page) for page in PAGES])
def test_a_page_passes_where_nothing_is_wrong(page, runs):
    problems = "\n".join(runs(page).unbroken.problems())
    assert not problems, problems


@pytest.mark.parametrize(("page", "stub"), [of_page(page, HARMLESS) for page in UNCLAIMED])
def test_a_page_claims_no_speed_where_the_processor_promises_none(page, stub, runs):
    printed, claimed = UNCLAIMED[page]
    forked = runs(page)
    done = forked.outcome(stub)
    assert done.status == 0, done.errors
    assert printed in done.output
    claims = {result.name: result.claim for result in read_results(forked.folder / f"{stub}.jsonl")}
    assert {claim for name, claim in claims.items() if "speed-up" in name} <= {""}
    assert claims[claimed]


@pytest.mark.parametrize(("page", "stub"), [of_page(GRID, CONTRADICTING)])
def test_a_page_says_that_its_stored_grid_is_contradicted(page, stub, runs):
    done = runs(page).outcome(stub)
    assert (done.status, done.errors) == (0, "")
    assert "contradicted by 24 of 24 shapes measured here" in done.output


def test_no_stub_lies_idle():
    stubs = {file.stem for file in (HERE / "stubs").glob("*.py")}
    assert stubs == {HARMLESS, CONTRADICTING, *(fault.stub for fault in FAULTS)}

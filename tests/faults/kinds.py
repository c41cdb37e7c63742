"""The kinds of holes that a proof may have, the checks that close them, and faults that they find.

A new fault belongs to a kind, or shows that one is missing.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of hole.

    Parameters
    ----------
    hole
        What would pass without the checks.
    checks
        The functions that close it, which all pages share.
    faults
        Faults that fail because of them: stubs of ``test_number_faults``, or names of the cases in
        the other modules of this folder.
    """

    hole: str
    checks: tuple[str, ...]
    faults: tuple[str, ...]


KINDS = (
    Kind(
        "The test text may be training text.",
        (
            "smallport.assets.unseen.require_separate_parts",
            "smallport.assets.unseen.require_unseen_text",
        ),
        (
            "test_text_seen",
            "test_text_rewrapped",
            "test_is_validation",
            "trained_on_the_test_text",
            "training_changes_nothing",
        ),
    ),
    Kind(
        "A comparison covers less than it says, or compares something with itself.",
        (
            "smallport.parity.planted.require_planted_errors_found",
            "smallport.parity.engines.require_two_engines",
            "smallport.architectures.broken.broken_model",
        ),
        (
            "first_shape_only",
            "first_step_only",
            "first_text_only",
            "newest_token_only",
            "comparison_rounds",
            "program_is_the_model",
            "onnx_is_eager",
            "file_is_the_model",
            "file_names_ignored",
            "sweep_repeats_stored",
            "broken_model_passes",
        ),
    ),
    Kind(
        "Reference and export are wrong in the same way.",
        (
            "smallport.soundness.require_sound",
            "smallport.by_hand.llama_logits",
            "smallport.by_hand.lstm_logits",
        ),
        (
            "causal_mask_missing",
            "rope_base_changed",
            "texts_share_state",
            "units_always_dropped",
            "model_itself_wrong",
        ),
    ),
    Kind(
        "Stored files are trusted blindly.",
        (
            "smallport.measured.trust.require_sealed",
            "smallport.measured.trust.require_date",
            "smallport.measured.trust.require_commit",
        ),
        (
            "stored_results_edited",
            "stored_on_no_day",
            "stored_at_no_commit",
            "stored_outside_its_interval",
            "seconds_that_are_none",
            "verdict_of_another_architecture",
        ),
    ),
    Kind(
        "int8 is a class name, a dtype and a size.",
        (
            "smallport.quantize.codes.require_integers",
            "smallport.quantize.onnx.codes.require_integer_file",
        ),
        (
            "int8_weights_scaled",
            "eager_weights_of_32_levels",
            "eager_step_eight_times_as_wide",
            "eager_products_in_floats",
            "onnx_weights_of_32_levels",
            "onnx_products_in_floats",
        ),
    ),
    Kind(
        "Timings have no anchor.",
        (
            "smallport.timing.elapsed",
            "smallport.timing.require_same_results",
            "smallport.machine.int8_dot_products",
            "smallport.threads.use_one_thread",
        ),
        (
            "clock_jumps",
            "clock_loses_time",
            "threads_ignored",
            "capability_renamed",
            "baseline_in_float64",
            "onnx_layer_lost",
        ),
    ),
    Kind(
        "Output and downloads are not sealed.",
        (
            "tools.gallery.gates.unsealed",
            "tools.gallery.gates.shown_otherwise",
            "tools.gallery.origin.doubt",
            "tools.downloads.contents.unlike_pages",
        ),
        (
            "text_edited",
            "output_edited_in_the_site",
            "figure_replaced",
            "older_script",
            "older_notebook",
            "older_script_in_the_archive",
            "another_commit",
            "a_date_to_come",
        ),
    ),
    Kind(
        "Claims vanish.",
        ("tools.lint.claims.unreached", "tools.gallery.execute"),
        (
            "one_turn_of_two",
            "asserts_of_a_cut_zip",
            "filtered_claim",
            "filtered_beforehand",
            "all_of_nothing",
            "reads_a_record",
            "lists_a_record",
            "reads_the_site",
            "shares_a_number",
            "borrows_the_writer",
        ),
    ),
    Kind(
        "The demo is compared with itself.",
        ("tools.demo.files.try_to_make",),
        (
            "untrained_models",
            "untrained_int8",
            "untrained_float32",
            "words_of_another_model",
            "words_drawn_by_other_numbers",
            "words_in_another_order",
        ),
    ),
    Kind(
        "A calculation has no second way.",
        (
            "smallport.lstm.require_drawn",
            "smallport.quantize.codes.require_codes",
            "smallport.tiny_llm.require_tokenizer",
            "smallport.display.require_image_of",
        ),
        (
            "words_drawn_too_cold",
            "words_renumbered",
            "unigram_counts_saturate",
            "tokenizer_looks_texts_up",
            "image_upside_down",
            "loss_rescaled",
            "sizes_hard_coded",
        ),
    ),
    Kind(
        "A failure misleads.",
        ("tools.gallery.reached.mark", "smallport.checks.check"),
        (
            "bare_assert",
            "bare_assert_of_two",
            "bare_assert_of_none",
            "value_of_a_broken_function",
            "clock_loses_time",
        ),
    ),
)

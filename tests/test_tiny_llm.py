"""Tests of :mod:`smallport.tiny_llm`."""

import pytest
import torch
import transformers

from smallport import tiny_llm
from smallport.parity import InputShape, cache_argument, copy_inputs
from smallport.tiny_llm import (
    PARAMETERS,
    SPECIAL_TOKENS,
    largest_difference,
    tiny_llm_config,
    untrained_tiny_llm,
    write_checkpoint,
)

SMALL = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32}
LINES = ["the cat sat on the mat", "", "the dog sat on the cat", "naïve café ☕"]


def test_the_published_size():
    assert untrained_tiny_llm().model.num_parameters() == PARAMETERS == 12_988_992


def test_overrides_reach_the_model():
    untrained = untrained_tiny_llm(num_hidden_layers=3, num_key_value_heads=2, **SMALL)
    assert untrained.model.config.num_hidden_layers == 3
    assert len(untrained.inputs[cache_argument()].layers) == 3
    result = untrained.model(**copy_inputs(untrained.inputs))
    assert result.logits.shape == (2, 3, 50)
    assert result[cache_argument()].layers[2].values.shape == (2, 2, 33, 8)


def test_a_misspelt_override_is_refused():
    with pytest.raises(TypeError, match="LlamaConfig has no entry 'num_layers'"):
        tiny_llm_config(num_layers=2)


def test_dynamic_rope_runs_and_conflicts_with_an_override():
    untrained = untrained_tiny_llm(dynamic_rope=True, **SMALL)
    assert untrained.configuration.rope_parameters["rope_type"] == "dynamic"
    assert untrained.model(**untrained.inputs).logits.isfinite().all()
    with pytest.raises(ValueError, match="leave one of them out"):
        tiny_llm_config(dynamic_rope=True, rope_parameters={"rope_type": "default"})


def test_the_model_is_seeded_and_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, second = untrained_tiny_llm(**SMALL), untrained_tiny_llm(**SMALL)
    other = untrained_tiny_llm(seed=1, **SMALL)
    assert torch.equal(torch.get_rng_state(), before)
    assert not first.model.training
    assert torch.equal(first.model.lm_head.weight, second.model.lm_head.weight)
    assert torch.equal(first.inputs["input_ids"], second.inputs["input_ids"])
    assert not torch.equal(first.model.lm_head.weight, other.model.lm_head.weight)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint") / "Tiny-LLM"
    write_checkpoint(folder, LINES)
    return folder


def test_the_checkpoint_loads_back(checkpoint):
    model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint)
    assert model.num_parameters() == PARAMETERS
    assert torch.equal(model.lm_head.weight, untrained_tiny_llm().model.lm_head.weight)
    assert (model.config.bos_token_id, model.config.eos_token_id) == (1, 2)


def test_the_tokenizer_reads_any_text(checkpoint):
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    assert tokenizer.convert_ids_to_tokens([0, 1, 2]) == list(SPECIAL_TOKENS)
    assert len(tokenizer) <= 32_000
    assert tokenizer.model_max_length == 1024
    for text in ("the cat sat", "Ünseen ☃ 漢字\tand tabs"):
        ids = tokenizer(text)["input_ids"]
        assert ids[0] == tokenizer.bos_token_id
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert len(tokenizer("the cat sat")["input_ids"]) == 4


def test_the_checkpoint_depends_on_its_arguments_only(checkpoint, tmp_path):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    write_checkpoint(tmp_path, LINES)
    assert torch.equal(torch.get_rng_state(), before)
    names = sorted(file.name for file in checkpoint.iterdir())
    assert names == sorted(file.name for file in tmp_path.iterdir())
    for name in names:
        assert (tmp_path / name).read_bytes() == (checkpoint / name).read_bytes(), name


@pytest.mark.parametrize("shown", [True, False])
def test_writing_a_checkpoint_is_silent_and_keeps_the_progress_bars(tmp_path, capfd, shown):
    logging = transformers.utils.logging
    switch = logging.enable_progress_bar if shown else logging.disable_progress_bar
    try:
        switch()
        write_checkpoint(tmp_path, LINES)
        assert logging.is_progress_bar_enabled() is shown
    finally:
        logging.enable_progress_bar()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("lines", [[], ["", "  "]])
def test_a_checkpoint_needs_text(tmp_path, lines):
    with pytest.raises(ValueError, match="no line with text"):
        write_checkpoint(tmp_path / "new", lines)
    assert not (tmp_path / "new").exists()


def test_a_checkpoint_does_not_replace_a_file(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError):
        write_checkpoint(file, LINES)
    assert file.read_text(encoding="utf-8") == "mine"


def test_a_difference_at_the_last_shape_only_is_found():
    model = untrained_tiny_llm(**SMALL).model
    shapes = [InputShape(1, 5, 2), InputShape(2, 3, 1), InputShape(1, 1100, 4)]

    def changed(**inputs):
        result = model(**inputs)
        result.logits += (inputs["attention_mask"].shape[1] == 1104) * 0.5
        return result

    assert largest_difference(model, model, shapes, eager=True) == 0
    assert largest_difference(model, changed, shapes[:2], eager=True) == 0
    assert largest_difference(model, changed, shapes) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("compare", lambda real: lambda *args, **more: real(*args[:2], args[2][:1], **more)),
        ("make_inputs", lambda real: lambda config, _, **more: real(config, **more)),
    ],
)
def test_a_comparison_of_fewer_shapes_is_told(monkeypatch, name, changed):
    models = [untrained_tiny_llm(seed=seed, **SMALL).model for seed in (0, 1)]
    monkeypatch.setattr(tiny_llm, name, changed(getattr(tiny_llm, name)))
    with pytest.raises(RuntimeError, match=r"asked for batch 1, 5 \+ 2 tokens; .*, and compared"):
        largest_difference(*models, [InputShape(1, 5, 2), InputShape(2, 3, 1)])

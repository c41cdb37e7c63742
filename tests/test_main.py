"""Tests of :mod:`smallport.commands.main` and of ``smallport check``."""

import json
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from smallport.architectures import by_name as loading
from smallport.commands import main as cli
from smallport.export import STAGES, ExportReport
from smallport.export.report import PACKAGES, StageReport
from smallport.tiny_llm import tiny_llm_config


@pytest.fixture
def checkpoint(tmp_path):
    """Write a checkpoint of a small Llama."""
    folder = tmp_path / "checkpoint"
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 32}
    transformers.LlamaForCausalLM(tiny_llm_config(**sizes)).save_pretrained(folder)
    return folder


def change(checkpoint, **entries):
    file = checkpoint / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


def test_an_architecture_is_checked(capsys):
    assert cli.main(["check", "llama", "--until", "ran"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("built                passed")
    assert "LlamaForCausalLM" in printed
    assert "not reached: exported, matches" in printed
    assert printed.endswith("llama passes until ran; nothing was compared\n")
    assert "again: smallport check llama --until" in printed


def test_a_checkpoint_is_checked(checkpoint, capsys):
    assert cli.main(["check", str(checkpoint), "--until", "ran", "--json"]) == 0
    report = ExportReport.from_json(json.loads(capsys.readouterr().out))
    assert report["ran"].status == "passed"
    assert report["exported"].status == "not reached"
    assert report.command == f"smallport check {checkpoint} --until ran --json"
    assert report.until == "ran"


def test_the_command_that_repeats_a_check_works_in_every_folder(checkpoint, capsys, monkeypatch):
    spaced = checkpoint.rename(checkpoint.with_name("my model"))
    monkeypatch.chdir(spaced.parent)
    assert cli.main(["check", "my model", "--until", "built"]) == 0
    (again,) = re.findall("^again: (.*)$", capsys.readouterr().out, re.MULTILINE)
    assert shlex.split(again) == ["smallport", "check", str(spaced), "--until", "built"]
    assert loading.absolute_name("llama") == "llama"
    assert loading.absolute_name("hub://a/b") == "hub://a/b"


def test_a_model_is_checked_in_half_precision(capsys):
    assert cli.main(["check", "llama", "--dtype", "bfloat16", "--until", "ran"]) == 0
    printed = capsys.readouterr().out
    assert "not compared: errors below the rounding of bfloat16" in printed
    assert "again: smallport check llama --until ran --dtype bfloat16" in printed


def test_a_file_is_kept_and_checked(checkpoint, capsys, monkeypatch):
    monkeypatch.chdir(checkpoint.parent)
    assert cli.main(["check", "checkpoint", "--until", "exported", "--save", "kept"]) == 0
    kept = checkpoint.parent / "kept"
    report = ExportReport.from_json(json.loads((kept / "report.json").read_text()))
    assert report["exported"].status == "passed"
    capsys.readouterr()
    options = ["--against", "kept/model.pt2", "--least-agreement", "0.95"]
    assert cli.main(["check", "checkpoint", *options]) == 0
    printed = capsys.readouterr().out
    (again,) = re.findall("^again: (.*)$", printed, re.MULTILINE)
    assert shlex.split(again)[3:] == ["--against", str(kept / "model.pt2"), *options[2:]]
    assert "next tokens agree at 100.0% of" in printed


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--against", "nowhere.onnx"], "there is no file nowhere.onnx"),
        (["--against", __file__], "is neither an ONNX file"),
        (["--most-divergence", "0.1"], "a budget is for a file"),
        (["--against", __file__, "--least-agreement", "2"], "agreement is above 0"),
        (["--against", __file__, "--until", "ONNX"], "there is no stage 'ONNX'"),
        (["--dtype", "float8"], "invalid choice: 'float8'"),
    ],
)
def test_options_that_cannot_be_met_are_bad_calls(options, problem, capsys):
    assert problem in bad_call(capsys, "llama", *options)


def rewrite_weights(checkpoint, folder, change):
    """Copy a checkpoint, with its weights changed."""
    shutil.copytree(checkpoint, folder)
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return str(folder)


def test_weights_that_would_be_random_are_no_pass(checkpoint, tmp_path, capsys):
    folder = rewrite_weights(
        checkpoint,
        tmp_path / "wrapped",
        lambda weights: {f"wrapped.{name}": weight for name, weight in weights.items()},
    )
    assert cli.main(["check", folder, "--until", "ran"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "built FAILED" in said
    assert "would be random: lm_head.weight" in said
    assert "It holds instead: wrapped.lm_head.weight" in said


def test_one_weight_that_is_missing_is_named(checkpoint, tmp_path, capsys):
    lost = "model.layers.0.mlp.up_proj.weight"
    folder = rewrite_weights(
        checkpoint,
        tmp_path / "lost",
        lambda weights: {name: weight for name, weight in weights.items() if name != lost},
    )
    assert cli.main(["check", folder, "--until", "built"]) == 1
    assert f"would be random: {lost}" in " ".join(capsys.readouterr().out.split())


def test_weights_of_another_shape_are_named_with_both(checkpoint, tmp_path, capsys):
    folder = rewrite_weights(
        checkpoint,
        tmp_path / "shape",
        lambda weights: weights | {"model.norm.weight": torch.ones(3)},
    )
    assert cli.main(["check", folder, "--until", "built"]) == 1
    assert "model.norm.weight (3,) instead of (" in " ".join(capsys.readouterr().out.split())


def test_the_weights_are_those_of_the_checkpoint(checkpoint):
    model = loading.model_builder(str(checkpoint))()
    saved = transformers.LlamaForCausalLM.from_pretrained(checkpoint)
    assert torch.equal(model.lm_head.weight, saved.lm_head.weight)
    assert not model.training
    assert model.dtype == torch.float32


def test_a_stage_that_fails_is_the_exit_status(checkpoint, capsys):
    (checkpoint / "model.safetensors").unlink()
    assert cli.main(["check", str(checkpoint)]) == 1
    printed = capsys.readouterr().out
    assert "FAILED" in printed
    assert "OSError" in printed
    assert f"{checkpoint} fails: built" in printed


def bad_call(capsys, *arguments):
    """Return what is said about a call that cannot be carried out."""
    assert cli.main(["check", *map(str, arguments)]) == 2
    printed = capsys.readouterr()
    assert not printed.out
    return printed.err


def test_a_name_that_does_not_exist_gets_a_hint(capsys):
    said = bad_call(capsys, "lama")
    assert "'lama' is neither a folder nor a model_type that transformers" in said
    assert "did you mean llama" in said


def test_a_name_of_other_tasks_only_gets_a_hint(capsys):
    assert "did you mean t5:seq2seq-lm?" in bad_call(capsys, "t5")


def test_what_is_out_of_scope_is_not_checked(capsys):
    assert "is not checked: its input is sound" in bad_call(capsys, "voxtral:seq2seq-lm")


def test_a_folder_without_configuration(capsys, tmp_path):
    assert "has no config.json" in bad_call(capsys, tmp_path)
    file = tmp_path / "model.safetensors"
    file.touch()
    assert f"{file} is a file; name the folder" in bad_call(capsys, file)


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{", "not a valid JSON file"),
        ("[1, 2]", "config.json should hold an object, not [1, 2]"),
        ("null", "no configuration that can be read"),
        ('{"model_type": ["llama"]}', "model_type should be a name"),
        ('{"model_type": "llama", "hidden_size": "big"}', "'hidden_size' expected int, got str"),
        ('{"model_type": "llama", "num_attention_heads": 0}', "ZeroDivisionError"),
        ('{"model_type": "llama", "num_hidden_layers": 0}', "num_hidden_layers is 0, and should"),
        ('{"model_type": "gemma3", "text_config": 7}', "field 'text_config'"),
    ],
)
def test_a_configuration_that_is_none_is_told_in_a_line(capsys, tmp_path, config, reason):
    (tmp_path / "config.json").write_text(config)
    said = bad_call(capsys, tmp_path, "--until", "built")
    assert reason in said
    assert str(tmp_path) in said
    assert said.count("\n") == 1
    assert len(said) < 600


@pytest.fixture
def asked(monkeypatch):
    """Collect the names that the hub is asked for, and have it know none of them."""
    names = []

    def refuse(name):
        names.append(name)
        raise OSError(f"{name} is not a valid model identifier\nMore lines.")

    monkeypatch.setattr(transformers.PreTrainedConfig, "get_config_dict", refuse)
    return names


@pytest.mark.parametrize("name", ["checkpoints/run3", "./run3", "/no/such/folder", "run3/", "lama"])
def test_a_mistyped_folder_is_not_sent_to_the_hub(capsys, asked, name):
    said = bad_call(capsys, name)
    assert f"there is no folder {name}" in said or "neither a folder nor" in said
    assert asked == []
    assert ("write hub://checkpoints/run3" in said) == (name == "checkpoints/run3")


def test_a_name_on_the_hub_that_is_not_there(capsys, asked):
    said = bad_call(capsys, "hub://nobody/nothing")
    assert asked == ["nobody/nothing"]
    assert "hub://nobody/nothing has no configuration that can be read: nobody/nothing is" in said
    assert said.count("\n") == 1
    assert "write hub://OWNER/NAME" in bad_call(capsys, "hub://../folder")


def test_code_of_a_checkpoint_is_not_run(capsys, checkpoint):
    (checkpoint / "own.py").write_text("raise SystemExit('it was run')")
    change(checkpoint, model_type="own", auto_map={"AutoConfig": "own.Config"})
    assert "this command never runs code of a checkpoint" in bad_call(capsys, checkpoint)


def test_code_of_a_checkpoint_that_is_not_needed_is_told(capsys, checkpoint):
    change(checkpoint, auto_map={"AutoModelForCausalLM": "own.Own"})
    assert cli.main(["check", str(checkpoint), "--until", "ran"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "code of the checkpoint (own.Own) that was not run: LlamaForCausalLM" in printed
    assert printed.endswith("not compared: custom code")


@pytest.mark.parametrize(
    ("model_type", "kind"),
    [
        ("own", "a kind of model"),
        ("vit", "an image model"),
        ("t5", "a sequence-to-sequence model"),
        ("wav2vec2", "an audio model"),
        ("distilbert", "an encoder"),
    ],
)
def test_what_is_no_causal_language_model(capsys, checkpoint, model_type, kind):
    change(checkpoint, model_type=model_type)
    said = bad_call(capsys, checkpoint)
    assert f"is of the model_type {model_type!r}, {kind} that transformers" in said
    assert "does not register for causal language modelling" in said
    assert "smallport.parity.compare" in said


def test_a_model_too_large_for_memory(capsys, checkpoint, monkeypatch):
    monkeypatch.setattr(loading, "available_memory", lambda: 10_000)
    said = bad_call(capsys, checkpoint)
    assert "takes about 0.0 GB of memory, and 0.0 GB are available" in said
    assert "smallport check llama" in said


LAYERS = 10**12
SMALL = {"hidden_size": 8, "intermediate_size": 8, "vocab_size": 9, "num_attention_heads": 2}


@pytest.mark.parametrize(
    "entries",
    [
        {"model_type": "llama", "num_hidden_layers": LAYERS, **SMALL},
        {"model_type": "qwen3", "num_hidden_layers": LAYERS},
        {"model_type": "gpt2", "n_layer": LAYERS},
        {"model_type": "bart", "encoder_layers": 2, "decoder_layers": LAYERS},
        {"model_type": "gemma3", "text_config": {"num_hidden_layers": LAYERS}},
        {"model_type": "llama", "vocab_size": LAYERS},
    ],
    ids=lambda entries: entries["model_type"],
)
def test_an_absurd_size_is_rejected_without_building_it(capsys, tmp_path, entries):
    (tmp_path / "config.json").write_text(json.dumps(entries))
    said = bad_call(capsys, tmp_path)
    assert "GB of memory, and" in said
    assert f"smallport check {entries['model_type']}" in said


@pytest.mark.parametrize(
    "entries",
    [
        {"model_type": "llama", "num_hidden_layers": 210, **SMALL},
        {
            "model_type": "gemma3_text",
            "num_hidden_layers": 212,
            "layer_types": ["sliding_attention", "full_attention"] * 106,
            **SMALL,
        },
        {"model_type": "bart", "encoder_layers": 205, "decoder_layers": 220, "d_model": 16},
    ],
)
def test_the_parameters_of_many_layers_are_estimated(monkeypatch, entries):
    estimate = loading.count_parameters(entries)
    monkeypatch.setattr(loading, "MOST_LAYERS", 300)
    assert loading.count_parameters(entries) == estimate


def test_memory_is_known_here():
    available = loading.available_memory()
    assert available is None or available > 2**26


def test_a_stage_that_does_not_exist(capsys):
    said = bad_call(capsys, "llama", "--until", "optimized")
    assert said.startswith("smallport check: argument --until: invalid choice: 'optimized'")
    assert "usage: smallport check" in said


def test_a_failure_is_printed_in_full_with_its_recipe():
    stage = StageReport(
        "matches",
        "failed",
        "it fails at 1 of 7 shapes",
        1.0,
        0.25,
        "logits[0, 0, 1] is 1 instead of 2",
        "AssertionError: Guard failed: x\nsecond line",
        "guard-refuses",
    )
    lines = str(stage).splitlines()
    assert lines[0].startswith("matches              FAILED   1.0 s  it fails at 1 of 7 shapes")
    assert "largest relative difference 0.25: logits[0, 0, 1] is 1 instead of 2" in lines[1]
    assert lines[-2].strip() == "second line"
    assert lines[-1].strip() == "explained by: smallport explain guard-refuses"


def test_all_stages_passed_is_said(capsys, monkeypatch):
    stages = tuple(StageReport(stage, "passed", "found") for stage in STAGES)
    report = ExportReport("llama", stages, {"torch": "2"}, "smallport check llama")
    monkeypatch.setattr("smallport.export.check.check_export", lambda *_, **__: report)
    assert cli.main(["check", "llama"]) == 0
    assert (
        "llama passes every stage; nothing was compared" in capsys.readouterr().out.splitlines()[-1]
    )


@pytest.mark.parametrize(
    ("options", "handed_on"),
    [
        ([], {"require": None, "max_tokens": 600, "thorough": False}),
        (["--require", "other inputs"], {"require": {"other inputs"}}),
        (["--require", "nothing"], {"require": set()}),
        (["--max-tokens", "99"], {"max_tokens": 99}),
        (["--max-tokens", "700", "--thorough"], {"max_tokens": 700, "thorough": True}),
    ],
)
def test_what_has_to_be_compared_is_handed_on(options, handed_on, capsys, monkeypatch):
    asked = {}

    def check(*_, command, **given):
        asked.update(given, command=command)
        stages = tuple(StageReport(stage, "passed", "found") for stage in STAGES)
        return ExportReport("llama", stages, {}, command)

    monkeypatch.setattr("smallport.export.check.check_export", check)
    assert cli.main(["check", "llama", *options]) == 0
    assert {name: asked[name] for name in handed_on} == handed_on
    assert shlex.split(asked["command"]) == ["smallport", "check", "llama", *options]
    capsys.readouterr()


@pytest.mark.parametrize("length", ["15", "many"])
def test_a_text_that_is_too_short_is_a_bad_call(length, capsys):
    assert cli.main(["check", "llama", "--max-tokens", length]) == 2
    assert "argument --max-tokens: " in capsys.readouterr().err


def test_what_is_not_installed_is_named(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert cli.main(["check", "llama"]) == 2
    said = capsys.readouterr().err
    assert "needs onnx, which cannot be found" in said
    assert "pip install onnx\n" in said


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["check", "--help"], ["explain"]])
def test_what_needs_no_extra_works_without(arguments):
    lacking = f"import sys; sys.modules |= dict.fromkeys({PACKAGES[:-1]})"
    code = f"{lacking}; from smallport.commands.main import main; sys.exit(main({arguments}))"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_package_can_be_run():
    call = [sys.executable, "-m", "smallport", "--version"]
    done = subprocess.run(call, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("smallport ")

"""
Export Tiny-LLM to ONNX and verify the result
=============================================

Result: ONNX Runtime computes the same logits and the same cache as the model, up to
rounding, in all eight shapes compared. The exported program does so in seven, and
rejects the shortest text. The export saw only one of the eight shapes.

Prerequisites: :doc:`An exported program of Tiny-LLM <plot_12_tiny_llm_export>`, from
the page before this one. The code needs ``torch``, ``transformers``, ``onnx``,
``onnxscript`` and ``onnxruntime``.

What you will learn: to write an ONNX file with named axes, to compare it with the model
at sizes that the export never saw, and to verify that the comparison finds errors.

An export without an error message can still be wrong: a size may be fixed to that of
the example, an input may be ignored, a weight may differ. This page finds such errors
step by step; :func:`~smallport.check_export`, at its end, does it in one call.
"""

# %%
# Export to a program, and to ONNX
# --------------------------------
#
# Export the untrained model as on :doc:`the page before this one
# <plot_12_tiny_llm_export>`.

# Guard: against log lines, warnings of PyTorch's exporter about code inside of PyTorch,
# and a runtime that reports its use.
import os
from contextlib import ExitStack

import transformers

from smallport.display import errors_only
from smallport.quantize.onnx import export_messages_hidden

assert os.environ["ORT_DISABLE_TELEMETRY"] == "1", "ONNX Runtime reports its use"

transformers.utils.logging.set_verbosity_error()
quiet = ExitStack()
quiet.enter_context(errors_only("torch.export", "torch.fx"))
quiet.enter_context(export_messages_hidden())

# %%
# Its program has :term:`dynamic <dynamic shape>` axes for the batch, the cached tokens
# and the new tokens.

# sphinx_gallery_thumbnail_number = 1
import torch
from transformers.exporters import DynamoConfig, DynamoExporter

from smallport.parity import cache_argument, copy_inputs
from smallport.tiny_llm import untrained_tiny_llm, verify_reference

untrained = untrained_tiny_llm()
inputs = untrained.inputs
cache_name = cache_argument()  # "cache" since transformers 5.24, or "past_key_values"


def export(model: torch.nn.Module) -> torch.export.ExportedProgram:
    """Export a model; the forward pass may write to its inputs."""
    config = DynamoConfig(dynamic=True, dynamic_shapes=untrained.dynamic_shapes)
    return DynamoExporter().export(model, copy_inputs(inputs), config=config).program


program = export(untrained.model)

# %%
# :func:`torch.onnx.export` translates it. ONNX Runtime takes inputs by name, so give
# names to inputs and outputs: these are usual in ONNX files of language models. The
# axes of a program are dynamic already. ``dynamic_shapes`` gives them names, and each
# size needs its name only once.

from smallport.parity import name_inputs

onnx_program = torch.onnx.export(
    program,
    dynamo=True,
    verbose=False,
    input_names=list(name_inputs(inputs)),
    output_names=["logits", "present.0.key", "present.0.value"],
    dynamic_shapes={
        "input_ids": {0: "batch", 1: "new"},
        "attention_mask": {0: "batch", 1: "length"},
        "position_ids": {},
        cache_name: [{2: "cached"}, {}],
    },
)

# %%
# Save the file, and open it with ONNX Runtime. (In code of your own, set the
# environment variable ``ORT_DISABLE_TELEMETRY=1`` before you import ``onnxruntime``, or
# it reports its use to its maker. Importing ``smallport`` does so.)

import tempfile
from pathlib import Path

import onnx
import onnxruntime

options = onnxruntime.SessionOptions()
options.log_severity_level = 3  # errors only
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "tiny_llm.onnx"
    onnx_program.save(file)
    session = onnxruntime.InferenceSession(
        file, options, providers=["CPUExecutionProvider"]
    )
    graph = onnx.load(file).graph

shapes = {
    value.name: value.shape for value in [*session.get_inputs(), *session.get_outputs()]
}
for name, shape in shapes.items():
    print(f"{name}: {' × '.join(map(str, shape))}")

# %%
# Dynamic axes have names, others have numbers. All operators are of the ONNX standard,
# so runtimes other than ONNX Runtime can run this file, too. (That is not the case for
# :doc:`quantized files </gallery/quantization/plot_40_lstm_through_onnx>`.)

assert shapes["input_ids"] == ["batch", "new"], "the axes have lost their names"
assert shapes["past_key_values.0.key"] == ["batch", 1, "cached", 96]
assert shapes["present.0.key"][2] in {"cached + new", "new + cached"}
assert {node.domain for node in graph.node} == {""}

# %%
# Compare one call by hand
# ------------------------
#
# The reference must be a model of its own. An exported program *shares* its weights
# with the model that it was made from, so an error in a weight would change both. Build
# it again from the same seed.

reference = untrained_tiny_llm().model

# %%

# Guard: against a reference that shares weights with the program, has others, or is
# wrong itself.
verify_reference(reference)
exported_weight = program.state_dict["lm_head.weight"]
assert exported_weight.data_ptr() == untrained.model.lm_head.weight.data_ptr()
assert reference.lm_head.weight.data_ptr() != exported_weight.data_ptr()
assert torch.equal(reference.lm_head.weight, exported_weight), (
    "the export changed a weight of the model"
)

# %%
# Run both on the same inputs, and subtract *all* outputs. The next call reads the
# cache, so an error in it shows only in the next token.

import numpy as np

from smallport.parity import name_outputs

with torch.no_grad():
    expected = name_outputs(reference(**copy_inputs(inputs)))
arrays = session.run(
    list(expected),
    {name: tensor.numpy() for name, tensor in name_inputs(inputs).items()},
)
by_hand = {
    name: float(np.abs(array.astype(np.float64) - tensor.double().numpy()).max())
    for (name, tensor), array in zip(expected.items(), arrays, strict=True)
}
for name, difference in by_hand.items():
    print(f"{name}: {difference:.2g}")

# %%
# Compare at shapes that the export never saw
# -------------------------------------------
#
# Vary the batch size and all lengths. One shape has a text that is shorter than the
# others, with padding before it, because with a mask full of ones a program that
# ignores its mask would pass. :func:`~smallport.parity.compare` does the calculation
# above at each shape, and leaves out the places of padding, which nobody reads.

import functools

from smallport.parity import InputShape, compare, run_session, worst_of
from smallport.tiny_llm import make_inputs

seen = InputShape(batch_size=2, cache_length=30, new_tokens=3)
unseen = [
    InputShape(batch_size=1, cache_length=30, new_tokens=3),
    InputShape(batch_size=3, cache_length=7, new_tokens=5),
    InputShape(batch_size=1, cache_length=64, new_tokens=1),
    InputShape(batch_size=4, cache_length=1, new_tokens=3),
    InputShape(batch_size=2, cache_length=1000, new_tokens=20),
    InputShape(batch_size=3, cache_length=12, new_tokens=2, padding=5),
]
smallest = InputShape(batch_size=1, cache_length=1, new_tokens=1)
inputs_like = functools.partial(make_inputs, reference.config)
module = program.module()

differences = compare(
    reference,
    lambda some_inputs: module(**some_inputs),
    [seen, *unseen],
    make_inputs=inputs_like,
)
worst = worst_of(differences.values())
print(f"{len(differences)} shapes, {len(worst.by_tensor)} tensors each: {worst}")

assert list(differences) == [seen, *unseen]
assert list(worst.by_tensor) == list(expected)

# %%
# The export saw only the first of these shapes.

# Guard: against inputs whose shape differs from the one that is listed.
for shape in [*unseen, smallest]:
    mask = inputs_like(shape)["attention_mask"]
    length = shape.cache_length + shape.new_tokens
    assert mask.shape == (shape.batch_size, length), "make_inputs ignores the shape"
    assert int((mask == 0).sum()) == shape.padding

# %%
# The program differs from the model by no more than rounding, in the logits and in the
# cache.

from smallport import checks

checks.check(
    "exported program against eager: largest difference of logits",
    worst.largest("logits"),
    at_most=1e-5,
)
checks.check(
    "exported program against eager: largest difference of the cache",
    worst.largest("present"),
    at_most=1e-5,
)

# %%
# The same for ONNX Runtime, and one more shape: a text of two tokens. The program
# rejects it, because its mask has fewer than :doc:`four columns
# <plot_12_tiny_llm_export>`. ONNX files contain no such :term:`guards <guard>`, so ONNX
# Runtime runs it, and the numbers have to be right.

with checks.raises(AssertionError, match="attention_mask.size()[1] >= 4"):
    module(**inputs_like(smallest))

onnx_differences = compare(
    reference,
    functools.partial(run_session, session),
    [seen, *unseen, smallest],
    make_inputs=inputs_like,
)
worst = worst_of(onnx_differences.values())
checks.check(
    "ONNX Runtime against eager: largest difference of logits",
    worst.largest("logits"),
    at_most=1e-5,
)
checks.check(
    "ONNX Runtime against eager: largest difference of the cache",
    worst.largest("present"),
    at_most=1e-5,
)
assert list(onnx_differences) == [seen, *unseen, smallest]

# %%
# ONNX Runtime has its own kernels, which add numbers in a different order, and so the
# last digits differ. The figure shows the largest difference at each shape, next to the
# spacing of 32-bit floats near one.

# Drawing: a row for each shape of the inputs, with a dot for the logits and a square
# for the worst tensor of the cache. All of them lie left of the claimed bound, a line
# on the right of a logarithmic axis.
import matplotlib.pyplot as plt

labels = [str(shape).replace(", ", "\n", 1) for shape in onnx_differences]
positions = range(len(labels))
spacing = torch.finfo(torch.float32).eps

figure, axis = plt.subplots(figsize=(6, 5), layout="constrained", facecolor="white")
axis.plot(
    [difference.largest("logits") for difference in onnx_differences.values()],
    positions,
    "o",
    color="#4c72b0",
    label="logits",
)
axis.plot(
    [difference.largest("present") for difference in onnx_differences.values()],
    positions,
    "s",
    color="#dd8452",
    label="worst cache tensor",
)
axis.axvline(spacing, color="gray", linestyle="--", label="spacing of floats near 1")
axis.axvline(1e-5, color="#c44e52", label="claimed bound")
axis.set_xscale("log")
axis.set_yticks(positions, labels)
axis.invert_yaxis()
axis.set_xlabel("largest absolute difference from eager PyTorch")
axis.set_title("ONNX Runtime differs by rounding only")
figure.legend(loc="outside lower center", ncols=2, frameon=False)
axis.spines[["top", "right"]].set_visible(False)

# %%
# Verify the comparison
# ---------------------
#
# A comparison that finds nothing must prove that it can find something. It agrees with
# the calculation by hand, and it finds one number of one tensor that was changed by a
# thousandth. (Model and program could still be wrong in the same way, such as ignoring
# the mask: see exercise 2.)

assert by_hand == onnx_differences[seen].by_tensor, "compare and NumPy disagree"
assert all(one.largest() > 0 for one in onnx_differences.values())


def slightly_wrong(some_inputs: dict) -> dict[str, torch.Tensor]:
    """Run the program, and change one number of its cache."""
    outputs = name_outputs(module(**some_inputs))
    values = outputs["present.0.value"].clone()
    values[0, 0, -1, -1] += 1e-3
    return outputs | {"present.0.value": values}


noticed = compare(reference, slightly_wrong, [seen], make_inputs=inputs_like)[seen]
print(noticed)

assert noticed.worst() == "present.0.value", "compare missed a changed tensor"
assert 0.9e-3 < noticed.largest() < 1.1e-3, "compare missed a changed number"

# %%
# No such run finds a wrong row of the embedding: the inputs contain only a few of the
# 32,000 tokens. So compare the :term:`initializer` itself, as the folded cell does.

# Guard: against rows of the embedding that no input reads.
used = {
    int(number)
    for shape in onnx_differences
    for number in inputs_like(shape)["input_ids"].unique()
}
stored = {tensor.name: tensor for tensor in graph.initializer}
embedding = onnx.numpy_helper.to_array(stored["model.embed_tokens.weight"])

assert len(used) < 100 < reference.config.vocab_size
assert np.array_equal(embedding, reference.model.embed_tokens.weight.detach()), (
    "the embedding in the ONNX file is not the model's"
)

# %%
# Limits
# ------
#
# Expect agreement *within rounding*, not in every bit. The differences of the exported
# program can be zero here, and are not when :doc:`a text is decoded
# <plot_30_exported_but_is_it_right>`.
#
# Errors of an export are larger, but not in every output. An ignored mask changes the
# logits of padded texts only. A shift of *all* positions changes the keys, and not the
# logits (exercise 2).
#
# Check a model in one call
# -------------------------
#
# :func:`~smallport.check_export` does all this for a model of your own. It also starts
# with an empty cache, and decodes a few tokens from it, which this page did not.

import textwrap

from smallport import check_export

report = check_export(untrained_tiny_llm().model, name="Tiny-LLM")

for stage in report.stages:
    line = f"{stage.stage} {stage.status}: {stage.found}"
    print(textwrap.fill(line, 88, subsequent_indent="    "))

assert report.passed(), report.failure()

# %%
# The end of the report lists what was compared. The differences are a share of the
# element, or of typical elements of its tensor if these are larger.

print(report.verdict(88))

checks.check(
    "check_export, ONNX Runtime against eager: largest relative difference",
    report["ONNX Runtime matches"].largest_difference,
    at_most=1e-4,
)

# %%

# Guard: against a check that left something out.
compared = report.coverage.compared
assert compared["number of tensors"] == [3]  # the logits, one key and one value
assert max(compared["lengths"]) == 600
assert compared["first tokens"][0] == untrained.configuration.bos_token_id
assert len(compared["model itself"]) == 4, "the model of the check is wrong itself"
assert not report.coverage.not_compared

# %%
# From a shell, ``smallport check ./my-checkpoint`` does the same for a checkpoint, and
# ``smallport check llama`` for a tiny untrained model of any architecture that
# transformers has.
#
# Exercises
# ---------
#
# 1. Export a checkpoint instead of the untrained model, and compare it at the unseen
#    shapes. Load it twice with ``AutoModelForCausalLM.from_pretrained``: once for the
#    export, once as the reference.

# Answer: it agrees, too. The bound is wider, because trained weights give larger logits
# and larger rounding errors.
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from smallport import assets

logging.disable_progress_bar()
folder = assets.tiny_llm().folder
loaded_module = export(AutoModelForCausalLM.from_pretrained(folder)).module()

loaded_differences = compare(
    AutoModelForCausalLM.from_pretrained(folder),
    lambda some_inputs: loaded_module(**some_inputs),
    unseen,
    make_inputs=inputs_like,
)
worst = worst_of(loaded_differences.values())
print(f"{len(loaded_differences)} shapes, {len(worst.by_tensor)} tensors each: {worst}")

assert list(loaded_differences) == unseen
checks.check(
    "exported checkpoint against eager: largest difference of logits",
    worst.largest("logits"),
    at_most=1e-3,
)
checks.check(
    "exported checkpoint against eager: largest difference of the cache",
    worst.largest("present"),
    at_most=1e-3,
)

# %%
# 2. If model and program both ignored an input, they would agree. Change one input of
#    the padded shape at a time: fill the mask with ones, add one to the positions,
#    draw other tokens and another cache with ``seed=1``. Which texts get other logits?
#    And what changes if you shift *all* positions of a text, without a cache
#    (``make_inputs(…, with_cache=False)``)?

# Answer: the mask changes the padded text only, all other inputs change every text. A
# shift of all positions changes the keys only: the position embedding of Llama is
# relative. Shifted new tokens are farther from those in the cache, and logits change.
padded = inputs_like(unseen[-1])
others = inputs_like(unseen[-1], seed=1)
changes = {
    "attention_mask": torch.ones_like(padded["attention_mask"]),
    "position_ids": padded["position_ids"] + 1,
    "input_ids": others["input_ids"],
    cache_name: others[cache_name],
}
moved = {}
with torch.no_grad():
    logits = reference(**copy_inputs(padded)).logits
    for name, value in changes.items():
        changed = reference(**copy_inputs(padded | {name: value})).logits
        moved[name] = (changed - logits).abs().amax(dim=(1, 2)).tolist()
        print(f"{name}:", *(f"{change:.1g}" for change in moved[name]))

masked_text, *full_texts = moved.pop("attention_mask")
assert masked_text > 1e-2, "the model ignores its mask"
assert max(full_texts) < 1e-5
for name, texts in moved.items():
    assert min(texts) > 1e-3, f"the model ignores its {name}"


def shifted(some_inputs: dict) -> object:
    """Run the model with all positions shifted by one."""
    return reference(**some_inputs | {"position_ids": some_inputs["position_ids"] + 1})


text_like = functools.partial(inputs_like, with_cache=False)
by_shift = compare(reference, shifted, [seen], make_inputs=text_like)[seen]
print(by_shift.by_tensor)

assert by_shift.largest("logits") < 1e-5, "attention depends on absolute positions"
assert by_shift.by_tensor["present.0.key"] > 1e-2
assert by_shift.by_tensor["present.0.value"] == 0

# %%
# 3. Check a model that cannot be exported: ``untrained_tiny_llm(dynamic_rope=True)``.
#    What does the report say about the stages after the one that fails?

# Answer: they are not reached, which does not count as passed.
rescaled = untrained_tiny_llm(dynamic_rope=True)
rescaled_report = check_export(rescaled.model, name="Tiny-LLM with dynamic rope")

for stage in rescaled_report.stages:
    print(f"{stage.stage}: {stage.status}")

failure = rescaled_report.failure()
assert failure is not None, "a stage that fails is counted as passed"
assert failure.stage == "exported"
assert "if seq_len > max_seq_len_cached" in failure.error
assert rescaled_report["matches"].status == "not reached"

# %%
# Conclusion
# ----------
#
# - Compare *all* outputs, at shapes that the export never saw, with a model that shares
#   no weights with the program. Include a padded text.
# - Verify the comparison: change a number, and change one input at a time.
# - Accept differences within rounding, and nothing larger.
# - For a model of your own, call :func:`~smallport.check_export`, in a test suite with
#   ``assert report.passed(), report.failure()``.
#
# What to read next
# -----------------
#
# - :doc:`Verify an exported model: decode with its KV cache
#   <plot_30_exported_but_is_it_right>` finds errors that no single call shows.
# - :doc:`torch.export errors: causes and fixes <plot_20_export_error_cookbook>`.
# - `The ONNX exporter of PyTorch <https://docs.pytorch.org/docs/stable/onnx.html>`_ and
#   `ONNX Runtime <https://onnxruntime.ai/docs/>`_ in their documentation.

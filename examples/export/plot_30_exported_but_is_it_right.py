"""
Verify an exported model: decode with its KV cache
==================================================

Result: At every decoding step, the exported program and ONNX Runtime choose the same
tokens as the model. All logits and all tensors of the cache agree within rounding, and
the differences do not grow from step to step.

Prerequisites: :doc:`plot_12_tiny_llm_export`, which exports the model that is verified
here. The packages ``onnx``, ``onnxruntime`` and ``onnxscript`` must be installed.

What you will learn: how to decode with a model, its exported program and its ONNX file
in the same loop, and how to compare every logit and every number in the cache.

A language model generates a text one :term:`token` at a time, and each call reads the
:term:`KV cache` that the call before it returned. An :term:`exported program` can
compute correct logits and return a wrong cache: a test of a single call passes, and the
next token is wrong. So verify the program by decoding with it.
"""

# %%
# Build a model with two layers
# -----------------------------
#
# A model with one layer or one head cannot show whether layers or heads are mixed up.
# This variant of Tiny-LLM has two layers. In its :term:`grouped-query attention`, six
# heads share two heads of keys and values. Its random weights are drawn three times as
# wide as usual, so that the model repeats itself less.

import torch

from smallport.tiny_llm import untrained_tiny_llm, verify_reference

VARIANT = {
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "initializer_range": 0.06,
}
model = untrained_tiny_llm(**VARIANT).model
config = model.config
print(f"{model.num_parameters():,} parameters, head size {config.head_dim}")

# %%
# Pad two texts of different lengths
# ----------------------------------
#
# The model is untrained, so random tokens serve as texts: seven in the first and twelve
# in the second. In a batch, the shorter text is padded on the left, because decoding
# continues at the right end. The :term:`attention mask` is zero at the padding.
# Tokenizers do this with ``padding_side="left"``.

generator = torch.Generator().manual_seed(0)
prompt = torch.randint(3, config.vocab_size, (2, 12), generator=generator)
prompt[0, :5] = 0  # padding: any token will do, since the mask hides it
prompt_mask = (prompt != 0).long()
print(prompt_mask)

assert prompt_mask.sum(dim=1).tolist() == [7, 12]

# %%
# Decode with a cache
# -------------------
#
# An exported program needs all its cache tensors from the first call on, so begin with
# tensors of length zero. The argument of the cache is called ``cache`` since
# transformers 5.24.0, and ``past_key_values`` before;
# :func:`~smallport.parity.cache_argument` returns its name in the installed release.

from transformers import DynamicCache

from smallport.parity import cache_argument

cache_name = cache_argument()


def empty_cache(batch_size: int) -> DynamicCache:
    """Make a cache with all its tensors, and no token in them."""
    cache = DynamicCache()
    nothing = torch.zeros(batch_size, config.num_key_value_heads, 0, config.head_dim)
    for layer in range(config.num_hidden_layers):
        cache.update(nothing, nothing, layer)
    return cache


# %%
# The loop is :term:`greedy decoding`. Its first call reads the whole prompt
# (:term:`prefill`), and each later call reads one token (:term:`decode`). The mask
# grows by a column of ones in each call, and positions count the ones, so both texts
# begin at position zero. The argument ``step`` is anything that takes a step: the
# model, the exported program or an ONNX session.

from collections.abc import Callable


def decode(step: Callable, prompt: torch.Tensor, mask: torch.Tensor) -> tuple:
    """Decode 32 tokens; return them, and the tensors that each step returned."""
    new, cache, chosen, steps = prompt, empty_cache(len(prompt)), [], []
    for _ in range(32):
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        inputs = {
            "input_ids": new,
            "attention_mask": mask,
            "position_ids": positions[:, -new.shape[1] :],
            cache_name: cache,
        }
        with torch.no_grad():
            outputs = step(inputs)
        cache = outputs[cache_name]
        new = outputs["logits"][:, -1].argmax(dim=1, keepdim=True)
        mask = torch.cat([mask, torch.ones_like(new)], dim=1)
        returned = {"logits": outputs["logits"]}
        for number, (key, value, *_) in enumerate(cache):
            returned[f"present.{number}.key"] = key.clone()
            returned[f"present.{number}.value"] = value.clone()
        chosen.append(new)
        steps.append(returned)
    return torch.cat(chosen, dim=1), steps


tokens, eager = decode(lambda inputs: model(**inputs), prompt, prompt_mask)
print(tokens[:, :8])
print({name: tuple(tensor.shape) for name, tensor in eager[-1].items()})

assert tokens.shape == (2, 32)
assert eager[-1]["present.1.key"].shape == (2, 2, 12 + 31, 32)

# %%
# Test the reference
# ------------------
#
# If the loop lost the cache, or the model ignored its mask, all programs would be wrong
# in the same way and agree. So test this decoding in three ways that are independent of
# the loop. First, read the whole texts in one call without a cache. Its logits must be
# those of the steps.
#
# Two correct computations add in different orders, so they differ by rounding. The
# largest logits lie between four and eight, where neighbouring 32-bit floats are
# ``4 * eps`` apart. The page tolerates a hundred of these spacings.

from smallport.checks import check

TOLERANCE = 100 * 4 * torch.finfo(torch.float32).eps
logits = torch.stack([step["logits"][:, -1] for step in eager], dim=1)
mask = torch.cat([prompt_mask, torch.ones_like(tokens)], dim=1)[:, :-1]
with torch.no_grad():
    whole = model(
        input_ids=torch.cat([prompt, tokens], dim=1)[:, :-1],
        attention_mask=mask,
        position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
        use_cache=False,
    ).logits[:, -32:]

without_cache = (logits - whole).abs().amax(dim=(0, 2)).tolist()
check("steps against one call without a cache", max(without_cache), at_most=TOLERANCE)

# %%
# Second, decode the short text alone, without padding. Third, call
# :meth:`~transformers.GenerationMixin.generate`, transformers' own loop.

_, alone = decode(lambda inputs: model(**inputs), prompt[:1, 5:], prompt_mask[:1, 5:])
alone_logits = torch.stack([step["logits"][:, -1] for step in alone], dim=1)
difference = float((alone_logits - logits[:1]).abs().max())
check("padded text against the same text alone", difference, at_most=TOLERANCE)

generated = model.generate(
    input_ids=prompt,
    attention_mask=prompt_mask,
    do_sample=False,
    max_new_tokens=32,
    eos_token_id=None,  # do not stop early
    pad_token_id=0,
)
assert torch.equal(generated[:, 12:], tokens)

# %%
# Equal tokens prove something only if the model does not repeat one token, and if the
# best token is clearly ahead of the second best, so that rounding does not choose
# between them.

# Guard: against a model that is wrong in every loop. And against texts of one token and
# against ties: if one of these fails, choose a different seed.
verify_reference(model)
best, second = logits.topk(2).values.unbind(-1)
margin = float((best - second).min())
check("smallest margin, to the tolerance", margin / TOLERANCE, at_least=100)
distinct = min(len(set(text)) for text in tokens.tolist())
check("distinct tokens in a text", distinct, at_least=24)

# %%

# Guard: against a tolerance that is too wide. It must be small beside the spread of
# each tensor that is compared.
spread = min(float(tensor.std()) for tensor in eager[-1].values())
check("tolerance, to the smallest spread of a tensor", TOLERANCE / spread, at_most=1e-4)
assert 4 <= float(logits.abs().max()) < 8, "the tolerance is meant for logits up to 8"

# %%
# Decode with the exported program
# --------------------------------
#
# Export the model as in :doc:`plot_12_tiny_llm_export`, from an example with a cache of
# thirty tokens. A program shares its weights with the model that it was exported from,
# so a changed weight would change both. Export a twin, made from the same seed.

from transformers.exporters import DynamoConfig, DynamoExporter

from smallport.display import errors_only
from smallport.parity import copy_inputs

twin = untrained_tiny_llm(**VARIANT)
with errors_only("transformers", "torch.export"):  # hides remarks about versions
    program = (
        DynamoExporter()
        .export(
            twin.model,
            copy_inputs(twin.inputs),  # the forward pass extends the cache
            config=DynamoConfig(dynamic=True, dynamic_shapes=twin.dynamic_shapes),
        )
        .program
    )
module = program.module()
exported_tokens, exported = decode(lambda inputs: module(**inputs), prompt, prompt_mask)
assert torch.equal(exported_tokens, tokens), "the program writes other tokens"

# %%
# Equal tokens are a weak test: a program with a wrong cache can choose the same tokens
# for a while. So compare all numbers of all steps. At the padding they are undefined,
# because a query there has nothing to attend to, and no later call reads them. The
# function leaves them out.

import pandas as pd


def compare(expected: list, actual: list) -> pd.DataFrame:
    """Return the largest difference of each tensor, in a row for each step."""
    rows = []
    for one, other in zip(expected, actual, strict=True):
        assert one.keys() == other.keys()
        row = {}
        for name, tensor in one.items():
            assert tensor.shape == other[name].shape
            apart = (other[name].double() - tensor.double()).abs()
            # batch and token come first in logits; heads lie between them in a cache
            by_token = apart if name == "logits" else apart.transpose(1, 2)
            if by_token.shape[1] >= prompt.shape[1]:
                by_token[:, : prompt.shape[1]][prompt_mask == 0] = 0
            row[name] = float(apart.max())
        rows.append(row)
    return pd.DataFrame(rows)


exported_differences = compare(eager, exported)
assert exported_differences.shape == (32, 5)
check(
    "exported program, worst of all steps and tensors",
    exported_differences.max(axis=None),
    at_most=TOLERANCE,
)

# %%

# Guard: against a first step that tests nothing. The export assumed at least two tokens
# in the cache and does not check it, and the cache of the first step is empty.
ranges = program.range_constraints.values()
assert min(int(allowed.lower) for allowed in ranges) == 2
assert exported[0]["present.0.key"].shape[2] == prompt.shape[1]

# %%
# Decode with ONNX Runtime
# ------------------------
#
# Translate the program, and name its inputs and outputs.

import tempfile
from pathlib import Path

import onnxruntime

from smallport.parity import name_inputs
from smallport.quantize.onnx import export_messages_hidden

with export_messages_hidden(), tempfile.TemporaryDirectory() as folder:
    onnx_program = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        input_names=list(name_inputs(twin.inputs)),
        output_names=list(eager[0]),
    )
    file = Path(folder) / "model.onnx"
    onnx_program.save(file)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    session = onnxruntime.InferenceSession(
        file, options, providers=["CPUExecutionProvider"]
    )

print([value.name for value in session.get_inputs()])

# %%
# A session takes and returns arrays by name. What it returns as ``present.0.key``, it
# takes as ``past_key_values.0.key`` in the next step.


def onnx_step(inputs: dict) -> dict:
    """Run the ONNX file, and put the cache that it returns into a cache object."""
    feed = {name: value for name, value in inputs.items() if name != cache_name}
    for number, (key, value, *_) in enumerate(inputs[cache_name]):
        feed[f"past_key_values.{number}.key"] = key
        feed[f"past_key_values.{number}.value"] = value
    arrays = session.run(None, {name: value.numpy() for name, value in feed.items()})
    names = [value.name for value in session.get_outputs()]
    returned = dict(zip(names, map(torch.from_numpy, arrays), strict=True))
    cache = DynamicCache()
    for number in range(config.num_hidden_layers):
        key, value = (returned[f"present.{number}.{kind}"] for kind in ("key", "value"))
        cache.update(key, value, number)
    return {"logits": returned["logits"], cache_name: cache}


onnx_tokens, onnx = decode(onnx_step, prompt, prompt_mask)
onnx_differences = compare(eager, onnx)

assert torch.equal(onnx_tokens, tokens), "ONNX Runtime writes other tokens"
check(
    "ONNX Runtime, worst of all steps and tensors",
    onnx_differences.max(axis=None),
    at_most=TOLERANCE,
)

# %%

# Guard: against a comparison that would need no mask. At the padding, PyTorch and ONNX
# Runtime compute different numbers.
at_padding = float((onnx[0]["logits"] - eager[0]["logits"])[0, :5].abs().max())
assert at_padding > 1000 * TOLERANCE, "they agree at the padding: rewrite this text"

# %%

# Guard: against a loop or a comparison that is wrong itself. The functions of
# smallport.parity do the same and have tests: they must find the same differences.
from smallport.parity import compare_decodings, greedy_decode, run_session

tested = [
    greedy_decode(step, prompt, empty_cache(2), attention_mask=prompt_mask)
    for step in (
        lambda inputs: model(**inputs),
        lambda inputs: module(**inputs),
        lambda inputs: run_session(session, inputs),
    )
]
assert all(torch.equal(one.tokens, tokens) for one in tested)
for one, differences in zip(
    tested[1:], (exported_differences, onnx_differences), strict=True
):
    by_tensor = [dict(step.by_tensor) for step in compare_decodings(tested[0], one)]
    assert by_tensor == differences.to_dict("records"), "the two comparisons disagree"
assert onnx_differences.max(axis=None) > 0, "two runtimes agree to the last bit"

# %%
# Plot the rounding errors by step
# --------------------------------
#
# Each step reads a cache that holds the rounding errors of all steps before it. The
# figure shows whether they add up. Its last line is the eager model against itself: the
# steps against the single call without a cache.

by_step = {
    "exported program": exported_differences["logits"],
    "ONNX Runtime": onnx_differences["logits"],
    "ONNX Runtime, cache": onnx_differences.filter(like="present").max(axis=1),
    "eager, without a cache": without_cache,
}

# %%

# Drawing: four lines over the steps, on a logarithmic axis. All four are level, far
# below the dashed line of the tolerance.
import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(6, 4), layout="constrained", facecolor="white")
for (label, differences), style in zip(by_step.items(), "os^.", strict=True):
    steps = range(1, 33)
    axis.plot(steps, differences, style, label=label, linestyle="-", markersize=4)
axis.axhline(TOLERANCE, color="#c44e52", linestyle="--", label="tolerance")
axis.set_yscale("symlog", linthresh=1e-8)
axis.set_ylim(-2e-9, 1e-3)
axis.set_xlabel("step (the first one reads the prompt)")
axis.set_ylabel("largest difference from eager")
axis.set_title("Rounding errors do not grow from step to step")
axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, frameon=False)
axis.spines[["top", "right"]].set_visible(False)

# %%
# They do not add up, because each step begins with a token, which is an integer and
# carries no rounding error. Earlier errors enter only through keys and values, averaged
# over many tokens. The check compares the last eight steps with the first eight after
# the prompt.

growth = onnx_differences["logits"][-8:].mean() / onnx_differences["logits"][1:9].mean()
check("ONNX Runtime, late errors to early ones", growth, at_most=3)

# %%
# Verify a file with one call
# ---------------------------
#
# Often the file is all there is: another tool wrote it. All tensors of the cache have
# the same shape, so only their names tell them apart. The second file below names the
# keys of both layers first, and then the values. ONNX Runtime opens and runs it all the
# same.

from smallport import check_export

keys_first = [
    f"present.{layer}.{kind}" for kind in ("key", "value") for layer in (0, 1)
]
with tempfile.TemporaryDirectory() as folder:
    right_file, wrong_file = (
        Path(folder) / name for name in ("right.onnx", "keys_first.onnx")
    )
    onnx_program.save(right_file)
    outputs = onnx_program.model.graph.outputs
    for value, name in zip(outputs, ["logits", *keys_first], strict=True):
        value.name = name
    onnx_program.save(wrong_file)
    right, wrong = (
        check_export(model, against=file, name=file.name, max_tokens=140, why=True)
        for file in (right_file, wrong_file)
    )
failure = wrong.failure()
assert failure is not None, "the file with the wrong names passes"
print(failure.text(width=84))

# %%
# :func:`~smallport.check_export` does what this page does, at more shapes: here texts
# of four to 140 tokens, in batches of one to four. It compares the file with the model
# in memory, and the report names the tensor and the element that are furthest apart.
# The right file passes. With ``why=True``, the report says where a difference begins,
# and which of the usual causes explains it: here two tensors in each other's place. As
# a command, ``smallport check FOLDER --against FILE --why`` does the same with a
# checkpoint in a folder.

assert right.passed(), str(right)
assert failure.stage == "matches"
assert failure.where.startswith(("present.0.value", "present.1.key"))
assert "8 of 8 shapes" in failure.found
assert [cause.name for cause in failure.why.causes] == ["output order"]
lengths, batches = (
    right.coverage.compared[part] for part in ("lengths", "batch sizes")
)
assert (min(lengths), max(lengths), batches) == (4, 140, [1, 2, 3, 4])

# %%
# Exercises
# ---------
#
# **1.** The program was exported from a batch of two. Decode the short text alone with
# it, and compare with ``alone``. Does the program work for a batch of one?

# Answer: the program decodes a batch of one, and agrees with the model.
alone_tokens, alone_exported = decode(
    lambda inputs: module(**inputs), prompt[:1, 5:], prompt_mask[:1, 5:]
)
alone_differences = [
    float((one[name] - other[name]).abs().max())
    for one, other in zip(alone, alone_exported, strict=True)
    for name in one
]
print(f"largest difference: {max(alone_differences):.2g}")

assert torch.equal(alone_tokens, tokens[:1])
check("program, on one text alone", max(alone_differences), at_most=TOLERANCE)

# %%
# **2.** Add 0.01 to one number of ``model.layers.0.mlp.down_proj.weight`` in the
# program, which ``module.get_parameter`` returns. Which tensors differ in the first
# step, and what do they tell about the place of the error?

# Answer: the cache of the first layer is right, since it is computed before the weight
# is used. Everything after the weight differs. No token changes: a test of tokens
# alone would pass.
with torch.no_grad():
    module.get_parameter("model.layers.0.mlp.down_proj.weight")[0, 0] += 0.01
changed_tokens, changed = decode(lambda inputs: module(**inputs), prompt, prompt_mask)
first = compare(eager, changed).iloc[0]
print(first.map("{:.2g}".format).to_string())

assert (first.filter(like="present.0") <= TOLERANCE).all()
assert (first.drop(["present.0.key", "present.0.value"]) > TOLERANCE).all()
assert torch.equal(changed_tokens, tokens)

# %%
# Conclusion
# ----------
#
# - Decode with the exported model, at least a few dozen tokens, from an empty cache.
# - Compare logits and every tensor of the cache at each step; tokens alone are a weak
#   test.
# - Use two texts of different lengths, and leave the padding out of the comparison.
# - Test the reference first: without a cache, without padding, and with ``generate``.
#
# For a model of your own, use :func:`~smallport.check_export` or the command
# ``smallport check``, which are made of :func:`smallport.parity.greedy_decode` and
# :func:`~smallport.parity.compare_decodings`. A text near ``max_position_embeddings``
# needs a separate test, and random weights say nothing about the quality of a text.
#
# What to read next
# -----------------
#
# - :doc:`plot_32_wrong_exports`: three wrong programs that pass a test of one call.
# - :doc:`plot_14_tiny_llm_onnx`: the same ONNX file, verified at many shapes.
# - `The KV cache in transformers
#   <https://huggingface.co/docs/transformers/cache_explanation>`_: the contents of a
#   cache, and how attention reads it.

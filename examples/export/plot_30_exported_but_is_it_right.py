"""
Exported, but is it right?
==========================

A language model is not called once. It writes a text token by token, and each call
reads the cache that the call before it returned. So a program that was exported from it
can compute perfect logits, return a wrong cache, and pass every test that looks at one
call. The damage shows in the *next* token, or in the text that was padded, or not until
two programs meet.

:doc:`The first page on export <plot_10_tiny_llm_export>` compared single calls. This
page decodes. You will

- write the loop that turns a model into text: greedy decoding from an empty cache, with
  two texts of different lengths in a batch;
- decode thirty-two tokens with the model, with the program exported from it, and with
  ONNX Runtime, and compare every logit and every number in the cache at every step;
- see whether rounding errors add up on the way;
- export three programs that are wrong, without a warning from anybody, pass them
  through the usual check, and catch them with this one.

The page builds its model from a configuration and needs no network. It takes ``onnx``,
``onnxruntime`` and ``onnxscript``.

What you will learn: how to compare an exported program with its model over a whole
text, and why a single call shows too little.
"""

# %%
# A model with two layers and several heads
# -----------------------------------------
#
# The published Tiny-LLM has one layer, two heads, and one head for keys and values. It
# could not show a mix-up of layers. Our variant has two layers, and six heads of
# attention that share two of keys and values. Everything else stays as it was, but for
# one thing: the random weights are drawn three times as wide, so that the model repeats
# itself less. A check below relies on that.
#
# Everything runs on one thread, so that the timings below compare like with like.

# sphinx_gallery_thumbnail_number = 2
# sphinx_gallery_measures_time = True
import torch

from smallport.tiny_llm import untrained_tiny_llm

torch.set_num_threads(1)
VARIANT = {
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "initializer_range": 0.06,
}
model = untrained_tiny_llm(**VARIANT).model
configuration = model.config
print(f"{model.num_parameters():,} parameters, head size {configuration.head_dim}")

assert configuration.num_hidden_layers == 2
assert configuration.num_attention_heads > configuration.num_key_value_heads > 1

# %%
# Two texts of different lengths
# ------------------------------
#
# A model that was never trained knows no words, so the texts are random tokens: seven
# in the first, twelve in the second. To put them into one tensor, the first one is
# *padded*, and on the left: decoding goes on at the right end. The attention mask says
# what is padding. Tokenizers do this with ``padding_side="left"``.

SHORT, LONG = 7, 12
PADDING = 0  # any token will do: the mask hides it

generator = torch.Generator().manual_seed(0)
prompt = torch.randint(3, configuration.vocab_size, (2, LONG), generator=generator)
prompt[0, : LONG - SHORT] = PADDING
prompt_mask = (prompt != PADDING).long()

print(prompt)
print(prompt_mask)

assert prompt_mask.sum(dim=1).tolist() == [SHORT, LONG]

# %%
# Decode
# ------
#
# This is the whole loop. The first call reads the prompt with an empty cache, every
# other call the token that was chosen last. *Greedy* means that the most probable token
# is chosen. The mask grows by a column of ones with each call, and positions count the
# ones, so that both texts begin at position zero.
#
# The cache is the argument and output ``cache`` since transformers 5.24.0, and was
# ``past_key_values`` before. :func:`~smallport.parity.cache_argument` gives the name
# that the installed release has. If yours is always the same, write ``cache=cache``.

from transformers import DynamicCache

from smallport.parity import cache_argument

cache_name = cache_argument()
mask, new, cache = prompt_mask, prompt, DynamicCache()
chosen = []
for _ in range(32):
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    with torch.no_grad():
        outputs = model(
            input_ids=new,
            attention_mask=mask,
            position_ids=positions[:, -new.shape[1] :],
            **{cache_name: cache},
        )
    cache = outputs[cache_name]
    new = outputs.logits[:, -1].argmax(dim=1, keepdim=True)
    chosen.append(new)
    mask = torch.cat([mask, torch.ones_like(new)], dim=1)

tokens = torch.cat(chosen, dim=1)
print(tokens)

# %%
# A model with random weights may well write one token over and over. Then it would
# prove little that two programs write the same, so look whether this one does.

from smallport.checks import check

distinct = min(len(set(text)) for text in tokens.tolist())
check("distinct tokens in a text", distinct, at_least=24)
assert tokens.shape == (2, 32)

# %%
# :func:`smallport.parity.greedy_decode` is the same loop for anything that can take a
# step: the model, an exported program, an ONNX session. It also keeps a copy of all
# that each step returned. Programs want their cache tensors even when no token is in
# them, and :func:`~smallport.tiny_llm.empty_cache` makes such a cache, with tensors of
# length zero.

from collections.abc import Callable
from typing import Any

from smallport.parity import Decoding, greedy_decode
from smallport.tiny_llm import empty_cache


def decode(step: Callable[[dict], Any], **options: Any) -> Decoding:
    """Decode both texts with something that takes a step."""
    start = empty_cache(configuration, batch_size=2)
    return greedy_decode(step, prompt, start, attention_mask=prompt_mask, **options)


eager = decode(lambda inputs: model(**inputs))
last = eager.steps[-1]
print({name: tuple(tensor.shape) for name, tensor in last.items()})

assert torch.equal(eager.tokens, tokens)
assert len(eager.steps) == 32
assert last["present.1.key"].shape == (2, 2, LONG + 31, configuration.head_dim)

# %%
# Is the reference itself right?
# ------------------------------
#
# Everything below is compared with this decoding. If the loop forgot to hand on the
# cache, or the model ignored its mask, all routes would go wrong alike and agree with
# each other. So the reference needs a witness that has no loop, no cache and no
# padding. First the loop and the cache: read each whole text, as it stands at the end,
# in a single call without any cache. At each place, the logits have to be those that
# the step computed.
#
# How close is close enough? The largest logits lie between four and eight, where 32-bit
# floats are a certain spacing apart. A logit is a sum of hundreds of products of sums,
# and each addition rounds, so some ten spacings of difference are to be expected. The
# page tolerates a hundred, everywhere. Beside the spread of the numbers compared, that
# is little.

spacing = 4 * torch.finfo(torch.float32).eps
TOLERANCE = 100 * spacing
spread = min(float(tensor.std()) for tensor in last.values())

assert 4 <= float(eager.logits.abs().max()) < 8
check("tolerance, to the smallest spread of a tensor", TOLERANCE / spread, at_most=1e-4)

# %%
# And here is the single call.

texts = torch.cat([prompt, tokens], dim=1)[:, :-1]
positions = (eager.attention_mask.cumsum(dim=1) - 1).clamp(min=0)
with torch.no_grad():
    whole = model(
        input_ids=texts,
        attention_mask=eager.attention_mask,
        position_ids=positions,
        use_cache=False,
    ).logits[:, -32:]

without_cache = (eager.logits - whole).abs().amax(dim=(0, 2)).tolist()
check("steps against one call without a cache", max(without_cache), at_most=TOLERANCE)
assert torch.equal(whole.argmax(dim=2), tokens)

# %%
# Then the padding: decode the short text alone. It has to come out as it did beside the
# longer one.

alone = greedy_decode(
    lambda inputs: model(**inputs),
    prompt[:1, -SHORT:],
    empty_cache(configuration, batch_size=1),
)
difference = float((alone.logits - eager.logits[:1]).abs().max())
check("padded text against the same text alone", difference, at_most=TOLERANCE)
assert torch.equal(alone.tokens, tokens[:1])

# %%
# And transformers has a loop of its own,
# :meth:`~transformers.GenerationMixin.generate`, with caches and positions that it
# prepares itself.

generated = model.generate(
    input_ids=prompt,
    attention_mask=prompt_mask,
    do_sample=False,
    max_new_tokens=32,
    eos_token_id=None,  # do not stop early
    pad_token_id=PADDING,
)
assert torch.equal(generated[:, LONG:], tokens)

# %%
# One more thing has to be settled before tokens are compared. Where two tokens are
# almost equally probable, rounding decides, and two right programs may differ. Where
# they agree, it may be luck. So see how far ahead each chosen token was of the second
# best. If this check goes red, another seed is called for, not another tolerance.

margin = float(eager.margins.min())
print(f"smallest margin: {margin:.3g}")
check("smallest margin, to the tolerance", margin / TOLERANCE, at_least=100)

# %%
# The exported program
# --------------------
#
# Export the model as on :doc:`the first page <plot_10_tiny_llm_export>`, from one
# example with a cache of thirty tokens. The program that comes out has to serve all
# thirty-two calls, the prompt's own call among them, whose cache is empty. What is
# exported is a twin of the model, made from the same seed: a program shares its weights
# with the model that it came from, and against that one no changed weight would show.
#
# The registration of the cache classes and the log messages are put aside until the
# page ends, as on that page.

from contextlib import ExitStack

from transformers.exporters import DynamoConfig, DynamoExporter

from smallport.display import errors_only
from smallport.export import without_cache_pytrees
from smallport.parity import copy_inputs

aside = ExitStack()  # closed by the last cell
aside.enter_context(errors_only("transformers", "torch.onnx", "torch.export"))
aside.enter_context(without_cache_pytrees())

twin = untrained_tiny_llm(**VARIANT)


def export(
    model: torch.nn.Module, inputs: dict, shapes: dict
) -> torch.export.ExportedProgram:
    """Export a model; the forward pass may write to the copy of the inputs."""
    config = DynamoConfig(dynamic=True, dynamic_shapes=shapes)
    return DynamoExporter().export(model, copy_inputs(inputs), config=config).program


program = export(twin.model, twin.inputs, twin.dynamic_shapes)
module = program.module()

assert twin.inputs[cache_name].get_seq_length() == 30
assert twin.model.lm_head.weight.data_ptr() != model.lm_head.weight.data_ptr()

# %%
# Decode with it, and compare. :func:`smallport.parity.compare_decodings` subtracts all
# that the steps returned: for each step, the logits of every new token, and every
# number in both layers' keys and values. It leaves out the places of padding, of which
# more below.

from smallport.parity import compare_decodings, worst_of

exported = decode(lambda inputs: module(**inputs))
exported_differences = compare_decodings(eager, exported)
print(f"{len(exported_differences)} steps, {worst_of(exported_differences)}")

assert torch.equal(exported.tokens, tokens), "the program writes other tokens"
assert len(exported_differences) == 32
assert list(worst_of(exported_differences).by_tensor) == [
    "logits",
    "present.0.key",
    "present.0.value",
    "present.1.key",
    "present.1.value",
]
check(
    "exported program, worst of all steps and tensors",
    worst_of(exported_differences).largest(),
    at_most=TOLERANCE,
)

# %%
# That holds for the first step, too. It was no matter of course: as the first page
# explains, the export assumed at least two tokens in the cache, and the prompt's call
# has none. Nothing checks the assumption when the program runs, so only the numbers
# could tell.

ranges = program.range_constraints.values()
assert min(int(allowed.lower) for allowed in ranges) == 2
assert exported.steps[0]["present.0.key"].shape[2] == prompt.shape[1]

# %%
# ONNX Runtime
# ------------
#
# Now the same program as an ONNX file. Its session takes arrays by name and returns
# arrays, and what it returns as ``present.0.key`` it wants back as
# ``past_key_values.0.key``. :func:`~smallport.parity.run_session` does the naming, and
# ``greedy_decode`` hands the tensors on.

from smallport.parity import name_inputs
from smallport.quantize.onnx import export_messages_hidden

aside.enter_context(export_messages_hidden())  # PyTorch's, about itself

# %%
# The translation is one call.

onnx_program = torch.onnx.export(
    program,
    dynamo=True,
    verbose=False,
    input_names=list(name_inputs(twin.inputs)),
    output_names=list(eager.steps[0]),
)

# %%
# Decode with it, and compare as before.

import functools
import tempfile
from pathlib import Path

import onnxruntime

from smallport.parity import run_session

options = onnxruntime.SessionOptions()
options.log_severity_level = 3  # errors; ONNX Runtime would write warnings past Python
options.intra_op_num_threads = 1
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "model.onnx"
    onnx_program.save(file)
    session = onnxruntime.InferenceSession(
        file, options, providers=["CPUExecutionProvider"]
    )

# %%
# The tokens are the same, and the numbers agree within the tolerance.

onnx_decoding = decode(functools.partial(run_session, session))
onnx_differences = compare_decodings(eager, onnx_decoding)
print(f"{len(onnx_differences)} steps, {worst_of(onnx_differences)}")

assert torch.equal(onnx_decoding.tokens, tokens), "ONNX Runtime writes other tokens"
assert len(onnx_differences) == 32
check(
    "ONNX Runtime, worst of all steps and tensors",
    worst_of(onnx_differences).largest(),
    at_most=TOLERANCE,
)

# %%
# A comparison that is wrong itself would tell us nothing, so here is one of its numbers
# by hand: the logits of the last step, subtracted. Two runtimes that add in another
# order do not agree to the last bit, so it must not be zero.

by_hand = float(
    (onnx_decoding.logits[:, -1].double() - eager.logits[:, -1]).abs().max()
)
assert by_hand == onnx_differences[-1].largest("logits") > 0, (
    "compare_decodings disagrees with a subtraction by hand"
)

# %%
# Now to the places of padding. Their rows are computed like all others, but there is
# nothing for them to attend to: everything before them is masked. What comes out of
# attention over nothing is not defined, and PyTorch and ONNX Runtime fill in different
# numbers. Nobody reads them; the short text came out the same when it had no padding at
# all. A comparison of whole tensors would raise a false alarm here.

from smallport.parity import discrepancy

padding_too = discrepancy(eager.steps[0], onnx_decoding.steps[0])
print("with the places of padding:", padding_too)

assert padding_too.largest() > 1000 * TOLERANCE, (
    "PyTorch and ONNX Runtime agree about padding now: rewrite this paragraph"
)
assert padding_too.by_tensor["present.0.key"] < TOLERANCE  # comes before any attention

# %%
# Do errors add up?
# -----------------
#
# Each step reads a cache that holds the rounding errors of all steps before it. Here is
# the largest difference by step. The last of the four is eager PyTorch against itself:
# the steps against the single call without a cache.

steps = range(1, 33)
by_step = {
    "exported program": [one.largest("logits") for one in exported_differences],
    "ONNX Runtime": [one.largest("logits") for one in onnx_differences],
    "ONNX Runtime, cache": [one.largest("present") for one in onnx_differences],
    "eager, one call without cache": without_cache,
}

# %%
# The same as a picture, a line for each:

# Drawing: four lines over the steps, on a logarithmic axis. All four run level, far
# below the dashed line of the tolerance, and none of them climbs.
import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(7, 4), layout="constrained", facecolor="white")
for (label, differences), style in zip(by_step.items(), "os^.", strict=True):
    axis.plot(steps, differences, style, label=label, linestyle="-", markersize=4)
axis.axhline(TOLERANCE, color="#c44e52", linestyle="--", label="tolerance")
axis.set_yscale("symlog", linthresh=1e-8)
axis.set_ylim(-2e-9, 1e-3)
axis.set_xlabel("step (the first one reads the prompt)")
axis.set_ylabel("largest difference from eager")
axis.set_title("Rounding errors, step by step")
axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
axis.spines[["top", "right"]].set_visible(False)

# %%
# They do not add up, and there is a reason. Each step begins with a token, and a token
# is a whole number: it is the right one or another one, never nearly the right one.
# Errors of earlier steps enter through keys and values only, averaged over many tokens.
# To check it, compare the last eight steps with the first eight after the prompt.

import statistics

logits_by_step = by_step["ONNX Runtime"]
growth = statistics.mean(logits_by_step[-8:]) / statistics.mean(logits_by_step[1:9])
check("ONNX Runtime, late errors to early ones", growth, at_most=3)

# %%
# How fast?
# ---------
#
# The three decode in turns, on one thread. Each time is that of the whole loop, divided
# by the number of steps, the prompt's own step included. Which one is faster depends on
# the machine and on the size of the model, so the ratios are reported, and nothing is
# claimed.

from smallport.checks import report
from smallport.timing import time_interleaved

routes = {
    "eager": lambda inputs: model(**inputs),
    "exported program": lambda inputs: module(**inputs),
    "ONNX Runtime": functools.partial(run_session, session),
}
assert torch.get_num_threads() == 1
timings = time_interleaved(
    {name: functools.partial(decode, step) for name, step in routes.items()}, repeats=3
)
for name, timing in timings.items():
    print(f"{name}: {1000 * timing.median / 32:.2f} ms for a token of each text")

for name in ("exported program", "ONNX Runtime"):
    ratio = timings[name].median / timings["eager"].median
    report(f"{name}, time per token to that of eager", ratio, "×")
    print(f"{name}: {ratio:.2f} times the time of eager")

# %%
# Three programs that are wrong
# -----------------------------
#
# So far all went well, and a check that has never found anything is not worth much yet.
# Here are three mistakes of the kind that people make when they prepare a model for
# export.
#
# The first one loses the mask on the way, as a wrapper does that forgets to pass it on.

from transformers import LlamaForCausalLM


class MaskIgnored(LlamaForCausalLM):
    """Attend to padding as to any other token."""

    def forward(self, attention_mask: torch.Tensor, **inputs: Any) -> Any:
        """Run the model with a mask of ones."""
        return super().forward(attention_mask=torch.ones_like(attention_mask), **inputs)


# %%
# The second returns the caches of its layers in the wrong order. All of them have the
# same shape, so nothing complains.


class LayersSwapped(LlamaForCausalLM):
    """Return the second layer's cache as the first one's."""

    def forward(self, **inputs: Any) -> Any:
        """Run the model, and turn the list of layers around."""
        outputs = super().forward(**inputs)
        outputs[cache_name].layers.reverse()
        return outputs


# %%
# The third counts positions from one. It is a program of its own for the prompt, which
# starts without a cache; another program takes the other steps. It is given no
# positions but works them out from the mask, and somebody forgot to subtract one.


class FirstPositionIsOne(LlamaForCausalLM):
    """Read a prompt at positions 1, 2, 3, and so on."""

    def forward(self, attention_mask: torch.Tensor, **inputs: Any) -> Any:
        """Run the model at the positions that the mask tells, and one more."""
        positions = attention_mask.cumsum(dim=1)
        return super().forward(
            attention_mask=attention_mask, position_ids=positions, **inputs
        )


# %%
# Each gets the model's weights and is exported. There is no error and no warning.

import warnings

from smallport.tiny_llm import make_inputs

prompt_inputs = make_inputs(configuration, with_cache=False)
del prompt_inputs["position_ids"]
examples = {
    MaskIgnored: twin.inputs,
    LayersSwapped: twin.inputs,
    FirstPositionIsOne: prompt_inputs,
}
wrong = {}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for kind, example in examples.items():
        broken = kind(configuration).eval()
        broken.load_state_dict(model.state_dict())
        shapes = {name: twin.dynamic_shapes[name] for name in example}
        wrong[kind] = export(broken, example, shapes).module()

assert not caught, [str(warning.message) for warning in caught]

# %%
# The usual check: is it right?
# -----------------------------
#
# Run each program on the inputs that it was exported with, and compare its logits with
# the model's. It is the first check that comes to mind, and often the only one.

for kind, example in examples.items():
    with torch.no_grad():
        expected = model(**copy_inputs(example)).logits
        logits = wrong[kind](**copy_inputs(example)).logits
    difference = float((logits - expected).abs().max())
    print(f"{kind.__name__}: {difference:.2g}")
    check(f"logits of one call, {kind.__name__}", difference, at_most=TOLERANCE)

# %%
# All three pass, within the tolerance that the right programs kept. The example's mask
# is full of ones, so ignoring it makes no difference. The logits are computed before
# the layers change places. And Llama's position embedding is *relative*: attention sees
# how far apart two tokens are, which stays the same when all of them move by one.
#
# Decode with them
# ----------------
#
# The program for the prompt cannot decode alone. For the other steps it hands its cache
# to the program that we have found to be right.


def count_from_one(inputs: dict) -> dict:
    """Read the prompt with one program, every other token with another."""
    cache = inputs[cache_name]
    if cache.get_seq_length() > 0:
        return module(**inputs)
    outputs = wrong[FirstPositionIsOne](
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
    )
    for number, layer in enumerate(outputs[cache_name].layers):
        cache.update(layer.keys, layer.values, number)
    return {"logits": outputs.logits, cache_name: cache}


wrong_steps = {
    MaskIgnored: lambda inputs: wrong[MaskIgnored](**inputs),
    LayersSwapped: lambda inputs: wrong[LayersSwapped](**inputs),
    FirstPositionIsOne: count_from_one,
}

# %%
# A program that chooses a wrong token goes on with another text, and from there on
# nothing can be learned from comparing the two. So ``feed`` gives each program the
# model's tokens to go on with. What differs then is the program's own doing, at every
# step. The table tells at which step the cache, and at which the logits, first leave
# the tolerance.

import pandas as pd

from smallport.display import show_table


def first_beyond(differences: tuple, group: str) -> int:
    """Find the first step, counted from one, at which a group is out of tolerance."""
    beyond = [one.largest(group) > TOLERANCE for one in differences]
    return beyond.index(True) + 1 if any(beyond) else 0


found = {}
rows = []
for kind, step in wrong_steps.items():
    decoded = decode(step, feed=tokens)
    found[kind] = compare_decodings(eager, decoded)
    rows.append(
        {
            "program": kind.__name__,
            "cache wrong from step": first_beyond(found[kind], "present"),
            "logits wrong from step": first_beyond(found[kind], "logits"),
            "worst logits": worst_of(found[kind]).largest("logits"),
            "other tokens, of 64": int((decoded.tokens != tokens).sum()),
        }
    )
table = pd.DataFrame(rows).set_index("program", drop=False)
show_table(table, "Where the decoding of each wrong program leaves the model's")

# %%
# All three are found, far beyond the tolerance. For two of them, the logits of the
# first step are right, even with padding, and only the cache gives them away; the
# logits follow one step later.

for kind, differences in found.items():
    worst = worst_of(differences).largest("logits")
    assert worst > 1000 * TOLERANCE, f"the comparison missed {kind.__name__}"

assert table["cache wrong from step"].tolist() == [1, 1, 1]
assert table["logits wrong from step"].tolist() == [1, 2, 2]
assert (table["other tokens, of 64"] > 0).all()

# %%
# The tensors of the first step even tell what went wrong.

prompt_step = {
    kind.__name__: {"program": kind.__name__, **differences[0].by_tensor}
    for kind, differences in found.items()
}
show_table(
    pd.DataFrame(prompt_step.values()),
    "Largest difference in each tensor after the first step",
)

# %%
# Two layers that changed places are wrong in all four tensors of the cache. With
# shifted positions the keys are wrong and the values are right, since only keys carry a
# position.

swapped, shifted = prompt_step["LayersSwapped"], prompt_step["FirstPositionIsOne"]
cache_tensors = [name for name in swapped if name.startswith("present")]
assert len(cache_tensors) == 4
for name in cache_tensors:
    assert swapped[name] > 1000 * TOLERANCE
    assert (shifted[name] > TOLERANCE) == name.endswith("key")

# %%
# The mask is another matter. On a text without padding, the program that ignores its
# mask is right in every number, through all thirty-two tokens. Only a padded text gives
# it away, so such a check needs two texts of different lengths.

long_text = prompt[1:]
start = empty_cache(configuration, batch_size=1)
unpadded = compare_decodings(
    greedy_decode(lambda inputs: model(**inputs), long_text, start),
    greedy_decode(wrong_steps[MaskIgnored], long_text, start),
)
check(
    "program that ignores its mask, on a text without padding",
    worst_of(unpadded).largest(),
    at_most=TOLERANCE,
)

# %%
# As a picture, with ONNX Runtime for comparison. Two of the three begin below the
# tolerance: had we stopped after the step that reads the prompt, their logits would
# have passed.

# Drawing: four lines over the steps, on a logarithmic axis. The three wrong programs
# run far above the dashed line of the tolerance; two of them start below it, at the
# step that reads the prompt. ONNX Runtime stays below it throughout.
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained", facecolor="white")
for (kind, differences), style in zip(found.items(), "os^", strict=True):
    axis.plot(
        steps,
        [one.largest("logits") for one in differences],
        style,
        label=kind.__name__,
        linestyle="-",
        markersize=4,
    )
axis.plot(steps, by_step["ONNX Runtime"], ".-", color="gray", label="ONNX Runtime")
axis.axhline(TOLERANCE, color="#c44e52", linestyle="--", label="tolerance")
axis.set_yscale("symlog", linthresh=1e-8)
axis.set_ylim(-2e-9, 100)
axis.set_xlabel("step (the first one reads the prompt)")
axis.set_ylabel("largest difference of logits from eager")
axis.set_title("Three wrong programs and a right one")
axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
axis.spines[["top", "right"]].set_visible(False)

# %%
# Conclusion
# ----------
#
# - Decode. A single call cannot show whether a program works with what it returned
#   itself.
# - Compare the cache with the logits, at every step and in every layer. A wrong cache
#   shows in the logits a step later, or in another program.
# - Put texts of different lengths into the batch, and leave the places of padding out
#   of the comparison.
# - Make sure of the reference first, by a call without a cache, and look how far the
#   chosen tokens were ahead.
# - Feed the program that you test the reference's tokens, and errors cannot hide behind
#   another text.
#
# What this does not show: thirty-two tokens end long before the positions that the
# model has room for, and random weights say nothing about the quality of a text.
#
# The last cell puts back what this page changed in the process.

plt.close("all")
aside.close()

# %%
# What to read next
# -----------------
#
# - :doc:`Check the exporter on an untrained Tiny-LLM <plot_10_tiny_llm_export>`: where
#   inputs, shapes and guards come from, and what an export refuses.
# - `The KV cache in transformers
#   <https://huggingface.co/docs/transformers/cache_explanation>`_ explains what a cache
#   holds and how attention uses it.

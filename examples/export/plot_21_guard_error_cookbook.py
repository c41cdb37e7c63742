"""
Guard failed and data-dependent errors: causes and fixes
========================================================

Result: An :term:`exported program` rejects inputs that its model accepts, or the export
fails at an ``if``. Three causes, each reproduced, explained and fixed: assumed sizes,
changed inputs and conditions on data. Every fixed program computes the same numbers as
its model, up to rounding.

Prerequisites: PyTorch and :doc:`torch.export errors: causes and fixes
<plot_20_export_error_cookbook>`, which has the errors about caches and shapes. The page
uses ``torch`` and ``transformers``.

What you will learn: what a :term:`guard` of an exported program means, how to remove it
where it is wrong, and how to export a model with an ``if``.
"""

# %%
# Find your message
# -----------------
#
# - ``Guard failed``: :ref:`Remove a guard that rejects a valid shape
#   <recipe-guard-refuses>`
# - ``Guard failed``, with inputs that were valid before: :ref:`Copy the inputs before
#   each run <recipe-inputs-changed>`
# - ``Could not guard on data-dependent expression``: :ref:`Replace an if that depends
#   on data <recipe-data-dependent>`
#
# Set up a model and its program
# ------------------------------
#
# Tiny-LLM has two layers here. The example has two texts, with thirty :term:`tokens
# <token>` of each in the :term:`KV cache`, and three new ones. The reference is a
# second model with the same weights.

import logging

import torch
from torch.export import Dim, export
from transformers.exporters.exporter_dynamo import register_cache_pytrees_for_model

from smallport import checks
from smallport.display import show_message
from smallport.parity import InputShape, cache_argument, copy_inputs
from smallport.tiny_llm import largest_difference, untrained_tiny_llm, verify_reference

for name in ("torch.export", "torch._export", "torch.fx"):
    logging.getLogger(name).setLevel(logging.ERROR)
torch.manual_seed(0)

shape = InputShape(batch_size=2, cache_length=30, new_tokens=3)
untrained = untrained_tiny_llm(shape, num_hidden_layers=2)
model, inputs, shapes = untrained.model, untrained.inputs, untrained.dynamic_shapes
cache_name = cache_argument()  # past_key_values; since transformers 5.24.0, cache
register_cache_pytrees_for_model(model)
program = export(model, (), copy_inputs(inputs), dynamic_shapes=shapes)
module = program.module()

reference = untrained_tiny_llm(num_hidden_layers=2).model
verify_reference(reference)
unseen = [
    InputShape(batch_size=1, cache_length=64, new_tokens=1),
    InputShape(batch_size=3, cache_length=12, new_tokens=1, padding=5),
]
apart = largest_difference(reference, module, unseen)
checks.check("the program: difference", apart, at_most=1e-5)

# %%
# .. _recipe-guard-refuses:
#
# Remove a guard that rejects a valid shape
# -----------------------------------------
#
# At the beginning of a text, there is one token in the cache and one new token. The
# program rejects them, although it was exported with dynamic shapes:

smallest = InputShape(batch_size=1, cache_length=1, new_tokens=1)
announced = "Guard failed: attention_mask.size()[1] >= 4"
with checks.raises(AssertionError, match=announced) as failure:
    largest_difference(reference, module, [smallest])
show_message(failure.message)

# %%
# **Cause.** The exporter assumes that a dynamic size is at least two. From two tokens
# in the cache and two new ones it concludes that the :term:`attention mask` has at
# least four columns, and adds a :term:`guard`.
#
# **Fix.** Declare the range, and derive sizes from one another. A step of
# :term:`decode` has one new token, so its mask is longer than the cache by one.

step = untrained_tiny_llm(
    InputShape(batch_size=2, cache_length=30, new_tokens=1), num_hidden_layers=2
).inputs
batch, past = Dim("batch", min=1, max=64), Dim("past", min=1, max=1023)
step_shapes = {
    "input_ids": {0: batch},
    "attention_mask": {0: batch, 1: past + 1},
    "position_ids": {0: batch},
    cache_name: [{0: batch, 2: past}] * 4,
}
program = export(model, (), step, dynamic_shapes=step_shapes)

steps = [smallest, *unseen]
apart = largest_difference(reference, program.module(), steps)
checks.check("one new token: difference", apart, at_most=1e-5)

# %%
# Some guards are right. This module branches on the length, and the program contains
# only the side that the example took. :func:`torch.cond` puts both sides into it.


class HalveLongTexts(torch.nn.Module):
    def forward(self, hidden):
        return hidden / 2 if hidden.shape[1] > 15 else hidden


class HalveWithCond(torch.nn.Module):
    def forward(self, hidden):
        is_long = hidden.shape[1] > 15
        return torch.cond(is_long, lambda x: x / 2, lambda x: x.clone(), (hidden,))


example = torch.randn(2, 10, 4)
both = {"hidden": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}}
short, long = torch.randn(2, 15, 4), torch.randn(2, 16, 4)
one_side = export(HalveLongTexts(), (example,), dynamic_shapes=both).module()
with checks.raises(AssertionError, match="Guard failed: hidden.size()[1] <= 15"):
    one_side(long)

both_sides = export(HalveWithCond(), (example,), dynamic_shapes=both).module()
assert torch.equal(both_sides(short), short)
assert torch.equal(both_sides(long), long / 2), "cond takes the wrong side"

# %%
# .. _recipe-inputs-changed:
#
# Copy the inputs before each run
# -------------------------------
#
# The model runs on the example inputs. After that the program rejects them, and the
# model itself computes something else:

from copy import deepcopy

from smallport.parity import discrepancy, name_outputs

some_inputs = deepcopy(inputs)
with torch.no_grad():
    once = name_outputs(reference(**some_inputs))

announced = (
    f"Guard failed: input_ids.size()[1] + {cache_name}[0].size()[2] + -1 * "
    "attention_mask.size()[1] <= 0"
)
with checks.raises(AssertionError, match=announced) as failure:
    module(**some_inputs)
show_message(failure.message)

with torch.no_grad():
    twice = name_outputs(reference(**some_inputs))
changed = float((twice["logits"] - once["logits"]).abs().max())
print(f"difference of logits between two calls: {changed:.2g}")

assert changed > 1e-3

# %%
# **Cause.** The forward pass appends to the cache that it is given, and the
# :term:`attention mask` stays as it is. Print the length of the cache before and after:

before, after = (one[cache_name].get_seq_length() for one in (inputs, some_inputs))
print(f"{before} tokens in the cache, then {after}")

assert (before, after) == (30, 36)

# %%
# **Fix.** Copy the inputs before each run, as :func:`copy.deepcopy` does. An
# exported program leaves its inputs as they are: take the new cache from its result.

some_inputs = deepcopy(inputs)
with torch.no_grad():
    expected = name_outputs(reference(**deepcopy(inputs)))
    result = module(**some_inputs)
apart = discrepancy(expected, name_outputs(result)).largest()

assert some_inputs[cache_name].get_seq_length() == 30, "the cache has grown"
assert result[cache_name].get_seq_length() == 33
checks.check("copied inputs: difference", apart, at_most=1e-5)

# %%
# .. _recipe-data-dependent:
#
# Replace an if that depends on data
# ----------------------------------
#
# With *dynamic rope*, transformers rescales the position embedding when a text has more
# positions than the model was trained for. The largest number in ``position_ids``
# decides.

import functools
import io
from contextlib import redirect_stderr

from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

dynamic_rope = functools.partial(
    untrained_tiny_llm, dynamic_rope=True, num_hidden_layers=2
)
rescaled = dynamic_rope().model
announced = (
    "Could not guard on data-dependent expression",
    "if seq_len > max_seq_len_cached",
)
with (
    checks.raises(GuardOnDataDependentSymNode, match=announced) as failure,
    redirect_stderr(io.StringIO()),  # PyTorch writes the unfinished graph to it
):
    export(rescaled, (), copy_inputs(inputs), dynamic_shapes=shapes)

lines = failure.message.splitlines()
show_message("\n".join([lines[0], *(line for line in lines if "if seq_len" in line)]))

# %%
# **Cause.** The exporter runs the model once, without data. It cannot choose a side of
# an ``if`` whose condition depends on a number in a tensor.
#
# **Fix.** Compute without the condition: with :func:`torch.where`, with
# :func:`torch.cond`, or, as here, by rescaling in every call. For a short text, the
# function that rescales returns the old frequencies.

from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS


class AlwaysRescaled(torch.nn.Module):
    def __init__(self, configuration):
        super().__init__()
        self.configuration = configuration

    def forward(self, hidden, position_ids):
        frequencies, scale = ROPE_INIT_FUNCTIONS["dynamic"](
            self.configuration, hidden.device, seq_len=position_ids.max() + 1
        )
        angles = position_ids[..., None] * frequencies
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos() * scale, angles.sin() * scale


rescaled.model.rotary_emb = AlwaysRescaled(rescaled.config)
program = export(rescaled, (), copy_inputs(inputs), dynamic_shapes=shapes)

# %%
# Each length is compared with a new model, because a model remembers its longest text.
# The reference has the same weights and never rescales. It differs beyond 1,024
# positions, so the longer texts test the fix.

rescaling = program.module()
fixed, unscaled = {}, {}
for tokens in (12, 1020, 1024, 1025, 1500, 3000):
    text = [InputShape(batch_size=2, cache_length=tokens - 4, new_tokens=4)]
    fixed[tokens] = largest_difference(dynamic_rope().model, rescaling, text)
    models = dynamic_rope().model, reference
    unscaled[tokens] = largest_difference(*models, text, eager=True)
    print(f"{tokens} tokens: {fixed[tokens]:.2g}, unscaled {unscaled[tokens]:.2g}")

checks.check("rope always rescaled: difference", max(fixed.values()), at_most=1e-5)
for tokens, apart in unscaled.items():
    assert (apart > 1e-3) == (tokens > 1024), f"no test of the fix: {tokens} tokens"

# %%

# Drawing: two lines over the number of tokens in a text. The difference of the fixed
# program stays at zero. The difference of a model that never rescales leaves zero at
# the trained length, a dashed vertical line.
import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained", facecolor="white")
axis.plot(
    unscaled.keys(), unscaled.values(), "o-", color="#dd8452", label="no rescaling"
)
axis.plot(fixed.keys(), fixed.values(), "s-", color="#4c72b0", label="fixed program")
axis.axvline(1024, color="gray", linestyle="--", label="trained length")
axis.set_xlabel("tokens in the text")
axis.set_ylabel("largest difference\nfrom the model")
axis.set_title("The fixed program equals the model at every length", fontsize=11)
axis.legend(loc="upper left", frameon=False)
axis.spines[["top", "right"]].set_visible(False)

# %%
# Exercises
# ---------
#
# 1. Export this module with the shapes ``both``. Which recipe explains the error?
#    Change the module so that it can be exported.


class Positive(torch.nn.Module):
    def forward(self, hidden):
        return hidden if hidden.mean() > 0 else -hidden


# %%

# Answer: The condition depends on data. torch.where takes both sides.
from smallport.export.recipes import recipe_for

with (
    checks.raises(GuardOnDataDependentSymNode, match="data-dependent") as failure,
    redirect_stderr(io.StringIO()),
):
    export(Positive(), (example,), dynamic_shapes=both)
print(recipe_for(failure.message))


class PositiveWithWhere(torch.nn.Module):
    def forward(self, hidden):
        return torch.where(hidden.mean() > 0, hidden, -hidden)


module = export(PositiveWithWhere(), (example,), dynamic_shapes=both).module()
assert recipe_for(failure.message) == "data-dependent"
for some_input in (example + 1, example - 1):
    assert torch.equal(module(some_input), Positive()(some_input))

# %%
# 2. A model with dynamic rope reads texts of 1,500, 3,000 and 1,500 tokens. Does it
#    compute the same for the first and the last? Does the fixed program?

# Answer: Only the program does. The model remembers the longest text, and uses its
# frequencies for a shorter one, too.
from smallport.tiny_llm import make_inputs, tiny_llm_config

roomy = tiny_llm_config(num_hidden_layers=2, max_position_embeddings=4096)
used = dynamic_rope().model
texts = [make_inputs(roomy, InputShape(2, length, 4)) for length in (1500, 3000, 1500)]
with torch.no_grad():
    of_model = [name_outputs(used(**copy_inputs(text))) for text in texts]
    of_program = [name_outputs(rescaling(**copy_inputs(text))) for text in texts]
changed = discrepancy(of_model[0], of_model[2]).largest()
print(f"model: {changed:.2g}")

assert changed > 1e-3
assert discrepancy(of_program[0], of_program[2]).largest() == 0

# %%
# Conclusion
# ----------
#
# - Read the condition in the message: it names the input and the axis.
# - Declare ranges with ``Dim(name, min=…, max=…)``, and derive sizes from one another.
# - Copy the inputs before each run.
# - Replace an ``if`` by :func:`torch.where` or :func:`torch.cond`, or compute without
#   it.
#
# What to read next
# -----------------
#
# - :doc:`ONNX export errors and silent differences: causes and fixes
#   <plot_22_onnx_error_cookbook>`
# - `Control flow: cond <https://docs.pytorch.org/docs/stable/cond.html>`_ states what
#   the branches of :func:`torch.cond` may do.

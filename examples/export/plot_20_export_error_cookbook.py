"""
torch.export errors: causes and fixes
=====================================

Result: Seven frequent errors of :func:`torch.export.export`, each reproduced, explained
and fixed. Every fixed program computes what its model computes, at shapes that the
export never saw.

Prerequisites: PyTorch, and the inputs and :term:`dynamic shapes <dynamic shape>` of a
language model, which :doc:`Find a model's inputs and dynamic shapes
<plot_10_tiny_llm_inputs>` explains. The page uses ``torch`` and ``transformers``.

What you will learn: how to find the cause of an export error from its message, and how
to fix it in the model, in the shapes or in the example.

The models are an untrained Tiny-LLM and modules of a few lines. Errors of saved
programs and of ONNX, and differences without any message, are on :doc:`the next page
<plot_22_onnx_error_cookbook>`.
"""

# %%
# Find your message
# -----------------
#
# - ``Cannot associate shape … to non-tensor type`` or ``Unsupported input type``:
#   :ref:`Register a cache class as a pytree <recipe-cache-no-pytree>`
# - ``Node arity mismatch`` or ``Expected dynamic shape spec … to have the same length
#   as the actual tensor shape``: :ref:`Write the shapes of a cache as one flat list
#   <recipe-shapes-nested>`
# - ``You marked … as dynamic but your code specialized it to be a constant``:
#   :ref:`Find the line that makes a dimension constant <recipe-dimension-specialized>`
# - ``The values of … must always be equal``: :ref:`Give equal dimensions one name
#   <recipe-dimensions-equal>`
# - ``export 0/1 specialized due to hint of 1`` or ``your code specialized it to be a
#   constant (1)``: :ref:`Export with sizes of at least two
#   <recipe-size-one-specialized>`
# - ``Guard failed``: :ref:`Remove a guard that rejects a valid shape
#   <recipe-guard-refuses>`
# - ``Could not guard on data-dependent expression``: :ref:`Replace an if that depends
#   on data <recipe-data-dependent>`
#
# In a terminal, ``smallport explain`` lists the recipes and prints them.
#
# Set up a model and a comparison
# -------------------------------
#
# Tiny-LLM, here with two layers, comes with example inputs: two texts, with thirty
# :term:`tokens <token>` of each in the :term:`KV cache`, and three new ones. A fix
# counts if the :term:`exported program` computes what the model computes at other
# shapes. The reference has the same weights as the model, in tensors of its own.

import logging
from functools import partial

import torch
from torch.export import Dim, export

from smallport import checks
from smallport.display import show_message
from smallport.parity import InputShape, cache_argument, compare, copy_inputs, worst_of
from smallport.tiny_llm import make_inputs, tiny_llm_config, untrained_tiny_llm

for name in ("torch.export", "torch._export", "torch.fx"):
    logging.getLogger(name).setLevel(logging.ERROR)
torch.manual_seed(0)

shape = InputShape(batch_size=2, cache_length=30, new_tokens=3)
untrained = untrained_tiny_llm(shape, num_hidden_layers=2)
model, inputs, shapes = untrained.model, untrained.inputs, untrained.dynamic_shapes
cache_name = cache_argument()  # past_key_values; since transformers 5.24.0, cache
reference = untrained_tiny_llm(num_hidden_layers=2).model

configuration = tiny_llm_config(num_hidden_layers=2, max_position_embeddings=4096)
unseen = [
    InputShape(batch_size=1, cache_length=64, new_tokens=1),
    InputShape(batch_size=3, cache_length=7, new_tokens=5),
    InputShape(batch_size=3, cache_length=12, new_tokens=2, padding=5),
]


def difference(run, shapes=unseen, reference=reference) -> float:
    """Find the largest difference from the model, in logits and cache."""
    random_inputs = partial(make_inputs, configuration)
    found = compare(
        reference, lambda one: run(**one), shapes, make_inputs=random_inputs
    )
    assert list(found) == list(shapes), "not every shape was compared"
    return worst_of(found.values()).largest()


# %%
# .. _recipe-cache-no-pytree:
#
# Register a cache class as a pytree
# ----------------------------------
#
# The export of a model with a cache fails, with ``dynamic_shapes`` and without:

from torch._dynamo.exc import UserError

announced = (
    "Cannot associate shape",
    "to non-tensor type <class 'transformers.cache_utils.DynamicCache'>",
)
with checks.raises(UserError, match=announced) as failure:
    export(model, (), copy_inputs(inputs), dynamic_shapes=shapes)
show_message(failure.message)

announced = "Unsupported input type <class 'transformers.cache_utils.DynamicCache'>"
with checks.raises(ValueError, match=announced):
    export(model, (), copy_inputs(inputs))

# %%
# **Cause.** For the exporter, inputs are a :term:`pytree`, a tree whose leaves are
# tensors. It does not know how to take this class apart.
#
# **Fix.** Register the class. transformers has a function for its own caches.
# :doc:`Export Tiny-LLM with its KV cache <plot_12_tiny_llm_export>` registers one by
# hand, as you would a class of your own.

from transformers.exporters.exporter_dynamo import register_cache_pytrees_for_model

register_cache_pytrees_for_model(model)
tiny_program = export(model, (), copy_inputs(inputs), dynamic_shapes=shapes)

apart = difference(tiny_program.module())
checks.check("cache registered: difference", apart, at_most=1e-5)

# %%

# Guard: against a comparison that misses another model
other = untrained_tiny_llm(seed=1, num_hidden_layers=2).model
apart = difference(tiny_program.module(), reference=other)
assert apart > 1e-2, "compare misses another model"

# %%
# .. _recipe-shapes-nested:
#
# Write the shapes of a cache as one flat list
# --------------------------------------------
#
# The shapes of the registered cache have one list for keys and one for values:

cached = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC}  # batch and length of a key or a value
nested = shapes | {cache_name: [[cached, cached], [cached, cached]]}

announced = "Node arity mismatch; expected 4, but got 2."
with checks.raises(ValueError, match=announced) as failure:
    export(model, (), copy_inputs(inputs), dynamic_shapes=nested)
show_message(failure.message)

# %%
# **Cause.** The shapes must have the structure that the exporter gives the inputs. A
# registered cache is one flat list: key, value, key, value.
#
# **Fix.** Count the leaves of the cache, and write one entry for each.

from torch.utils import _pytree as pytree

leaves = pytree.tree_leaves(inputs[cache_name])
flat = shapes | {cache_name: [cached] * len(leaves)}
program = export(model, (), copy_inputs(inputs), dynamic_shapes=flat)

checks.check("flat shapes: difference", difference(program.module()), at_most=1e-5)

# %%
# .. _recipe-dimension-specialized:
#
# Find the line that makes a dimension constant
# ---------------------------------------------
#
# This module computes, at each position, the mean of the vectors so far. Its export
# fails, although the length is declared dynamic. The log names the line that needed the
# length as a number; :func:`~smallport.export.caught_logs` reads it.

import inspect
import re

from smallport.export import caught_logs, input_shapes


class RunningMeans(torch.nn.Module):
    def forward(self, hidden):  # (batch, length, width)
        means = [hidden[:, : n + 1].mean(dim=1) for n in range(hidden.shape[1])]
        return torch.stack(means, dim=1)


example = torch.randn(2, 10, 4)
both = {"hidden": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}}
announced = "as dynamic but your code specialized it to be a constant (10)"
with (
    caught_logs("torch.fx.experimental.symbolic_shapes", logging.INFO) as records,
    checks.raises(UserError, match=announced) as failure,
):
    export(RunningMeans(), (example,), dynamic_shapes=both)
show_message(failure.message)

evaluated = re.compile(r"eval (Eq\(\w+, 10\)) \[guard added\] .*:(\d+) in forward\)")
matches = [evaluated.match(record.getMessage()) for record in records]
guard, number = next(match.groups() for match in matches if match)
lines, first = inspect.getsourcelines(RunningMeans.forward)
culprit = lines[int(number) - first].strip()
print(f"\n{guard}: {culprit}")

assert "for n in range(hidden.shape[1])" in culprit

# %%
# **Cause.** A Python loop runs during the export, here once for each of the ten
# positions. The program is valid for that length only.
#
# ``Dim.AUTO``, which the message suggests, hides the error and fixes nothing: the
# program then takes ten positions only, as :func:`~smallport.export.input_shapes`
# shows.

automatic = {"hidden": {0: Dim.AUTO, 1: Dim.AUTO}}
program = export(RunningMeans(), (example,), dynamic_shapes=automatic)
print(input_shapes(program))

assert input_shapes(program)["hidden"][1:] == (10, 4)
with checks.raises(AssertionError, match="Guard failed: hidden.size()[1] == 10"):
    program.module()(torch.randn(2, 11, 4))

# %%
# **Fix.** Compute the same without a loop.


class CumulativeMeans(torch.nn.Module):
    def forward(self, hidden):
        counts = torch.arange(1, hidden.shape[1] + 1)
        return hidden.cumsum(dim=1) / counts[:, None]


module = export(CumulativeMeans(), (example,), dynamic_shapes=both).module()
others = [torch.randn(1, 1, 4), torch.randn(3, 7, 4), torch.randn(2, 200, 4)]
apart = max(float((module(one) - RunningMeans()(one)).abs().max()) for one in others)

checks.check("without the loop: difference", apart, at_most=1e-5)

# %%
# .. _recipe-dimensions-equal:
#
# Give equal dimensions one name
# ------------------------------
#
# This module adds position vectors to a text. Each length has a name of its own:


class AddPositions(torch.nn.Module):
    def forward(self, hidden, positions):
        return hidden + positions


examples = (torch.randn(2, 10, 4), torch.randn(2, 10, 4))
two_names = {"hidden": {1: Dim("length")}, "positions": {1: Dim("other")}}
announced = (
    "The values of other = L['positions'].size()[1] and length = L['hidden'].size()[1]",
    "must always be equal.",
)
with checks.raises(UserError, match=announced) as failure:
    export(AddPositions(), examples, dynamic_shapes=two_names)
show_message(failure.message)

# %%
# **Cause.** Two names declare two independent sizes, and this model needs equal ones.
#
# **Fix.** Use one ``Dim`` in both places; ``min`` and ``max`` state its range. Or use
# ``Dim.DYNAMIC``, which has no name: the exporter then finds out what is equal.

length = Dim("length", min=1, max=4096)
longer = torch.randn(2, 300, 4), torch.randn(2, 300, 4)
for dimension in (length, Dim.DYNAMIC):
    one_name = {"hidden": {1: dimension}, "positions": {1: dimension}}
    program = export(AddPositions(), examples, dynamic_shapes=one_name)
    sizes = input_shapes(program)
    print(sizes)
    assert sizes["hidden"][1] == sizes["positions"][1] != 10, "two sizes, or a constant"
    assert torch.equal(program.module()(*longer), longer[0] + longer[1])

# %%
# .. _recipe-size-one-specialized:
#
# Export with sizes of at least two
# ---------------------------------
#
# The example has a single text, and the batch is declared dynamic:

layer = torch.nn.Linear(4, 3)
single = torch.randn(1, 10, 4)
explicit = {"input": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}}

announced = "export 0/1 specialized due to hint of 1 for dimension inputs['input']"
with checks.raises(ValueError, match=announced) as failure:
    export(layer, (single,), dynamic_shapes=explicit)
show_message(failure.message)

announced = (
    "You marked batch as dynamic but your code specialized it to be a constant (1)"
)
with checks.raises(UserError, match=announced):
    export(layer, (single,), dynamic_shapes={"input": {0: Dim("batch")}})

# %%
# **Cause.** A size of one can be broadcast, so the exporter makes it a constant, a
# :term:`specialization`. With ``Dim.AUTO`` only the log says so:

automatic = {"input": {0: Dim.AUTO, 1: Dim.AUTO}}
with caught_logs("torch._export.non_strict_utils") as records:
    program = export(layer, (single,), dynamic_shapes=automatic)
print(input_shapes(program))
logged = "\n".join(record.msg for record in records)
show_message(logged)

assert input_shapes(program)["input"][0] == 1, "a size of one stays dynamic now"
assert "dimension inputs['input'].shape[0] 0/1 specialized" in logged
with checks.raises(AssertionError, match="Guard failed: input.size()[0] == 1"):
    program.module()(torch.randn(2, 10, 4))

# %%
# **Fix.** Declare ``Dim.DYNAMIC`` or a name, and give every dynamic axis of the example
# a size of at least two. The program then accepts a size of one, too.

program = export(layer, (example,), dynamic_shapes=explicit)
others = [torch.randn(1, 1, 4), torch.randn(1, 10, 4), torch.randn(5, 33, 4)]
with torch.no_grad():
    by_hand = [one @ layer.weight.T + layer.bias for one in others]
    found = [program.module()(one) for one in others]
apart = max(float((a - b).abs().max()) for a, b in zip(found, by_hand, strict=True))

checks.check("exported with two texts: difference", apart, at_most=1e-5)

# %%
# .. _recipe-guard-refuses:
#
# Remove a guard that rejects a valid shape
# -----------------------------------------
#
# At the beginning of a text, there is one token in the cache and one new token. The
# program of the first recipe rejects them:

smallest = InputShape(batch_size=1, cache_length=1, new_tokens=1)
announced = "Guard failed: attention_mask.size()[1] >= 4"
with checks.raises(AssertionError, match=announced):
    difference(tiny_program.module(), [smallest])

# %%
# **Cause.** The exporter assumes that a dynamic size is at least two. From two tokens
# in the cache and two new ones it concludes that the :term:`attention mask` has at
# least four columns, and adds a :term:`guard`.
#
# **Fix.** Declare the range, and derive sizes from one another. A step of
# :term:`decode` has one new token, so its mask is longer than the cache by one.

step = make_inputs(configuration, InputShape(2, cache_length=30, new_tokens=1))
batch, past = Dim("batch", min=1, max=64), Dim("past", min=1, max=1023)
step_shapes = {
    "input_ids": {0: batch},
    "attention_mask": {0: batch, 1: past + 1},
    "position_ids": {0: batch},
    cache_name: [{0: batch, 2: past}] * len(leaves),
}
program = export(model, (), step, dynamic_shapes=step_shapes)

steps = [smallest, unseen[0], InputShape(3, cache_length=12, new_tokens=1, padding=5)]
apart = difference(program.module(), steps)
checks.check("one new token: difference", apart, at_most=1e-5)

# %%
# A guard can also be right. This module branches on the length, and the program
# contains only the side that the example took. :func:`torch.cond` puts both sides into
# it.


class HalveLongTexts(torch.nn.Module):
    def forward(self, hidden):
        return hidden / 2 if hidden.shape[1] > 15 else hidden


class HalveWithCond(torch.nn.Module):
    def forward(self, hidden):
        is_long = hidden.shape[1] > 15
        return torch.cond(is_long, lambda x: x / 2, lambda x: x.clone(), (hidden,))


short, long = torch.randn(2, 15, 4), torch.randn(2, 16, 4)
one_side = export(HalveLongTexts(), (example,), dynamic_shapes=both).module()
with checks.raises(AssertionError, match="Guard failed: hidden.size()[1] <= 15"):
    one_side(long)

both_sides = export(HalveWithCond(), (example,), dynamic_shapes=both).module()
assert torch.equal(both_sides(short), short)
assert torch.equal(both_sides(long), long / 2), "cond takes the wrong side"

# %%
# .. _recipe-data-dependent:
#
# Replace an if that depends on data
# ----------------------------------
#
# With *dynamic rope*, transformers rescales the position embedding when a text has more
# positions than the model was trained for. The largest number in ``position_ids``
# decides.

import io
from contextlib import redirect_stderr

from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

dynamic_rope = partial(untrained_tiny_llm, dynamic_rope=True, num_hidden_layers=2)
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
# :func:`torch.cond`, or, as here, by doing in every call what was done under the
# ``if``. For a short text, the function that rescales returns the old frequencies.

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
# Each length gets a new model to compare with, for a model remembers its longest text.
# The reference has the same weights and never rescales. It differs beyond 1,024
# positions, so the longer texts do test the fix.

fixed, unscaled = {}, {}
for tokens in (12, 1020, 1024, 1025, 1500, 3000):
    text = [InputShape(batch_size=2, cache_length=tokens - 4, new_tokens=4)]
    fixed[tokens] = difference(program.module(), text, dynamic_rope().model)
    unscaled[tokens] = difference(reference, text, dynamic_rope().model)
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
# 1. Export a Tiny-LLM of one layer with the shapes ``[[cached], [cached]]`` for its
#    cache. Why does the message differ from the one with two layers?

# Answer: The numbers of entries agree by chance, two lists for a key and a value. The
# exporter goes one level deeper and takes each list for the shape of a tensor.
one_layer = untrained_tiny_llm(shape)
nested = shapes | {cache_name: [[cached], [cached]]}
announced = (
    "Expected dynamic shape spec",
    "to have the same length as the actual tensor shape torch.Size([2, 1, 30, 96])",
)
with checks.raises(UserError, match=announced) as failure:
    export(one_layer.model, (), one_layer.inputs, dynamic_shapes=nested)
show_message(failure.message)

# %%
# 2. Export this module with the shapes ``both``. Which recipe explains the error?
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
# Conclusion
# ----------
#
# - Compare the structure of the shapes with the leaves of the inputs.
# - Find the line of the model that needs a size or a value as a number, and compute
#   without it.
# - Give every dynamic axis of the example a size of at least two.
# - Avoid ``Dim.AUTO``: with it, a specialization is no error.
# - Run the program at the shapes that you need, and compare it with the model.
#
# What to read next
# -----------------
#
# - :doc:`ONNX export errors and silent differences: causes and fixes
#   <plot_22_onnx_error_cookbook>`
# - `ExportDB <https://docs.pytorch.org/docs/stable/generated/exportdb/index.html>`_
#   lists what :func:`torch.export.export` supports.
# - `Dynamic shapes in torch.export
#   <https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/export.html>`_
#   explains dimensions, symbols and guards.

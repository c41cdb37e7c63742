"""
torch.export errors: causes and fixes
=====================================

Result: Five frequent errors of :func:`torch.export.export` about caches and shapes,
each reproduced, explained and fixed. Every fixed program computes the same numbers as
its model, up to rounding, at shapes that the export never saw.

Prerequisites: PyTorch, and the inputs and :term:`dynamic shapes <dynamic shape>` of a
language model, which :doc:`Find a model's inputs and dynamic shapes
<plot_10_tiny_llm_inputs>` explains. The page uses ``torch`` and ``transformers``.

What you will learn: how to find the cause of an export error from its message, and how
to fix it in the model, in the shapes or in the example.

The models are an untrained Tiny-LLM and modules of a few lines. In a terminal,
``smallport explain`` lists and prints the recipes of this page and the next two.
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
#   <recipe-guard-refuses>` or :ref:`Copy the inputs before each run
#   <recipe-inputs-changed>`
# - ``Could not guard on data-dependent expression``: :ref:`Replace an if that depends
#   on data <recipe-data-dependent>`
# - ``No ONNX function found for``: :ref:`Replace an operator that the ONNX exporter
#   lacks <recipe-onnx-function-missing>`
# - ``Got invalid dimensions for input`` or ``Unexpected input data type``: :ref:`Match
#   the inputs that the ONNX file declares <recipe-onnx-input-rejected>`
# - ``We ran into an error when deserializing the saved file``: :ref:`Register the cache
#   class before loading a program <recipe-program-reloaded>`
#
# Set up a model and a comparison
# -------------------------------
#
# Tiny-LLM, here with two layers, comes with example inputs: two texts, with thirty
# :term:`tokens <token>` of each in the :term:`KV cache`, and three new ones. A fix is
# correct if the :term:`exported program` and the model agree at other shapes. The
# reference is a second model with the same weights.

import logging

import torch
from torch.export import Dim, export

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

reference = untrained_tiny_llm(num_hidden_layers=2).model
verify_reference(reference)
unseen = [
    InputShape(batch_size=1, cache_length=64, new_tokens=1),
    InputShape(batch_size=3, cache_length=7, new_tokens=5),
    InputShape(batch_size=3, cache_length=12, new_tokens=2, padding=5),
]

# %%
# .. _recipe-cache-no-pytree:
#
# Register a cache class as a pytree
# ----------------------------------
#
# The export of a model that takes a cache fails, with and without ``dynamic_shapes``:

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
# **Fix.** Register the class. transformers has a function for its own caches. For a
# class of your own, :doc:`Export Tiny-LLM with its KV cache: torch.export
# <plot_12_tiny_llm_export>` shows the registration by hand.

from transformers.exporters.exporter_dynamo import register_cache_pytrees_for_model

register_cache_pytrees_for_model(model)
program = export(model, (), copy_inputs(inputs), dynamic_shapes=shapes)

apart = largest_difference(reference, program.module(), unseen)
checks.check("cache registered: difference", apart, at_most=1e-5)

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

apart = largest_difference(reference, program.module(), unseen)
checks.check("flat shapes: difference", apart, at_most=1e-5)

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

from smallport.export import caught_logs


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
# ``Dim.AUTO``, which the message suggests, only hides the error: the program then
# accepts ten positions only, as exercise 1 shows.
#
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
# **Fix for an LSTM or a GRU.** These layers have such a loop inside PyTorch. A context
# manager keeps it in the program. Enter it before the first export of such a layer in a
# process, because PyTorch stores how it exported the layer first.
# :class:`~smallport.export.RecurrentAdapter` makes a cache of the state, so that
# :func:`~smallport.check_export` exports the model and compares it at other lengths.

from torch.export._patches import register_gru_while_loop_decomposition

from smallport import check_export
from smallport.export import RecurrentAdapter


class WordModel(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(1000, 16)
        self.gru = torch.nn.GRU(16, 32, batch_first=True)
        self.decoder = torch.nn.Linear(32, 1000)

    def forward(self, tokens, state=None):
        outputs, state = self.gru(self.embedding(tokens), state)
        return self.decoder(outputs), state


recurrent = RecurrentAdapter(WordModel().eval(), batch_first=True)
with register_gru_while_loop_decomposition():  # for LSTM: register_lstm_...
    report = check_export(recurrent, until="stays dynamic")
print(report["matches"].found)

assert report.passed(), report.failure().found

# %%
# .. _recipe-dimensions-equal:
#
# Give equal dimensions one name
# ------------------------------
#
# This module adds position vectors to a text. The two lengths have different names:


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

from smallport.export import input_shapes

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
# Exercises
# ---------
#
# 1. Export ``RunningMeans`` with ``Dim.AUTO`` on both axes. Which lengths does the
#    program accept?

# Answer: Ten positions only. input_shapes shows the constant, and another length fails.
automatic = {"hidden": {0: Dim.AUTO, 1: Dim.AUTO}}
program = export(RunningMeans(), (example,), dynamic_shapes=automatic)
print(input_shapes(program))

assert input_shapes(program)["hidden"][1:] == (10, 4)
with checks.raises(AssertionError, match="Guard failed: hidden.size()[1] == 10"):
    program.module()(torch.randn(2, 11, 4))

# %%
# 2. Export a Tiny-LLM of one layer with the shapes ``[[cached], [cached]]`` for its
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
# Conclusion
# ----------
#
# - Compare the structure of the shapes with the leaves of the inputs.
# - Give equal sizes one name, and every dynamic axis of the example a size of at least
#   two.
# - Find the line of the model that needs a size as a number, and compute without it.
#   Export a GRU or an LSTM inside the context manager that keeps its loop.
# - Avoid ``Dim.AUTO``: with it, a specialization is no error.
# - Run the program at the shapes that you need, and compare it with the model.
#
# What to read next
# -----------------
#
# - :doc:`Guard failed and data-dependent errors: causes and fixes
#   <plot_21_guard_error_cookbook>`
# - :doc:`ONNX export errors and silent differences: causes and fixes
#   <plot_22_onnx_error_cookbook>`
# - `ExportDB <https://docs.pytorch.org/docs/stable/generated/exportdb/index.html>`_
#   lists what :func:`torch.export.export` supports.
# - `Dynamic shapes in torch.export
#   <https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/export.html>`_
#   explains dimensions, symbols and guards.

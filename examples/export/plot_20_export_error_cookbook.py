"""
What the exporter's errors mean: a cookbook
===========================================

When :func:`torch.export.export` fails, the cause is usually one of a few, and the
message does not always name it. This page collects ten. Each recipe reproduces the
failure, shows its message, says what it means, fixes it, and compares the fixed program
with the model at shapes that the export never saw. Find yours by its message:

- ``Cannot associate shape … to non-tensor type`` or ``Unsupported input type``:
  :ref:`a cache that is no pytree <recipe-cache-no-pytree>`
- ``Expected dynamic shape spec … to have the same length as the actual tensor shape``
  or ``Node arity mismatch``: :ref:`shapes nested where they must be flat
  <recipe-shapes-nested>`
- ``You marked … as dynamic but your code specialized it to be a constant``: :ref:`a
  dimension that the code specializes <recipe-dimension-specialized>`
- ``your code specialized it to be a constant (1)`` or ``export 0/1 specialized due to
  hint of 1``, or ``0/1 specialized`` in the log only: :ref:`a size of one under
  Dim.AUTO <recipe-size-one-specialized>`
- ``The values of … must always be equal``: :ref:`two dimensions that must be equal
  <recipe-dimensions-equal>`
- ``Guard failed``: :ref:`a guard that refuses a shape <recipe-guard-refuses>`, or, at a
  shape that was fine before, :ref:`inputs that the forward pass changes
  <recipe-inputs-changed>`
- ``Could not guard on data-dependent expression``: :ref:`control flow that depends on
  data <recipe-data-dependent>`
- ``We ran into an error when deserializing the saved file`` or ``Deserializing … in
  pytree is not registered``: :ref:`a program that was saved and loaded again
  <recipe-program-reloaded>`

Three mistakes have no message of their own:

- :ref:`one tensor for two inputs of the example <recipe-dimensions-equal>`, so that the
  program computes something else
- :ref:`a model run twice on the same inputs <recipe-inputs-changed>`
- :ref:`weights that program and model share <recipe-weights-shared>`, so that a
  comparison of the two finds nothing

The models are an untrained Tiny-LLM, as on :doc:`the page on its export
<plot_10_tiny_llm_export>`, and modules of a few lines.

What you will learn: what ten common errors of the exporter mean, and how to fix each.
"""

# %%
# Before the recipes
# ------------------
#
# From here to the last cell, PyTorch's loggers report errors only, and no cache class
# is registered as a pytree. PyTorch keeps its registry for the whole process, so
# something that ran earlier may have added to it. Random numbers are seeded, so that
# the differences below are the same on each run.

import textwrap
from contextlib import ExitStack

import torch
from transformers import DynamicCache

from smallport.display import errors_only
from smallport.export import pytree_owner, without_cache_pytrees

before = pytree_owner(DynamicCache)
restored_at_the_end = ExitStack()  # closed by the last cell
restored_at_the_end.enter_context(
    errors_only("torch.export", "torch._export", "torch.fx")
)
restored_at_the_end.enter_context(without_cache_pytrees())
torch.manual_seed(0)


def show(message: str) -> None:
    """Print a message, without the note on ``draft_export`` that ends most of them."""
    for line in message.partition("\n\nThe error above occurred")[0].splitlines():
        print(textwrap.fill(line, 88, break_long_words=False, break_on_hyphens=False))


# %%
# Tiny-LLM comes with inputs: two texts, thirty tokens of each in the cache, three new
# ones. Its dynamic shapes list the cache's keys and values in turns. The second recipe
# shows what happens to two lists, so make these as well. The argument that takes the
# cache is called ``cache`` since transformers 5.24.0, and was called
# ``past_key_values`` before. The reference is another model with the same weights.

from torch.export import Dim, export

from smallport.parity import InputShape, cache_argument, copy_inputs
from smallport.tiny_llm import untrained_tiny_llm

untrained = untrained_tiny_llm(InputShape(batch_size=2, cache_length=30, new_tokens=3))
model, inputs = untrained.model, untrained.inputs
reference = untrained_tiny_llm().model

cached = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC}  # batch and length of a key or a value
cache_name = cache_argument()
flat_shapes = untrained.dynamic_shapes
nested_shapes = flat_shapes | {cache_name: [[cached], [cached]]}

assert flat_shapes[cache_name] == [cached, cached]

# %%
# A fix counts if the program computes what the model computes at shapes other than
# those of the example: other batches and lengths, a single new token, padding.

import functools

from smallport.parity import compare, worst_of
from smallport.tiny_llm import make_inputs

unseen = [
    InputShape(batch_size=1, cache_length=64, new_tokens=1),
    InputShape(batch_size=3, cache_length=7, new_tokens=5),
    InputShape(batch_size=3, cache_length=12, new_tokens=2, padding=5),
]


def difference(program, shapes=unseen, reference=reference) -> float:
    """Find the largest difference from the model, in logits and cache."""
    module = program.module()
    found = compare(
        reference,
        lambda some_inputs: module(**some_inputs),
        shapes,
        make_inputs=functools.partial(make_inputs, reference.config),
    )
    assert list(found) == list(shapes), "not every shape was compared"
    return worst_of(found.values()).largest()


# %%
# .. _recipe-cache-no-pytree:
#
# A cache that is no pytree
# -------------------------

from torch._dynamo.exc import UserError

from smallport import checks

announced = (
    "Cannot associate shape",
    "to non-tensor type <class 'transformers.cache_utils.DynamicCache'>",
)
with checks.raises(UserError, match=announced) as failure:
    export(model, (), copy_inputs(inputs), dynamic_shapes=flat_shapes)
show(failure.message)

# %%
# Without shapes for the cache, the message is another:

announced = (
    "Unsupported input type <class 'transformers.cache_utils.DynamicCache'>",
    "use torch.utils._pytree.register_pytree_node",
)
with checks.raises(ValueError, match=announced) as failure:
    export(model, (), copy_inputs(inputs))
show(failure.message)

# %%
# **Meaning.** To the exporter, inputs are a tree with tensors for leaves, a *pytree*,
# and nobody told it how to look into this class.
#
# **Fix.** Register the class. transformers has a function that registers all of its
# caches; :doc:`the page on Tiny-LLM <plot_10_tiny_llm_export>` does it by hand.

from transformers.exporters.exporter_dynamo import register_cache_pytrees_for_model

register_cache_pytrees_for_model(model)
tiny_program = export(model, (), copy_inputs(inputs), dynamic_shapes=flat_shapes)

assert pytree_owner(DynamicCache) is not None
checks.check("cache registered: difference", difference(tiny_program), at_most=1e-5)
other = untrained_tiny_llm(seed=1).model
assert difference(tiny_program, reference=other) > 1e-2, "compare misses another model"

# %%
# .. _recipe-shapes-nested:
#
# Shapes nested where they must be flat
# -------------------------------------
#
# Now that the class is registered, the nested shapes, with a list for the keys and one
# for the values, fail in another way:

announced = (
    "Expected dynamic shape spec [{0: DimHint(DYNAMIC), 2: DimHint(DYNAMIC)}]",
    "to have the same length as the actual tensor shape torch.Size([2, 1, 30, 96])",
    "(expected 4, but got 1 instead)",
)
with checks.raises(UserError, match=announced) as failure:
    export(model, (), copy_inputs(inputs), dynamic_shapes=nested_shapes)
show(failure.message)

# %%
# Tiny-LLM has one layer and so two cache tensors, and there happen to be two lists.
# With two layers the numbers differ, and the message says no more than that:

two_layers = untrained_tiny_llm(num_hidden_layers=2)
announced = "Node arity mismatch; expected 4, but got 2."
with checks.raises(ValueError, match=announced) as failure:
    export(
        two_layers.model,
        (),
        copy_inputs(two_layers.inputs),
        dynamic_shapes=flat_shapes | {cache_name: [[cached] * 2, [cached] * 2]},
    )
show(failure.message)

# %%
# **Meaning.** The shapes must have the form of the tree that the exporter makes of the
# inputs, and a registered cache is one flat list.
#
# **Fix.** Count the leaves, and write one entry for each.

from torch.utils import _pytree as pytree

leaves = pytree.tree_leaves(two_layers.inputs[cache_name])
shapes = flat_shapes | {cache_name: [cached] * len(leaves)}
program = export(
    two_layers.model, (), copy_inputs(two_layers.inputs), dynamic_shapes=shapes
)

assert len(leaves) == 4
assert shapes == two_layers.dynamic_shapes
deeper = untrained_tiny_llm(num_hidden_layers=2).model
checks.check(
    "flat shapes: difference", difference(program, reference=deeper), at_most=1e-5
)

# %%
# .. _recipe-dimension-specialized:
#
# A dimension that the code specializes
# -------------------------------------
#
# This module computes, at each position, the mean of the vectors so far. The length is
# declared dynamic.


class RunningMeans(torch.nn.Module):
    """Means of the vectors up to each position."""

    def forward(self, hidden):
        """Take and return tensors of shape (batch, length, width)."""
        means = [hidden[:, : n + 1].mean(dim=1) for n in range(hidden.shape[1])]
        return torch.stack(means, dim=1)


example = torch.randn(2, 10, 4)
both = {"hidden": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}}
announced = (
    "Constraints violated (L['hidden'].size()[1])!",
    "You marked L['hidden'].size()[1]",
    "as dynamic but your code specialized it to be a constant (10)",
    "replace it with either Dim.STATIC or Dim.AUTO",
)
with checks.raises(UserError, match=announced) as failure:
    export(RunningMeans(), (example,), dynamic_shapes=both)
show(failure.message)

# %%
# **Meaning.** Some line of the model needed the size as a number, so the graph holds
# for that size only.
#
# *Which* line? It is in the log that the message mentions.
# :func:`~smallport.export.caught_logs` reads the log without printing all of it.

import inspect
import logging
import re

from smallport.export import caught_logs

with (
    caught_logs("torch.fx.experimental.symbolic_shapes", logging.INFO) as records,
    checks.raises(UserError, match="your code specialized it to be a constant (10)"),
):
    export(RunningMeans(), (example,), dynamic_shapes=both)

evaluated = re.compile(r"eval (Eq\(\w+, 10\)) \[guard added\] .*:(\d+) in forward\)")
matches = [evaluated.match(record.getMessage()) for record in records]
found = [match.groups() for match in matches if match]
assert found, "the log no longer says which line specializes a size"

guard, number = found[0]
lines, first = inspect.getsourcelines(RunningMeans.forward)
culprit = lines[int(number) - first].strip()
print(f"{guard}: {culprit}")
assert "for n in range(hidden.shape[1])" in culprit

# %%
# A Python loop runs while the graph is made, here once for each of the ten positions.
#
# The message advises ``Dim.AUTO``. With that, the export succeeds, but nothing is
# fixed: the program takes ten positions only, as :func:`~smallport.export.input_shapes`
# shows.

from smallport.export import input_shapes

automatic = {"hidden": {0: Dim.AUTO, 1: Dim.AUTO}}
program = export(RunningMeans(), (example,), dynamic_shapes=automatic)
print(input_shapes(program))

assert input_shapes(program)["hidden"][1:] == (10, 4)
with checks.raises(AssertionError, match="Guard failed: hidden.size()[1] == 10"):
    program.module()(torch.randn(2, 11, 4))

# %%
# **Fix.** Compute the same without a loop, so that the size stays a symbol.


class CumulativeMeans(torch.nn.Module):
    """The same means, from one cumulative sum."""

    def forward(self, hidden):
        """Take and return tensors of shape (batch, length, width)."""
        counts = torch.arange(1, hidden.shape[1] + 1)
        return hidden.cumsum(dim=1) / counts[:, None]


program = export(CumulativeMeans(), (example,), dynamic_shapes=both)
module = program.module()
differences = []
for shape in ((1, 1, 4), (3, 7, 4), (2, 200, 4)):
    hidden = torch.randn(shape)
    differences.append(float((module(hidden) - RunningMeans()(hidden)).abs().max()))
print(input_shapes(program))

assert all(isinstance(size, str) for size in input_shapes(program)["hidden"][:2])
checks.check("without the loop: difference", max(differences), at_most=1e-5)

# %%
# .. _recipe-dimensions-equal:
#
# Two dimensions that must be equal
# ---------------------------------
#
# This module adds position vectors to a text. The two lengths have names of their own:


class AddPositions(torch.nn.Module):
    """Add a vector for its position to each vector of a text."""

    def forward(self, hidden, positions):
        """Take tensors of shape (batch, length, width)."""
        return hidden + positions


examples = (torch.randn(2, 10, 4), torch.randn(2, 10, 4))
two_names = {"hidden": {1: Dim("length")}, "positions": {1: Dim("other")}}
announced = (
    "Constraints violated (other)!",
    "The values of other = L['positions'].size()[1] and length = L['hidden'].size()[1]",
    "must always be equal.",
    "Suggested fixes:\n  other = length",
)
with checks.raises(UserError, match=announced) as failure:
    export(AddPositions(), examples, dynamic_shapes=two_names)
show(failure.message)

# %%
# **Meaning.** Two names declare two independent sizes, and this model needs them equal.
#
# **Fix.** Write the same dimension in both places, or ``Dim.DYNAMIC``, which has no
# name: then the exporter finds out that the two are equal.

length = Dim("length")
one_name = {"hidden": {1: length}, "positions": {1: length}}
unnamed = {"hidden": {1: Dim.DYNAMIC}, "positions": {1: Dim.DYNAMIC}}
longer = torch.randn(2, 300, 4), torch.randn(2, 300, 4)

for shapes in (one_name, unnamed):
    program = export(AddPositions(), examples, dynamic_shapes=shapes)
    found = input_shapes(program)
    print(found)
    assert found["hidden"] == found["positions"]
    assert isinstance(found["hidden"][1], str)
    summed = longer[0].numpy() + longer[1].numpy()
    assert (program.module()(*longer).numpy() == summed).all()

# %%
# **Watch out:** if the example is the same tensor in both places, the exporter takes
# the two inputs for one. There is no message, and the program adds the positions to
# themselves. (`The issue <https://github.com/pytorch/pytorch/issues/144683>`_ calls
# this expected.)

example = torch.randn(2, 10, 4)
wrong = export(AddPositions(), (example, example), dynamic_shapes=unnamed)
ones, twos = torch.ones(2, 7, 4), torch.full((2, 7, 4), 2.0)
print("1 + 2 =", float(wrong.module()(ones, twos)[0, 0, 0]))

hidden_node = next(node for node in wrong.graph.nodes if node.name == "hidden")
assert not hidden_node.users, "the program reads its first input now"
assert (wrong.module()(ones, twos) == 4).all(), "two inputs are no longer taken for one"
assert (program.module()(ones, twos) == 3).all()

# %%
# You notice it by an input that the program never uses, as in the first assertion.
# ``program``, which had two tensors for an example, gets it right.
#
# .. _recipe-size-one-specialized:
#
# A size of one under Dim.AUTO
# ----------------------------
#
# A layer, exported with a single text for an example:

layer = torch.nn.Linear(4, 3)
single = torch.randn(1, 10, 4)
automatic = {"input": {0: Dim.AUTO, 1: Dim.AUTO}}
with caught_logs("torch._export.non_strict_utils") as records:
    program = export(layer, (single,), dynamic_shapes=automatic)
print(input_shapes(program))

assert input_shapes(program)["input"][0] == 1, "a size of one stays dynamic now"

# %%
# **Meaning.** A size of one follows rules of its own, such as broadcasting, so the
# exporter treats it as a constant. ``Dim.AUTO`` lets it, and only the log says so:

logged = "\n".join(record.msg for record in records)
show(logged)

assert "dimension inputs['input'].shape[0] 0/1 specialized" in logged, "no such line"
assert "a sample input with hint = 1" in logged

# %%
# You notice it by that line, by the 1 in ``input_shapes``, or when two texts arrive:

announced = "Guard failed: input.size()[0] == 1"
with checks.raises(AssertionError, match=announced) as failure:
    program.module()(torch.randn(2, 10, 4))
show(failure.message)

# %%
# With ``Dim.DYNAMIC`` or a name, the export would have failed instead:

explicit = {"input": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}}
announced = (
    "export 0/1 specialized due to hint of 1 for dimension inputs['input'].shape[0]"
)
with checks.raises(ValueError, match=announced) as failure:
    export(layer, (single,), dynamic_shapes=explicit)
show(failure.message)

announced = (
    "You marked batch as dynamic but your code specialized it to be a constant (1)"
)
with checks.raises(UserError, match=announced) as failure:
    export(layer, (single,), dynamic_shapes={"input": {0: Dim("batch")}})
show(failure.message)

# %%
# **Fix.** Declare ``Dim.DYNAMIC``, and give the example a size of at least two on every
# dynamic axis. The program then takes a size of one as well.

example = torch.randn(2, 10, 4)
program = export(layer, (example,), dynamic_shapes=explicit)
weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
differences = []
for shape in ((1, 1, 4), (1, 10, 4), (5, 33, 4)):
    some_input = torch.randn(shape)
    output = program.module()(some_input).detach().numpy()
    differences.append(
        float(abs(output - (some_input.numpy() @ weight.T + bias)).max())
    )

checks.check("exported with two texts: difference", max(differences), at_most=1e-5)

# %%
# .. _recipe-guard-refuses:
#
# A guard that refuses a shape
# ----------------------------
#
# At the beginning of a text there is one token in the cache and a new one. The program
# of the first recipe refuses that.

smallest = InputShape(batch_size=1, cache_length=1, new_tokens=1)
with checks.raises(
    AssertionError, match="Guard failed: attention_mask.size()[1] >= 4"
) as failure:
    difference(tiny_program, [smallest])
show(failure.message)

# %%
# **Meaning.** The exporter assumes that a dynamic size is at least two. Two tokens in
# the cache and two new ones make a mask of four columns, and a condition of the
# program.
#
# **Fix.** Leave nothing to assume. A step of generation has one new token, so the mask
# is longer than the cache by one, and a *derived* dimension can say so. (The call that
# reads the prompt has no cache, and is another program anyway.)

step = untrained_tiny_llm(InputShape(batch_size=2, cache_length=30, new_tokens=1))
batch, past = Dim("batch", min=1), Dim("past", min=1)
cached_step = {0: batch, 2: past}
program = export(
    model,
    (),
    copy_inputs(step.inputs),
    dynamic_shapes={
        "input_ids": {0: batch},
        "attention_mask": {0: batch, 1: past + 1},
        "position_ids": {0: batch},
        cache_name: [cached_step, cached_step],
    },
)
print(input_shapes(program)["attention_mask"])

steps = [
    smallest,
    InputShape(batch_size=1, cache_length=64, new_tokens=1),
    InputShape(batch_size=3, cache_length=12, new_tokens=1, padding=5),
]
checks.check("one new token: difference", difference(program, steps), at_most=1e-5)

# %%
# A guard can also be right. This module branches on the length, and its program has
# only the side that the example took:


class DampLongTexts(torch.nn.Module):
    """Halve the vectors of long texts."""

    def forward(self, hidden):
        """Take and return tensors of shape (batch, length, width)."""
        return hidden / 2 if hidden.shape[1] > 15 else hidden


program = export(DampLongTexts(), (example,), dynamic_shapes=both)
short, long = torch.randn(2, 15, 4), torch.randn(2, 16, 4)

assert torch.equal(program.module()(short), short)
with checks.raises(
    AssertionError, match="Guard failed: hidden.size()[1] <= 15"
) as failure:
    program.module()(long)
show(failure.message)

# %%
# **Fix.** :func:`torch.cond` puts both sides into the graph.


class DampWithCond(torch.nn.Module):
    """The same, with both sides in the graph."""

    def forward(self, hidden):
        """Take and return tensors of shape (batch, length, width)."""
        is_long = hidden.shape[1] > 15
        return torch.cond(is_long, lambda x: x / 2, lambda x: x.clone(), (hidden,))


program = export(DampWithCond(), (example,), dynamic_shapes=both)
for hidden in (short, long):
    expected = DampLongTexts()(hidden)
    assert torch.equal(program.module()(hidden), expected), "cond takes the wrong side"
assert not torch.equal(DampLongTexts()(long), long)

# %%
# .. _recipe-data-dependent:
#
# Control flow that depends on data
# ---------------------------------
#
# With *dynamic rope*, the position embedding is rescaled when a text outgrows the
# positions that the model was trained for. Whether it does is decided by the largest
# number in ``position_ids``.

import io
from contextlib import redirect_stderr

from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

rescaled = untrained_tiny_llm(dynamic_rope=True)
announced = (
    "Could not guard on data-dependent expression",
    "consider using data-dependent friendly APIs",
    "if seq_len > max_seq_len_cached",
)
with (
    checks.raises(GuardOnDataDependentSymNode, match=announced) as failure,
    redirect_stderr(io.StringIO()),  # PyTorch writes the unfinished graph to it
):
    export(rescaled.model, (), copy_inputs(rescaled.inputs), dynamic_shapes=flat_shapes)

lines = failure.message.splitlines()
show("\n".join([*lines[:3], next(line for line in lines if "if seq_len" in line)]))

# %%
# **Meaning.** A graph that is traced once cannot hold an ``if`` on a number that is
# known only when it runs.
#
# **Fix.** Compute without asking. Below that ``if``, transformers calls a function that
# computes new frequencies, and for a short text this function returns the old ones. So
# it can be called every time.

from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS


class AlwaysRescaled(torch.nn.Module):
    """Rotary position embedding whose frequencies are computed in each call."""

    def __init__(self, configuration):
        super().__init__()
        self.configuration = configuration

    def forward(self, hidden, position_ids):
        """Compute cosine and sine, of shape (batch, length, head size)."""
        frequencies, scale = ROPE_INIT_FUNCTIONS["dynamic"](
            self.configuration, hidden.device, seq_len=position_ids.max() + 1
        )
        angles = position_ids[..., None] * frequencies
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos() * scale, angles.sin() * scale


rescaled.model.model.rotary_emb = AlwaysRescaled(rescaled.configuration)
program = export(
    rescaled.model, (), copy_inputs(rescaled.inputs), dynamic_shapes=flat_shapes
)

# %%
# Compare it with the model as transformers has it, below and above the 1,024 trained
# positions. The model remembers the longest text so far, so each length gets a new one.
# The plain Tiny-LLM has the same weights and never rescales: it shows that only the
# long texts put the fix to the test.

from smallport.parity import discrepancy, name_outputs
from smallport.tiny_llm import tiny_llm_config

roomy = tiny_llm_config(max_position_embeddings=4096)  # for the inputs only
module = program.module()
fixed, unscaled = {}, {}
for tokens in (12, 1020, 1024, 1025, 1500, 3000):
    shape = InputShape(batch_size=2, cache_length=tokens - 4, new_tokens=4)
    some_inputs = make_inputs(roomy, shape)
    with torch.no_grad():
        fresh = untrained_tiny_llm(dynamic_rope=True).model
        expected = name_outputs(fresh(**copy_inputs(some_inputs)))
        found = name_outputs(module(**copy_inputs(some_inputs)))
        plain = name_outputs(reference(**copy_inputs(some_inputs)))
    fixed[tokens] = discrepancy(expected, found).largest()
    unscaled[tokens] = discrepancy(expected, plain).largest()
    print(
        f"{tokens} tokens: {fixed[tokens]:.2g}, never rescaled {unscaled[tokens]:.2g}"
    )

checks.check("rope always rescaled: difference", max(fixed.values()), at_most=1e-5)
for tokens, apart in unscaled.items():
    assert (apart > 1e-3) == (tokens > 1024), f"no test of the fix: {tokens} tokens"

# %%
# The same as a picture:

# Drawing: two lines over the length of the text. The one of the fixed program stays at
# zero. The one that never rescales leaves zero at the trained length, a dashed vertical
# line.
import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained", facecolor="white")
axis.plot(unscaled.keys(), unscaled.values(), "o-", color="#dd8452", label="never")
axis.plot(
    fixed.keys(), fixed.values(), "s-", color="#4c72b0", label="every time (the fix)"
)
axis.axvline(1024, color="gray", linestyle="--", label="trained length")
axis.set_xlabel("tokens in the text")
axis.set_ylabel("largest difference\nfrom the model")
axis.set_title("How often an exported program rescales its positions")
axis.legend(loc="upper left", frameon=False)
axis.spines[["top", "right"]].set_visible(False)

# %%
# The memory is one thing that the program does not have. Between two readings of a long
# text, the model reads a longer one, and computes something else afterwards.

used = untrained_tiny_llm(dynamic_rope=True).model
texts = [
    make_inputs(roomy, InputShape(batch_size=2, cache_length=tokens, new_tokens=4))
    for tokens in (1500, 3000, 1500)
]
with torch.no_grad():
    of_model = [name_outputs(used(**copy_inputs(text))) for text in texts]
    of_program = [name_outputs(module(**copy_inputs(text))) for text in texts]

assert discrepancy(of_model[0], of_model[2]).largest() > 1e-3
assert discrepancy(of_program[0], of_program[2]).largest() == 0

# %%
# .. _recipe-inputs-changed:
#
# Inputs that the forward pass changes
# ------------------------------------
#
# The program of the first recipe once more, but the model runs on its inputs first:

module = tiny_program.module()
some_inputs = copy_inputs(inputs)
with torch.no_grad():
    once = name_outputs(reference(**some_inputs))

announced = (
    f"Guard failed: input_ids.size()[1] + {cache_name}[0].size()[2] + -1 * "
    "attention_mask.size()[1] <= 0"
)
with checks.raises(AssertionError, match=announced) as failure:
    module(**some_inputs)
show(failure.message)

# %%
# Yet the shape is that of the example. Run the model itself on the same inputs again,
# and it says nothing, and computes something else:

with torch.no_grad():
    twice = name_outputs(reference(**some_inputs))
largest = float((twice["logits"] - once["logits"]).abs().max())
print(f"difference of logits between two calls: {largest:.2g}")

assert largest > 1e-3

# %%
# **Meaning.** The model appends to the cache that it is given, while the mask stays as
# it is. You notice it when you look at the inputs before and after:

from smallport.parity import name_inputs

lengths = {
    name: (tensor.shape[2], name_inputs(some_inputs)[name].shape[2])
    for name, tensor in name_inputs(inputs).items()
    if name.startswith("past_key_values")
}
print(lengths)

assert set(lengths.values()) == {(30, 36)}

# %%
# **Fix.** A copy for each run. :func:`~smallport.parity.compare` and all the recipes
# above make one.

with torch.no_grad():
    expected = name_outputs(reference(**copy_inputs(inputs)))
    found = name_outputs(module(**copy_inputs(inputs)))

assert discrepancy(once, expected).largest() == 0
checks.check(
    "copied inputs: difference", discrepancy(expected, found).largest(), at_most=1e-5
)

# %%
# The program itself leaves its inputs alone. So code that relies on the old cache to
# grow, as it does with the model, has to take the new one from the result.

some_inputs = copy_inputs(inputs)
result = module(**some_inputs)

assert some_inputs[cache_name].get_seq_length() == 30, "the cache has grown"
assert result[cache_name].get_seq_length() == 33

# %%
# .. _recipe-program-reloaded:
#
# A program that was saved and loaded again
# -----------------------------------------
#
# Save the program, and load it where nothing is registered, as in another process:

import tempfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "tiny_llm.pt2"
    torch.export.save(tiny_program, file)
    with_examples = file.read_bytes()

announced = "We ran into an error when deserializing the saved file."
with (
    caught_logs("torch._export.serde.serialize") as fallbacks,
    caught_logs("torch.export") as records,
    without_cache_pytrees(),
    checks.raises(RuntimeError, match=announced) as failure,
):
    torch.export.load(io.BytesIO(with_examples))
show(failure.message)

# %%
# The warnings that it refers to are in the log, with the cause:

causes = [str(record.exc_info[1]) for record in records if record.exc_info]
show("\n".join(causes))

cause = (
    "Deserializing transformers.cache_utils:DynamicCache in pytree is not registered."
)
assert causes == [cause]

# %%
# **Meaning.** The file says what the tree of the inputs looks like, but not how to take
# a cache apart. The process that loads it has to know that already.
#
# **Fix.** Register the class there, too, before loading.
#
# The log says one thing more. The file holds the example inputs as a pickle, and a
# cache is not among the classes that PyTorch unpickles by default. PyTorch then
# unpickles *anything*, code included, so `load only files that you trust
# <https://github.com/pytorch/pytorch/issues/153410>`_.

logged = "\n".join(record.msg.partition(". ")[0] for record in fallbacks)
show(logged)

assert logged == "Fallback to weights_only=False succeeded", "pickles are refused now"

# %%
# The program runs without its examples. Leave them out, and your own file loads without
# such an exception.

tiny_program.example_inputs = None
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "tiny_llm.pt2"
    torch.export.save(tiny_program, file)
    with (
        caught_logs("torch._export.serde.serialize") as fallbacks,
        without_cache_pytrees(),
    ):
        register_cache_pytrees_for_model(model)
        loaded = torch.export.load(file)

assert fallbacks == [], "something in the file is still unpickled"
assert input_shapes(loaded).keys() == input_shapes(tiny_program).keys()
checks.check("saved and loaded: difference", difference(loaded), at_most=1e-5)

# %%
# .. _recipe-weights-shared:
#
# Weights that program and model share
# ------------------------------------
#
# Export a layer, change its weights, and compare the two:

layer = torch.nn.Linear(4, 3)
original = layer.weight.detach().numpy().copy()
program = export(layer, (example,), dynamic_shapes=explicit)
with torch.no_grad():
    layer.weight *= 2
    changed = layer(example)
    difference_to_model = float((program.module()(example) - changed).abs().max())
print("difference, after the model has changed:", difference_to_model)

assert difference_to_model == 0, "program and model no longer share their weights"

# %%
# **Meaning.** The program holds the tensors of the model, not copies. Whatever changes
# one changes both, and the comparison finds nothing. You notice it by their addresses:

shared = [
    name
    for name, weight in layer.named_parameters()
    if program.state_dict[name].data_ptr() == weight.data_ptr()
]
print("shared:", shared)

assert shared == ["weight", "bias"]

# %%
# **Fix.** Export a copy, or compare with a model that was built or loaded apart, such
# as the reference on this page.

import copy

layer.weight.data /= 2
program = export(copy.deepcopy(layer), (example,), dynamic_shapes=explicit)
with torch.no_grad():
    layer.weight *= 2
    output = program.module()(example).numpy()
    apart = float(abs(layer(example).numpy() - output).max())
by_hand = example.numpy() @ original.T + layer.bias.detach().numpy()

assert apart > 0.1, "the program follows the model that it was copied from"
assert reference.lm_head.weight.data_ptr() != model.lm_head.weight.data_ptr()
checks.check(
    "exported copy: difference from the weights before",
    float(abs(output - by_hand).max()),
    at_most=1e-5,
)

# %%
# Conclusion
# ----------
#
# Three questions explain most messages. Which tree does the exporter see, and do the
# shapes have its form? Which line of the model needed a size or a value as a number?
# What is special about the example: a size of one, the same tensor twice?
#
# For the failures without a message, one test helps: run the program at the shapes that
# you need, on a copy of the inputs, and compare it with a model that shares nothing
# with it.
#
# The last cell puts the process back as it was.

plt.close("all")
restored_at_the_end.close()

assert pytree_owner(DynamicCache) == before

# %%
# What to read next
# -----------------
#
# - :doc:`Check the exporter on an untrained Tiny-LLM <plot_10_tiny_llm_export>`: the
#   way to ONNX, with a comparison at each step.
# - `ExportDB <https://docs.pytorch.org/docs/stable/generated/exportdb/index.html>`_, to
#   which several messages refer, lists what can be exported.
# - `Dynamic shapes in torch.export
#   <https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/export.html>`_
#   explains dimensions, symbols and guards.

"""
Export Tiny-LLM with its KV cache: torch.export
===============================================

Result: The export fails with "Cannot associate shape" until the class of the cache is
registered as a :term:`pytree`, by hand or by the exporter of transformers. Then the
program computes the same logits and the same cache as the model. With named dimensions
it also rejects batches and lengths outside the bounds that you set.

Prerequisites: :doc:`The inputs and dynamic shapes of a model
<plot_10_tiny_llm_inputs>`, from the page before this one. The code needs ``torch``,
``transformers`` and ``onnx-diagnostic``.

What you will learn: to export a model with a :term:`KV cache`, to register a class as a
pytree, and to choose between automatic and named, bounded dimensions.

An :term:`exported program` is a graph of tensor operations without the Python code of
the model. PyTorch can run it, `AOTInductor
<https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/torch.compiler_aot_inductor.html>`_
compiles it for C++, `ExecuTorch <https://docs.pytorch.org/executorch/stable/>`_ takes
it to phones, and :doc:`the next page <plot_14_tiny_llm_onnx>` translates it to ONNX.
"""

# %%
# The model and its inputs
# ------------------------
#
# :func:`~smallport.tiny_llm.untrained_tiny_llm` returns Tiny-LLM with random weights,
# inputs of two texts with thirty tokens in the cache and three new ones, and the
# dynamic shapes. :doc:`The page before this one <plot_10_tiny_llm_inputs>` shows its
# code. ``copy_inputs`` makes a deep copy: the forward pass appends to the cache.

import pprint

import torch

from smallport.parity import cache_argument, copy_inputs
from smallport.tiny_llm import untrained_tiny_llm, verify_reference

untrained = untrained_tiny_llm()
inputs = untrained.inputs
cache_name = cache_argument()  # "cache" since transformers 5.24, or "past_key_values"
flat_shapes = untrained.dynamic_shapes
print(pprint.pformat(flat_shapes, width=88, sort_dicts=False))

assert inputs[cache_name].get_seq_length() == 30
verify_reference(untrained.model)  # a text alone, in order, step by step, in NumPy

# %%
# Understand "Cannot associate shape"
# -----------------------------------
#
# In a process that has not used the exporters of transformers, PyTorch does not know
# the contents of a :class:`~transformers.DynamicCache`, and the export fails.
# :func:`smallport.checks.raises` asserts the error and its message.

# Guard: against log lines in the output, and a class that is registered already. Then
# the failure below does not happen.
from contextlib import ExitStack

from transformers import DynamicCache

from smallport.display import errors_only
from smallport.export import pytree_owner, without_cache_pytrees

before = pytree_owner(DynamicCache)
assert before in {None, "transformers.exporters.exporter_dynamo"}, (
    "DynamicCache is now registered by default, so the failure below no longer "
    "happens: rewrite this section"
)
quiet, registry = ExitStack(), ExitStack()
quiet.enter_context(errors_only("transformers", "torch.export", "torch.fx"))
registry.enter_context(without_cache_pytrees())

# %%
# This time the shapes have the form of the `published recipe
# <https://github.com/sdpython/experimental-experiment/blob/6b7859b75832e78a2632892d8624d240dd979446/_doc/recipes/plot_exporter_exporter_untrained_tinyllm.py>`_:
# a list of keys and a list of values.

import textwrap

from torch._dynamo.exc import UserError

from smallport import checks

cache_shapes = flat_shapes[cache_name]
dynamic_shapes = flat_shapes | {cache_name: [cache_shapes[::2], cache_shapes[1::2]]}

with checks.raises(
    UserError,
    match=(
        "Cannot associate shape [[{0: DimHint(DYNAMIC), 2: DimHint(DYNAMIC)}], ",
        f"specified at `dynamic_shapes['{cache_name}']`",
        "to non-tensor type <class 'transformers.cache_utils.DynamicCache'>",
        "(expected None)",
        "exportdb/index.html#dynamic-shapes-validation",
        "replace your `export()` call with `draft_export()`",
    ),
) as failed:
    torch.export.export(
        untrained.model, (), copy_inputs(inputs), dynamic_shapes=dynamic_shapes
    )

print(textwrap.fill(failed.message.splitlines()[0], 88, break_long_words=False))

# %%
# With ``None`` for the cache, as the message expects, a second error names the cause.

with checks.raises(
    ValueError,
    match=(
        "Unsupported input type <class 'transformers.cache_utils.DynamicCache'>",
        "torch.utils._pytree.register_pytree_node",
    ),
) as unsupported:
    torch.export.export(
        untrained.model,
        (),
        copy_inputs(inputs),
        dynamic_shapes=dynamic_shapes | {cache_name: None},
    )

print(textwrap.fill(unsupported.message.splitlines()[0], 88, break_on_hyphens=False))

# %%
# The cause is the *input*, not its shapes. The exporter takes inputs apart into
# tensors, through dictionaries, lists and registered classes. It cannot take a
# ``DynamicCache`` apart, and so no shape fits it.
#
# Register the cache as a pytree
# ------------------------------
#
# Register two functions with PyTorch: one takes a cache apart into a list of tensors,
# the other reassembles it, here with a helper of onnx-diagnostic. A third names each
# part for messages.

from typing import Any

from onnx_diagnostic.helpers.cache_helper import make_dynamic_cache
from torch.utils import _pytree as pytree
from transformers import DynamicCache


def flatten(cache: DynamicCache) -> tuple[list[torch.Tensor], None]:
    """Take a cache apart: key and value of the first layer, of the second, ..."""
    return [part for layer in cache.layers for part in (layer.keys, layer.values)], None


def flatten_with_names(cache: DynamicCache) -> tuple[list[Any], None]:
    """Do the same, and name each tensor by its place in the list."""
    tensors, context = flatten(cache)
    return [
        (pytree.SequenceKey(place), tensor) for place, tensor in enumerate(tensors)
    ], context


def unflatten(tensors: Any, _context: None) -> DynamicCache:
    """Reassemble a cache from its tensors."""
    tensors = list(tensors)
    return make_dynamic_cache(list(zip(tensors[::2], tensors[1::2], strict=True)))


pytree.register_pytree_node(
    DynamicCache,
    flatten,
    unflatten,
    serialized_type_name="transformers.DynamicCache",
    flatten_with_keys_fn=flatten_with_names,
)

# %%
# The shapes of the cache must have the same structure as the output of ``flatten``: one
# list, in which keys and values alternate. With that, the same call succeeds.

by_hand = torch.export.export(
    untrained.model, (), copy_inputs(inputs), dynamic_shapes=flat_shapes
)

# %%
# Compare every tensor that the program returns with the model's.
# :func:`~smallport.parity.discrepancy` subtracts them, and returns the largest
# difference of each.

from smallport.parity import discrepancy, name_outputs

with torch.no_grad():
    expected = name_outputs(untrained.model(**copy_inputs(inputs)))
    actual = name_outputs(by_hand.module()(**copy_inputs(inputs)))

difference = discrepancy(expected, actual)
print(difference)

assert isinstance(by_hand.module(), torch.fx.GraphModule), "this is not the program"
assert list(difference.by_tensor) == ["logits", "present.0.key", "present.0.value"]
checks.check(
    "exported by hand against eager: difference of logits",
    difference.largest("logits"),
    at_most=1e-5,
)
checks.check(
    "exported by hand against eager: difference of the cache",
    difference.largest("present"),
    at_most=1e-5,
)

# %%
# Read the exported program
# -------------------------
#
# The *signature* lists the inputs and outputs: the cache has become tensors. The code
# is a list of operations on tensors, without Llama's classes.

from smallport.export import code_excerpt

signature = by_hand.graph_signature
print("inputs: ", *signature.user_inputs)
print("outputs:", *signature.user_outputs)
print(code_excerpt(by_hand, first=5, last=3))

assert signature.user_inputs[3:] == (f"{cache_name}_0", f"{cache_name}_1")
assert len(signature.user_outputs) == 1 + 2 * untrained.configuration.num_hidden_layers

assert "torch.ops.aten.embedding.default" in by_hand.graph_module.code
assert "llama" not in by_hand.graph_module.code.lower()

# %%
# Let transformers register the cache
# -----------------------------------
#
# Since release 5, transformers has exporters that register its caches and then call
# :func:`torch.export.export`. They take the same shapes. For earlier releases,
# onnx-diagnostic `patches the models from outside
# <https://github.com/sdpython/onnx-diagnostic/blob/23a69013282cf7ade4642bd8949a31777e346fbc/_doc/examples/plot_export_tiny_llm_patched.py>`_.

# Guard: against our registration in place of the exporter's.
registry.close()
registry.enter_context(without_cache_pytrees())
assert pytree_owner(DynamicCache) is None

# %%
# This is all that you need for a model of your own:

from transformers.exporters import DynamoConfig, DynamoExporter


def export(model: torch.nn.Module, shapes: dict) -> torch.export.ExportedProgram:
    """Export a model of transformers; the forward pass may write to its inputs."""
    config = DynamoConfig(dynamic=True, dynamic_shapes=shapes)
    return DynamoExporter().export(model, copy_inputs(inputs), config=config).program


program = export(untrained.model, flat_shapes)

assert pytree_owner(DynamicCache) == "transformers.exporters.exporter_dynamo"
assert program.graph_signature.user_inputs == signature.user_inputs
assert len(program.graph_signature.user_outputs) == len(signature.user_outputs)

# %%
# Bound the dynamic shapes
# ------------------------
#
# There are three ways to make an axis dynamic.
#
# - ``Dim.DYNAMIC``, used so far, sets no limits. The export fails if the model's code
#   fixes the size to that of the example (a :term:`specialization`).
# - ``Dim.AUTO`` does the same, but fixes the size without an error if the code does.
# - A named dimension, ``Dim("batch", min=1, max=8)``, has bounds, and all axes with the
#   same name have the same size. The program checks both in each call.
#
# With ``Dim.DYNAMIC``, PyTorch names each size by a symbol, and records its range.
# ``int_oo`` stands for infinity.

from smallport.export import input_shapes


def print_ranges(program: torch.export.ExportedProgram) -> None:
    """Print the shape of each input, and the range of each symbol."""
    for name, shape in input_shapes(program).items():
        print(f"{name}: {' × '.join(map(str, shape))}")
    for symbol, allowed in program.range_constraints.items():
        print(f"{symbol}: {allowed.lower} to {allowed.upper}")


print_ranges(program)

# %%
# The batch size of the mask has a symbol of its own, and there are no upper limits.
# PyTorch assumes at least two for a dynamic axis, since sizes of zero and one follow
# special rules, such as broadcasting. Two cached and two new tokens make four columns
# of the mask. Of these minimums, only the last becomes a :term:`guard`: the program
# accepts one text, but rejects a text of two tokens, which the model accepts.

from smallport.parity import InputShape
from smallport.tiny_llm import make_inputs

module = program.module()
module(**make_inputs(untrained.configuration, InputShape(1, 30, 3)))
smallest = InputShape(batch_size=1, cache_length=1, new_tokens=1)
untrained.model(**make_inputs(untrained.configuration, smallest))

with checks.raises(
    AssertionError, match="Guard failed: attention_mask.size()[1] >= 4"
) as guarded:
    module(**make_inputs(untrained.configuration, smallest))
print(guarded.message)

# %%

# Guard: against other minimums than those that the text names.
mask_batch, mask_length = input_shapes(program)["attention_mask"]
lowest = {str(size): int(it.lower) for size, it in program.range_constraints.items()}
assert lowest.pop(mask_length) == 4
assert set(lowest.values()) == {2}
assert mask_batch != input_shapes(program)["input_ids"][0]

# %%
# Now with names and bounds. The number of columns of the mask is the sum of two sizes,
# for which there is no name, so PyTorch derives it: ``Dim.AUTO``.

from torch.export import Dim

batch = Dim("batch", min=1, max=8)
cached = Dim("cached", min=1, max=512)
new = Dim("new", min=1, max=64)
bounded_shapes = {
    "input_ids": {0: batch, 1: new},
    "attention_mask": {0: batch, 1: Dim.AUTO},
    "position_ids": {0: batch, 1: new},
    cache_name: [{0: batch, 2: cached}, {0: batch, 2: cached}],
}
bounded = export(untrained.model, bounded_shapes)
print_ranges(bounded)

batches = {shape[0] for shape in input_shapes(bounded).values()}
highest = {str(allowed.upper) for allowed in bounded.range_constraints.values()}
assert len(batches) == 1, "inputs with one name have different batch sizes"
assert highest == {"8", "512", "64", str(512 + 64)}, "a bound was lost"

# %%
# All inputs share one batch size, and the range of the mask follows from the others.
# The program accepts eight texts, and rejects nine. Use bounds where you know the
# limits: the positions that the model was trained on, or the largest batch of your
# server.

bounded_module = bounded.module()
bounded_module(**make_inputs(untrained.configuration, InputShape(8, 30, 3)))

with checks.raises(
    AssertionError, match="Guard failed: input_ids.size()[0] <= 8"
) as too_many:
    bounded_module(**make_inputs(untrained.configuration, InputShape(9, 30, 3)))
print(too_many.message)

# %%

# Guard: against a program that does not compare the sizes of axes with one name.
one_mask = copy_inputs(inputs)
one_mask["attention_mask"] = one_mask["attention_mask"][:1]
announced = "Guard failed: attention_mask.size()[0] == input_ids.size()[0]"
with checks.raises(AssertionError, match=announced):
    bounded_module(**one_mask)

# %%
# Exercises
# ---------
#
# 1. The message of the first error recommends :func:`torch.export.draft_export`, which
#    continues after some errors and lists them all. Does it help here?

# Answer: no. It fails with the same message, without the recommendation.
with (
    checks.raises(UserError, match="Cannot associate shape") as failed_draft,
    without_cache_pytrees(),  # as if the cache had not been registered
):
    torch.export.draft_export(
        untrained.model, (), copy_inputs(inputs), dynamic_shapes=dynamic_shapes
    )
print(failed_draft.message.splitlines()[0])

assert failed_draft.message.splitlines()[0] == failed.message.splitlines()[0]
assert "draft_export" not in failed_draft.message

# %%
# 2. Give the columns of the mask a name, too: ``Dim("length", min=2, max=576)``. What
#    does PyTorch suggest?

# Answer: it suggests a minimum of four, because it derives one from the other sizes.
with checks.raises(
    UserError,
    match=("Constraints violated (length)!", "length = Dim('length', min=4, max=576)"),
) as violated:
    length = Dim("length", min=2, max=576)
    export(untrained.model, bounded_shapes | {"attention_mask": {0: batch, 1: length}})
print(violated.message.partition("The error above")[0])

# %%
# 3. Export a model with *dynamic rope*, which rescales its position embedding when a
#    text outgrows the positions of the training: ``untrained_tiny_llm
#    (dynamic_rope=True)``. It runs. Why does it not export?

# Answer: an if in its code depends on a value of position_ids, which a graph cannot
# follow. PyTorch calls this a data-dependent guard.
import io
from contextlib import redirect_stderr

from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

rescaled = untrained_tiny_llm(dynamic_rope=True)
assert rescaled.model(**copy_inputs(inputs)).logits.isfinite().all()

with (
    checks.raises(
        GuardOnDataDependentSymNode,
        match=(
            "Could not guard on data-dependent expression",
            "if seq_len > max_seq_len_cached",
        ),
    ) as dependent,
    redirect_stderr(io.StringIO()),  # PyTorch prints the unfinished graph
):
    export(rescaled.model, flat_shapes)

lines = dependent.message.splitlines()
print(textwrap.fill(lines[0], 88))
print("...")
print(next(line for line in lines if "if seq_len >" in line))

# %%
# Conclusion
# ----------
#
# - "Cannot associate shape" is about a class that is no pytree, here the cache. Use the
#   exporter of transformers, or register the class.
# - The shapes have the structure of the flattened inputs.
# - Name and bound the dimensions where you know their limits, and make the others
#   automatic.
# - Read the ranges of the program. The shortest texts may be outside of them.
#
# What to read next
# -----------------
#
# - :doc:`Export Tiny-LLM to ONNX and verify the result <plot_14_tiny_llm_onnx>`
#   compares the program with the model at shapes that the export never saw.
# - :doc:`torch.export errors: causes and fixes <plot_20_export_error_cookbook>` has
#   more errors, that of dynamic rope among them.
# - `The options of Dim
#   <https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/export.html>`_ in
#   PyTorch's documentation.

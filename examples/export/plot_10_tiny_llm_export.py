"""
Check the exporter on an untrained Tiny-LLM
===========================================

Sooner or later a language model has to run where there is no Python: in a phone, a
browser, a server written in another language. The way out leads through
:func:`torch.export.export`, which turns a model into a graph of plain operations, and
often further on into an ONNX file. When that fails, it is usually not the weights that
are to blame. It is a question of *shapes*: which axes of which inputs may change from
one call to the next, and how to say so.

This page goes the whole way with `Tiny-LLM <https://huggingface.co/arnir0/Tiny-LLM>`_,
a Llama of thirteen million parameters. You will

- find out what a model's forward method is given, by watching it at work;
- build the same architecture with random weights, and inputs for it, without any
  download;
- see an export fail, understand the message, and mend it, first by hand and then with
  the exporter that comes with transformers;
- check that the exported program and the ONNX file compute what the model computes, at
  shapes that the export never saw.

The last point is where most tutorials stop early. *It exported* does not mean *it is
right*, and on this page every such claim is followed by an assertion. Unless you ask
for the published weights, it needs no network.

The idea is that of `an example in onnx-diagnostic
<https://github.com/sdpython/onnx-diagnostic/blob/121daa9855d0f0c55e526684cc60c1a3bd1d93d0/_doc/examples/plot_export_tiny_llm.py>`_
by Xavier Dupré, and helpers of that package do work here.
"""

# %%
# Load the model and its tokenizer
# --------------------------------
#
# :func:`smallport.assets.tiny_llm` names a folder with a checkpoint. Unless you asked
# for the published weights, that is a checkpoint with the published architecture,
# random weights, and a tokenizer trained on Python's language reference: made on your
# machine by :func:`smallport.export.write_checkpoint`, and loaded by the same code as
# one from the hub.
#
# Loading draws a progress bar, which is of no use on a page; the last cell turns it on
# again.

# sphinx_gallery_thumbnail_number = 2
import transformers

from smallport import assets

transformers.utils.logging.disable_progress_bar()

checkpoint = assets.tiny_llm()
tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint.folder)
model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint.folder)

print("source:", checkpoint.source)
print(f"{type(model).__name__}, {model.num_parameters():,} parameters")

# %%
# The size is that of the published model, to the last parameter.

from smallport.export import PARAMETERS

assert model.num_parameters() == PARAMETERS == 12_988_992

# %%
# Guess the dimensions by watching
# --------------------------------
#
# We want to export ``forward``, yet nobody calls it. People call
# :meth:`~transformers.GenerationMixin.generate`, which runs ``forward`` once for each
# token that it adds, with inputs that it prepares itself. The documentation of such
# inputs is thin and differs between architectures, so we ask the model: a spy takes the
# place of ``forward``, notes what it is given, and passes the call on.
#
# ``functools.wraps`` is more than good manners here. ``generate`` reads the *signature*
# of ``forward`` to decide what to hand over; a spy that merely takes ``*args,
# **kwargs`` would be given other inputs than the model is.
#
# :func:`~smallport.export.name_inputs` gives each tensor a name, those inside the cache
# included.

import functools

import torch
from onnx_diagnostic.helpers import string_type

from smallport.export import name_inputs

calls = []
forward = model.forward


@functools.wraps(forward)
def spy(*args: object, **kwargs: object) -> object:
    """Note the inputs, print the first ones, and do what forward does."""
    assert not args, "generate passes everything by name"
    if len(calls) < 3:
        print(f"call {len(calls) + 1}")
        for name, value in kwargs.items():
            print(f"    {name}: {string_type(value, with_shape=True)}")
    tensors = {
        name: value
        for name, value in kwargs.items()
        if isinstance(value, (torch.Tensor, transformers.Cache))
    }
    calls.append(
        {name: tuple(tensor.shape) for name, tensor in name_inputs(tensors).items()}
    )
    return forward(*args, **kwargs)


# %%
# Now let the model continue a text. The words are drawn at random, as in the published
# page, but from a fixed seed. ``min_length`` keeps it from ending its text early, so
# that there is one call of ``forward`` for each token up to ``max_length``.
#
# In the notation of :func:`~onnx_diagnostic.helpers.string_type`, ``T7s1x8`` is a
# tensor of 64-bit integers (type 7 in ONNX) and shape 1 by 8, and ``T1`` is one of
# 32-bit floats.

prompt = tokenizer("Continue: it rains...", return_tensors="pt")
prompt_length = prompt["input_ids"].shape[1]

torch.manual_seed(0)
model.forward = spy
try:
    generated = model.generate(
        input_ids=prompt["input_ids"],
        attention_mask=prompt["attention_mask"],
        max_length=50,
        min_length=50,
        do_sample=True,
        temperature=1.0,
        top_k=50,
        top_p=0.95,
    )
finally:
    del model.forward  # what is left is the class's own method

print(f"... and {len(calls) - 3} more calls of the same kind")

assert model.forward == forward
assert generated.shape == (1, 50)
assert len(calls) == 50 - prompt_length

# %%
# The text itself is beside the point, and with random weights it has none. Some of its
# tokens may even have no text: the model has more of them than a tokenizer finds in a
# small corpus.

import textwrap

text = tokenizer.decode(generated[0], skip_special_tokens=True)
print(textwrap.fill(repr(text), 90))

# %%
# Two things in those calls are worth a second look.
#
# - The first call reads the whole prompt, with an empty cache. Every other call reads
#   one token, and finds in the cache the *keys* and *values* of all tokens before it,
#   one tensor of each for every layer.
# - There is no attention mask, although we passed one. Nothing in it was masked, so
#   ``generate`` left it out. With texts of different lengths in one batch there would
#   be one, as long as the cache and the new tokens together, and the export below has
#   to provide for it.

assert all("attention_mask" not in call for call in calls)
assert "past_key_values.0.key" not in calls[0]
assert all(call["input_ids"] == (1, 1) for call in calls[1:])

# %%
# What stayed constant, and what grew? The table follows every axis of every input
# through the calls.

import pandas as pd

from smallport.display import show_table

axes = []
for name, shape in calls[-1].items():
    for axis in range(len(shape)):
        sizes = [call[name][axis] for call in calls if name in call]
        if len(set(sizes)) == 1:
            behaviour = "constant"
        elif sizes == list(range(sizes[0], sizes[0] + len(sizes))):
            behaviour = "grew by one a call"
        else:
            behaviour = "the prompt, then single tokens"
        axes.append(
            {
                "input": name,
                "axis": axis,
                "first size": sizes[0],
                "last size": sizes[-1],
                "behaviour": behaviour,
            }
        )
axes = pd.DataFrame(axes)
show_table(axes)

# %%
# So the third axis of every cache tensor is the one that grows, and it grows by one a
# call. The number of new tokens has two values. Everything else stood still; but that
# is what we saw, not what there is. We generated one text, so the first axis, the
# batch, had no chance to be anything but one. Watching tells which axes *must* be
# dynamic, and you decide which others should be.

cache_tensors = [name for name in calls[-1] if name.startswith("past_key_values")]
grew = axes[axes["behaviour"] == "grew by one a call"]
assert len(cache_tensors) == 2 * model.config.num_hidden_layers
assert list(grew["input"]) == cache_tensors
assert set(grew["axis"]) == {2}
assert set(axes["axis"][axes["behaviour"].str.startswith("the prompt")]) == {1}

# %%
# The same as a picture: what one call is given.

import matplotlib.pyplot as plt

numbers = range(1, len(calls) + 1)
cached = [call.get(cache_tensors[0], (0, 0, 0))[2] for call in calls]
new = [call["input_ids"][1] for call in calls]

figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained", facecolor="white")
axis.bar(numbers, cached, color="#4c72b0", width=0.9, label="in the cache")
axis.bar(
    numbers, new, bottom=cached, color="#dd8452", width=0.9, label="new (input_ids)"
)
axis.set_xlabel("call of forward")
axis.set_ylabel("tokens")
axis.set_title("The cache grows, the input does not")
axis.legend(loc="upper left", frameon=False)
axis.spines[["top", "right"]].set_visible(False)

# %%
# An untrained model with the same architecture
# ---------------------------------------------
#
# Whether an architecture can be exported does not depend on what its weights are. A
# model built from a configuration alone does for the rest of the page, and for a unit
# test that should tell you the day when a new release of PyTorch or transformers breaks
# the export.
#
# :func:`~smallport.export.untrained_tiny_llm` builds it, with inputs that look like
# one of the calls above: two texts, thirty tokens of each in the cache, three new ones,
# and this time an attention mask. All of this can be changed, and so can any entry of
# the configuration (:func:`~smallport.export.tiny_llm_config`), such as
# ``num_hidden_layers=2``; ``with_cache=False`` makes the inputs of the very first call.

from smallport.export import InputShape, untrained_tiny_llm

untrained = untrained_tiny_llm(InputShape(batch_size=2, cache_length=30, new_tokens=3))
inputs = untrained.inputs

for name, value in inputs.items():
    print(f"{name}: {string_type(value, with_shape=True)}")

assert untrained.model.num_parameters() == PARAMETERS
assert name_inputs(inputs)["past_key_values.0.key"].shape == (2, 1, 30, 96)

# %%
# The dynamic shapes say, for each input, which axes may change. They have the form that
# the published page used: for the cache a list of two lists, keys and values, with one
# entry for each layer. :func:`~smallport.export.make_dynamic_shapes` derives them
# from the configuration.

import pprint

dynamic_shapes = untrained.dynamic_shapes
print(pprint.pformat(dynamic_shapes, width=90, sort_dicts=False))

# %%
# Let us run it once, and look at the inputs before and after.

from smallport.export import copy_inputs

used = copy_inputs(inputs)
with torch.no_grad():
    result = untrained.model(**used)

print("cache before:", string_type(inputs["past_key_values"], with_shape=True))
print("cache after: ", string_type(used["past_key_values"], with_shape=True))
print(textwrap.fill(f"result: {string_type(result, with_shape=True)}", 90))

assert result.logits.shape == (2, 3, 32_000)
assert inputs["past_key_values"].get_seq_length() == 30
assert used["past_key_values"].get_seq_length() == 33

# %%
# The forward pass wrote to the cache that it was given. The thirty tokens have become
# thirty-three, and the attention mask beside them no longer fits. Forget this and the
# second run with the same inputs is wrong; that is why every run on this page gets a
# copy.
#
# One variant for later: with *dynamic rope*, the position embedding is rescaled when a
# text outgrows the positions that the model was trained for. It runs.

rescaled = untrained_tiny_llm(dynamic_rope=True)
with torch.no_grad():
    result = rescaled.model(**copy_inputs(rescaled.inputs))

print(textwrap.fill(f"with dynamic rope: {string_type(result, with_shape=True)}", 90))

assert rescaled.configuration.rope_parameters["rope_type"] == "dynamic"
assert bool(result.logits.isfinite().all())

# %%
# But it cannot be exported as it stands. Whether to rescale depends on the largest
# number in ``position_ids``, and a graph that is traced once cannot contain an ``if``
# on a number that is only known when it runs. PyTorch calls that a data-dependent
# guard. It has nothing to do with shapes, so we leave it here.
#
# Export it, and read the message
# -------------------------------
#
# All is at hand now: a model, inputs, dynamic shapes. Whether the next call works
# depends on something you do not see in it: whether anything told PyTorch how to look
# into a :class:`~transformers.DynamicCache`. That knowledge is kept for the whole
# process, and transformers' exporters, of which more below, add to it. If they ran
# before this page in the same process, it is there already.
# :func:`~smallport.export.caches_unregistered` puts it aside for the length of a block.
#
# Anything else that had registered the class would be news: that is the first
# assertion.

from torch._dynamo.exc import UserError
from transformers import DynamicCache

from smallport.export import caches_unregistered, registering_module

assert registering_module(DynamicCache) in {
    None,
    "transformers.exporters.exporter_dynamo",
}, (
    "DynamicCache is now registered by default, so the failure below no longer "
    "happens: rewrite this section"
)

with caches_unregistered():
    try:
        torch.export.export(
            untrained.model,
            args=(),
            kwargs=copy_inputs(inputs),
            dynamic_shapes=dynamic_shapes,
        )
    except UserError as error:
        message = str(error)
    else:
        raise AssertionError(
            "torch.export.export took a cache that is not registered: upstream mended "
            "what this section shows, so rewrite it and drop the registration from the "
            "next one"
        )

print(textwrap.fill(message.splitlines()[0], 90))

for part in (
    "Cannot associate shape [[{0: DimHint(DYNAMIC), 2: DimHint(DYNAMIC)}], ",
    "specified at `dynamic_shapes['past_key_values']`",
    "to non-tensor type <class 'transformers.cache_utils.DynamicCache'>",
    "(expected None)",
):
    assert part in message, f"announced {part!r}, and the message is now: {message}"

# %%
# It reads like a complaint about our shapes. It is one about the *input*. To the
# exporter, the inputs are a tree: dictionaries and lists are its branches, tensors its
# leaves, and shapes are matched leaf by leaf. A ``DynamicCache`` is neither list nor
# tensor. The exporter cannot look into it and takes it for a leaf, one that is no
# tensor and can have no shape, hence «expected None». Whatever we had written for the
# cache, it would have been refused.
#
# Mend it by hand
# ---------------
#
# PyTorch calls such trees *pytrees*, and any class can become a branch: register two
# functions, one that takes an object apart into a list, and one that puts it together
# again. A third one is there for messages; it gives each part a name. Where a cache
# keeps its tensors has changed over time, so the first function leaves that to a helper
# from onnx-diagnostic.

from typing import Any

from onnx_diagnostic.helpers.cache_helper import CacheKeyValue, make_dynamic_cache
from torch.utils import _pytree as pytree


def flatten(cache: DynamicCache) -> tuple[list[torch.Tensor], None]:
    """Take a cache apart: key and value of the first layer, of the second, ..."""
    return CacheKeyValue(cache).aslist(), None


def flatten_with_names(cache: DynamicCache) -> tuple[list[Any], None]:
    """Do the same, and give each tensor its place in the list."""
    tensors, context = flatten(cache)
    return [
        (pytree.SequenceKey(place), tensor) for place, tensor in enumerate(tensors)
    ], context


def unflatten(tensors: Any, _context: None) -> DynamicCache:
    """Put a cache together from what flatten made of it."""
    tensors = list(tensors)
    return make_dynamic_cache(list(zip(tensors[::2], tensors[1::2], strict=True)))


# %%
# The shapes have to follow the tree. Ours are two lists, keys and values; ``flatten``
# makes one list, in which keys and values alternate.

keys, values = dynamic_shapes["past_key_values"]
flat_shapes = dynamic_shapes | {
    "past_key_values": [
        shape for layer in zip(keys, values, strict=True) for shape in layer
    ]
}
print(flat_shapes["past_key_values"])

assert len(flat_shapes["past_key_values"]) == len(flatten(inputs["past_key_values"])[0])

# %%
# With that, the same call succeeds. A program that takes a cache needs the registration
# when it runs, too, so we try it within the block.

from smallport.checks import check
from smallport.export import discrepancy, name_outputs

with caches_unregistered():
    pytree.register_pytree_node(
        DynamicCache,
        flatten,
        unflatten,
        serialized_type_name="transformers.DynamicCache",
        flatten_with_keys_fn=flatten_with_names,
    )
    by_hand = torch.export.export(
        untrained.model,
        args=(),
        kwargs=copy_inputs(inputs),
        dynamic_shapes=flat_shapes,
    )
    with torch.no_grad():
        expected = name_outputs(untrained.model(**copy_inputs(inputs)))
        actual = name_outputs(by_hand.module()(**copy_inputs(inputs)))

difference = discrepancy(expected, actual)
print(difference)

check(
    "exported by hand against eager: difference of logits",
    difference.largest("logits"),
    at_most=1e-5,
)
check(
    "exported by hand against eager: difference of the cache",
    difference.largest("present"),
    at_most=1e-5,
)

# %%
# What came out
# -------------
#
# An exported program has a *signature*: which of its inputs are weights, and which are
# ours. The cache is gone from it. There are five tensors to put in and three to get
# out.

signature = by_hand.graph_signature
print("inputs: ", *signature.user_inputs)
print("outputs:", *signature.user_outputs)

assert list(signature.user_inputs) == [
    "input_ids",
    "attention_mask",
    "position_ids",
    "past_key_values_0",
    "past_key_values_1",
]
assert len(signature.user_outputs) == 1 + 2 * untrained.configuration.num_hidden_layers

# %%
# Its code is a list of operations on tensors, with nothing left of Llama's classes.
# Printing all of it would show, above each line, which file on this machine it comes
# from, so here is an excerpt.

from smallport.export import code_excerpt

excerpt = code_excerpt(by_hand, first=8, last=4)
print(excerpt)

assert "torch.ops.aten.embedding.default" in excerpt

# %%
# Let transformers do it
# ----------------------
#
# Recent releases of transformers have exporters of their own. They register every kind
# of cache that the library knows, replace for a moment those parts of its models that
# cannot be traced, and call :func:`torch.export.export`. They take the flat shapes.
# Left without any, they would mark every axis as one that *may* change, and warn that
# this takes longer.
#
# The published page ends by patching transformers from outside, which earlier releases
# needed. With this one, what has to be patched is patched by its own exporters, and the
# package's patches do not apply to it any more.
#
# What they register stays registered. From here to the end of the page we need it, and
# then we put things back as they were.

from contextlib import ExitStack

from transformers.exporters import DynamoConfig, DynamoExporter

from smallport.display import errors_only

before = registering_module(DynamicCache)
registry = ExitStack()  # closed by the last cell
registry.enter_context(caches_unregistered())

# The exporter warns that it is experimental, and of every PyTorch but the one it was
# tested with.
with errors_only("transformers"):
    exported = DynamoExporter().export(
        untrained.model,
        copy_inputs(inputs),
        config=DynamoConfig(dynamic=True, dynamic_shapes=flat_shapes),
    )

program = exported.program
print("inputs: ", *program.graph_signature.user_inputs)
print("outputs:", *program.graph_signature.user_outputs)

assert registering_module(DynamicCache) == "transformers.exporters.exporter_dynamo"
assert program.graph_signature.user_inputs == signature.user_inputs
assert len(program.graph_signature.user_outputs) == len(signature.user_outputs)

# %%
# The same five inputs, the same three outputs, and not a word from us about pytrees.
#
# Is it right?
# ------------
#
# Now the question that the published page leaves open. A program may export without
# complaint and still have a size burnt into it, and then it fails, or worse, goes on
# with wrong numbers, as soon as it meets another shape. So we run it where the export
# never was: other batches, a longer and a shorter cache, one new token and many.
#
# Two traps lie in wait. The first: an exported program *shares* its weights with the
# model that it came from. Compare the two and a changed weight changes both. The
# reference has to be a model of its own; ours comes from the same seed.

weight = untrained.model.lm_head.weight
reference = untrained_tiny_llm().model

assert program.state_dict["lm_head.weight"].data_ptr() == weight.data_ptr()
assert reference.lm_head.weight.data_ptr() != weight.data_ptr()
assert torch.equal(reference.lm_head.weight, weight), (
    "the export changed a weight of the model"
)

# %%
# The second trap: to compare the logits only. The next call reads the cache, so a cache
# that is wrong goes unnoticed now and spoils the text one token later. We compare every
# tensor.
#
# And a third: to leave the mask full of ones. A program that ignores its mask would
# pass every such run. So one of the steps has a text that is shorter than the others,
# with padding before it.

from dataclasses import astuple

from smallport.export import compare, discrepancies_table, make_inputs

seen = InputShape(batch_size=2, cache_length=30, new_tokens=3)
unseen = [
    InputShape(batch_size=1, cache_length=30, new_tokens=3),
    InputShape(batch_size=3, cache_length=7, new_tokens=5),
    InputShape(batch_size=1, cache_length=64, new_tokens=1),
    InputShape(batch_size=4, cache_length=1, new_tokens=3),
    InputShape(batch_size=2, cache_length=1000, new_tokens=20),
    InputShape(batch_size=3, cache_length=12, new_tokens=2, padding=5),
]
assert all(
    any(a != b for a, b in zip(astuple(seen), astuple(s), strict=True)) for s in unseen
)

module = program.module()


def run_program(some_inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Run the exported program, and name what comes out."""
    return name_outputs(module(**some_inputs))


differences = compare(
    reference,
    run_program,
    [seen, *unseen],
    make_inputs=functools.partial(make_inputs, reference.config),
)
show_table(discrepancies_table(differences))

# %%
# The first row is the shape that the program was made from, the others are new to it.
# The claim: nowhere is it further from the model than rounding explains, neither in the
# logits nor in the cache.

from smallport.export import worst_of

worst = worst_of(differences.values())
check(
    "exported program against eager: largest difference of logits",
    worst.largest("logits"),
    at_most=1e-5,
)
check(
    "exported program against eager: largest difference of the cache",
    worst.largest("present"),
    at_most=1e-5,
)

# %%
# That the padding makes a difference has to be shown as well, or the last row would
# prove nothing. Without it, the model gives the first text other logits, and the others
# the same.

with torch.no_grad():
    padded, full = (
        reference(
            **make_inputs(
                reference.config,
                InputShape(batch_size=3, cache_length=12, padding=padding),
            )
        )
        for padding in (5, 0)
    )
moved = (padded.logits - full.logits).abs().amax(dim=(1, 2))
print(
    "largest change of logits by padding, text by text:",
    [f"{change:.1g}" for change in moved],
)

assert moved[0] > 1000 * worst.largest("logits")
assert moved[0] > 1e-2
assert moved[1:].max() < 1e-5

# %%
# A shape that it refuses
# -----------------------
#
# One row is missing from that table: a single text, one token in its cache, and one new
# token. The model has no trouble with it. The program has:

smallest = InputShape(batch_size=1, cache_length=1, new_tokens=1)
smallest_inputs = make_inputs(untrained.configuration, smallest)

try:
    module(**copy_inputs(smallest_inputs))
except AssertionError as error:
    message = str(error)
else:
    raise AssertionError(
        "the program took batch 1, cache 1 and one token: upstream no longer assumes "
        "sizes of two or more, so add the shape to the table and drop this section"
    )

print(message)

announced = "Guard failed: attention_mask.size()[1] >= 4"
assert message == announced, (
    f"announced {announced!r}, and the message is now: {message}"
)

# %%
# Where does the four come from? Nobody wrote it down. When PyTorch traces a dynamic
# axis, it takes for granted that its size is at least two, since sizes of zero and one
# follow special rules, such as broadcasting. So it supposes two tokens in the cache and
# two new ones, adds them up, and notes that a mask has at least four columns. The
# ranges that it noted for the sizes are part of the program:

mask = next(node for node in program.graph.nodes if node.name == "attention_mask")
mask_length = mask.meta["val"].shape[1].node.expr
ranges = sorted(program.range_constraints.items(), key=lambda item: str(item[0]))
for symbol, allowed in ranges:
    note = " (columns of the mask)" if symbol == mask_length else ""
    print(f"{symbol}: at least {allowed.lower}{note}")

assert program.range_constraints[mask_length].lower == 4
assert {allowed.lower for symbol, allowed in ranges if symbol != mask_length} == {2}

# %%
# The other assumptions did no harm: the table holds batches of one, a cache of one, and
# single new tokens, because nothing checks those sizes when the program runs. Only the
# mask is checked. In practice this bites when a text begins, with fewer than four
# tokens in all.
#
# Better a refusal than a wrong number. But it is one more thing that an export without
# complaint does not tell you, and that only a run at the shapes you care for brings to
# light.
#
# Back to the model that was loaded
# ---------------------------------
#
# What goes for the untrained model should go for the checkpoint from the first section,
# whatever its weights are. Once more the reference is a copy of its own, loaded from
# the same folder.

with errors_only("transformers"):
    loaded = DynamoExporter().export(
        model,
        make_inputs(model.config),
        config=DynamoConfig(dynamic=True, dynamic_shapes=flat_shapes),
    )
loaded_module = loaded.program.module()

loaded_differences = compare(
    transformers.AutoModelForCausalLM.from_pretrained(checkpoint.folder),
    lambda some_inputs: name_outputs(loaded_module(**some_inputs)),
    unseen[:3],
    make_inputs=functools.partial(make_inputs, model.config),
)
show_table(discrepancies_table(loaded_differences))

# %%
# The checkpoint may be a trained one, whose logits, and with them its rounding errors,
# are larger. So the claim is weaker.

worst = worst_of(loaded_differences.values())
check(
    "exported checkpoint against eager: largest difference of logits",
    worst.largest("logits"),
    at_most=1e-3,
)
check(
    "exported checkpoint against eager: largest difference of the cache",
    worst.largest("present"),
    at_most=1e-3,
)

# %%
# On to ONNX
# ----------
#
# An exported program still needs PyTorch. An ONNX file needs a runtime only, and there
# is one for almost any machine. :func:`torch.onnx.export` translates the program that
# we have just checked. (``OnnxExporter`` of transformers goes from the model to ONNX in
# one call, and exports it anew.)
#
# ONNX Runtime is fed by name, so it pays to choose the names: ours are
# ``past_key_values.0.key`` and ``present.0.key``, as in most ONNX files of language
# models.
#
# ``verbose=False`` is all it takes to silence the report of the export's stages. Beyond
# that there are log lines about optional packages that are not installed, and one
# warning that PyTorch gives itself.

import warnings

with warnings.catch_warnings(), errors_only("torch.onnx"):
    # PyTorch's ONNX exporter uses what PyTorch's pytree module has deprecated.
    warnings.filterwarnings(
        "ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning
    )
    onnx_program = torch.onnx.export(
        program,
        dynamo=True,
        verbose=False,
        input_names=list(name_inputs(inputs)),
        output_names=list(expected),
    )

# %%
# Save it, let ONNX Runtime open it, and read the weights back from the file. All this
# happens in a temporary folder; the session keeps what it needs in memory.

import tempfile
from pathlib import Path

import onnx
import onnxruntime

options = onnxruntime.SessionOptions()
options.log_severity_level = 3  # errors; ONNX Runtime would write warnings past Python
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder) / "tiny_llm.onnx"
    onnx_program.save(file)
    session = onnxruntime.InferenceSession(
        file, options, providers=["CPUExecutionProvider"]
    )
    stored = {
        tensor.name: torch.from_numpy(onnx.numpy_helper.to_array(tensor).copy())
        for tensor in onnx.load(file).graph.initializer
    }

onnx_tensors = pd.DataFrame(
    [
        {"tensor": value.name, "role": role, "shape": str(list(value.shape))}
        for role, tensors in (
            ("input", session.get_inputs()),
            ("output", session.get_outputs()),
        )
        for value in tensors
    ]
)
show_table(onnx_tensors)

# %%
# The axes that we declared dynamic have a symbol for a size, and the others a number.
# The outputs even say that their cache is as long as the old one and the new tokens
# together.

cache_shape = next(
    value.shape for value in session.get_inputs() if value.name.endswith(".0.key")
)

assert [value.name for value in session.get_outputs()] == list(expected)
assert [isinstance(size, str) for size in cache_shape] == [True, False, True, False]

# %%
# Same shapes, same reference, same table. The shape that the program refused comes
# last: guards are not translated to ONNX, so ONNX Runtime takes it, and then its
# numbers had better be right.

from smallport.export import run_session

onnx_differences = compare(
    reference,
    functools.partial(run_session, session),
    [seen, *unseen, smallest],
    make_inputs=functools.partial(make_inputs, reference.config),
)
show_table(discrepancies_table(onnx_differences))

# %%
# Here the differences are not zero. ONNX Runtime has its own kernels, which add numbers
# up in another order, and floats do not forgive that: a sum's last digits depend on the
# order. What must not happen is more than that. The claim is the same as for the
# exported program.

worst = worst_of(onnx_differences.values())
check(
    "ONNX Runtime against eager: largest difference of logits",
    worst.largest("logits"),
    at_most=1e-5,
)
check(
    "ONNX Runtime against eager: largest difference of the cache",
    worst.largest("present"),
    at_most=1e-5,
)

# %%
# One thing no such run can see. An embedding is a table with a row for each token, and
# our inputs hold only a few of its 32,000 tokens; a mistake in any other row would make
# no difference. So that table is compared as it stands in the file. Most of the other
# weights were transposed on the way and have new names, but every one of their numbers
# takes part in every run.

assert torch.equal(
    stored["model.embed_tokens.weight"], reference.model.embed_tokens.weight
), "the embedding in the ONNX file is not the model's"

# %%
# How large are the differences? The picture sets them beside the spacing of 32-bit
# floats near one, the finest difference that such numbers can have there.

labels = [str(step) for step in onnx_differences]
positions = range(len(labels))
spacing = torch.finfo(torch.float32).eps

figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained", facecolor="white")
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
axis.set_title("ONNX Runtime beside eager PyTorch")
axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
axis.spines[["top", "right"]].set_visible(False)

# %%
# How to read these results
# -------------------------
#
# *Equal to the last bit* is what to expect of an exported program on the machine where
# it was made: it calls the same kernels as the model. It is not promised; another
# release may pick other kernels while it traces. *Within rounding* is all that can be
# asked of another runtime. A mistake in an export looks different from both: a mask
# that is off by one, or a size that was burnt in, changes logits in the first digits,
# or dies with a complaint about shapes.
#
# Random weights test the *export*, not the model. They say nothing about speed on real
# text, and they hide what shows only with trained ones, such as numbers too large for a
# smaller float type.
#
# Nor did we test everything. Padding stood at the beginning of a text only, and the
# prompt's own call, with an empty cache, is another program: build it with
# ``with_cache=False``.
#
# Conclusion
# ----------
#
# - To learn what ``forward`` is given, watch it: a spy shows which axes must be
#   dynamic.
# - To test an export, a configuration is enough. Weights can be random.
# - «Cannot associate shape» is about a class that is no pytree, here the cache.
#   Register it, or leave that to the exporter of your library.
# - Then run what came out at shapes it has not seen, and compare *all* outputs with a
#   model that does not share its weights.
#
# The last cell puts back what this page changed in the process.

registry.close()
transformers.utils.logging.enable_progress_bar()

assert registering_module(DynamicCache) == before

# %%
# What to read next
# -----------------
#
# - `onnx-diagnostic <https://sdpython.github.io/doc/onnx-diagnostic/dev/>`_ has inputs
#   and dynamic shapes for many other architectures, and tools to find out where two
#   models part ways.
# - `Dynamic shapes in torch.export
#   <https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/export.html>`_
#   explains the symbols and the guards.
# - `The ONNX exporter of PyTorch <https://docs.pytorch.org/docs/stable/onnx.html>`_ and
#   `ONNX Runtime <https://onnxruntime.ai/docs/>`_ document the second half of this
#   page.
# - :doc:`Dynamic quantization of an LSTM
#   </gallery/quantization/plot_20_lstm_dynamic_quantization>` takes the other road: a
#   model that stays where it is, and gets smaller.

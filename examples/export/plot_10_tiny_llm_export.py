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
- see an export fail, understand the message, and fix it, first by hand and then with
  the exporter that comes with transformers;
- check that the exported program and the ONNX file compute what the model computes, at
  shapes that the export never saw.

The last point is where most tutorials stop early. *It exported* does not mean *it is
right*, and on this page every such claim is followed by an assertion. Unless you ask
for the published weights, it needs no network.

The first half follows the recipe `Check the exporter on a dummy from HuggingFace
<https://github.com/sdpython/experimental-experiment/blob/6b7859b75832e78a2632892d8624d240dd979446/_doc/recipes/plot_exporter_exporter_untrained_tinyllm.py>`_
of *experimental-experiment* by Xavier Dupré. Its successor in his *onnx-diagnostic*,
`Steel method forward to guess the dynamic shapes
<https://github.com/sdpython/onnx-diagnostic/blob/121daa9855d0f0c55e526684cc60c1a3bd1d93d0/_doc/examples/plot_export_tiny_llm.py>`_,
is called *the published page* below. Helpers of that package do work here.

What you will learn: how to find out which sizes change from call to call, how to tell
the exporter, and how to check that what comes out computes the same.
"""

# %%
# Before anything else
# --------------------
#
# ONNX Runtime, which runs the last part of this page, reports its use to its maker: `on
# Linux and macOS, too, since version 1.29
# <https://github.com/microsoft/onnxruntime/pull/27379>`_. It keeps a device number and
# a database of events in your home folder for that, unless ``ORT_DISABLE_TELEMETRY=1``
# is in the environment *before* it is imported. Importing ``smallport`` sets this, so
# that comes first. It also sets the variable of the Hugging Face libraries, which
# otherwise tell the hub what else is installed. A later section checks that ONNX
# Runtime heeds the variable.

# sphinx_gallery_thumbnail_number = 2
import os

import smallport

print("smallport", smallport.__version__)
for name in ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
    print(f"{name}={os.environ[name]}")

assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
assert os.environ["HF_HUB_DISABLE_TELEMETRY"] == "1"

# %%
# Load the model and its tokenizer
# --------------------------------
#
# :func:`smallport.assets.tiny_llm` names a folder with a checkpoint. Unless you asked
# for the published weights, it was made on your machine, by
# :func:`smallport.tiny_llm.write_checkpoint`: the published architecture, random
# weights, and a tokenizer trained on Python's language reference. The code that loads
# it is the code that loads a model from the hub.
#
# Loading draws a progress bar, which is of no use on a page. The last cell turns it on
# again.

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

from smallport.tiny_llm import PARAMETERS

assert model.num_parameters() == PARAMETERS == 12_988_992

# %%
# The tokenizer turns text into numbers and back, without losing anything on the way.
# Each kind of token has a number of its own, and a row in the model's embedding.

prompt_text = "Continue: it rains..."
prompt = tokenizer(prompt_text, return_tensors="pt")
prompt_ids = prompt["input_ids"][0].tolist()
pieces = [tokenizer.decode([number]) for number in prompt_ids]

for number, piece in zip(prompt_ids, pieces, strict=True):
    print(f"{number:>6} {piece!r}")

assert tokenizer.decode(prompt_ids, skip_special_tokens=True) == prompt_text, (
    "the tokenizer loses text"
)
assert len(set(prompt_ids)) == len(set(pieces)) > 1
assert len(tokenizer) <= model.config.vocab_size == 32_000

# %%
# Guess the dimensions by watching
# --------------------------------
#
# We want to export ``forward``, yet hardly anybody calls it. People call
# :meth:`~transformers.GenerationMixin.generate`, which runs ``forward`` once for each
# token that it adds, with inputs that it prepares itself. The documentation of such
# inputs is thin and differs between architectures, so we ask the model: a spy takes the
# place of ``forward``, notes what it is given, and passes the call on.
#
# ``functools.wraps`` is more than good manners here. ``generate`` reads the *signature*
# of ``forward`` to decide what to hand over; a spy that merely takes ``*args,
# **kwargs`` would be given other inputs than the model is.
#
# :func:`~smallport.parity.name_inputs` gives each tensor a name, those inside the cache
# included.

import functools

import torch
from onnx_diagnostic.helpers import string_type

from smallport.parity import name_inputs

calls = []
forward = model.forward


@functools.wraps(forward)
def spy(**kwargs: object) -> object:
    """Note the inputs, print the first ones, and do what forward does."""
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
    return forward(**kwargs)


# %%
# Now let the model continue the text. The words are drawn at random, as on the
# published page, but from a fixed seed. ``min_length`` keeps it from ending its text
# early, so that there is one call of ``forward`` for each token up to ``max_length``.
#
# In the notation of :func:`~onnx_diagnostic.helpers.string_type`, ``T7s1x8`` is a
# tensor of 64-bit integers (type 7 in ONNX) and shape 1 by 8, and ``T1`` is one of
# 32-bit floats.

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
assert generated[0, : len(prompt_ids)].tolist() == prompt_ids
assert len(calls) == 50 - len(prompt_ids)

# %%
# What the model wrote is beside the point: with random weights it makes no sense. The
# prompt is still there, at the beginning.

import textwrap

text = tokenizer.decode(generated[0], skip_special_tokens=True)
print(textwrap.fill(repr(text), 90))

assert text.startswith(prompt_text)

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
#
# The argument that holds the cache is called ``cache`` since transformers 5.24.0, and
# was called ``past_key_values`` before. :func:`~smallport.parity.cache_argument` says
# which name the installed release has. ``name_inputs`` calls the tensors in it
# ``past_key_values.0.key`` and so on with either.

import inspect

from smallport.parity import cache_argument

cache_name = cache_argument()
print(f"transformers {transformers.__version__} calls the cache {cache_name}")

assert cache_name in inspect.signature(model.forward).parameters
assert all("attention_mask" not in call for call in calls)
assert "past_key_values.0.key" not in calls[0]
assert calls[0]["input_ids"] == (1, len(prompt_ids))
assert all(call["input_ids"] == (1, 1) for call in calls[1:])
assert all(
    call["past_key_values.0.key"][2] == len(prompt_ids) + number
    for number, call in enumerate(calls[1:])
)

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
show_table(axes, "The size of each axis of the inputs, from call to call")

# %%
# So the third axis of every cache tensor grows, by one a call. The number of new tokens
# has two values. Everything else stood still, but the first axis, the batch, had no
# chance to be anything but one, since we generated one text. Watching tells you
# which axes *must* be dynamic. Which others should be is for you to decide.

cache_tensors = [name for name in calls[-1] if name.startswith("past_key_values")]
grew = axes[axes["behaviour"] == "grew by one a call"]
assert len(cache_tensors) == 2 * model.config.num_hidden_layers
assert list(grew["input"]) == cache_tensors
assert set(grew["axis"]) == {2}
assert set(axes["axis"][axes["behaviour"].str.startswith("the prompt")]) == {1}
assert set(axes["first size"][axes["axis"] == 0]) == {1}

# %%
# The same as a picture: what one call is given.

# Drawing: stacked bars, one for each call of forward. The tokens in the cache grow by
# one from bar to bar, and on top of each stands one new token; only the first bar is
# all new, the prompt.
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
# Whether an architecture can be exported does not depend on its weights. A model built
# from a configuration alone is enough for the rest of the page, and for a unit test
# that tells you when a new release of PyTorch or transformers breaks the export.
#
# This is the configuration of Tiny-LLM. :func:`~smallport.tiny_llm.tiny_llm_config`
# writes it down, and takes other values for any of its entries, such as
# ``num_hidden_layers=2``.

from smallport.tiny_llm import tiny_llm_config

configuration = tiny_llm_config()
sizes = {
    name: getattr(configuration, name)
    for name in (
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "max_position_embeddings",
        "rms_norm_eps",
        "rope_parameters",
        "tie_word_embeddings",
    )
}
for name, value in sizes.items():
    print(f"{name}: {value}")

assert sizes == {name: getattr(model.config, name) for name in sizes}
assert tiny_llm_config(num_hidden_layers=2).num_hidden_layers == 2

# %%
# :func:`~smallport.tiny_llm.untrained_tiny_llm` builds the model, with inputs that look
# like one of the calls above: two texts, thirty tokens of each in the cache, three new
# ones, and this time an attention mask.

from smallport.parity import InputShape
from smallport.tiny_llm import untrained_tiny_llm

untrained = untrained_tiny_llm(InputShape(batch_size=2, cache_length=30, new_tokens=3))
inputs = untrained.inputs

for name, value in inputs.items():
    print(f"{name}: {string_type(value, with_shape=True)}")

assert untrained.model.num_parameters() == PARAMETERS
assert name_inputs(inputs)["past_key_values.0.key"].shape == (2, 1, 30, 96)

# %%
# The dynamic shapes say which axes of each input may change.
# :func:`~smallport.parity.dynamic_shapes` found them by comparing these inputs with
# some of other sizes. The cache has a list, with an entry for the key and one for the
# value of each layer. The published page wrote two lists, keys and values, and we begin
# with that form.

import pprint

flat_shapes = untrained.dynamic_shapes
cache_shapes = flat_shapes[cache_name]
dynamic_shapes = flat_shapes | {cache_name: [cache_shapes[::2], cache_shapes[1::2]]}
print(pprint.pformat(dynamic_shapes, width=90, sort_dicts=False))

assert dynamic_shapes.keys() == inputs.keys()
assert [len(layers) for layers in dynamic_shapes[cache_name]] == [1, 1]

# %%
# Run it once, and look at the inputs before and after.

from smallport.parity import copy_inputs

used = copy_inputs(inputs)
with torch.no_grad():
    result = untrained.model(**used)

print("cache before:", string_type(inputs[cache_name], with_shape=True))
print("cache after: ", string_type(used[cache_name], with_shape=True))
print(textwrap.fill(f"result: {string_type(result, with_shape=True)}", 90))

assert result.logits.shape == (2, 3, 32_000)
assert inputs[cache_name].get_seq_length() == 30
assert used[cache_name].get_seq_length() == 33

# %%
# The forward pass wrote to the cache that it was given. The thirty tokens have become
# thirty-three, and the attention mask beside them no longer fits. A second run with the
# same inputs would be wrong, so every run on this page gets a copy.
#
# Export it, and read the message
# -------------------------------
#
# We have a model, inputs and dynamic shapes. Whether the next call works depends on
# something that you do not see in it: whether anything told PyTorch how to look into a
# :class:`~transformers.DynamicCache`. PyTorch keeps that knowledge for the whole
# process, and transformers' exporters, of which more below, add to it. If they ran
# before this page in the same process, it is there already.
# :func:`~smallport.export.without_cache_pytrees` puts it aside until the page ends.
# Until then, loggers report errors only.
#
# If anything else registered the class, this section would be out of date. That is the
# first assertion.

from contextlib import ExitStack

from transformers import DynamicCache

from smallport.display import errors_only
from smallport.export import pytree_owner, without_cache_pytrees

before = pytree_owner(DynamicCache)
assert before in {None, "transformers.exporters.exporter_dynamo"}, (
    "DynamicCache is now registered by default, so the failure below no longer "
    "happens: rewrite this section"
)

quiet = ExitStack()  # closed by the last cell
quiet.enter_context(
    errors_only("transformers", "torch.onnx", "torch.export", "torch.fx")
)
registry = ExitStack()  # closed by the last cell
registry.enter_context(without_cache_pytrees())

assert pytree_owner(DynamicCache) is None

# %%
# :func:`smallport.checks.raises` announces a failure: this page goes red when the call
# works, and when it fails with another message.

from torch._dynamo.exc import UserError

from smallport import checks

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
) as refused:
    torch.export.export(
        untrained.model,
        args=(),
        kwargs=copy_inputs(inputs),
        dynamic_shapes=dynamic_shapes,
    )

for line in refused.message.splitlines():
    print(textwrap.fill(line, 88, break_long_words=False, break_on_hyphens=False))

# %%
# The message offers two ways to learn more: a link, and
# :func:`torch.export.draft_export`, which is meant to go on where ``export`` stops, and
# to list everything that is wrong. Here it does not get that far. It fails with the
# same message, less the hint to call it.

with checks.raises(UserError, match="Cannot associate shape") as refused_draft:
    torch.export.draft_export(
        untrained.model,
        args=(),
        kwargs=copy_inputs(inputs),
        dynamic_shapes=dynamic_shapes,
    )

assert refused_draft.message.splitlines()[0] == refused.message.splitlines()[0]
assert "draft_export" not in refused_draft.message

# %%
# The message seems to complain about our shapes, and says what it expected: ``None``.
# So let us give it ``None`` for the cache.

with checks.raises(
    ValueError,
    match=(
        "Unsupported input type <class 'transformers.cache_utils.DynamicCache'>",
        "torch.utils._pytree.register_pytree_node",
    ),
) as unsupported:
    torch.export.export(
        untrained.model,
        args=(),
        kwargs=copy_inputs(inputs),
        dynamic_shapes=dynamic_shapes | {cache_name: None},
    )

print(textwrap.fill(unsupported.message, 88, break_on_hyphens=False))

# %%
# Now PyTorch says what it meant: the trouble is the *input*. To the exporter, the
# inputs are a tree. Dictionaries and lists are its branches, tensors its leaves, and
# shapes are matched leaf by leaf. A ``DynamicCache`` is neither list nor tensor. The
# exporter cannot look into it and takes it for a leaf that is no tensor and can have no
# shape, hence "expected None". Whatever we had written for the cache, the export would
# have failed. The last message also names the remedy, ``register_pytree_node``.
#
# Fix it by hand
# --------------
#
# PyTorch calls such trees *pytrees*, and any class can become a branch. Register two
# functions: one takes an object apart into a list, the other puts it together again. A
# third one gives each part a name, for messages. Where a cache keeps its tensors has
# changed over time, so the first function leaves that to a helper from onnx-diagnostic.

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
# The shapes have to follow the tree. The published page has two lists, keys and values.
# ``flatten`` makes one list, in which keys and values alternate, as they do in the
# shapes that came with the inputs.

print(flat_shapes[cache_name])

assert len(flat_shapes[cache_name]) == len(flatten(inputs[cache_name])[0])

# %%
# With that, the same call succeeds.

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

# %%
# And what comes out computes what the model computes: every tensor that the model
# returns, the program returns too. :func:`~smallport.parity.discrepancy` subtracts
# them, and keeps the largest difference of each.

from smallport.parity import discrepancy, name_outputs

with torch.no_grad():
    expected = name_outputs(untrained.model(**copy_inputs(inputs)))
    actual = name_outputs(by_hand.module()(**copy_inputs(inputs)))

difference = discrepancy(expected, actual)
print(difference)

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
# What came out
# -------------
#
# An exported program has a *signature*: which of its inputs are weights, and which are
# ours. The cache is gone from it: there are five tensors to put in, and three come out.

signature = by_hand.graph_signature
print("inputs: ", *signature.user_inputs)
print("outputs:", *signature.user_outputs)

assert list(signature.user_inputs) == [
    "input_ids",
    "attention_mask",
    "position_ids",
    f"{cache_name}_0",
    f"{cache_name}_1",
]
assert len(signature.user_outputs) == 1 + 2 * untrained.configuration.num_hidden_layers

# %%
# Its code is a list of operations on tensors, with nothing left of Llama's classes.
# This is an excerpt of it.

from smallport.export import code_excerpt

excerpt = code_excerpt(by_hand, first=8, last=4)
print(excerpt)

assert "torch.ops.aten.embedding.default" in excerpt
assert "llama" not in by_hand.graph_module.code.lower()

# %%
# Let transformers do it
# ----------------------
#
# Recent releases of transformers have exporters of their own, which register the
# library's caches and call :func:`torch.export.export`. They take the flat shapes.
# With earlier releases, the registration and some changes to the models had to come
# from outside: onnx-diagnostic's page `Export Tiny-LLM with patches
# <https://github.com/sdpython/onnx-diagnostic/blob/23a69013282cf7ade4642bd8949a31777e346fbc/_doc/examples/plot_export_tiny_llm_patched.py>`_
# shows how.
#
# Our own registration goes first, to see that the exporter does without it. What the
# exporter registers stays registered; the last cell puts things back as they were.

registry.close()
registry.enter_context(without_cache_pytrees())
assert pytree_owner(DynamicCache) is None

# %%
# The exporter takes the model, the inputs and a configuration.

from transformers.exporters import DynamoConfig, DynamoExporter

exported = DynamoExporter().export(
    untrained.model,
    copy_inputs(inputs),
    config=DynamoConfig(dynamic=True, dynamic_shapes=flat_shapes),
)

program = exported.program
print("inputs: ", *program.graph_signature.user_inputs)
print("outputs:", *program.graph_signature.user_outputs)

assert pytree_owner(DynamicCache) == "transformers.exporters.exporter_dynamo"
assert program.graph_signature.user_inputs == signature.user_inputs
assert len(program.graph_signature.user_outputs) == len(signature.user_outputs)

# %%
# The same five inputs, the same three outputs, and not a word from us about pytrees.
#
# A variant that cannot be exported
# ---------------------------------
#
# The configuration has an entry that breaks the export. With *dynamic rope*, the
# position embedding is rescaled when a text outgrows the positions that the model was
# trained for. The model runs:

rescaled = untrained_tiny_llm(dynamic_rope=True)
with torch.no_grad():
    result = rescaled.model(**copy_inputs(rescaled.inputs))

print(textwrap.fill(f"with dynamic rope: {string_type(result, with_shape=True)}", 90))

assert rescaled.configuration.rope_parameters["rope_type"] == "dynamic"
assert bool(result.logits.isfinite().all())

# %%
# But the exporter refuses it. Whether to rescale depends on the largest number in
# ``position_ids``, and a graph that is traced once cannot contain an ``if`` on a number
# that is only known when it runs. PyTorch calls that a data-dependent guard; the end of
# its message shows the line.
#
# This has nothing to do with shapes, so we leave it here. (When an export fails in this
# way, PyTorch writes the unfinished graph to the error stream. It is of no use on a
# page.)

import io
from contextlib import redirect_stderr

from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

with (
    checks.raises(
        GuardOnDataDependentSymNode,
        match=(
            "Could not guard on data-dependent expression",
            "if seq_len > max_seq_len_cached",
        ),
    ) as dependent,
    redirect_stderr(io.StringIO()),
):
    DynamoExporter().export(
        rescaled.model,
        copy_inputs(rescaled.inputs),
        config=DynamoConfig(dynamic=True, dynamic_shapes=flat_shapes),
    )

lines = dependent.message.splitlines()
print(textwrap.fill(lines[0], 88))
print("...")
print(next(line for line in lines if "if seq_len >" in line))

# %%
# Is it right?
# ------------
#
# Back to the program that was exported, and to the question that the published page
# leaves open. A program may export without complaint and still have a size burnt into
# it. It then fails, or worse, goes on with wrong numbers, as soon as it meets another
# shape. So we run it at shapes that the export never saw: other batches, a longer and a
# shorter cache, one new token and many.
#
# There are three traps. The first: an exported program *shares* its weights with the
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
# The second trap is to compare the logits only. The next call reads the cache, so a
# wrong cache goes unnoticed now and spoils the text one token later. We compare every
# tensor.
#
# The third is to leave the mask full of ones. A program that ignores its mask would
# pass every such run. So one of the shapes has a text that is shorter than the others,
# with padding before it.
#
# :func:`~smallport.parity.compare` makes inputs of each shape, runs the model and the
# program on a copy each, and subtracts. It leaves out the places of padding, which
# nobody reads.

from smallport.parity import compare, worst_of
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
module = program.module()
inputs_like = functools.partial(make_inputs, reference.config)

differences = compare(
    reference,
    lambda some_inputs: module(**some_inputs),
    [seen, *unseen],
    make_inputs=inputs_like,
)
worst = worst_of(differences.values())
print(f"{len(differences)} shapes, {len(worst.by_tensor)} tensors each, {worst}")

assert list(differences) == [seen, *unseen]
assert seen not in unseen
assert list(worst.by_tensor) == list(expected)
for shape in differences:
    mask = inputs_like(shape)["attention_mask"]
    length = shape.cache_length + shape.new_tokens
    assert mask.shape == (shape.batch_size, length), "make_inputs ignores the shape"
    assert int((mask == 0).sum()) == shape.padding

# %%
# One of the shapes is the one that the program was made from; the others are new to it.
# The claim: nowhere is the program further from the model than rounding explains,
# neither in the logits nor in the cache.

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
# A comparison that finds nothing has to show that it can find something. Change one
# number of one tensor, by a thousandth, and it names the tensor and the number.


def slightly_wrong(some_inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Run the program, and change one number of what comes out."""
    outputs = name_outputs(module(**some_inputs))
    values = outputs["present.0.value"].clone()
    values[0, 0, -1, -1] += 1e-3
    return outputs | {"present.0.value": values}


noticed = compare(reference, slightly_wrong, [seen], make_inputs=inputs_like)[seen]
print(noticed)

assert noticed.worst() == "present.0.value", "compare missed a changed tensor"
assert 0.9e-3 < noticed.largest() < 1.1e-3, "compare missed a changed number"

# %%
# Both sides could be wrong alike, too: if neither looked at its mask, they would agree.
# So change one input at a time and leave the others as they are. The model's logits
# have to change with it. With a mask full of ones, they change in the text that is
# padded, and nowhere else.

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

# %%
# A shape that it refuses
# -----------------------
#
# One shape is missing from that list: a single text, one token in its cache, and one
# new token. The model has no trouble with it. The program has:

smallest = InputShape(batch_size=1, cache_length=1, new_tokens=1)
with torch.no_grad():
    reference(**inputs_like(smallest))

with checks.raises(
    AssertionError, match="Guard failed: attention_mask.size()[1] >= 4"
) as guarded:
    module(**inputs_like(smallest))

print(guarded.message)

# %%
# Where does the four come from? When PyTorch traces a dynamic axis, it assumes a size
# of at least two, since sizes of zero and one follow special rules, such as
# broadcasting. So it assumes two tokens in the cache and two new ones, adds them up,
# and notes that a mask has at least four columns. The ranges that it noted are part of
# the program:

mask = next(node for node in program.graph.nodes if node.name == "attention_mask")
mask_length = mask.meta["val"].shape[1].node.expr
ranges = sorted(program.range_constraints.items(), key=lambda item: str(item[0]))
for symbol, allowed in ranges:
    note = " (columns of the mask)" if symbol == mask_length else ""
    print(f"{symbol}: at least {allowed.lower}{note}")

assert program.range_constraints[mask_length].lower == 4
assert {allowed.lower for symbol, allowed in ranges if symbol != mask_length} == {2}

# %%
# The other assumptions did no harm: the list above holds batches of one, a cache of
# one, and single new tokens. Only the mask is checked when the program runs. In
# practice this matters when a text begins, with fewer than four tokens in all.
#
# A refusal is better than a wrong number. Still, an export without complaint does not
# tell you about it. Only a run at the shapes that you need does.
#
# Back to the model that was loaded
# ---------------------------------
#
# What holds for the untrained model should hold for the checkpoint from the first
# section, whatever its weights are. Again the reference is a copy of its own, loaded
# from the same folder.

loaded = DynamoExporter().export(
    model,
    make_inputs(model.config),
    config=DynamoConfig(dynamic=True, dynamic_shapes=flat_shapes),
)
loaded_module = loaded.program.module()
loaded_reference = transformers.AutoModelForCausalLM.from_pretrained(checkpoint.folder)

loaded_differences = compare(
    loaded_reference,
    lambda some_inputs: loaded_module(**some_inputs),
    unseen,
    make_inputs=functools.partial(make_inputs, model.config),
)
worst = worst_of(loaded_differences.values())
print(f"{len(loaded_differences)} shapes, {len(worst.by_tensor)} tensors each, {worst}")

assert list(loaded_differences) == unseen
assert loaded_reference.lm_head.weight.data_ptr() != model.lm_head.weight.data_ptr()

# %%
# The checkpoint may be a trained one, whose logits, and with them its rounding errors,
# are larger. So the claim is weaker.

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
# On to ONNX
# ----------
#
# An exported program still needs PyTorch. An ONNX file needs a runtime only, and there
# is one for almost any machine. :func:`torch.onnx.export` translates the program that
# we have just checked.
#
# ONNX Runtime is fed by name, so it pays to choose the names: ours are
# ``past_key_values.0.key`` and ``present.0.key``, as in most ONNX files of language
# models. ``verbose=False`` turns off the report of the export's stages. What remains is
# one warning, which PyTorch gives to itself: its exporter uses what its pytree module
# has deprecated. We hide that one.

import warnings

quiet.enter_context(warnings.catch_warnings())
warnings.filterwarnings(
    "ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning
)

# %%
# Now the call.

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
show_table(onnx_tensors, "Inputs and outputs of the ONNX file")

# %%
# The axes that we declared dynamic have a symbol for a size, and the others a number.
# The outputs even say that their cache is as long as the old one and the new tokens
# together.

shapes = {value.name: value.shape for value in session.get_inputs()}
result_shapes = {value.name: value.shape for value in session.get_outputs()}
new_tokens, cached_tokens = shapes["input_ids"][1], shapes["past_key_values.0.key"][2]

assert list(result_shapes) == list(expected)
assert shapes["past_key_values.0.key"][1::2] == [1, 96]
for name, flexible in (("input_ids", [0, 1]), ("past_key_values.0.key", [0, 2])):
    assert all(isinstance(shapes[name][axis], str) for axis in flexible)
assert result_shapes["present.0.key"][2] in {
    f"{new_tokens} + {cached_tokens}",
    f"{cached_tokens} + {new_tokens}",
}

# %%
# Opening the file is the moment at which ONNX Runtime would begin to report. So open it
# once more in a process of its own, with an empty home folder and without the variable,
# and look whether anything lies in the folder afterwards. Importing ``smallport`` has
# to be enough. (``CI`` is taken away because it silences ONNX Runtime as well.)

import subprocess
import sys

code = """
import sys, smallport, onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 3
onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
"""
kept = {
    name: value
    for name, value in os.environ.items()
    if name not in {"ORT_DISABLE_TELEMETRY", "CI"} and not name.startswith("XDG_")
}
with tempfile.TemporaryDirectory() as folder:
    file, home = Path(folder) / "tiny_llm.onnx", Path(folder) / "home"
    onnx_program.save(file)
    home.mkdir()
    command = [sys.executable, "-c", code, file]
    subprocess.run(command, env=kept | {"HOME": str(home)}, check=True)  # noqa: S603
    left = [found.name for found in home.rglob("*")]

print("left in the home folder:", left)

assert not left, "ONNX Runtime reports its use although ORT_DISABLE_TELEMETRY is set"

# %%
# Same reference, same shapes, and one more: the shape that the program refused comes
# last. Guards are not translated to ONNX, so ONNX Runtime takes it, and its numbers had
# better be right.

from smallport.parity import discrepancies_table, run_session

onnx_differences = compare(
    reference,
    functools.partial(run_session, session),
    [seen, *unseen, smallest],
    make_inputs=inputs_like,
)
show_table(
    discrepancies_table(onnx_differences),
    "Largest differences between ONNX Runtime and the model, by shape of the inputs",
)

# %%
# Here the differences are not zero. ONNX Runtime has its own kernels, which add numbers
# up in another order, and the last digits of a sum of floats depend on the order. They
# must not differ by more than that. The claim is the same as for the exported program.

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

# %%
# Do not take ``compare``'s word for it. For one shape, here is the same difference by
# hand: ONNX Runtime's arrays as they come, minus the model's, in NumPy.

import numpy as np

some_inputs = inputs_like(seen)
cache = some_inputs[cache_name].layers[0]
arrays = session.run(
    ["logits"],
    {
        "input_ids": some_inputs["input_ids"].numpy(),
        "attention_mask": some_inputs["attention_mask"].numpy(),
        "position_ids": some_inputs["position_ids"].numpy(),
        "past_key_values.0.key": cache.keys.numpy(),
        "past_key_values.0.value": cache.values.numpy(),  # noqa: PD011
    },
)
with torch.no_grad():
    logits = reference(**some_inputs).logits.numpy()
by_numpy = np.abs(arrays[0].astype(np.float64) - logits.astype(np.float64)).max()
print(f"logits: {by_numpy:.3g}")

assert by_numpy == onnx_differences[seen].largest("logits") > 0, (
    "compare and NumPy disagree"
)
assert list(onnx_differences) == [seen, *unseen, smallest]
assert all(0 < one.largest() <= worst.largest() for one in onnx_differences.values())

# %%
# One thing no such run can see. An embedding is a table with a row for each token, and
# our inputs hold only a few of its 32,000 tokens. A mistake in any other row would make
# no difference, so we compare the table as it stands in the file.

used = {
    int(number)
    for shape in onnx_differences
    for number in inputs_like(shape)["input_ids"].unique()
}
assert len(used) < 100 < model.config.vocab_size
assert torch.equal(
    stored["model.embed_tokens.weight"], reference.model.embed_tokens.weight
), "the embedding in the ONNX file is not the model's"

# %%
# How large are the differences? The picture sets them beside the spacing of 32-bit
# floats near one, the finest difference that such numbers can have there.

# Drawing: a row for each shape of the inputs, with a dot for the logits and a square
# for the worst tensor of the cache. All of them lie left of the claimed bound, a line
# on the right of a logarithmic axis.
labels = [str(shape) for shape in onnx_differences]
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
# An exported program calls the same kernels as the model, so you can expect it to be
# *equal to the last bit* on the machine where it was made. That is not promised:
# another release may pick other kernels while it traces. *Within rounding* is all you
# can ask of another runtime. A mistake in an export looks different from both. An
# ignored mask or a shifted position changes the logits in the first digits, as you saw
# when we changed one input at a time, and a size that was burnt in ends in a complaint
# about shapes.
#
# Random weights test the *export*, not the model. They say nothing about speed on real
# text, and they hide what shows only with trained ones, such as numbers too large for a
# smaller float type.
#
# Nor did we test everything. Padding was at the beginning of a text only, no cache was
# empty, as it is when a prompt is read, and no call read the cache that the one before
# it had returned.
#
# All of it in one call
# ---------------------
#
# For a model of your own, you would not want to write this page again.
# :func:`~smallport.check_export` takes a model through all of it, and through
# what we left out: its shapes include an empty cache, and it decodes a few tokens from
# one, step by step, padding included. Again the reference is a copy that shares no
# weights.

from smallport import check_export

report = check_export(untrained_tiny_llm().model, name="Tiny-LLM")

for stage in report.stages:
    line = f"{stage.stage} {stage.status}: {stage.found}"
    print(textwrap.fill(line, 88, subsequent_indent="    "))

# %%
# In a test suite, one assertion is enough.

assert report.passed(), report.failure()

# %%
# The end of the report lists the number of tensors, the lengths, batch sizes and
# special tokens that were compared. A part of the model that was left out, such as a
# window that is longer than every text, is listed under *not compared*.

print(report.verdict(88))

compared = report.coverage.compared
assert compared["number of tensors"] == [3]  # the logits, one key and one value
assert max(compared["lengths"]) == 600
assert compared["first tokens"][0] == untrained.configuration.bos_token_id
assert not report.coverage.not_compared

# %%
# Differences are measured here as a share of the element, or of typical elements beside
# it, if these are larger. One bound then fits tensors of all sizes.

at_the_end = report["ONNX Runtime matches"]
print(f"{at_the_end.largest_difference:.2g}: {at_the_end.where}")

checks.check(
    "check_export, ONNX Runtime against eager: largest relative difference",
    at_the_end.largest_difference,
    at_most=1e-4,
)

# %%
# When a stage fails, those after it are *not reached*, which is no pass. The report
# keeps the error in full. Here is the variant with dynamic rope again:

rescaled_report = check_export(rescaled.model, name="Tiny-LLM with dynamic rope")

for stage in rescaled_report.stages:
    print(f"{stage.stage}: {stage.status}")

failure = rescaled_report.failure()
assert failure is not None, "a stage that fails is counted as passed"
assert failure.stage == "exported"
assert "if seq_len > max_seq_len_cached" in failure.error
assert rescaled_report["matches"].status == "not reached"

# %%
# From a shell, ``smallport check ./my-checkpoint`` does the same for a checkpoint, and
# ``smallport check llama`` for a tiny untrained model of any architecture that
# transformers has.
#
# Conclusion
# ----------
#
# - To learn what ``forward`` is given, watch it: a spy shows which axes must be
#   dynamic.
# - To test an export, a configuration is enough. Weights can be random.
# - "Cannot associate shape" is about a class that is no pytree, here the cache.
#   Register it, or leave that to the exporter of your library.
# - Then run what came out at shapes that it has not seen, and compare *all* outputs
#   with a model that does not share its weights.
# - Check the check: it has to notice a number that you changed yourself.
# - :func:`~smallport.check_export` does all this for a model of your own.
#
# The last cell puts back what this page changed in the process.

plt.close("all")
registry.close()
quiet.close()
transformers.utils.logging.enable_progress_bar()

assert pytree_owner(DynamicCache) == before

# %%
# What to read next
# -----------------
#
# - :doc:`What the exporter's errors mean <plot_20_export_error_cookbook>`: ten failures
#   and their fixes, that of dynamic rope among them.
# - `onnx-diagnostic <https://sdpython.github.io/doc/onnx-diagnostic/dev/>`_ has inputs
#   and dynamic shapes for many other architectures, and tools to find out where two
#   models begin to differ.
# - `Dynamic shapes in torch.export
#   <https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/export.html>`_
#   explains the symbols and the guards.
# - `The ONNX exporter of PyTorch <https://docs.pytorch.org/docs/stable/onnx.html>`_ and
#   `ONNX Runtime <https://onnxruntime.ai/docs/>`_ document the second half of this
#   page.
# - :doc:`Dynamic quantization of an LSTM
#   </gallery/quantization/plot_20_lstm_dynamic_quantization>` takes the other road: the
#   model stays where it is, and gets smaller.

"""
Find a model's inputs and dynamic shapes
========================================

Result: ``generate`` calls the forward method of a language model once with the whole
prompt, and then with one token per call. The third axis of the cache grows by one per
call. A configuration and a few functions give an untrained model, its inputs and its
dynamic shapes, without a download. An export needs nothing else.

Prerequisites: PyTorch modules and tensors, and the :term:`KV cache`. The code needs
``torch``, ``transformers`` and ``onnx-diagnostic``.

What you will learn: to record the inputs of a forward method while ``generate`` runs,
to build an untrained model and inputs from its configuration, and to derive its dynamic
shapes.

To run a language model on a phone, in a browser or in a C++ server, you export it
first. :func:`torch.export.export` needs example inputs, and the axes of each that may
change from call to call. This page finds them for `Tiny-LLM
<https://huggingface.co/arnir0/Tiny-LLM>`_, a Llama of thirteen million parameters,
which :doc:`the next page <plot_12_tiny_llm_export>` exports.

The three pages on Tiny-LLM follow the recipe `Check the exporter on a dummy from
HuggingFace
<https://github.com/sdpython/experimental-experiment/blob/6b7859b75832e78a2632892d8624d240dd979446/_doc/recipes/plot_exporter_exporter_untrained_tinyllm.py>`_
by Xavier Dupré, and its successor in onnx-diagnostic, `Steel method forward to guess
the dynamic shapes
<https://github.com/sdpython/onnx-diagnostic/blob/121daa9855d0f0c55e526684cc60c1a3bd1d93d0/_doc/examples/plot_export_tiny_llm.py>`_.
"""

# %%
# Load the model and its tokenizer
# --------------------------------
#
# :func:`smallport.assets.tiny_llm` returns a folder with a checkpoint. By default it is
# made on your machine, with the published architecture, random weights, and a tokenizer
# trained on Python's language reference; :doc:`a setting </assets>` selects the
# published one. The code below loads any model from the hub.

import transformers

from smallport import assets
from smallport.tiny_llm import require_tokenizer

transformers.utils.logging.disable_progress_bar()

checkpoint = assets.tiny_llm()
tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint.folder)
model = transformers.AutoModelForCausalLM.from_pretrained(checkpoint.folder)

print("source:", checkpoint.source)
print(f"{type(model).__name__}, {model.num_parameters():,} parameters")

# %%
# The tokenizer splits a text into :term:`tokens <token>`. The number of a token is the
# index of its row in the :term:`embedding`.

prompt_text = "Continue: it rains..."
prompt = tokenizer(prompt_text, return_tensors="pt")
prompt_ids = prompt["input_ids"][0].tolist()
print(prompt_ids)

# %%

# Guard: against a tokenizer that loses text, or knows only some texts.
require_tokenizer(tokenizer, prompt_text)

# %%
# Record the inputs of forward
# ----------------------------
#
# Users call :meth:`~transformers.GenerationMixin.generate`, which prepares the inputs
# and runs ``forward`` once for each new token. To see these inputs, replace ``forward``
# by a function that prints and records them, and then calls the original.
#
# ``functools.wraps`` is necessary: ``generate`` reads the *signature* of ``forward`` to
# decide which arguments to pass. :func:`~smallport.parity.name_inputs` gives each
# tensor a name, those inside the cache included.
# :func:`~onnx_diagnostic.helpers.string_type` describes any nested input: ``T7s1x8`` is
# a tensor of 64-bit integers (type 7 in ONNX) of shape 1 by 8, and ``T1`` is one of
# 32-bit floats.

import functools

import torch
from onnx_diagnostic.helpers import string_type

from smallport.parity import name_inputs

calls = []
forward = model.forward


@functools.wraps(forward)
def recording(**kwargs: object) -> object:
    """Record the shapes of the inputs, print those of two calls, and run forward."""
    if len(calls) < 2:
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
# Generate 50 tokens, those of the prompt included. ``min_length`` prevents an earlier
# end of the text. With random weights the text has no meaning; only the inputs matter.

torch.manual_seed(0)
model.forward = recording
try:
    generated = model.generate(
        **prompt, max_length=50, min_length=50, do_sample=True, top_k=50, top_p=0.95
    )
finally:
    del model.forward  # the method of the class is called again

print(f"... and {len(calls) - 2} more calls with one token each")

assert generated.shape == (1, 50)
assert generated[0, : len(prompt_ids)].tolist() == prompt_ids
assert len(calls) == 50 - len(prompt_ids)

# %%
# Two things matter for the export.
#
# - The first call (:term:`prefill`) reads the whole prompt, with an empty cache. Each
#   other call (:term:`decode`) reads one token, and finds in the cache the keys and
#   values of all tokens before it, one tensor of each per layer.
# - There is no :term:`attention mask`, although we passed one. It masks nothing here,
#   so ``generate`` leaves it out. A batch of texts of different lengths has one
#   (exercise 1), so the export has to include it.
#
# The argument that holds the cache is called ``cache`` since transformers 5.24.0, and
# was called ``past_key_values`` before. :func:`~smallport.parity.cache_argument`
# returns the name in the installed release. The names of its tensors below keep the
# older one, as ONNX files do.

from smallport.parity import cache_argument

cache_name = cache_argument()
print(f"transformers {transformers.__version__} names this argument {cache_name!r}")

assert all("attention_mask" not in call for call in calls)
assert "past_key_values.0.key" not in calls[0]
assert calls[0]["input_ids"] == (1, len(prompt_ids))
assert all(call["input_ids"] == (1, 1) for call in calls[1:])

# %%
# Collect the size of each axis of each input, from call to call, and print those that
# change.

axes = {
    (name, axis): [call[name][axis] for call in calls if name in call]
    for name, shape in calls[-1].items()
    for axis in range(len(shape))
}
changing = {place: sizes for place, sizes in axes.items() if len(set(sizes)) > 1}
for (name, axis), sizes in changing.items():
    print(f"{name}, axis {axis}:", *sizes[:3], "…", sizes[-1])

# %%
# The third axis of every cache tensor grows, by one per call. The number of new tokens
# takes two values. The other axes are constant, but the batch size (axis 0) could only
# be one, because we generated one text. Recording shows which axes *must* be
# :term:`dynamic <dynamic shape>`. Whether others should be is your decision.

from smallport import checks

cache_tensors = [name for name in calls[-1] if name.startswith("past_key_values")]
by_one = list(range(len(prompt_ids), 49))
grown = [place for place, sizes in changing.items() if sizes == by_one]
assert len(cache_tensors) == 2 * model.config.num_hidden_layers
assert grown == [(name, 2) for name in cache_tensors]
assert changing.keys() - grown == {("input_ids", 1), ("position_ids", 1)}
checks.check("axes whose size changes", len(changing), at_least=4, at_most=4)

# %%
# The figure shows the number of tokens in each call.

# Drawing: stacked bars, one for each call of forward. The tokens in the cache grow by
# one from bar to bar, with one new token on top of each. Only the first bar is all new:
# it is the prompt.
import matplotlib.pyplot as plt

numbers = range(1, len(calls) + 1)
cached = [call.get(cache_tensors[0], (0, 0, 0))[2] for call in calls]
new = [call["input_ids"][1] for call in calls]

figure, axis = plt.subplots(figsize=(6, 3.4), layout="constrained", facecolor="white")
axis.bar(numbers, cached, color="#4c72b0", width=0.9, label="in the cache")
axis.bar(
    numbers, new, bottom=cached, color="#dd8452", width=0.9, label="new (input_ids)"
)
axis.set_xlabel("call of forward")
axis.set_ylabel("tokens")
axis.set_title("The cache grows by one token per call")
axis.legend(loc="upper left", frameon=False)
axis.spines[["top", "right"]].set_visible(False)

# %%
# Build an untrained model
# ------------------------
#
# Whether an architecture can be exported does not depend on its weights. A model built
# from a configuration is enough to test the export, also in a unit test that shows when
# a release of PyTorch or transformers breaks it. Here two query heads share one head of
# keys and values (:term:`grouped-query attention`). For a model of your own, replace
# the configuration: ``transformers.AutoConfig.from_pretrained`` downloads a small file.

from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

configuration = LlamaConfig(
    vocab_size=32_000,
    hidden_size=192,
    intermediate_size=1024,
    num_hidden_layers=1,
    num_attention_heads=2,
    num_key_value_heads=1,
    max_position_embeddings=1024,
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
)
torch.manual_seed(0)
untrained = LlamaForCausalLM(configuration).eval()

assert untrained.num_parameters() == model.num_parameters() == 12_988_992

# %%
# Its inputs are those of a call that decodes, with an attention mask. The tokens and
# the contents of the cache are random.


def make_inputs(batch: int, cached: int, new: int) -> dict[str, object]:
    """Make random inputs of the forward method, with a cache."""
    cache = DynamicCache()
    heads, size = configuration.num_key_value_heads, configuration.head_dim
    for layer in range(configuration.num_hidden_layers):
        keys, values = torch.randn(2, batch, heads, cached, size)
        cache.update(keys, values, layer)
    positions = torch.arange(cached, cached + new)
    return {
        "input_ids": torch.randint(configuration.vocab_size, (batch, new)),
        "attention_mask": torch.ones(batch, cached + new, dtype=torch.int64),
        "position_ids": positions.repeat(batch, 1),
        cache_name: cache,
    }


inputs = make_inputs(batch=2, cached=30, new=3)
for name, value in inputs.items():
    print(f"{name}: {string_type(value, with_shape=True)}")

# %%
# Derive the dynamic shapes
# -------------------------
#
# The dynamic shapes have the structure of the inputs: for each tensor a dictionary of
# the axes that may change, and for the cache one list, in which the keys and the values
# of the layers alternate. To derive them, make inputs twice with different sizes, and
# mark the axes that differ. ``Dim.DYNAMIC`` sets no limits to an axis; the next page
# shows named axes with bounds.

import pprint

from torch.export import Dim


def changing_axes(one: torch.Tensor, other: torch.Tensor) -> dict[int, object]:
    """Mark the axes in which two tensors differ in size."""
    sizes = zip(one.shape, other.shape, strict=True)
    return {
        axis: Dim.DYNAMIC for axis, (here, there) in enumerate(sizes) if here != there
    }


def tensors_of(value: object) -> list[torch.Tensor]:
    """List a tensor, or the key and the value of each layer of a cache."""
    if isinstance(value, torch.Tensor):
        return [value]
    return [tensor for layer in value.layers for tensor in (layer.keys, layer.values)]


larger = make_inputs(batch=3, cached=31, new=4)
dynamic_shapes = {}
for name, value in inputs.items():
    pairs = zip(tensors_of(value), tensors_of(larger[name]), strict=True)
    marked = [changing_axes(one, other) for one, other in pairs]
    dynamic_shapes[name] = marked if name == cache_name else marked[0]

print(pprint.pformat(dynamic_shapes, width=88, sort_dicts=False))

# %%
# The mask has as many columns as there are tokens in the cache and new ones together.
# The heads of the cache (axis 1) and their size (axis 3) belong to the architecture and
# stay fixed.
#
# The next pages use :func:`~smallport.tiny_llm.untrained_tiny_llm` for the same steps.

# Guard: against a model, shapes or inputs of the package that differ from those above,
# and against a model that computes wrong numbers.
from smallport.tiny_llm import untrained_tiny_llm, verify_reference

packaged = untrained_tiny_llm()
packaged_weights = packaged.model.state_dict()
verify_reference(untrained)

assert all(
    torch.equal(tensor, packaged_weights[name])
    for name, tensor in untrained.state_dict().items()
), "the model of the package differs from that of this page"
assert packaged.dynamic_shapes == dynamic_shapes
assert [(name, tensor.shape) for name, tensor in name_inputs(inputs).items()] == [
    (name, tensor.shape) for name, tensor in name_inputs(packaged.inputs).items()
]

# %%
# Copy the inputs before each run
# -------------------------------
#
# Run the model once, and look at the cache before and after.

import copy

used = copy.deepcopy(inputs)
with torch.no_grad():
    result = untrained(**used)

before, after = (one[cache_name].get_seq_length() for one in (inputs, used))
print(f"tokens in the cache: {before} before the call, {after} after it")

assert result.logits.shape == (2, 3, 32_000)
checks.check(
    "tokens that a call adds to its cache", after - before, at_least=3, at_most=3
)

# %%
# The forward pass appends to the cache that it is given, and then the attention mask no
# longer fits. A second run with the same inputs fails or is wrong, so every run needs a
# deep copy.
#
# Exercises
# ---------
#
# 1. Generate for a batch of two texts of different lengths. Which input appears, and
#    which of its axes grows? (``padding_side="left"`` when you load the tokenizer, a
#    ``pad_token``, and ``padding=True`` when you call it.)

# Answer: generate passes an attention mask, whose second axis grows with the cache.
padding = transformers.AutoTokenizer.from_pretrained(
    checkpoint.folder, padding_side="left"
)
padding.pad_token = padding.eos_token
calls.clear()
model.forward = recording
try:
    model.generate(
        **padding([prompt_text, "Continue"], return_tensors="pt", padding=True),
        max_new_tokens=4,
        min_new_tokens=4,
    )
finally:
    del model.forward
masks = [call["attention_mask"] for call in calls]
print("attention_mask:", *masks)

assert masks == [(2, len(prompt_ids) + number) for number in range(4)]

# %%
# 2. Change the configuration to two layers and two key-value heads. How many tensors
#    does the model take then, and which axes of the cache are dynamic?

# Answer: seven tensors, four of them in the cache, with the same dynamic axes.
configuration.num_hidden_layers = 2
configuration.num_key_value_heads = 2
deeper = LlamaForCausalLM(configuration).eval()
small, large = make_inputs(2, 30, 3), make_inputs(3, 31, 4)
deeper(**copy.deepcopy(small))
shapes = [
    changing_axes(one, other)
    for one, other in zip(
        tensors_of(small[cache_name]), tensors_of(large[cache_name]), strict=True
    )
]
print(len(name_inputs(small)), "tensors; in the cache:", shapes)

assert len(name_inputs(small)) == 7
assert shapes == [{0: Dim.DYNAMIC, 2: Dim.DYNAMIC}] * 4

# %%
# Conclusion
# ----------
#
# - Record the calls of ``forward`` while ``generate`` runs: the axes whose size changes
#   must be dynamic. Decide about the batch size yourself.
# - Include the attention mask, although a single text has none.
# - To test an export, build the model from its configuration, with random weights.
# - Make inputs in two sizes, and compare them to derive the dynamic shapes.
# - Copy the inputs before each run, because the model writes to its cache.
#
# What to read next
# -----------------
#
# - :doc:`Export Tiny-LLM with its KV cache: torch.export <plot_12_tiny_llm_export>`
#   exports this model, with these inputs and shapes.
# - `Dynamic shapes in torch.export
#   <https://docs.pytorch.org/docs/stable/user_guide/torch_compiler/export.html>`_ is
#   the reference.
# - `onnx-diagnostic <https://sdpython.github.io/doc/onnx-diagnostic/dev/>`_ has inputs
#   and dynamic shapes for many other architectures.

r"""
Dynamic quantization of an LSTM word language model
===================================================

A trained model stores its weights as 32-bit floats. Quantization stores them as 8-bit
integers: a quarter of the bytes to keep, to load and to move through the processor's
caches. *Dynamic* quantization is the easiest kind. The weights are converted once,
beforehand; the activations are converted on the fly, each time with the scale that fits
them; no calibration data is needed and nothing is trained again.

This page quantizes an LSTM, and then asks the three questions that matter: how much
smaller, how much faster, and at what loss? It follows the PyTorch tutorial `Dynamic
Quantization on an LSTM Word Language Model
<https://docs.pytorch.org/tutorials/advanced/dynamic_quantization_tutorial.html>`_ by
James Reed, edited by Seth Weidman, and checks each of its claims on the machine that
built this site.
"""

# %%
# 1. The model
# ------------
#
# The model is the one of PyTorch's `word language model example
# <https://github.com/pytorch/examples/blob/main/word_language_model/model.py>`_: an
# embedding, an LSTM, dropout, and a linear decoder with one score for every word.
# :doc:`The page before this one <plot_10_train_word_language_model>` goes through its
# forward pass. What matters here is that two of its layers, the LSTM and the decoder,
# are made of matrix products.

# sphinx_gallery_thumbnail_number = 1
from smallport import assets, lstm

corpus = assets.corpus()
pretrained = assets.language_model(corpus)

model = lstm.WordLanguageModel(len(corpus.vocabulary), pretrained.config)
print(model)

# %%
# 2. The text and the weights
# ---------------------------
#
# The weights belong to the corpus that the vocabulary comes from: trained on it by the
# page before this one or, if it never ran, just now; or published for it, if you asked
# for that. They are a *state dict*, a mapping from names to tensors.
# ``weights_only=True`` makes PyTorch load tensors and nothing else: a file that holds
# code, as any pickle may, is refused instead of run.

import torch

print("weights:", pretrained.source)
state_dict = torch.load(pretrained.file, map_location="cpu", weights_only=True)
model.load_state_dict(state_dict)
model.eval()

for name, tensor in state_dict.items():
    print(f"{name:18} {tuple(tensor.shape)}")

# %%
# From here on everything runs on one thread, as in the published tutorial. With
# several, a timing mixes in how well the work is shared out.

torch.set_num_threads(1)
print(f"{torch.get_num_threads() = }")

# %%
# 3. Does it work?
# ----------------
#
# A look at what the model writes shows that the weights fit the words. It draws a
# thousand words, one after another, each from its own prediction; the random numbers
# are seeded, so the text is the same every time that these weights write it. Here is
# how it begins.

from smallport.lstm import readable

words = lstm.generate(model, corpus.vocabulary, 1000, seed=7)
print(readable(words[:120]))
assert len(words) == 1000

# %%
# 4. Measuring the loss
# ---------------------
#
# The test text is read in chunks of 25 words. The state goes from one chunk to the
# next, detached from the computation that made it, and the loss is averaged over all
# words. This is the loop, on the first thousand of them:

from smallport.lstm import batchify, chunks

excerpt = corpus.test[:1000]
state = model.initial_state(batch_size=1)
chunk_losses = []
with torch.no_grad():
    for inputs, targets in chunks(batchify(excerpt, batch_size=1), length=25):
        logits, state = model(inputs, lstm.detach(state))
        chunk_losses.append(lstm.token_losses(logits, targets))

loss = torch.cat(chunk_losses).mean().item()
print(f"loss on the first {len(excerpt)} words: {loss:.3f} nats")

# %%
# :func:`smallport.lstm.evaluate` is this loop. From here on it does the measuring.

assert loss == lstm.evaluate(model, excerpt)

# %%
# 5. Quantize
# -----------
#
# One call does it. It is told which kinds of layers to convert and what to store their
# weights as, and it returns a copy; the original stays as it was.
#
# The call gives a :exc:`DeprecationWarning`. We catch it and look at it, because
# readers of warnings deserve to know: it announces that the function will be removed in
# PyTorch 2.10. That release has come and gone, and the newest one in November 2026,
# `2.15 <https://pypi.org/project/torch/>`_, still has the function. The replacement
# that the warning names, torchao's ``quantize_``, takes linear layers only and has
# nothing for an LSTM.

import warnings

from torch import nn

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    quantized_model = torch.ao.quantization.quantize_dynamic(
        model, {nn.LSTM, nn.Linear}, dtype=torch.qint8
    )

deprecations = [w for w in caught if issubclass(w.category, DeprecationWarning)]
assert deprecations, "quantize_dynamic is no longer deprecated: rewrite this section"
announcement = str(deprecations[0].message).splitlines()[0]
print(announcement)
announced = "torch.ao.quantization is deprecated and will be removed in 2.10"
assert announced in announcement, f"the announcement is now: {announcement}"
assert tuple(map(int, torch.__version__.split(".")[:2])) > (2, 10)

# %%
# The model looks almost the same. The LSTM and the decoder have become their dynamic
# quantized counterparts; the embedding, which multiplies nothing, is still in floats.

print(quantized_model)

assert type(quantized_model.rnn) is torch.ao.nn.quantized.dynamic.LSTM
assert type(quantized_model.decoder) is torch.ao.nn.quantized.dynamic.Linear
assert quantized_model.encoder.weight.dtype is torch.float32
assert type(model.rnn) is nn.LSTM

# %%
# 6. How much smaller?
# --------------------
#
# The size of a model is the size of its saved state dict. Besides the trained model we
# measure one of the published architecture, with its vocabulary of 33,278 words and
# five LSTM layers, built on the spot with random weights: what a tensor holds does not
# change how many bytes it takes. So the two sizes of the published page,
# :published:`113.944 MB` and :published:`79.738 MB`, can be claimed here without its
# weights.

from smallport.checks import check
from smallport.measure import state_dict_megabytes
from smallport.quantize import dynamic_int8

torch.manual_seed(0)
published = lstm.WordLanguageModel(33_278, lstm.PUBLISHED).eval()
published_quantized = dynamic_int8(published)  # the call above, without the warning

float_size = state_dict_megabytes(published)
int8_size = state_dict_megabytes(published_quantized)
check(
    "float32 size, published architecture",
    float_size,
    "MB",
    at_least=113.93,
    at_most=113.95,
)
check(
    "int8 size, published architecture", int8_size, "MB", at_least=79.73, at_most=79.75
)
check("float32 size, trained model", state_dict_megabytes(model), "MB")
check("int8 size, trained model", state_dict_megabytes(quantized_model), "MB")
check(
    "int8 size, to float32, published architecture",
    int8_size / float_size,
    at_most=0.71,
)
print(f"published architecture: {float_size:.3f} MB -> {int8_size:.3f} MB")

# %%
# Eight bits instead of 32 are a quarter, so why is the whole so far from it? The figure
# splits each model into its layers. What was converted did shrink to a quarter. But a
# large share of a word language model is its embedding, and nobody asked for that to be
# quantized.

import matplotlib.pyplot as plt

LAYERS = {"encoder": "embedding", "rnn": "LSTM", "decoder": "decoder"}
pairs = {
    "trained model": (model, quantized_model),
    "published architecture": (published, published_quantized),
}
figure, subplots = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for axes, (title, pair) in zip(subplots, pairs.items(), strict=True):
    bottom = [0.0, 0.0]
    for layer, label in LAYERS.items():
        sizes = [state_dict_megabytes(getattr(candidate, layer)) for candidate in pair]
        axes.bar(["float32", "int8"], sizes, bottom=bottom, label=label, width=0.6)
        bottom = [below + size for below, size in zip(bottom, sizes, strict=True)]
    axes.set(title=title, ylabel="size, MB")
figure.suptitle("Size by layer")
subplots[1].legend()
plt.show()

# %%
# The claim that the converted layers shrink to a quarter, and the embedding not at all,
# deserves its check as well. A little more than a quarter is left, since each layer
# keeps a scale, a zero point and its biases.

for layer in ("rnn", "decoder"):
    shrunk, full = (
        state_dict_megabytes(getattr(published_quantized, layer)),
        state_dict_megabytes(getattr(published, layer)),
    )
    share, name = shrunk / full, LAYERS[layer]
    check(f"{name}: int8 size, to float32", share, at_least=0.24, at_most=0.27)
    print(f"{name}: {share:.3f} of its size in floats")
assert state_dict_megabytes(published_quantized.encoder) == state_dict_megabytes(
    published.encoder
)

# %%
# 7. At what loss?
# ----------------
#
# Rounding the weights to 8 bits changes every prediction a little. Does it change the
# loss? The published page says that there is no difference, having printed
# :published:`5.167 nats` and :published:`5.168 nats`. We evaluate both models on the
# whole test text and claim it with a bound.

loss = lstm.evaluate(model, corpus.test)
quantized_loss = lstm.evaluate(quantized_model, corpus.test)
gap = quantized_loss - loss

check("loss, float32", loss, "nats")
check("loss, int8", quantized_loss, "nats")
check("loss, int8 minus float32", gap, "nats", at_least=-0.01, at_most=0.01)
print(
    f"float32: {loss:.4f} nats, int8: {quantized_loss:.4f} nats, difference {gap:+.4f}"
)

# %%
# Equal losses prove nothing by themselves: two models that know nothing have equal
# losses too. An untrained model guesses uniformly before and after quantization. What
# gives the comparison its meaning is that both losses are far below the unigram
# model's, which knows the frequency of each word and nothing else. There was something
# to lose, and it is still there.

unigram_loss = corpus.unigram_loss()
margin = unigram_loss - max(loss, quantized_loss)
check("margin of both below the unigram model", margin, "nats", at_least=0.25)
check("loss gap, as a share of that margin", abs(gap) / margin, at_most=0.02)
print(f"unigram model: {unigram_loss:.4f} nats, {margin:.2f} above both")

# %%
# 8. How much faster?
# -------------------
#
# Timing a model once says more about the machine's mood than about the model. So both
# models of a pair read the same piece of the test text in turns, after a warm-up that
# is not counted; we take the median and show every repeat. The published page timed the
# whole of WikiText-2's test text, once: :published:`188.6 s` and :published:`106.2 s`
# on one thread.

from smallport.measure import time_interleaved

excerpt = corpus.test[:2000]
timings = {
    title: time_interleaved(
        {
            "float32": lambda pair=pair: lstm.evaluate(pair[0], excerpt),
            "int8": lambda pair=pair: lstm.evaluate(pair[1], excerpt),
        },
        repeats=5,
    )
    for title, pair in pairs.items()
}
for title, timing in timings.items():
    for kind, seconds in timing.items():
        print(f"{title}, {kind}: elapsed time (seconds): {seconds}")

# %%
# The ratio is what carries over to another machine, seconds do not. It depends on
# whether the processor can multiply 8-bit integers and add them up in one instruction.
# Where it can, we claim a speed-up for the published architecture; where it cannot, the
# figure is reported as it is.

from smallport.measure import int8_dot_products

speedups = {
    title: timing["float32"].median / timing["int8"].median
    for title, timing in timings.items()
}
least = 1.5 if int8_dot_products() else None
check(
    "speed-up, published architecture",
    speedups["published architecture"],
    "×",
    at_least=least,
)
check("speed-up, trained model", speedups["trained model"], "×")
print(f"int8 dot products: {', '.join(int8_dot_products()) or 'none'}")
for title, speedup in speedups.items():
    print(f"{title}: {speedup:.2f} times faster")

# %%
# Each dot in the figure is one repeat, the line its median. Where the dots of the two
# kinds do not overlap, the difference is not noise.

figure, subplots = plt.subplots(1, 2, figsize=(8, 3.5), layout="constrained")
for axes, (title, timing) in zip(subplots, timings.items(), strict=True):
    for position, repeats in enumerate(timing.values()):
        axes.scatter([position] * len(repeats.seconds), repeats.seconds, alpha=0.6)
        axes.hlines(repeats.median, position - 0.2, position + 0.2, color="0.3")
    axes.set(
        title=title,
        ylabel="seconds",
        xticks=[0, 1],
        xticklabels=timing,
        xlim=(-0.5, 1.5),
    )
    axes.set_ylim(bottom=0)
figure.suptitle("Seconds for the same text, repeat by repeat")
plt.show()

# %%
# 9. Save it and load it
# ----------------------
#
# A quantized model is saved like any other, by its state dict. Loading it has one
# catch. The int8 weights are packed for the processor's instructions, and a packed
# weight is a ``torch.ScriptObject``, which ``weights_only=True`` does not know. It
# refuses:

import io
import pickle
import textwrap

from smallport.quantize import known_warnings_ignored

file = io.BytesIO()  # a file in memory; a path does as well
torch.save(quantized_model.state_dict(), file)

file.seek(0)
try:
    with known_warnings_ignored():
        torch.load(file, weights_only=True)
except pickle.UnpicklingError as error:
    refusal = str(error)
else:
    raise AssertionError("torch.load takes ScriptObjects now: simplify this section")

announced = "Unsupported global: GLOBAL torch.ScriptObject"
assert announced in refusal, (
    f"announced {announced!r}, and the message is now: {refusal}"
)
reason = next(line for line in refusal.splitlines() if announced in line)
print(textwrap.fill(reason.strip(), 88))

# %%
# There is no need to give up the protection. ``safe_globals`` allows this one class,
# for this one file, which we wrote ourselves. The state dict then goes into a
# *quantized* model: build the architecture, quantize it with whatever weights it has,
# and load.

file.seek(0)
architecture = lstm.WordLanguageModel(len(corpus.vocabulary), pretrained.config).eval()
restored = dynamic_int8(architecture)
with torch.serialization.safe_globals([torch.ScriptObject]), known_warnings_ignored():
    restored.load_state_dict(torch.load(file, weights_only=True))

# %%
# The restored model is the quantized model: not close to it, but equal in every bit of
# its output.

tokens = batchify(corpus.test[:1000], batch_size=4)
with torch.no_grad():
    expected, _ = quantized_model(tokens, quantized_model.initial_state(4))
    actual, _ = restored(tokens, restored.initial_state(4))
assert torch.equal(actual, expected)
print(f"{tuple(actual.shape)} logits, all equal: {torch.equal(actual, expected)}")

# %%
# 10. The engine
# --------------
#
# What multiplies the integers is a library inside PyTorch, the *engine*. On x86 it is
# chosen for you. Some builds for ARM choose none, and ``quantize_dynamic`` then fails
# with a message about ``NoQEngine``. The remedy is one line before quantizing:
# ``torch.backends.quantized.engine = "qnnpack"``. On this site
# :func:`smallport.quantize.ensure_engine` sees to it.

print(f"{torch.backends.quantized.engine = }")
print(f"{torch.backends.quantized.supported_engines = }")
assert torch.backends.quantized.engine in torch.backends.quantized.supported_engines
assert torch.backends.quantized.engine != "none"

# %%
# A quantized model *in memory* belongs to the engine that made it. The state dict that
# we saved does not: it holds the integers themselves, and they are packed again for the
# engine that is in force when they are loaded. So one file serves every engine. Their
# outputs differ by rounding, so measure on the one that you deploy.

chosen = torch.backends.quantized.engine
supported = torch.backends.quantized.supported_engines
# qnnpack is made for ARM, and elsewhere it warns of its own rounding.
engines = [
    name for name in supported if name not in {"none", "qnnpack"} or name == chosen
]
for engine in engines:
    torch.backends.quantized.engine = engine
    file.seek(0)
    moved = dynamic_int8(architecture)
    with (
        torch.serialization.safe_globals([torch.ScriptObject]),
        known_warnings_ignored(),
    ):
        moved.load_state_dict(torch.load(file, weights_only=True))
    loss_here, loss_there = (
        lstm.evaluate(m, corpus.test[:1000]) for m in (restored, moved)
    )
    print(
        f"{engine}: loss differs by {loss_there - loss_here:+.5f} nats from {chosen}'s"
    )
    assert abs(loss_there - loss_here) < 0.01
torch.backends.quantized.engine = chosen

# %%
# How to read the results
# -----------------------
#
# *Size* is arithmetic, and it is the same everywhere: converted layers shrink to a
# quarter, the rest stays. Look at the figure of your own model's layers before you
# promise anybody a quarter. For a word language model the embedding decides.
#
# *Loss* is a measurement on one text. The bound holds for this model on this text; the
# margin over the unigram model says that it means something. For your own model,
# measure on your own text.
#
# *Time* depends on the processor and on the shapes. What gets faster is the matrix
# products; the time around them (quantizing activations, the steps of the LSTM, which
# come one after another) does not. If int8 is slower for your shapes, small products
# are the reason to look for first.
#
# Conclusion
# ----------
#
# One call, no calibration and no training, made an LSTM language model smaller and, on
# a processor with int8 instructions, faster, at a loss that this page could not tell
# from none. The call is deprecated and has no successor for LSTMs yet, so keep a check
# like the ones above beside it: it will tell you when an upgrade changes something.
#
# What to read next
# -----------------
#
# - :doc:`Train a word language model <plot_10_train_word_language_model>`, if you
#   skipped it: where the weights come from and what their loss means.
# - :doc:`Check the exporter on Tiny-LLM </gallery/export/plot_10_tiny_llm_export>`: how
#   to take a model out of Python, and how to know that it still computes the same.
# - `The quantization page of the PyTorch documentation
#   <https://docs.pytorch.org/docs/stable/quantization.html>`_, and `torchao
#   <https://docs.pytorch.org/ao/stable/>`_ for models made of linear layers.

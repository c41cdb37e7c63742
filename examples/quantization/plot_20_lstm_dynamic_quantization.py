r"""
Quantize an LSTM to int8 with quantize_dynamic
==============================================

Result: One call of ``quantize_dynamic`` stores the LSTM and the linear layer of a
language model in a quarter of their bytes, and changes its loss by less than a
hundredth of a nat. The embedding is not converted unless the call names it, so the file
as a whole shrinks by less. The speed-up depends on the processor and on the sizes of
the layers.

Prerequisites: :doc:`Train an LSTM word language model in PyTorch
<plot_10_train_word_language_model>` explains model, text and loss. Install
``matplotlib``.

What you will learn: how to quantize an LSTM with one call, how to include its
embedding, and how to measure what this changes in size, loss and speed.

A trained model stores its weights as 32-bit floats. Quantization stores them as 8-bit
integers, which take a quarter of the memory. In :term:`dynamic quantization`, the
weights are converted once, and the :term:`activations <activation>` at each call, with
a :term:`scale` that is computed from them. It needs no :term:`calibration` data and no
training.

The page follows PyTorch's tutorial `Dynamic Quantization on an LSTM Word Language Model
<https://github.com/pytorch/tutorials/blob/560afe606d62af26831dcf847c74da134fedb14a/advanced_source/dynamic_quantization_tutorial.py>`_
by James Reed and Seth Weidman, which was `removed <https://github.com/pytorch/tutorials/pull/3432>`_
in July 2025 and is `still asked for <https://github.com/pytorch/tutorials/issues/3583>`_.
"""

# %%
# Load a trained model
# --------------------
#
# All of this page runs on one thread, as the published tutorial does. Two layers of the
# model multiply matrices: the LSTM and the linear :term:`decoder`. The
# :term:`embedding` only looks up rows.

# sphinx_gallery_thumbnail_number = 1
# sphinx_gallery_measures_time = True
from smallport import assets, lstm
from smallport.threads import use_one_thread

use_one_thread()
corpus = assets.corpus()
pretrained = assets.language_model(corpus)
model = pretrained.model.eval()
print("weights:", pretrained.source)
print(model)

# %%
# Quantize it with one call
# -------------------------
#
# The call names the kinds of layers to convert and the type of their new weights. Two
# warnings are filtered. One announces that the function is deprecated, see below; the
# other one concerns the quantized tensors that it creates. ``ensure_engine`` makes sure
# that PyTorch has an :term:`engine` for 8-bit integers.

import warnings

import torch
from torch import nn

from smallport.quantize import ensure_engine

warnings.filterwarnings(
    "ignore", "torch.ao.quantization is deprecated", DeprecationWarning
)
warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
print("engine:", ensure_engine())

quantized_model = torch.ao.quantization.quantize_dynamic(
    model, {nn.LSTM, nn.Linear}, dtype=torch.qint8
)
print(quantized_model)

# %%
# The result is a copy. Its LSTM and its decoder are now quantized, its embedding is
# still in floats, and the original model is unchanged. A model of your own is quantized
# by the same call. If it has a GRU, add ``nn.GRU``. A kind of layer that is not named
# stays in floats without a message, so look for each layer in the printed model. To
# measure the loss, write the loop that your model needs: ``lstm.evaluate``, below,
# passes on a state as this model does.

from torch.ao.nn.quantized import dynamic

assert type(quantized_model.rnn) is dynamic.LSTM, "the LSTM is not quantized"
assert type(quantized_model.decoder) is dynamic.Linear, "the decoder is not quantized"
assert quantized_model.encoder.weight.dtype is torch.float32
assert (type(model.rnn), type(model.decoder)) == (nn.LSTM, nn.Linear)
gru = nn.Sequential(nn.GRU(8, 8))
for layers, kind in (({nn.LSTM}, nn.GRU), ({nn.GRU}, dynamic.GRU)):
    assert type(torch.ao.quantization.quantize_dynamic(gru, layers)[0]) is kind

# %%
# The deprecation warning announces that the function will be removed in PyTorch 2.10,
# but later releases still have it. The warning names torchao's ``quantize_`` as the
# replacement, which, according to `its documentation
# <https://docs.pytorch.org/ao/stable/generated/torchao.quantization.quantize_.html>`_,
# converts "the weight of linear modules". It does not replace the call for an LSTM.

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(2, 2)))

deprecations = [w for w in caught if issubclass(w.category, DeprecationWarning)]
assert deprecations, "quantize_dynamic is no longer deprecated: rewrite this section"
announcement = str(deprecations[0].message)
print(announcement.splitlines()[0])
print(f"{torch.__version__ = }")

# %%

# Guard: against a warning that announces something else than the text above says.
announced = "torch.ao.quantization is deprecated and will be removed in 2.10"
assert announced in announcement, f"the announcement is now: {announcement}"
assert "please migrate to use torchao eager mode quantize_ API" in announcement
assert tuple(map(int, torch.__version__.split(".")[:2])) > (2, 10)

# %%
# Quantize the embedding, too
# ---------------------------
#
# With a dictionary, the call converts each kind of layer in its own way. The first two
# entries have the same effect as the set above. The third one is made for embeddings:
# it quantizes the weights only, and each row has a :term:`scale` and a :term:`zero
# point` of its own.

from torch.ao.quantization import (
    default_dynamic_qconfig,
    float_qparams_weight_only_qconfig,
)

recipe = {
    nn.LSTM: default_dynamic_qconfig,
    nn.Linear: default_dynamic_qconfig,
    nn.Embedding: float_qparams_weight_only_qconfig,
}
smallest_model = torch.ao.quantization.quantize_dynamic(model, recipe)
print(smallest_model.encoder)

# %%

# Guard: against a layer that stays in floats without a message.
assert type(smallest_model.encoder) is torch.ao.nn.quantized.Embedding, (
    "the embedding is not quantized"
)
assert type(smallest_model.rnn) is dynamic.LSTM, "the LSTM is not quantized"
assert type(smallest_model.decoder) is dynamic.Linear, "the decoder is not quantized"
scales = smallest_model.encoder.weight().q_per_channel_scales()
assert len(scales) == len(corpus.vocabulary)

# %%
# A quantized embedding takes contiguous tokens only. A slice of a batch is not
# contiguous, so call ``tokens[:, :-1].contiguous()``:

from smallport.checks import raises

tokens = torch.zeros(2, 5, dtype=torch.int64)
with raises(RuntimeError, match="contiguous"):
    smallest_model.encoder(tokens[:, :-1])
assert smallest_model.encoder(tokens[:, :-1].contiguous()).shape[:2] == (2, 4)

# %%
# How much smaller?
# -----------------
#
# The size of a model is the size of its saved :term:`state dict`. A second model has
# the published architecture: a vocabulary of 33,278 words and five LSTM layers. Its
# weights are random, since the size does not depend on their values. So its sizes can
# be compared with those of the published tutorial, :published:`113.944 MB` and
# :published:`79.738 MB`.

import pandas as pd

from smallport.checks import check, report
from smallport.display import show_table
from smallport.quantize import (
    quantize_model,
    require_integers,
    state_dict_megabytes,
)

torch.manual_seed(0)
published = lstm.WordLanguageModel(33_278, lstm.PUBLISHED).eval()
EMBEDDING_TOO = "int8, embedding too"
families = {
    "trained model": {
        "float32": model,
        "int8": quantized_model,
        EMBEDDING_TOO: smallest_model,
    },
    "published architecture": {
        "float32": published,
        "int8": quantize_model(published),  # the first call, without its warnings
        EMBEDDING_TOO: torch.ao.quantization.quantize_dynamic(published, recipe),
    },
}
sizes = pd.DataFrame(families).map(state_dict_megabytes)
show_table(
    sizes.map("{:.3f}".format).rename_axis("weights").reset_index(),
    "Size of the saved state dict, in MB",
)

# %%
# Eight bits are a quarter of 32, but the file is still larger than a quarter, because
# the embedding stays in floats unless it is named.

# Drawing: three stacked bars each for the trained model and for the published
# architecture: float32, int8, and int8 with the embedding. From the first bar to the
# second, LSTM and decoder shrink and the embedding stays; in the third bar it shrinks,
# too.
import matplotlib.pyplot as plt

layers = {"encoder": "embedding", "rnn": "LSTM", "decoder": "decoder"}
figure, subplots = plt.subplots(1, 2, figsize=(6.4, 3.6), layout="constrained")
for axes, (title, family) in zip(subplots, families.items(), strict=True):
    bottom = [0.0] * len(family)
    for layer, label in layers.items():
        heights = [state_dict_megabytes(getattr(one, layer)) for one in family.values()]
        axes.bar(range(3), heights, bottom=bottom, label=label, width=0.6)
        bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
    axes.set(title=title, xticks=range(3))
    axes.set_xticklabels([kind.replace(", ", ",\n") for kind in family], fontsize=9)
subplots[0].set_ylabel("size, MB")
subplots[1].legend()
figure.suptitle("Size by layer: int8 leaves the embedding in floats")
plt.show()

# %%
# The sizes of the published architecture do not depend on the machine, except that the
# engine ``qnnpack`` stores slightly more bytes for an LSTM.

slack = 0.05 if torch.backends.quantized.engine == "qnnpack" else 0.0
architecture = "published architecture"
for kind, name, lowest, highest in (
    ("float32", "float32 size", 113.93, 113.95),
    ("int8", "int8 size", 79.73, 79.75 + slack),
    (EMBEDDING_TOO, "int8 size, embedding too", 28.88, 28.90 + slack),
):
    size = sizes.loc[kind, architecture]
    check(f"{name}, {architecture}", size, "MB", at_least=lowest, at_most=highest)
share = sizes.loc["int8", architecture] / sizes.loc["float32", architecture]
check(f"int8 size, to float32, {architecture}", share, at_most=0.71)

# %%

# Guard: against sizes that were not measured, and integers of other weights. The bytes
# are counted from the layers: a float takes four; in a converted layer each weight
# takes one and each bias four; each row of a converted embedding has eight more, for
# scale and zero point. The archive itself takes little.
LAYERS = {"encoder": "embedding", "rnn": "LSTM", "decoder": "decoder"}
CONVERTED = {
    "float32": (),
    "int8": ("rnn", "decoder"),
    EMBEDDING_TOO: ("encoder", "rnn", "decoder"),
}


def count_megabytes(layer, *, converted):
    """Count the bytes of the numbers in a layer."""
    count = sum(
        parameter.numel() * (1 if converted and parameter.dim() > 1 else 4)
        for parameter in layer.parameters()
    )
    if converted and isinstance(layer, nn.Embedding):
        count += 8 * layer.num_embeddings
    return count / 1e6


for title, family in families.items():
    for kind, converted in CONVERTED.items():
        counted = 0.0
        if converted:
            require_integers(family["float32"], family[kind])
        for layer in LAYERS:
            part = count_megabytes(
                getattr(family["float32"], layer), converted=layer in converted
            )
            size = state_dict_megabytes(getattr(family[kind], layer))
            assert 0 < size - part < 0.02 + slack, f"{title}, {kind}, {layer}: {size}"
            counted += part
        extra = sizes.loc[kind, title] - counted
        assert 0 < extra < 0.03 + slack, f"{title}, {kind}: {extra} MB not counted"

# %%

# Guard: against a layer that is converted and still larger than a quarter.
for layer, name in LAYERS.items():
    before, after = (
        state_dict_megabytes(getattr(families[architecture][kind], layer))
        for kind in ("float32", EMBEDDING_TOO)
    )
    check(f"{name}: int8 size, to float32", after / before, at_least=0.25, at_most=0.26)
for kind, size in sizes["trained model"].items():
    report(f"{kind} size, trained model", size, "MB")

# %%
# Measure the loss
# ----------------
#
# Rounding the weights changes every prediction a little. The published tutorial printed
# a loss of :published:`5.167 nats` before and :published:`5.168 nats` after
# quantization. Here, all three models read the same test text (of a longer one, its
# first 60,000 words). ``tokens_read`` records which tokens a model was given: all
# except the last one, which is only a target.

from smallport.lstm import tokens_read

text = corpus.test[:60_000]
trained = families["trained model"]
losses = {}
for kind, member in trained.items():
    with tokens_read(member) as read:
        losses[kind] = lstm.evaluate(member, text)
    assert torch.equal(torch.cat(read), text[:-1]), f"{kind}: not the whole test text"
    report(f"loss, {kind}", losses[kind], "nats")
    print(f"{kind}: {losses[kind]:.4f} nats")

# %%
# The losses differ by less than a hundredth of a nat. The difference can be negative:
# rounding raises the loss of some words and lowers that of others. :doc:`Which
# quantization method should you use? <plot_60_which_route>` has the difference for
# well-trained weights of the published architecture. The loss of an untrained model
# hardly changes, either, so the differences are compared with the distance to the
# :term:`unigram model`, which knows only how often each word occurs.

gap = losses["int8"] - losses["float32"]
embedding_gap = losses[EMBEDDING_TOO] - losses["float32"]
for name, value in (("int8", gap), ("int8 with embedding", embedding_gap)):
    check(f"loss, {name} minus float32", value, "nats", at_least=-0.01, at_most=0.01)
assert len(set(losses.values())) == 3, f"equal losses of different models: {losses}"

margin = corpus.unigram_loss(text) - max(losses.values())
largest_gap = max(abs(gap), abs(embedding_gap))
check("margin of all three below the unigram model", margin, "nats", at_least=0.25)
check("largest loss gap, as a share of that margin", largest_gap / margin, at_most=0.02)
print(f"largest difference {largest_gap:.4f} nats, unigram model {margin:.2f} above")

# %%

# Guard: against a loss that is not the cross-entropy. It is written out: the logarithm
# of the sum of all exponentiated logits, minus the logit of the word that came.


@torch.no_grad()
def loss_by_hand(candidate, tokens):
    """Average the loss of each word but the first."""
    state = candidate.initial_state(batch_size=1)
    losses = []
    for start in range(0, len(tokens) - 1, 25):
        targets = tokens[start + 1 : start + 26, None]
        inputs = tokens[start : start + len(targets), None]
        logits, state = candidate(inputs, state)
        scores = logits.gather(-1, targets[..., None]).squeeze(-1)
        losses.append(logits.logsumexp(-1) - scores)
    return torch.cat(losses).double().mean().item()


excerpt = corpus.test[:1000]
for member in trained.values():
    torch.testing.assert_close(
        lstm.evaluate(member, excerpt), loss_by_hand(member, excerpt), rtol=1e-5, atol=0
    )

# %%
# How much faster?
# ----------------
#
# The models of a family read the same 1,000 tokens in turns, five times each, after one
# turn that is not counted, in which their losses may differ a little. The table shows
# the median and the range. The published tutorial read WikiText-2's test text once, in
# :published:`188.6 s` and :published:`106.2 s`. These are from one of its four
# published builds.

import time

from smallport.timing import time_interleaved

excerpt = corpus.test[:1000]
begin = time.perf_counter()
timings = {
    (title, kind): timing
    for title, family in families.items()
    for kind, timing in time_interleaved(
        {
            kind: lambda member=member: lstm.evaluate(member, excerpt)
            for kind, member in family.items()
        },
        repeats=5,
        within=0.02,
    ).items()
}
passed = time.perf_counter() - begin

speedups = {
    (title, kind): timings[title, "float32"].median / timing.median
    for (title, kind), timing in timings.items()
}
rows = [[*key, str(timings[key]), f"{speedups[key]:.2f}"] for key in timings]
show_table(
    pd.DataFrame(
        rows,
        columns=["model", "weights", "seconds (range)", "times as fast as float32"],
    ),
    "Seconds for 1,000 tokens, on one thread",
)

# %%

# Guard: against a clock that does not run while the models do. The repeats add up to
# most of the time that passed; the rest is the turn that is not counted, one in six.
timed = [seconds for timing in timings.values() for seconds in timing.seconds]
assert len(timed) == 5 * 6
accounted = sum(timed) / passed
check("timed repeats, to the time that passed", accounted, "×", at_least=0.5, at_most=1)

# %%
# Neither the seconds nor the ratio carry over to another machine. The ratio depends on
# whether the processor has :term:`int8 dot products <int8 dot product>`, on the sizes
# of the layers, and on the number of words per call. The range covers the repeats of
# one process only; another process on the same machine can differ by more. :doc:`When
# is int8 faster than float32? <plot_50_when_is_int8_faster>` measures this. A speed-up
# is claimed only for the published architecture, and only with int8 dot products.
#
# Eager PyTorch is not the only baseline. On a machine with AVX-512 VNNI, ONNX Runtime
# ran the float model :published:`2.3 times` as fast as eager PyTorch for chunks of 25
# words, and :published:`4.6 times` for single words, before anything was quantized. The
# stored results of :doc:`Which quantization method should you use?
# <plot_60_which_route>` compare every route with both baselines.

from smallport.machine import int8_dot_products

speedup = speedups["published architecture", "int8"]
# lint: conditional: without int8 dot products, nothing is claimed about speed
if int8_dot_products():
    check("speed-up, published architecture", speedup, "×", at_least=1.5)
else:
    report("speed-up, published architecture", speedup, "×")
report("speed-up, trained model", speedups["trained model", "int8"], "×")
print(f"int8 dot products: {', '.join(int8_dot_products()) or 'none'}")

# %%
# Exercises
# ---------
#
# **1.** Quantize and time two models of your own with
# ``lstm.WordLanguageModel(500, lstm.LSTMConfig(size, size, layers=1))``, where ``size``
# is 32 and then 512. For which one is int8 faster?

# Answer: with int8 dot products, int8 is slower at 32 and faster at 512. Quantizing the
# activations and calling the integer kernel takes time at each step, however small the
# product is.
tokens = torch.randint(500, (400,), generator=torch.Generator().manual_seed(0))


def speedup_at(size):
    """Time a model of this size in floats and in int8."""
    small = lstm.WordLanguageModel(500, lstm.LSTMConfig(size, size, layers=1)).eval()
    small_int8 = quantize_model(small)
    timing = time_interleaved(
        {
            "float32": lambda: lstm.evaluate(small, tokens),
            "int8": lambda: lstm.evaluate(small_int8, tokens),
        },
        repeats=9,
    )
    return timing["float32"].median / timing["int8"].median


narrow, wide = speedup_at(32), speedup_at(512)
print(f"times as fast as float32: {narrow:.2f} at 32, {wide:.2f} at 512")
# lint: conditional: without int8 dot products, nothing is claimed about speed
if int8_dot_products():
    check("speed-up, hidden size 32", narrow, "×", at_most=0.9)
    check("speed-up, hidden size 512", wide, "×", at_least=1.5)
else:
    report("speed-up, hidden size 32", narrow, "×")
    report("speed-up, hidden size 512", wide, "×")

# %%
# **2.** Let the float model and the int8 model write 300 words with the same seed, with
# ``lstm.generate(model, corpus.vocabulary, 300, seed=7)``. After how many words do
# their texts differ? Is the text of the int8 model worse?

# Answer: the texts are equal until a rounded probability changes the choice of a word.
# After that they are different texts. The float model finds both much more probable
# than the unigram model does, so the int8 text is no worse in this respect.
texts = {
    kind: lstm.generate(trained[kind], corpus.vocabulary, 300, seed=7)
    for kind in ("float32", "int8")
}
pairs = enumerate(zip(*texts.values(), strict=True))
parting = next((place for place, (a, b) in pairs if a != b), 300)
print(f"equal for {parting} words, then int8 writes:\n")
print(lstm.readable(texts["int8"][parting : parting + 40]))
report("words before the int8 text leaves the float32 text", parting, "words")
for kind, words in texts.items():
    distinct = len(set(words))
    check(f"distinct words in the {kind} text", distinct, "words", at_least=60)
    lstm.require_drawn(trained[kind], corpus.vocabulary, words)
    tokens = corpus.vocabulary.encode(words)
    advantage = corpus.unigram_loss(tokens) - lstm.evaluate(model, tokens)
    check(f"{kind} text, below the unigram model", advantage, "nats", at_least=0.25)

# %%
# Conclusion
# ----------
#
# - Name the embedding in the call. In a word language model it is the largest layer
#   that the usual call leaves in floats.
# - Measure the loss on your own text, before and after, and compare the difference with
#   the distance to a simple baseline.
# - Measure the time on the machine that you deploy to. Small layers can become slower.
# - The call is deprecated. Keep these checks next to it, so that an upgrade of PyTorch
#   that changes the result is noticed.
#
# What to read next
# -----------------
#
# - :doc:`Save and load a quantized model, and choose its engine
#   <plot_22_save_and_load_quantized>`.
# - :doc:`Quantize to 4 bits and fewer, layer by layer
#   <plot_30_where_the_megabytes_are>`.
# - :doc:`When is int8 faster than float32? <plot_50_when_is_int8_faster>`
# - The removed `tutorial that quantizes the embedding in FX graph mode
#   <https://github.com/pytorch/tutorials/blob/db77dcf6e3637924f43852c014f2af9978b0f891/prototype_source/fx_graph_mode_ptq_dynamic.py>`_.

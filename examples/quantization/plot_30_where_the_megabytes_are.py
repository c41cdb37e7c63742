"""
Where the megabytes are
=======================

Dynamic quantization of the LSTM made the published model smaller, but by far less than
the quarter that eight bits in place of 32 promise. This page finds out where the rest
of the bytes are, and how far below eight bits one can go. It measures what each step
costs, in nats: the loss of a language model is what you pay with when you take bits
away from it.

The steps are the ones that runtimes take in practice. Each weight becomes a small
integer, a few neighbours share a *scale* that turns these integers back into floats,
and what you choose is how many bits an integer has and how many neighbours share a
scale. You will see that the bits of one layer are cheap and those of another dear, and
that even within the embedding they do not all cost the same.

The page stands alone, but :doc:`the page on dynamic quantization
<plot_20_lstm_dynamic_quantization>` is the easier beginning.

What you will learn: which layers hold the megabytes, what becomes of a weight in 4 or 2
bits, and what each bit less costs.
"""

# %%
# Layer by layer
# --------------
#
# Start with the published architecture: a vocabulary of 33,278 words and five LSTM
# layers. What a tensor holds does not change how many bytes it takes, so random weights
# will do. Each parameter is a 32-bit float.

# sphinx_gallery_thumbnail_number = 2
import pandas as pd
import torch

from smallport import lstm
from smallport.display import show_table

torch.manual_seed(0)
published = lstm.WordLanguageModel(33_278, lstm.PUBLISHED).eval()
LAYERS = {"encoder": "embedding", "rnn": "LSTM", "decoder": "decoder"}
megabytes = {
    label: sum(
        tensor.nbytes for tensor in getattr(published, layer).state_dict().values()
    )
    / 1e6
    for layer, label in LAYERS.items()
}
total = sum(megabytes.values())
show_table(
    pd.DataFrame(
        {
            "layer": megabytes.keys(),
            "MB": [f"{size:.2f}" for size in megabytes.values()],
            "share": [f"{size / total:.0%}" for size in megabytes.values()],
        }
    ),
    "Size of the published architecture, by layer",
)

# %%
# More than half of the model is its embedding: a table with one row of 512 numbers for
# each word. The decoder, which has a row of 256 numbers for each word, comes next. The
# LSTM, which does the work, is the smallest part. Saving adds the names of the tensors
# and not much else.

from smallport.checks import check
from smallport.quantize import state_dict_megabytes

saved = state_dict_megabytes(published)
check("float32, published architecture", saved, "MB", at_least=113.93, at_most=113.95)
check("saved beyond the tensors", saved - total, "MB", at_least=0, at_most=0.01)
assert megabytes["embedding"] > total / 2
assert min(megabytes, key=megabytes.get) == "LSTM"

# %%
# The embedding, in eight bits
# ----------------------------
#
# The published tutorial names the LSTM and the linear layers, so the embedding stays in
# floats. It can be named, too. An embedding multiplies nothing: it looks up rows. So
# there is nothing to gain from integer arithmetic, and its weights have another recipe,
# in which each row has a scale of its own. ``quantize_dynamic`` takes a dictionary of
# such recipes.

from contextlib import ExitStack

from torch import nn
from torch.ao.quantization import (
    default_dynamic_qconfig,
    float_qparams_weight_only_qconfig,
    quantize_dynamic,
)

from smallport.quantize import known_warnings_ignored

recipes = {
    nn.LSTM: default_dynamic_qconfig,
    nn.Linear: default_dynamic_qconfig,
    nn.Embedding: float_qparams_weight_only_qconfig,
}
quiet = ExitStack()  # closed after the call
quiet.enter_context(known_warnings_ignored())

# %%
# One call converts all three.

eight_bits = quantize_dynamic(published, recipes)
print(eight_bits.encoder)

# %%
# The engine ``qnnpack`` saves an LSTM with a few more bytes than the others.

quiet.close()
slack = 0.05 if torch.backends.quantized.engine == "qnnpack" else 0.0
check(
    "8 bits everywhere, published architecture",
    state_dict_megabytes(eight_bits),
    "MB",
    at_least=28.88,
    at_most=28.90 + slack,
)

# %%
# That is a quarter. There is a recipe with four bits as well, which would halve the
# embedding once more. The conversion goes through.

from torch.ao.quantization import float_qparams_weight_only_qconfig_4bit

with known_warnings_ignored():
    four_bits = quantize_dynamic(
        published, recipes | {nn.Embedding: float_qparams_weight_only_qconfig_4bit}
    )

words = torch.tensor([[1], [2]])
print(f"{tuple(published.encoder(words).shape) = }")
print(f"{tuple(eight_bits.encoder(words).shape) = }")
print(f"{tuple(four_bits.encoder(words).shape) = }")

# %%
# It does not work: a row goes in with 512 numbers and comes out with 252. The weights
# were packed with four bits each, and looked up as if they had eight. The LSTM behind
# it refuses what it is given.

from smallport import checks

assert published.encoder(words).shape[-1] == eight_bits.encoder(words).shape[-1] == 512
assert four_bits.encoder(words).shape[-1] == 252, (
    "the 4-bit embedding has another width now: see whether upstream fixed it, and "
    "rewrite this section"
)
with checks.raises(RuntimeError, match="Expected 512, got 252") as failure:
    four_bits(words, four_bits.initial_state(batch_size=1))
print(failure.message)

# %%
# A block of 32, by hand
# ----------------------
#
# So below eight bits, look at the arithmetic first. Here is all of it, in NumPy, on 32
# weights: a block from one row of a trained embedding. Four bits have sixteen codes; we
# use the fifteen from -7 to 7, so that the range is even. The largest weight gets the
# outermost code, every other weight the nearest of equally spaced steps, and one float
# is kept to say how long a step is.

import numpy as np

from smallport import assets

corpus = assets.corpus()
model = assets.language_model(corpus).model
row = model.encoder.weight[corpus.vocabulary.index["the"]].detach().numpy()

block = row[:32]
scale = np.abs(block).max() / 7
codes = np.round(block / scale).astype(np.int8)
restored = codes * scale
error = np.abs(restored - block).max()

print("weights: ", np.array2string(block[:8], precision=2, suppress_small=True))
print("codes:   ", codes[:8])
print("restored:", np.array2string(restored[:8], precision=2, suppress_small=True))
assert codes.min() >= -7
assert codes.max() <= 7
assert error <= scale / 2 * 1.001

# %%
# No weight moves by more than half a step, so what counts is how long a step is, and
# that is up to the largest weight of the block. Hence the blocks: one outlier spoils
# the scale of its block and of no other.
#
# What do the same 32 weights become if the whole table shares one scale? They move
# further.

table = model.encoder.weight.detach().numpy()
coarse_scale = np.abs(table).max() / 7
coarse = np.round(block / coarse_scale) * coarse_scale
assert np.abs(coarse - block).mean() > np.abs(restored - block).mean()

# %%
# The picture shows the block with its codes, and below it the same weights under the
# scale of the whole table.

# Drawing: two panels with the same 32 weights as dots, and a dash where four bits put
# each of them. In the upper panel the steps between the possible values are narrow and
# the dashes sit on the dots; in the lower one the steps are wide and many dashes miss.
import matplotlib.pyplot as plt

figure, subplots = plt.subplots(
    2, 1, figsize=(7, 4.5), sharex=True, layout="constrained"
)
for axes, values, step, title in (
    (subplots[0], restored, scale, "one scale for these 32 weights"),
    (subplots[1], coarse, coarse_scale, "one scale for the whole embedding"),
):
    for code in range(-7, 8):
        axes.axhline(code * step, color="0.9", linewidth=0.8, zorder=0)
    axes.plot(block, "o", color="tab:blue", label="weight")
    axes.plot(values, "_", color="tab:red", markersize=10, label="restored from 4 bits")
    axes.set_ylim(-1.3 * np.abs(block).max(), 1.3 * np.abs(block).max())
    axes.set(title=title, ylabel="value")
subplots[1].set_xlabel("position in the block")
subplots[0].legend(loc="upper right", ncols=2, frameon=False)
plt.show()

# %%
# :func:`smallport.quantize.quantize_blocks` is this arithmetic for whole matrices. On
# the block from above it finds the same numbers.

from smallport.quantize import quantize_blocks

weight = model.encoder.weight.detach()
same_block = quantize_blocks(torch.from_numpy(block)[None], bits=4)
assert torch.equal(same_block.dequantize()[0], torch.from_numpy(restored))

# %%
# What does it cost?
# ------------------
#
# To see what rounding costs, nothing has to run on integers. Round the weights of a
# copy, write the floats that the integers stand for in place of the old ones, and
# evaluate that copy on a test text. Every matrix of the model is rounded: the
# embedding, the LSTM and the decoder. Biases are few and stay as they are.
#
# The size of each variant is measured, not calculated: its integers are packed, and the
# scales and whatever else is needed to restore the weights are saved with them.
#
# There are many variants to try, so of a long test text the first 20,000 words have to
# do.

import copy
import io

torch.set_num_threads(1)
test = corpus.test[:20_000]
assert len(test) == min(len(corpus.test), 20_000)
test_losses = lstm.losses(model, test)
assert len(test_losses) == len(test) - 1  # nothing precedes the first token
loss = test_losses.mean().item()
unigram_loss = corpus.unigram_loss(test)
check("margin below the unigram model", unigram_loss - loss, "nats", at_least=0.25)


def rounded(quantize, layers):
    """Round the matrices of some layers; return the model and its size when saved."""
    rounded_model, stored = copy.deepcopy(model), {}
    with torch.no_grad():
        for name, parameter in rounded_model.named_parameters():
            stored[name] = parameter.detach().clone()
            if parameter.dim() == 2 and name.startswith(layers):
                quantized = quantize(parameter)
                stored[name] = quantized.state_dict()
                parameter.copy_(quantized.dequantize().view(parameter.shape))
    file = io.BytesIO()
    torch.save(stored, file)
    return rounded_model, file.tell() / 1e6


# %%
# Now a ladder of variants, from eight bits to two, with a scale for the whole matrix,
# for each row, or for each block, symmetric or not. *Asymmetric* means that a block
# need not put zero in the middle of its range: it stores where zero is, and spends all
# of its codes on the weights it has.

variants = []


def try_variant(name, quantize, layers=tuple(LAYERS)):
    """Round, evaluate on the test text, and note size and price."""
    rounded_model, size = rounded(quantize, layers)
    price = lstm.evaluate(rounded_model, test) - loss
    variants.append({"variant": name, "MB": size, "price, nats": price})
    return price


def whole_matrix(bits):
    """Give the whole matrix one scale."""
    return lambda matrix: quantize_blocks(matrix.reshape(1, -1), bits)


def blocks(bits, size, *, symmetric=True):
    """Give each block of a row a scale; None: each row."""
    return lambda matrix: quantize_blocks(
        matrix, bits, block_size=size, symmetric=symmetric
    )


# %%
# Each variant is one call.

price = {
    (bits, "matrix"): try_variant(f"{bits} bits, a scale a matrix", whole_matrix(bits))
    for bits in (8, 4)
}
for bits in (8, 4, 3, 2):
    price[bits, "row"] = try_variant(f"{bits} bits, a scale a row", blocks(bits, None))
for bits, size in ((4, 128), (4, 32), (4, 16), (3, 32), (2, 32)):
    name = f"{bits} bits, blocks of {size}"
    price[bits, size] = try_variant(name, blocks(bits, size))
    price[bits, size, "asymmetric"] = try_variant(
        f"{name}, asymmetric", blocks(bits, size, symmetric=False)
    )

float_size = state_dict_megabytes(model)
ladder = pd.DataFrame(variants).sort_values("MB", ascending=False)
ladder.insert(1, "times smaller", float_size / ladder["MB"])
show_table(ladder, "Size and price of each way to round, the largest first")

# %%
# Read it from the top. Eight bits are free, whatever shares a scale. At four bits it
# begins to matter, and a single scale for a matrix is too coarse. The smaller the
# blocks, the lower the price, but each block brings a scale of four bytes: blocks of 16
# add two bits to the four of each weight. Where codes are few or blocks are large,
# asymmetric blocks lower the price. At two bits a symmetric block has three useful
# codes, and it shows.

check("price of 8 bits, a scale a row", price[8, "row"], "nats", at_most=0.01)
check("price of 4 bits, blocks of 32", price[4, 32], "nats", at_most=0.05)
assert price[8, "row"] < price[4, "row"] < price[3, "row"] < price[2, "row"]
assert price[4, 16] < price[4, 128] < price[4, "row"] < price[4, "matrix"]
for bits, size in ((4, 128), (3, 32), (2, 32)):
    assert price[bits, size, "asymmetric"] < price[bits, size]
assert price[2, 32] > 10 * price[4, 32]

sizes = dict(zip(ladder["variant"], ladder["MB"], strict=True))
small, large = sizes["4 bits, blocks of 16"], sizes["4 bits, a scale a row"]
assert 1.4 < small / large < 1.6  # six bits a weight in place of four, and a little

# %%
# The same as a picture: each point is a model that you could ship. Nobody needs the
# ones above and to the right of another.

# Drawing: a mark for each variant, its price on a logarithmic axis over its size. The
# marks fall from the upper left, few bits at a high price, to the lower right, many
# bits at hardly any. A dashed line marks a price that is small.
figure, axes = plt.subplots(figsize=(7.5, 4.5), layout="constrained")
markers = {8: "o", 4: "s", 3: "^", 2: "v"}
for bits, marker in markers.items():
    for symmetric in (True, False):
        of_kind = ladder[
            ladder["variant"].str.startswith(f"{bits} bits")
            & (ladder["variant"].str.endswith("asymmetric") != symmetric)
        ]
        axes.scatter(
            of_kind["MB"],
            of_kind["price, nats"].clip(lower=1e-4),
            marker=marker,
            color=f"C{list(markers).index(bits)}",
            facecolor=None if symmetric else "none",
            label=f"{bits} bits" + ("" if symmetric else ", asymmetric"),
        )
axes.axhline(0.01, color="0.4", linestyle="--", linewidth=1)
axes.text(axes.get_xlim()[1], 0.0105, "0.01 nats", ha="right", va="bottom", color="0.3")
axes.set_yscale("log")
axes.set(xlabel="size, MB", ylabel="price, nats a word", title="What a bit costs")
axes.legend(ncols=2, frameon=False, fontsize="small")
plt.show()

# %%
# Which layer pays?
# -----------------
#
# All matrices were treated alike so far. Now one at a time, in blocks of 32, while the
# other two stay in floats.

by_layer = pd.DataFrame(
    [
        {
            "layer": label,
            **{
                f"{bits} bits": try_variant(
                    f"{label}, {bits}", blocks(bits, 32), (layer,)
                )
                for bits in (4, 3, 2)
            },
        }
        for layer, label in LAYERS.items()
    ]
)
show_table(by_layer, "Price in nats when one layer alone is rounded")

# %%
# The embedding, where most of the published model's bytes are, is the cheapest to
# round. The decoder is the dearest: an error in it goes straight into the scores of the
# words, while an error in the embedding passes through the LSTM, which was trained with
# noise of its own.

two_bits = dict(zip(by_layer["layer"], by_layer["2 bits"], strict=True))
assert two_bits["embedding"] < two_bits["LSTM"] < two_bits["decoder"]
check(
    "2 bits: price of the decoder, to that of the embedding",
    two_bits["decoder"] / two_bits["embedding"],
    "×",
    at_least=2,
)

# %%
# Which words pay?
# ----------------
#
# Within the embedding, a row is used when its word comes. Half of a vocabulary hardly
# ever does. So round only half of the rows to two bits: once those of the frequent
# words, once those of the rare ones. Both save the same number of bytes.

counts = torch.bincount(corpus.train, minlength=len(corpus.vocabulary))
by_frequency = counts.argsort(descending=True, stable=True)
half = len(by_frequency) // 2
halves = {"frequent half": by_frequency[:half], "rare half": by_frequency[-half:]}

prices = {}
for name, rows in halves.items():
    partly = copy.deepcopy(model)
    with torch.no_grad():
        few_bits = quantize_blocks(weight[rows], bits=2, block_size=32)
        partly.encoder.weight[rows] = few_bits.dequantize()
    prices[name] = lstm.evaluate(partly, test) - loss
    tokens = counts[rows].sum().item() / counts.sum().item()
    print(f"{name}: {tokens:.1%} of the training text, price {prices[name]:.5f} nats")

assert prices["rare half"] < prices["frequent half"] / 5

# %%
# The rare half costs next to nothing, because it is next to never read. That is no
# trick of this corpus: word frequencies fall off steeply in every language, and a test
# text has to be long before its rare words weigh anything. What you lose shows up when
# a rare word does come, so look at those words if they matter to you.
#
# How to read the results
# -----------------------
#
# *Size* counts everything that is needed to restore the weights, scales included.
# *Price* is the rise of the loss on one test text, in nats a word; multiply the
# perplexity by its exponential if you think in perplexities. A price near zero may well
# be negative: rounding noise hits both ways.
#
# Only weights were rounded here. A runtime that computes in integers rounds activations
# as well, as dynamic quantization does, and that has its own price. And a format has to
# have a runtime that reads it. Two, three or six bits are easy to write down; four and
# eight are what libraries multiply.
#
# Conclusion
# ----------
#
# - Look at the layers before you quantize: the bytes of a word language model are in
#   its embedding, and that is also where bits are cheapest.
# - Eight bits are free. Four need scales for small blocks. Below that, choose the
#   layer.
# - Rounding a copy and evaluating it takes a few lines and no runtime. Do it before you
#   look for a library.
#
# What to read next
# -----------------
#
# - :doc:`Dynamic quantization of the LSTM <plot_20_lstm_dynamic_quantization>`: eight
#   bits that also compute faster.
# - `Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
#   Inference <https://arxiv.org/abs/1712.05877>`_ by Benoit Jacob and others, on scales
#   and zero points.
# - `The case for 4-bit precision <https://arxiv.org/abs/2212.09720>`_ by Tim Dettmers
#   and Luke Zettlemoyer asks the same question about large language models: fewer bits,
#   or fewer parameters?

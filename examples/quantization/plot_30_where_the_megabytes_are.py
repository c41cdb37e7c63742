"""
Quantize to 4 bits and fewer, layer by layer
============================================

Result: More than half of the bytes of the published model are in its embedding, which
loses little in few bits; the decoder loses most. Eight bits per weight cost almost
nothing. With 4 bits and fewer, small blocks that each have a scale cost less than whole
rows. The same 4 bits cost several times more on well-trained weights than on weights
that have learned little, so measure the cost on the weights that you use.

Prerequisites: PyTorch and NumPy. :doc:`Quantize an LSTM to int8 with quantize_dynamic
<plot_20_lstm_dynamic_quantization>` introduces int8; this page does not depend on it.

What you will learn: how to find the layers that hold the bytes of a model, how weights
are rounded to 8, 4, 3 or 2 bits in blocks, and how to measure the cost in nats before
you choose a runtime.

Dynamic quantization of LSTM and linear layers leaves the largest layer of the published
model in float32. This page quantizes that layer, too, and then uses fewer than 8 bits.
The cost of each step is the rise of the loss on a test text, in :term:`nats <nat>` per
word.
"""

# %%
# Find the layers that hold the bytes
# -----------------------------------
#
# The published architecture has a vocabulary of 33,278 words and five LSTM layers. The
# size does not depend on the values of the weights, so random ones are enough here.

# sphinx_gallery_thumbnail_number = 2
import pandas as pd
import torch

from smallport import lstm
from smallport.display import show_table

published = lstm.WordLanguageModel(33_278, lstm.PUBLISHED).eval()
LAYERS = {"encoder": "embedding", "rnn": "LSTM", "decoder": "decoder"}
megabytes = {
    label: sum(weight.nbytes for weight in getattr(published, layer).parameters()) / 1e6
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
    "Size of the published architecture in float32, by layer",
)

# %%
# The :term:`embedding` has one row of 512 numbers for each word. The :term:`decoder`,
# which has a row of 256 numbers for each word, comes next. The LSTM is the smallest.

from smallport.checks import check
from smallport.quantize import state_dict_megabytes

saved = state_dict_megabytes(published)
check("float32, published architecture", saved, "MB", at_least=113.93, at_most=113.95)
check("embedding, share of the bytes", megabytes["embedding"] / total, at_least=0.5)
assert megabytes["LSTM"] < megabytes["decoder"]
assert 0 < saved - total < 0.01  # names of the tensors, and little else

# %%
# Quantize the embedding, too
# ---------------------------
#
# The published tutorial quantizes the LSTM and the linear layers, which saves less than
# a third of the bytes. ``quantize_dynamic`` also takes a dictionary with a recipe for
# each kind of layer. The recipe of an embedding has one :term:`scale` per row and
# quantizes weights only, since an embedding looks rows up and multiplies nothing.

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
with known_warnings_ignored():  # of a deprecation, among others
    without_embedding = quantize_dynamic(published, {nn.LSTM, nn.Linear})
    eight_bits = quantize_dynamic(published, recipes)

sizes = [state_dict_megabytes(model) for model in (without_embedding, eight_bits)]
print(f"LSTM and decoder in 8 bits: {sizes[0]:.1f} of {saved:.1f} MB")
print(f"embedding in 8 bits, too:   {sizes[1]:.1f} of {saved:.1f} MB")
check("saved without the embedding", 1 - sizes[0] / saved, at_least=0.29, at_most=0.31)
check("8 bits, to float32", sizes[1] / saved, at_least=0.25, at_most=0.255)

# %%
# There is also a recipe with 4 bits. The conversion raises no error, but the new layer
# returns 252 numbers per word in place of 512: it stores 4 bits per weight and reads
# them as 8.

from torch.ao.quantization import float_qparams_weight_only_qconfig_4bit

with known_warnings_ignored():
    four_bits = quantize_dynamic(
        published, recipes | {nn.Embedding: float_qparams_weight_only_qconfig_4bit}
    )
words = torch.tensor([1, 2])
print(f"{tuple(four_bits.encoder(words).shape) = }")
assert eight_bits.encoder(words).shape[-1] == 512
assert four_bits.encoder(words).shape[-1] == 252, (
    "the 4-bit embedding has another width now: see whether upstream fixed it, and "
    "rewrite this section"
)

# %%
# Round one block to 4 bits
# -------------------------
#
# Take 32 weights: a block from one row of a trained embedding. Four bits have 16 codes;
# the 15 from -7 to 7 are symmetric around zero. The weight of the largest magnitude
# gets code 7 or -7, and every other weight the nearest code. One float is stored per
# block: the scale, which is the step between two codes.

import numpy as np

from smallport import assets

corpus = assets.corpus()
model = assets.language_model(corpus).model
embedding = model.encoder.weight.detach()
block = embedding[corpus.vocabulary.index["the"], :32].numpy()

scale = np.abs(block).max() / 7
codes = np.round(block / scale).astype(np.int8)
restored = codes * scale

print("weights: ", np.array2string(block[:8], precision=2, suppress_small=True))
print("codes:   ", codes[:8])
print("restored:", np.array2string(restored[:8], precision=2, suppress_small=True))
assert np.abs(codes).max() == 7
assert np.abs(restored - block).max() <= scale / 2 * 1.001

# %%
# No weight moves by more than half a step, and the largest weight sets the step. An
# outlier therefore affects its own block only. With one scale for the whole embedding,
# the same 32 weights move further.

coarse_scale = embedding.abs().max().item() / 7
coarse = np.round(block / coarse_scale) * coarse_scale
assert np.abs(coarse - block).mean() > np.abs(restored - block).mean()

# %%

# Drawing: two panels with the same 32 weights as dots, and a dash where four bits put
# each of them. In the upper panel the steps between the possible values are narrow and
# the dashes sit on the dots; in the lower one the steps are wide and many dashes miss.
import matplotlib.pyplot as plt

figure, subplots = plt.subplots(2, 1, figsize=(6, 4), sharex=True, layout="constrained")
for axes, values, step, title in (
    (subplots[0], restored, scale, "4 bits, one scale for these 32 weights"),
    (subplots[1], coarse, coarse_scale, "4 bits, one scale for the whole embedding"),
):
    for code in range(-7, 8):
        axes.axhline(code * step, color="0.8", linewidth=0.8, zorder=0)
    axes.plot(block, "o", color="tab:blue", label="weight")
    axes.plot(values, "_", color="tab:red", markersize=10, label="restored from 4 bits")
    axes.set_ylim(-1.3 * np.abs(block).max(), 1.3 * np.abs(block).max())
    axes.set(title=title, ylabel="value")
subplots[1].set_xlabel("position in the block")
subplots[0].legend(loc="upper right", ncols=2, frameon=False, fontsize=9)
plt.show()

# %%
# Measure the cost without a runtime
# ----------------------------------
#
# To measure the cost, round the weights of a copy, write the restored floats in place
# of the original ones, and evaluate the copy.
# :func:`smallport.quantize.quantize_blocks` is the arithmetic from above for whole
# matrices. Biases are few and stay in float32. The size is that of the packed integers,
# the scales and the :term:`zero points <zero point>`.

import copy
import io

from smallport.quantize import quantize_blocks

test = corpus.test[:20_000]


def rounded(original, bits, block_size=None, *, symmetric=False, layers=tuple(LAYERS)):
    """Round the matrices of some layers; return the model and its size in MB."""
    rounded_model, stored = copy.deepcopy(original), {}
    for name, weight in rounded_model.state_dict().items():
        stored[name] = weight
        if weight.dim() == 2 and name.startswith(layers):
            quantized = quantize_blocks(
                weight, bits, block_size=block_size, symmetric=symmetric
            )
            stored[name] = quantized.state_dict()
            weight.copy_(quantized.dequantize())
    file = io.BytesIO()
    torch.save(stored, file)
    return rounded_model, file.tell() / 1e6


def evaluate(candidate):
    """Compute the loss on the test text, read in ten streams side by side."""
    return lstm.evaluate(candidate, test, batch_size=10)


same_block = quantize_blocks(torch.from_numpy(block)[None], bits=4)
assert torch.equal(same_block.dequantize()[0], torch.from_numpy(restored))

# %%
# A symmetric block gives zero the same code in every block. An asymmetric block stores
# a zero point and uses all of its codes for the range of its weights.

loss, float_size = evaluate(model), state_dict_megabytes(model)
costs, variants = {}, []
for bits, size in ((8, None), (4, None), (4, 128), (4, 32), (3, 32), (2, 32)):
    for kind in ("symmetric", "asymmetric"):
        candidate, stored_size = rounded(
            model, bits, size, symmetric=kind == "symmetric"
        )
        costs[bits, size, kind] = evaluate(candidate) - loss
        variants.append(
            {
                "bits": bits,
                "scale for": f"{size} weights" if size else "a row",
                "kind": kind,
                "MB": stored_size,
                "times smaller": float_size / stored_size,
                "cost, nats": costs[bits, size, kind],
            }
        )
ladder = pd.DataFrame(variants).sort_values("MB", ascending=False)
show_table(ladder, "Size and cost of each way to round, the largest first")

# %%
# Eight bits cost almost nothing. At 4 bits the cost falls with the size of the blocks,
# but each scale takes 4 bytes, which is 1 bit per weight in blocks of 32. At 2 bits,
# asymmetric blocks cost less: symmetric ones use only three of the four codes.

check("cost of 8 bits", costs[8, None, "symmetric"], "nats", at_most=0.01)
check("cost of 4 bits", costs[4, 32, "asymmetric"], "nats", at_most=0.1)
by_size = [costs[4, size, "symmetric"] for size in (32, 128, None)]
assert by_size[0] < by_size[1] < by_size[2]
by_bits = [costs[bits, 32, "asymmetric"] for bits in (4, 3, 2)]
assert costs[8, None, "symmetric"] < by_bits[0] < by_bits[1] < by_bits[2]
assert costs[2, 32, "symmetric"] > 1.5 * costs[2, 32, "asymmetric"]

# %%

# Drawing: a mark for each variant, its cost on a logarithmic axis over its size. The
# marks fall from the upper left, few bits at a high cost, to the lower right, 8 bits
# at almost none. Below 0.001 nats the axis is linear, so that zero and negative costs
# have a place.
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for color, (bits, marker) in enumerate({8: "o", 4: "s", 3: "^", 2: "v"}.items()):
    for kind in ("symmetric", "asymmetric"):
        chosen = ladder[(ladder["bits"] == bits) & (ladder["kind"] == kind)]
        axes.scatter(
            chosen["MB"],
            chosen["cost, nats"],
            marker=marker,
            edgecolor=f"C{color}",
            facecolor=f"C{color}" if kind == "symmetric" else "none",
            label=f"{bits} bits, {kind}",
        )
axes.set_yscale("symlog", linthresh=1e-3)
axes.axhline(0, color="0.5", linewidth=0.8)
axes.set(xlabel="size, MB", ylabel="cost, nats per word")
axes.set_title("Fewer bits: smaller file, higher loss")
axes.legend(ncols=2, frameon=False, fontsize=9)
plt.show()

# %%
# Round one layer at a time
# -------------------------
#
# Here only one layer is rounded, in asymmetric blocks of 32. The other two stay in
# float32.

by_layer = {
    label: {
        f"{bits} bits": evaluate(rounded(model, bits, 32, layers=(layer,))[0]) - loss
        for bits in (4, 3, 2)
    }
    for layer, label in LAYERS.items()
}
show_table(
    pd.DataFrame(by_layer).T.rename_axis("layer").reset_index(),
    "Cost in nats when one layer alone is rounded",
)

# %%
# The decoder costs most, since an error in its weights changes the :term:`logits`
# directly. The embedding, which holds most of the bytes, costs little.

two_bits = {layer: of_layer["2 bits"] for layer, of_layer in by_layer.items()}
assert two_bits["decoder"] > two_bits["LSTM"]
check(
    "2 bits: cost of the decoder, to that of the embedding",
    two_bits["decoder"] / two_bits["embedding"],
    "×",
    at_least=1.5,
)

# %%
# Measure on trained weights
# --------------------------
#
# The cost also depends on how much the model has learned. This table shows the
# published architecture on WikiText-2 with two sets of weights. The costs are stored,
# since they take minutes to measure.

from smallport.bench.bits import read_costs

provenance, text, (little, well) = read_costs()
print(f"{text}, measured on {provenance.date}")
for each in (little, well):
    print(f"{each.model}: loss {each.loss:.2f}")
stored_costs = {
    f"{bits} bits, {name} trained": {
        layer: of_layer[str(bits)] for layer, of_layer in each.costs.items()
    }
    for bits in (4, 2)
    for name, each in (("little", little), ("well", well))
}
show_table(
    pd.DataFrame(stored_costs).rename_axis("layer").reset_index(),
    "Stored costs in nats, by layer and by weights, asymmetric blocks of 32",
)

# %%
# A model that has learned little loses little. In 2 bits, the embedding costs least and
# the decoder most with both sets of weights. With the well-trained weights, 4 bits in
# all layers cost several times more.

for each in (little, well):
    assert each.costs["all"]["8"] < 0.01
    two_bits = [each.costs[layer]["2"] for layer in LAYERS.values()]
    assert two_bits == sorted(two_bits)  # embedding, LSTM, decoder
check(
    "4 bits: stored cost on well-trained weights, to that on little-trained ones",
    well.costs["all"]["4"] / little.costs["all"]["4"],
    "×",
    at_least=3,
)

# %%

# Guard: against a mean over fewer words, and a model that predicts no better than word
# counts.
test_losses = lstm.losses(model, test, batch_size=10)
assert len(test_losses) == 10 * (len(test) // 10 - 1)  # nothing precedes a first word
assert test_losses.mean().item() == loss
unigram_loss = corpus.unigram_loss(test)
check("margin below the unigram model", unigram_loss - loss, "nats", at_least=0.25)

# %%
# Exercises
# ---------
#
# 1. A row of the embedding is read only when its word occurs. Round half of the rows to
#    2 bits: first those of the frequent words, then those of the rare ones.
#    ``torch.bincount(corpus.train)`` counts the words. Compare the two costs.

# Answer: the rare half of the rows costs a small part of the cost of the frequent half.
counts = torch.bincount(corpus.train, minlength=len(corpus.vocabulary))
by_frequency = counts.argsort(descending=True, stable=True)
half = len(counts) // 2
half_costs = {}
for name, rows in (("frequent", by_frequency[:half]), ("rare", by_frequency[-half:])):
    partly = copy.deepcopy(model)
    few_bits = quantize_blocks(embedding[rows], bits=2, block_size=32)
    partly.state_dict()["encoder.weight"][rows] = few_bits.dequantize()
    half_costs[name] = evaluate(partly) - loss
    share = counts[rows].sum().item() / len(corpus.train)
    print(f"{name} half: {share:.1%} of the text, cost {half_costs[name]:.5f} nats")
assert half_costs["rare"] < half_costs["frequent"] / 5

# %%
# 2. Train a second model of the same sizes once on the first 20,000 words of the
#    training text, with :func:`smallport.lstm.train`. Round it to 4, 3 and 2 bits, and
#    compare the costs with those of the first model.

# Answer: the second model has a higher loss, and loses less in 3 and in 2 bits.
from dataclasses import replace

beginning = replace(corpus, train=corpus.train[:20_000], valid=corpus.valid[:1000])
torch.manual_seed(0)
second = lstm.WordLanguageModel(len(corpus.vocabulary), assets.lstm_config())
lstm.train(second, beginning, lstm.TrainingConfig(epochs=1))
second_loss = evaluate(second)
print(f"loss {second_loss:.2f}, and {loss:.2f} for the first model")
assert second_loss > loss + 0.25
for bits in (4, 3, 2):
    cost = evaluate(rounded(second, bits, 32)[0]) - second_loss
    first_cost = costs[bits, 32, "asymmetric"]
    print(f"{bits} bits: {cost:.4f} nats, and {first_cost:.4f} for the first model")
    assert bits == 4 or cost < first_cost

# %%
# Conclusion
# ----------
#
# - Look up which layers hold the bytes, and quantize the embedding, too.
# - Begin with 8 bits and one scale per row. Use fewer bits in the embedding first and
#   in the decoder last, in small blocks with a scale and a zero point.
# - Round a copy of your own trained weights and evaluate it before you look for a
#   runtime. A runtime may also round activations, which has a cost of its own, and few
#   runtimes multiply weights of 2, 3 or 6 bits.
#
# What to read next
# -----------------
#
# - :doc:`Export an LSTM to ONNX with dynamic lengths, and quantize it
#   <plot_40_lstm_through_onnx>`: a file in which all layers have 8 bits.
# - :doc:`Which quantization method should you use? <plot_60_which_route>`: methods with
#   8, 4 and 2 bits, with their sizes, losses and speeds.
# - `Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
#   Inference <https://arxiv.org/abs/1712.05877>`_ by Benoit Jacob and others, on scales
#   and zero points.
# - `The case for 4-bit precision <https://arxiv.org/abs/2212.09720>`_ by Tim Dettmers
#   and Luke Zettlemoyer: fewer bits or fewer parameters in large language models.

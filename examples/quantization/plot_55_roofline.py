"""
How far from the hardware's limit? A roofline for an LSTM
=========================================================

Result: Neither eager PyTorch nor ONNX Runtime reaches the limit of the hardware, and
ONNX Runtime is closer to it. Memory sets the limit where words are written one at a
time, and int8 lowers it to about a quarter. Arithmetic sets it where many words are
read.

Prerequisites: :doc:`plot_50_when_is_int8_faster`, which measures the same model. The
packages ``onnx``, ``onnxruntime`` and ``onnxscript`` must be installed.

What you will learn: how to count the bytes and multiplications of a model, how to
measure the limits of a machine, and how to draw both as a roofline.

A speed-up compares two programs, and says nothing about whether either is fast. A
:term:`roofline` compares a program with the hardware: memory can deliver so many bytes
a second, and the arithmetic units so many multiplications.
"""

# %%
# Count the work
# --------------
#
# Each call has to read every weight of the LSTM and the :term:`decoder` at least once,
# and to multiply the vector of each word by each weight. For a layer with one matrix of
# weights, and a row for each word of each text, that makes:

# sphinx_gallery_thumbnail_number = 1
# sphinx_gallery_measures_time = True
import pandas as pd

from smallport import lstm
from smallport.display import show_table

WORDS, CONFIG = 33_278, lstm.PUBLISHED
WEIGHT_BYTES = {"float32": 4, "int8": 1}


def layer_work(rows, inputs, outputs, precision):
    """Count the bytes to read and write, and the multiplications, of a layer."""
    weights, activations = inputs * outputs, rows * (inputs + outputs)
    return weights * WEIGHT_BYTES[precision] + 4 * activations, rows * weights


decoder_bytes, decoder_products = layer_work(1, CONFIG.hidden_size, WORDS, "int8")
print(f"decoder, one word: {decoder_bytes:,} bytes, {decoder_products:,} products")

# %%
# :func:`~smallport.bench.roofline.model_work` adds up all layers, with their biases.
# The quotient of multiplications and bytes decides which limit matters.

from smallport.bench.roofline import decoder_work, model_work

CASES = {
    "writing": (1, 1),
    "reading 25 words": (1, 25),
    "writing 16 texts": (16, 1),
    "reading 16 texts": (16, 25),
}
work = {
    (case, precision): model_work(WORDS, CONFIG, *shape, precision)
    for case, shape in CASES.items()
    for precision in WEIGHT_BYTES
}
counted = decoder_work(WORDS, CONFIG, 1, 1, "int8")
assert counted.multiplications == decoder_products
assert counted.bytes == decoder_bytes + 4 * WORDS  # the biases
show_table(
    pd.DataFrame(
        {
            "case": case,
            "weights in": precision,
            "MB to read and write": one.bytes / 1e6,
            "million multiplications": one.multiplications / 1e6,
            "multiplications per byte": one.intensity,
        }
        for (case, precision), one in work.items()
    ),
    "The work of the published architecture",
)

# %%
# The count fits the model: for one word, nearly all bytes are its weights and biases.
# Integers save close to three quarters of the bytes, and no multiplication.

import torch

from smallport.checks import check, report

torch.manual_seed(0)
model = lstm.WordLanguageModel(WORDS, CONFIG).eval()
multiplied = (*model.rnn.parameters(), *model.decoder.parameters())
stored = sum(parameter.nbytes for parameter in multiplied)
one_word = work["writing", "float32"]
check(
    "bytes for a word, to those stored",
    one_word.bytes / stored,
    at_least=1,
    at_most=1.01,
)
check(
    "bytes for a word, float32 to int8",
    one_word.bytes / work["writing", "int8"].bytes,
    at_least=3.8,
    at_most=4,
)
assert one_word.multiplications == work["writing", "int8"].multiplications

# %%
# Measure the limits
# ------------------
#
# To find out how fast this machine reads, add up an array as large as the weights,
# again and again, as a model does that writes words. To find out how fast it
# multiplies, multiply square matrices, in PyTorch and in ONNX Runtime. The fastest
# repeat counts. The limits are those of one thread.

from smallport.bench.roofline import measure_limits, weight_bytes
from smallport.threads import use_one_thread

use_one_thread()
roofs = {
    precision: measure_limits(
        weight_bytes(WORDS, CONFIG, precision), precision, repeats=50
    )
    for precision in WEIGHT_BYTES
}
for precision, roof in roofs.items():
    bytes_read, products = roof.bytes_per_second, roof.multiplications_per_second
    report(f"{precision}, bytes read", bytes_read / 1e9, "GB/s")
    report(f"{precision}, multiplications", products / 1e9, "billion/s")
    print(f"{precision}: {bytes_read / 1e9:.1f} GB/s, {products / 1e9:.0f} billion/s")

# %%
# Measure the model
# -----------------
#
# Both routes to int8 are timed in the four cases, each in turns with its own float32.

import statistics
import tempfile
from pathlib import Path

from smallport.bench.grid import measure_grid
from smallport.bench.parts import eager_variants, onnx_variants
from smallport.machine import int8_dot_products

with tempfile.TemporaryDirectory() as folder:
    cells = measure_grid(
        {"eager": eager_variants(model), "ONNX": onnx_variants(Path(folder), model)},
        parts=("model",),
        batches=(1, 16),
        lengths=(1, 25),
        repeats=5,
    )
shapes = {shape: case for case, shape in CASES.items()}
seconds = {
    (cell.route, precision, shapes[cell.batch, cell.length]): taken
    for cell in cells
    for precision, taken in (("float32", cell.float32), ("int8", cell.int8))
}
times_limit = {
    (route, precision, case): taken / roofs[precision].seconds(work[case, precision])
    for (route, precision, case), taken in seconds.items()
}
assert len(times_limit) == 16

# %%
# To write a text, a model is called for each word, since a word depends on the one
# before. To read it, one call is enough, which reads the weights once. Transformers
# have the same two phases, :term:`decode` and :term:`prefill`.

for (route, precision, case), taken in seconds.items():
    if case == "writing":
        ratio = 25 * taken / seconds[route, precision, "reading 25 words"]
        name = f"{route} {precision}, 25 words: writing, to reading"
        # lint: conditional: without int8 dot products, int8 may be slow at either
        if precision == "float32" or int8_dot_products():
            check(name, ratio, "×", at_least=1.2)
        else:
            report(name, ratio, "×")
        print(f"{name}: {ratio:.1f} ×")

# %%
# One thread did the work, and a larger batch takes longer.

# Guard: against a clock that is not the processor's, and against a batch that costs
# nothing.
check(
    "processor time, to the time that passed",
    max(cell.cores for cell in cells),
    "×",
    at_most=1.1,
)
for route in ("eager", "ONNX"):
    one, many = (
        seconds[route, "int8", f"reading {n}"] for n in ("25 words", "16 texts")
    )
    check(f"{route} int8, sixteen texts to one", many / one, "×", at_least=1.5)

# %%
# Draw the roofline
# -----------------
#
# Where there are few multiplications per byte, on the left, reading limits the speed,
# and the line rises. On the right, arithmetic limits it, and the line is level. A point
# is a measured time. Its distance from the line of its colour is what the software
# leaves unused.

# Drawing: two limits on logarithmic axes, one for floats and a higher one for 8-bit
# integers. Each rises from the left and is then level. The measured points lie at
# various distances below the line of their colour.
import matplotlib.pyplot as plt
import numpy as np

figure, axes = plt.subplots(figsize=(5.4, 4.4), layout="constrained")
intensity = np.geomspace(0.1, 1000)
for number, (precision, roof) in enumerate(roofs.items()):
    top = [roof.rate(x) / 1e9 for x in intensity]
    axes.loglog(intensity, top, color=f"C{number}", label=f"limit, {precision}")
    for route, mark in (("eager", "o"), ("ONNX", "s")):
        done = [work[case, precision] for case in CASES]
        rates = [
            one.multiplications / seconds[route, precision, case] / 1e9
            for case, one in zip(CASES, done, strict=True)
        ]
        x = [one.intensity for one in done]
        label = f"{route} {precision}"
        axes.scatter(x, rates, color=f"C{number}", marker=mark, label=label)
axes.set_title("Speed of the LSTM, and the limits of this machine")
axes.set_xlabel("multiplications per byte")
axes.set_ylabel("billion multiplications per second")
axes.legend(fontsize=9)
plt.show()

# %%
# Memory limits the writing of single words, and arithmetic the reading of 16 texts. In
# multiples of the limit, the times are:

for precision, roof in roofs.items():
    balance = roof.multiplications_per_second / roof.bytes_per_second
    assert work["writing", precision].intensity < balance
    assert work["reading 16 texts", precision].intensity > balance
rows = [
    {"runs in": route, "precision": precision, "case": case, "times its limit": ratio}
    for (route, precision, case), ratio in times_limit.items()
]
show_table(
    pd.DataFrame(rows)
    .pivot_table("times its limit", ["runs in", "precision"], "case", sort=False)
    .reset_index(),
    "Measured time, as a multiple of the limit",
)

# %%
# ONNX Runtime is closer to the limits. No time may be far below its limit. The limit is
# measured, too, and at another moment, so the check leaves some room.

check("least time, to its limit", min(times_limit.values()), "×", at_least=0.5)
eager_to_onnx = [
    taken / seconds["ONNX", *case]
    for (route, *case), taken in seconds.items()
    if route == "eager"
]
check(
    "eager, to ONNX Runtime: median of all cases",
    statistics.median(eager_to_onnx),
    "×",
    at_least=1.2,
)
for route in ("eager", "ONNX"):
    ratio = times_limit[route, "int8", "writing"]
    report(f"{route} int8, writing, to its limit", ratio, "×")

# %%
# Exercises
# ---------
#
# **1.** From which batch size on does arithmetic limit the writing of words, in float32
# and in int8? Compute it from ``model_work`` and ``roofs``, without timing anything.

# Answer: in int8, arithmetic is the limit from a smaller batch on, if at all: the bytes
# shrink, and the multiplications do not.
for precision, roof in roofs.items():
    for batch in range(1, 1025):
        one = model_work(WORDS, CONFIG, batch, 1, precision)
        reading = one.bytes / roof.bytes_per_second
        if one.multiplications / roof.multiplications_per_second > reading:
            print(f"{precision}: arithmetic from a batch of {batch}")
            break
    else:
        print(f"{precision}: memory for every batch")

assert (
    model_work(WORDS, CONFIG, 8, 1, "int8").intensity
    > model_work(WORDS, CONFIG, 8, 1, "float32").intensity
)

# %%
# **2.** The :term:`logits` of long texts are floats in both precisions. Which share of
# the bytes are they for 16 texts of 25 words, in int8?

# Answer: nearly all of them, so quantizing the weights further saves few bytes there.
logits = 16 * 25 * WORDS * 4
share = logits / work["reading 16 texts", "int8"].bytes
print(f"{share:.0%}")
check("share of the logits in the bytes, 16 texts of 25 words", share, at_least=0.6)

# %%
# Conclusion
# ----------
#
# - Count bytes and multiplications before you optimize: they say which of the two
#   limits, and what int8 can save at best.
# - Writing words reads weights, of which int8 has a quarter. Reading a prompt
#   multiplies, and the gain depends on the instructions of the processor.
# - A model at several times its limit leaves room for better software, without any
#   further loss of accuracy.
#
# What to read next
# -----------------
#
# - :doc:`plot_30_where_the_megabytes_are`: fewer bytes still, with 4 bits and fewer.
# - `Roofline: an insightful visual performance model
#   <https://doi.org/10.1145/1498765.1498785>`_, by Samuel Williams, Andrew Waterman and
#   David Patterson.

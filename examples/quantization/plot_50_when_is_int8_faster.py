r"""
When is int8 faster?
====================

Integers of 8 bits are a quarter of the bytes, and many processors multiply them faster
than floats. Yet people measure that their quantized model is slower, and ask why: `for
a layer of their shape <https://github.com/pytorch/pytorch/issues/103802>`_, or `for
their whole model <https://github.com/pytorch/pytorch/issues/41865>`_. The answer is
never a single number. It depends on how many texts are read side by side, on how many
words come at a time, on the threads, and on the software that does the multiplying.

This page measures over all of these, with PyTorch's eager quantization and with ONNX
Runtime, on the published architecture. You will

- time floats against integers so that the result has an interval;
- read a map of all the ratios, for the model, its LSTM and its decoder;
- see why writing words and reading a prompt are two different problems;
- compare each time with what the machine could do at best.

The page stands on its own. It needs ``onnx``, ``onnxruntime`` and ``onnxscript``.

What you will learn: for which shapes, threads and layers 8-bit integers are faster than
floats, and how to measure it so that the answer holds.
"""

# %%
# 1. Two routes to int8
# ---------------------
#
# The model has the published sizes: a vocabulary of 33,278 words, an embedding of 512,
# five LSTM layers of 256. Its weights are random, which makes no difference to how long
# a multiplication takes. Two routes lead to int8. :doc:`Eager quantization
# <plot_20_lstm_dynamic_quantization>` converts the model in memory; :doc:`the route
# through ONNX <plot_40_lstm_through_onnx>` converts a file. Both keep the weights as
# integers and quantize the activations as they come. One thread works, and PyTorch's
# libraries confirm it.

# sphinx_gallery_thumbnail_number = 1
# sphinx_gallery_measures_time = True
import atexit
import re
import shutil
import tempfile
from pathlib import Path

import onnxruntime as ort
import torch

from smallport import lstm
from smallport.bench.parts import eager_variants, onnx_variants
from smallport.machine import int8_dot_products, this_machine
from smallport.quantize import ensure_engine

WORDS = 33_278
torch.manual_seed(0)
torch.set_num_threads(1)
counts = r"(?:get_num_threads|\w+_max_threads)\(\) : (\d+)"
threads = set(re.findall(counts, torch.__config__.parallel_info()))
assert threads == {"1"}, f"more than one thread: {threads}"

model = lstm.WordLanguageModel(WORDS, lstm.PUBLISHED).eval()

folder = Path(tempfile.mkdtemp())  # the last cell deletes it
atexit.register(shutil.rmtree, folder, ignore_errors=True)
routes = {"eager": eager_variants(model), "ONNX": onnx_variants(folder, model)}

print(this_machine())
print(f"PyTorch {torch.__version__}, engine {ensure_engine()}")
print(f"ONNX Runtime {ort.__version__}")
if not int8_dot_products():
    print("No int8 dot products here: this page claims nothing about speed.")

# %%
# 2. One ratio, and how far to trust it
# -------------------------------------
#
# Start with a single comparison: one text, 25 words in one call, on one thread. The two
# models take turns, and each turn gives a ratio of its own, from two times that were
# measured one right after the other. A machine that is busy for a while slows down both
# and leaves the ratio nearly where it was.

import statistics

from smallport.bench.parts import Setting
from smallport.timing import time_interleaved

setting = Setting("model", batch=1, length=25, threads=1)
timings = time_interleaved(
    {
        "float32": routes["eager"].float32(setting),
        "int8": routes["eager"].int8(setting),
    },
    repeats=7,
)
turns = [
    in_float / in_int8
    for in_float, in_int8 in zip(*(t.seconds for t in timings.values()), strict=True)
]
print(
    f"25 words at a time: {statistics.median(turns):.2f} times as fast as float32 "
    f"({min(turns):.2f} to {max(turns):.2f})"
)
assert len(turns) == 7

# %%
# The median of the ratios is the result, the least and the greatest are its interval.
# Seven turns that are independent of each other all lie on the same side of the true
# median with a probability of two in 2\ :sup:`7`; otherwise it is inside. So the
# interval is no guess, and it assumes nothing about how the times are distributed.
#
# 3. A few cells, here and now
# ----------------------------
#
# :func:`smallport.bench.grid.measure_grid` does this for every combination of what
# it is given. Calls that are too short to time are repeated within a turn. Besides the
# whole model it times its LSTM alone and its decoder alone, each with the input that it
# has inside of the model.

from smallport.bench.grid import measure_grid

now = measure_grid(routes, batches=(1, 16), lengths=(1, 25), threads=(1,), repeats=5)
assert len({cell.place for cell in now}) == len(now) == 24

# %%
# Before believing a table, look for what would make it worthless. Did one thread do the
# work? Then the processor was busy for no longer than the time that passed. Was each
# cell measured on its own? Then sixteen texts take longer than one.

from smallport.checks import check, report

check(
    "processor time, to the time that passed",
    max(cell.cores for cell in now),
    "×",
    at_most=1.1,
)

by_place = {cell.place: cell for cell in now}
growth = [
    by_place[cell.route, cell.part, 16, 25, 1].int8_seconds / cell.int8_seconds
    for cell in now
    if (cell.batch, cell.length) == (1, 25)
]
check(
    "int8, sixteen texts to one: median growth",
    statistics.median(growth),
    "×",
    at_least=1.5,
)

# %%
# With int8 dot products, both routes should be faster for a single text. That is what
# we claim. Elsewhere the ratios are reported.

singles = [cell for cell in now if (cell.part, cell.batch) == ("model", 1)]
for cell in singles:
    name = f"speed-up, {cell.route}, words at a time: {cell.length}"
    # lint: conditional: without int8 dot products, nothing is claimed about speed
    if int8_dot_products():
        check(name, cell.ratio, "×", at_least=1.5)
    else:
        report(name, cell.ratio, "×")

# %%
# 4. The whole grid
# -----------------
#
# All combinations take minutes, and a build of this site should not. So they were
# measured once and kept. What follows in this section and the next was *not measured
# now*. Here is where it comes from:

from smallport.bench.cells import contradictions, read_grid

provenance, kept = read_grid()
print(f"kept: {provenance}")
print(f"to measure it again: {provenance.command}")
for difference in provenance.differences_from_here():
    print(f"other than here: {difference}")
alone = [cell.cores > 0.9 for cell in kept if cell.threads == 1]
print(f"one-thread cells that had a core to themselves: {sum(alone)} of {len(alone)}")

# %%
# Cells that had to share their core with other programs are less certain, and have
# wider intervals. The command works on your machine, too: it needs nothing but this
# package, and writes a file. ``read_grid(Path("grid.json"))`` reads that instead, and
# all that follows shows your own machine.
#
# A kept result can be out of date, or wrong for the machine at hand. The cells of
# section 3 tell. Where the interval measured now and the kept one do not meet, the two
# contradict each other. On another processor, or with other versions, that is to be
# expected. On the same ones a few may do so: an interval covers the turns of one run,
# and not what differs between two runs, such as where in memory the weights happen to
# lie. If most do, the file is out of date. The page says so and does not fail, since
# nothing is promised about a machine that it does not know.

contradicted = {found.now.place for found in contradictions(now, kept)}
kept_by_place = {cell.place: cell for cell in kept}
for cell in now:
    before = kept_by_place[cell.place]
    verdict = "CONTRADICTED" if cell.place in contradicted else "agrees"
    print(
        f"{cell}: {cell.ratio:.2f} times as fast as float32 "
        f"({cell.low:.2f} to {cell.high:.2f}), kept {before.ratio:.2f}: {verdict}"
    )
where = "measured elsewhere" if provenance.differences_from_here() else "measured alike"
print(
    f"live cells that contradict the kept grid: {len(contradicted)} of {len(now)}, "
    f"{where}"
)
BATCHES = sorted({cell.batch for cell in kept}, reverse=True)
LENGTHS = sorted({cell.length for cell in kept})

# %%
# Now the map. Each number says how many times faster int8 is: above 1, and purple, it
# is faster; below 1, and orange, slower. Brackets mean that the interval holds both. A
# thick line is drawn where the two break even. Rows of a panel are texts side by side,
# columns are words at a time. The left half is eager PyTorch, the right half ONNX
# Runtime, each against *its own* floats.

# Drawing: a panel has a cell for each batch and length, coloured by the ratio that is
# written in it, and a thick line where the ratio passes one.
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm


def draw_panel(axes, route, part, threads):
    """Draw the ratios of one part of a route, and the line where it breaks even."""
    cells = [
        [kept_by_place[route, part, batch, length, threads] for length in LENGTHS]
        for batch in BATCHES
    ]
    ratios = np.array([[cell.ratio for cell in row] for row in cells])
    image = axes.imshow(ratios, cmap="PuOr", norm=LogNorm(1 / 8, 8), aspect="auto")
    for (row, column), ratio in np.ndenumerate(ratios):
        cell = cells[row][column]
        text = f"({ratio:.1f})" if cell.low <= 1 <= cell.high else f"{ratio:.1f}"
        color = "black" if 0.3 < ratio < 3.5 else "white"
        axes.text(column, row, text, ha="center", va="center", color=color)
    slower = ratios < 1
    for row, column in np.argwhere(slower[:, 1:] != slower[:, :-1]):
        axes.plot([column + 0.5] * 2, [row - 0.5, row + 0.5], color="black", lw=3)
    for row, column in np.argwhere(slower[1:] != slower[:-1]):
        axes.plot([column - 0.5, column + 0.5], [row + 0.5] * 2, color="black", lw=3)
    axes.set_title(f"{part}, {route}", fontsize=10)
    axes.set_xticks(range(len(LENGTHS)), LENGTHS)
    axes.set_yticks(range(len(BATCHES)), BATCHES)
    return image


# %%
# A figure has a row for the whole model, one for the LSTM and one for the decoder.
# First, everything on one thread.


# Drawing: six panels of ratios on one thread, eager PyTorch on the left, ONNX Runtime
# on the right; from the top: the whole model, the LSTM, the decoder. On the left the
# colour changes from panel to panel and towards single words; on the right it hardly
# does.
def draw_grid(threads):
    """Draw all parts of both routes."""
    figure, panels = plt.subplots(3, 2, figsize=(5.4, 8), layout="constrained")
    for row, part in zip(panels, ("model", "LSTM", "decoder"), strict=True):
        for axes, route in zip(row, ("eager", "ONNX"), strict=True):
            image = draw_panel(axes, route, part, threads)
    figure.suptitle(
        f"Kept from {provenance.date}: speed-up of int8, threads: {threads}"
    )
    for axes in panels[-1]:
        axes.set_xlabel("words at a time")
    figure.supylabel("texts side by side", fontsize=10)
    bar = figure.colorbar(image, ax=panels, location="bottom", shrink=0.8, aspect=40)
    bar.minorticks_off()
    bar.set_ticks([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8], labels=list("⅛¼½1248"))
    plt.show()


draw_grid(threads=1)

# %%
# And with as many threads as the machine had cores:

# Drawing: the same six panels with more threads. The LSTM of eager PyTorch is paler
# than on one thread.
draw_grid(max(cell.threads for cell in kept))

# %%
# Counted:

THREADS = max(cell.threads for cell in kept)
faster = sum(cell.low > 1 for cell in kept)
slower = sum(cell.high < 1 for cell in kept)
print(f"of {len(kept)} kept cells, int8 is faster in {faster}, slower in {slower}, ")
print(f"and in {len(kept) - faster - slower} the interval holds both")
assert faster > len(kept) / 2

# %%
# 5. What explains the map
# ------------------------
#
# Look at one thread first, and at the left column. Eager int8 gains most where one word
# comes at a time, and several times as much as for many words of many texts. ONNX
# Runtime's gain hardly depends on where one looks. Do eager integers do so well, or
# eager floats so badly?


def kept_cell(route, part, batch, length, threads=1):
    """Look up a kept cell."""
    return kept_by_place[route, part, batch, length, threads]


spread = {}
for route in routes:
    few, many = kept_cell(route, "model", 1, 1), kept_cell(route, "model", 16, 50)
    spread[route] = few.ratio / many.ratio
    print(f"{route}: {spread[route]:.1f} times the gain for a single word")
assert spread["eager"] > 2 > spread["ONNX"]

one_word = {route: kept_cell(route, "LSTM", 1, 1) for route in routes}
slower_floats = one_word["eager"].float32_seconds / one_word["ONNX"].float32_seconds
slower_int8 = one_word["eager"].int8_seconds / one_word["ONNX"].int8_seconds
print(f"LSTM, one word, floats: eager takes {slower_floats:.1f} times as long as ONNX")
print(f"LSTM, one word, int8: eager takes {slower_int8:.1f} times as long as ONNX")

# %%
# The floats. For one word, PyTorch's float LSTM takes many times as long as ONNX
# Runtime's, which does the same sums; with integers, the two are much closer. A large
# speed-up may just mean a slow start. That is why each route is compared with its own
# floats here, and why one should look at the seconds as well before one chooses.

gain_of = {
    route: [c.ratio for c in kept if (c.route, c.part, c.threads) == (route, "LSTM", 1)]
    for route in routes
}
assert max(gain_of["ONNX"]) < 2 * min(gain_of["ONNX"])
assert max(gain_of["eager"]) > 4 * min(gain_of["eager"])
assert slower_floats > 2 * slower_int8 > 1

# %%
# Second, the LSTM goes word by word. The products of one step need the result of the
# step before, so the arithmetic units see a thin matrix at a time, and eager int8
# quantizes the activations at each step, again and again. With floats, threads help
# with that; with integers they hardly do. So with more threads the gain of the eager
# LSTM shrinks. If there is a break-even line in a panel of eager PyTorch, look for it
# there, on the right.

for threads in (1, THREADS):
    cell = kept_cell("eager", "LSTM", 1, 50, threads)
    print(f"eager LSTM, {threads} threads: gain {cell.ratio:.2f}", end=", ")
    print(f"{cell.low:.2f} to {cell.high:.2f}")
long_lstm = [
    (
        kept_cell("eager", "LSTM", batch, 50, 1),
        kept_cell("eager", "LSTM", batch, 50, THREADS),
    )
    for batch in BATCHES
]
assert all(alone.ratio > together.ratio for alone, together in long_lstm)

# %%
# Third, the decoder of eager int8 gains least where it has most to do. Take twice as
# many words at a time, and ONNX Runtime takes about twice as long; eager int8 takes
# much longer than that. What it multiplies are integers, but what it writes are floats:
# a score for each word of the vocabulary, for each word that it reads.

for route in routes:
    half, whole = (kept_cell(route, "decoder", 8, length) for length in (25, 50))
    growth = whole.int8_seconds / half.int8_seconds
    megabytes = [8 * cell.length * WORDS * 4 / 1e6 for cell in (half, whole)]
    print(
        f"{route}, from {megabytes[0]:.0f} to {megabytes[1]:.0f} MB of scores: ", end=""
    )
    print(f"{growth:.1f} times as long")
    assert growth > 3 if route == "eager" else growth < 2.5

# %%
# ONNX Runtime keeps its memory from call to call. PyTorch asks the C library for it
# each time, and the one of Linux passes large requests on to the operating system
# (``M_MMAP_THRESHOLD`` in `mallopt(3)
# <https://man7.org/linux/man-pages/man3/mallopt.3.html>`_), which hands out pages that
# have to be mapped and zeroed first. That takes longer than filling them:

import sys

scores = torch.empty(8 * 50, WORDS)
filling = time_interleaved(
    {
        "filling new memory": lambda: torch.ones(8 * 50, WORDS),
        "filling memory that is there": lambda: scores.fill_(1.0),
    }
)
for name, timing in filling.items():
    print(f"{name}: median {timing}")
new, old = (timing.median for timing in filling.values())
# lint: conditional: another C library may keep the memory
if sys.platform == "linux":
    check("filling new memory, to old", new / old, "×", at_least=1.5)
else:
    report("filling new memory, to old", new / old, "×")

# %%
# 6. Writing is not reading
# -------------------------
#
# A language model is used in two ways. It *reads* a prompt, whose words are all there
# from the start: one call for all of them. And it *writes*, one word after another,
# since each word has to be chosen before the next can be computed: one call a word. The
# left column of each panel above is writing, the columns to its right are reading. Here
# are both as a program does them, for fifty words.

from smallport.quantize import quantize_model
from smallport.quantize.onnx import ONNXLanguageModel

prompt = torch.randint(WORDS, (50, 1), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def read(candidate):
    """Score all words of the prompt in one call."""
    return candidate(prompt, candidate.initial_state(1))


@torch.no_grad()
def write(candidate):
    """Write as many words, each time the most likely one."""
    token, state = prompt[:1], candidate.initial_state(1)
    written = []
    for _ in prompt:
        logits, state = candidate(token, state)
        token = logits.argmax(-1)
        written.append(int(token))
    return written


# %%
# All four models do both, in turns.

candidates = {
    "eager float32": model,
    "eager int8": quantize_model(model),
    "ONNX float32": ONNXLanguageModel(folder / "float32.onnx", threads=1),
    "ONNX int8": ONNXLanguageModel(folder / "int8.onnx", threads=1),
}
torch.set_num_threads(1)
uses = {"reading": read, "writing": write}
interleaved = time_interleaved(
    {
        f"{name}, {use}": lambda run=run, one=one: run(one)
        for use, run in uses.items()
        for name, one in candidates.items()
    }
)
fifty = {
    use: {name: interleaved[f"{name}, {use}"] for name in candidates} for use in uses
}
for use, by_candidate in fifty.items():
    for name, timing in by_candidate.items():
        print(f"{name}, {use}: median {timing}")

# %%
# The same fifty words take longer to write than to read: whatever one call shares among
# its words has to be done again for each. We claim that of floats, and of int8 where
# there are int8 dot products. How much int8 gains differs, too.

for name in candidates:
    ratio = fifty["writing"][name].median / fifty["reading"][name].median
    # lint: conditional: without int8 dot products, int8 may be slow at either
    if "float32" in name or int8_dot_products():
        check(f"{name}: writing, to reading", ratio, "×", at_least=1.2)
    else:
        report(f"{name}: writing, to reading", ratio, "×")

gains = {
    (use, route): by_candidate[f"{route} float32"].median
    / by_candidate[f"{route} int8"].median
    for use, by_candidate in fifty.items()
    for route in routes
}
for (use, route), gain in gains.items():
    print(f"{use}, {route}: {gain:.2f} times as fast as float32")

# %%
# A prompt that is only read to go on from there wants the scores of its last word, and
# no others. Leave them out, and what is left of the time is nearly all the LSTM's. That
# saves floats a good part of their time, before anything is quantized.


@torch.no_grad()
def read_to_go_on(candidate):
    """Read the prompt, and score its last word only."""
    embedded = candidate.encoder(prompt)
    output, state = candidate.rnn(embedded, candidate.initial_state(1))
    return candidate.decoder(output[-1:]), state


torch.testing.assert_close(read_to_go_on(model)[0], read(model)[0][-1:])
shortcut = time_interleaved(
    {
        "all scores": lambda: read(model),
        "the last word's scores": lambda: read_to_go_on(model),
    }
)
for name, timing in shortcut.items():
    print(f"eager float32, {name}: median {timing}")
every, last = (timing.median for timing in shortcut.values())
check("eager float32: all scores, to the last word's", every / last, "×", at_least=1.2)

# %%
# The dots are single repeats, the lines their medians. Each word's share of the time is
# what a user waits for.

# Drawing: columns of dots with a line at each median, in milliseconds for each word,
# for reading on the left and for writing on the right: eager float32 and int8, ONNX
# Runtime float32 and int8.
figure, panels = plt.subplots(1, 2, figsize=(5.4, 3.4), layout="constrained")
for axes, (use, by_candidate) in zip(panels, fifty.items(), strict=True):
    for position, timing in enumerate(by_candidate.values()):
        color = f"C{position % 2}"
        share = [1e3 * seconds / len(prompt) for seconds in timing.seconds]
        axes.scatter([position] * len(share), share, alpha=0.6, color=color)
        middle = 1e3 * timing.median / len(prompt)
        axes.hlines(middle, position - 0.3, position + 0.3, color=color)
    axes.set_xticks(range(4), [name.replace(" ", "\n") for name in by_candidate])
    axes.set_xlim(-0.5, 3.5)
    axes.set_ylim(bottom=0)
    axes.set_title(use)
panels[0].set_ylabel("milliseconds for each word")
plt.show()

# %%
# 7. How far from the limit?
# --------------------------
#
# A ratio compares two programs and says nothing about whether either is any good. For
# that, count what has to be done, however well it is done. Every weight has to be read
# once a call; every word has to be multiplied by every weight of LSTM and decoder.
# :func:`smallport.bench.roofline.model_work` counts both from the architecture.

import pandas as pd

from smallport.bench.roofline import model_work
from smallport.display import show_table

CASES = {
    "writing": (1, 1),
    "reading 25 words": (1, 25),
    "writing 16 texts": (16, 1),
    "reading 16 texts": (16, 25),
}
work = {
    (case, precision): model_work(WORDS, lstm.PUBLISHED, *shape, precision)
    for case, shape in CASES.items()
    for precision in ("float32", "int8")
}
show_table(
    pd.DataFrame(
        {
            "case": case,
            "weights in": precision,
            "MB to read and write": one.bytes / 1e6,
            "million multiplications": one.multiplications / 1e6,
            "multiplications a byte": one.intensity,
        }
        for (case, precision), one in work.items()
    ),
    "What the published architecture has to read, write and multiply",
)

# %%
# The count has to fit the model. For one word, nearly all the bytes are its weights and
# biases. Integers save close to three quarters of the bytes, and not one
# multiplication.

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
# What can this machine do? We measure how fast it reads, on an array as large as the
# weights are, again and again as a writing model does; and how fast PyTorch and ONNX
# Runtime multiply square matrices. The best of both counts: a limit is what is never
# beaten.

from smallport.bench.roofline import measure_limits, weight_bytes

roofs = {
    precision: measure_limits(weight_bytes(WORDS, lstm.PUBLISHED, precision), precision)
    for precision in ("float32", "int8")
}
for precision, roof in roofs.items():
    report(f"{precision}, bytes read", roof.bytes_per_second / 1e9, "GB/s")
    report(
        f"{precision}, multiplications",
        roof.multiplications_per_second / 1e9,
        "billion/s",
    )

# %%
# A *roofline* draws both limits. To the left, where there are few multiplications for
# each byte, reading sets the pace, and the roof rises; to the right, multiplying does,
# and it is level. Each point is a measured time of section 3. Its distance from the
# roof of its colour is what the software leaves unused.

seconds = {
    (route, precision, case): getattr(
        by_place[route, "model", *shape, 1], f"{precision}_seconds"
    )
    for route in routes
    for precision in roofs
    for case, shape in CASES.items()
}

# %%
# The roofs are lines, the measured times are points.

# Drawing: two roofs on logarithmic axes, one for floats and a higher one for 8-bit
# integers. Each rises from the left and then runs level. The measured points lie at
# various distances below the roof of their colour.
MARKS = {"eager": "o", "ONNX": "s"}
figure, axes = plt.subplots(figsize=(5.4, 4.4), layout="constrained")
intensity = np.geomspace(0.1, 1000)
for number, (precision, roof) in enumerate(roofs.items()):
    top = [roof.rate(x) / 1e9 for x in intensity]
    axes.loglog(intensity, top, color=f"C{number}", label=f"limit, {precision}")
    for route, mark in MARKS.items():
        done = [work[case, precision] for case in CASES]
        rates = [
            one.multiplications / seconds[route, precision, case] / 1e9
            for case, one in zip(CASES, done, strict=True)
        ]
        x = [one.intensity for one in done]
        label = f"{route} {precision}"
        axes.scatter(x, rates, color=f"C{number}", marker=mark, label=label)
axes.set_xlabel("multiplications for each byte")
axes.set_ylabel("billion multiplications a second")
axes.legend(fontsize=9)
plt.show()

# %%
# In numbers: how many times as long as the limit did each take? No route may beat its
# limit. The limit itself is measured, though, and at another moment, so the claim
# leaves it some room.

times_limit = {
    (route, precision, case): took / roofs[precision].seconds(work[case, precision])
    for (route, precision, case), took in seconds.items()
}
for (route, precision, case), ratio in times_limit.items():
    print(f"{route} {precision}, {case}: {ratio:.1f} times its limit")
check("least time, to its limit", min(times_limit.values()), "×", at_least=0.5)

# %%
# The files have done their work.

shutil.rmtree(folder)
assert not folder.exists()

# %%
# Conclusion
# ----------
#
# When is int8 faster? On this architecture, with int8 dot products and one thread: for
# single texts, by both routes. By how much depends on what you do. Writing words is
# reading weights, of which int8 has a quarter. Reading a prompt is multiplying, and
# there the gain is what the processor's integer instructions and the software make of
# it.
#
# Before you quantize, then: measure the shapes that you serve, with the threads that
# you will have, and the seconds along with the ratio. A speed-up may come from slow
# floats. And what need not be computed is faster than any integer.
#
# If your model is smaller than this one, expect less: :doc:`the page on dynamic
# quantization <plot_20_lstm_dynamic_quantization>` shows, at its end, the width below
# which int8 is slower.
#
# What to read next
# -----------------
#
# - :doc:`Where the megabytes are <plot_30_where_the_megabytes_are>`: what a bit less
#   costs in loss.
# - :doc:`The LSTM through ONNX <plot_40_lstm_through_onnx>`: how the ONNX file is made.
# - `Roofline: an insightful visual performance model
#   <https://doi.org/10.1145/1498765.1498785>`_, by Samuel Williams, Andrew Waterman and
#   David Patterson.

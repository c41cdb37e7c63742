r"""
When is int8 faster than float32?
=================================

Result: On one thread, int8 is faster than the float32 of the same software in almost
all shapes, on processors with and without int8 dot products. The float32 of ONNX
Runtime is faster than that of eager PyTorch in every shape of the whole model.
Relative to it, eager int8 gains less, and is slower in some shapes. Where eager int8
returns many logits, memory allocation takes a large part of the time, and two
environment variables avoid it.

Prerequisites: :doc:`plot_20_lstm_dynamic_quantization` and
:doc:`plot_40_lstm_through_onnx`, which explain both ways to int8. The packages
``onnx``, ``onnxruntime`` and ``onnxscript`` must be installed.

What you will learn: for which batch sizes, lengths, threads and layers int8 is faster
than float32, how to measure it, and how to make eager PyTorch reuse its memory.

Weights of 8 bits are a quarter of the bytes, and many processors multiply them faster
than floats. Yet people find that int8 is slower, for `a layer of their shape
<https://github.com/pytorch/pytorch/issues/103802>`_ or for `their whole model
<https://github.com/pytorch/pytorch/issues/41865>`_. Shape, threads, software and
processor decide, so measure them all.
"""

# %%
# Build the model in both precisions
# ----------------------------------
#
# The model has the published sizes: a vocabulary of 33,278 words, an
# :term:`embedding` of 512, five LSTM layers of 256. Random weights take as long to
# multiply as trained ones. :func:`~smallport.bench.parts.eager_variants` quantizes the
# model in :term:`eager mode`, :func:`~smallport.bench.parts.onnx_variants` as an ONNX
# file. Both store the weights as integers and quantize each :term:`activation` at run
# time. PyTorch uses one thread.

# sphinx_gallery_thumbnail_number = 1
# sphinx_gallery_measures_time = True
import tempfile
from pathlib import Path

import torch

from smallport import lstm
from smallport.bench.parts import eager_variants, onnx_variants
from smallport.machine import int8_dot_products, this_machine
from smallport.quantize import ensure_engine
from smallport.threads import use_one_thread

torch.manual_seed(0)
use_one_thread()
model = lstm.WordLanguageModel(33_278, lstm.PUBLISHED).eval()

folder = tempfile.TemporaryDirectory()
routes = {
    "eager": eager_variants(model),
    "ONNX": onnx_variants(Path(folder.name), model),
}
print(f"{this_machine()}, engine {ensure_engine()}")
if not int8_dot_products():
    print("No int8 dot products here: speed-ups are reported, and not checked.")

# %%
# Measure ratios with intervals
# -----------------------------
#
# :func:`~smallport.bench.grid.measure_grid` times both precisions in turns, in each
# combination of route, part of the model, batch size and length. Each turn gives a
# ratio of two times that were measured one after the other, so that a machine that is
# busy for a while slows down both. The result is the median of all turns. The interval
# reaches from the lowest to the highest, and covers the variation within this process.
# Results also differ between processes, for example because the weights lie elsewhere
# in memory, so measure in several processes what should hold tomorrow.
#
# The parts are the whole model, its LSTM alone and its :term:`decoder` alone. The table
# shows the whole model. A speed-up needs two baselines, since ONNX Runtime's float32 is
# faster than eager float32.

import pandas as pd

from smallport.bench.grid import measure_grid
from smallport.display import require_image_of, show_table

now = measure_grid(routes, batches=(1, 16), lengths=(1, 25), threads=(1,), repeats=5)
here = {cell.place: cell for cell in now}
show_table(
    pd.DataFrame(
        {
            "int8 in": cell.route,
            "texts": cell.batch,
            "words": cell.length,
            "ms": 1e3 * cell.int8,
            "× its float32": cell.ratio,
            "interval": f"{cell.low:.2f} to {cell.high:.2f}",
            "× ONNX float32": cell.against(here["ONNX", *cell.place[1:]]).median,
        }
        for cell in now
        if cell.part == "model"
    ),
    "Milliseconds of a call in int8, and how many times as fast as float32 that is",
)

# %%
# With :term:`int8 dot products <int8 dot product>`, both routes read single texts
# faster in int8 than in their own float32.

from smallport.checks import check, report

for cell in now:
    if (cell.part, cell.batch) == ("model", 1):
        name = f"speed-up, {cell.route}, words at a time: {cell.length}"
        # lint: conditional: without int8 dot products, nothing is claimed about speed
        if int8_dot_products():
            check(name, cell.ratio, "×", at_least=1.5)
        else:
            report(name, cell.ratio, "×")
        baseline = here["ONNX", *cell.place[1:]]
        report(f"{name}, to ONNX float32", cell.against(baseline).median, "×")

# %%
# One thread did the work, and each shape was measured by itself: a larger batch takes
# longer.

# Guard: against a clock that is not the processor's, and against a batch that costs
# nothing.
import statistics

growth = [
    here[cell.route, cell.part, 16, 25, 1].int8 / cell.int8
    for cell in now
    if (cell.batch, cell.length) == (1, 25)
]
assert len(here) == len(now) == 24
check(
    "processor time, to the time that passed",
    max(cell.cores for cell in now),
    "×",
    at_most=1.1,
)
check(
    "int8, sixteen texts to one: median growth",
    statistics.median(growth),
    "×",
    at_least=1.5,
)

# %%
# Where is int8 slower?
# ---------------------
#
# The whole map takes minutes, so it is stored. ``python -m smallport.bench.grid
# grid-mine.json`` measures it on your machine, each shape in three processes, and
# ``read_grid(Path("grid-mine.json"))`` reads it. The interval of a stored shape reaches
# from the lowest to the highest ratio of all turns of all processes. Shapes with an
# interval wider than a factor of 2 are dropped. Intervals of a single process are too
# narrow, so a grid that has no others is not compared with the shapes measured here.
#
# With several threads, those of an ONNX Runtime session wait in a busy loop after a
# call, and slow down whatever is timed next. This is the likely reason for most of the
# dropped shapes of the older grid. The command now sets
# ``session.force_spinning_stop``.

from smallport.bench.cells import stored_grids

grids = stored_grids()
for grid in grids:
    print(f"{grid.name}: {grid.provenance}")
    print(f"  {len(grid.cells)} shapes, {len(grid.dropped)} dropped")
    print(f"  processes that measured each shape: {grid.processes}")
    if grid.is_of_here and grid.processes > 1:
        contradicting = len(grid.contradicting(now))
        print(f"  contradicted by {contradicting} of {len(now)} shapes measured here")

# %%
# Each number says how many times as fast as float32 int8 is, on one thread. The columns
# of panels differ in route and baseline. In a panel, rows are texts side by side, and
# columns are words per call. Purple is faster, orange is slower. Dropped shapes are
# blank.

from smallport.bench.parts import PARTS

maps = {
    (grid.name, route, part, baseline): grid.speedups(route, part, baseline)
    for grid in grids
    for part in PARTS
    for route, baseline in (("eager", "eager"), ("eager", "ONNX"), ("ONNX", "ONNX"))
}

# %%
# Each number has a colour for its size.

# Drawing: a table of numbers on coloured cells, orange below one and purple above.
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap

LEVELS = [1 / 8, 1 / 4, 1 / 2, 0.8, 1, 1.25, 2, 4, 8, 64]
SLOWER = ["#f59b3f", "#f8ad5c", "#fabf7a", "#fcd199"]
FASTER = ["#eceaf4", "#d9d5ea", "#c3bddf", "#ada4d3", "#978bc8"]
COLORS = ListedColormap(SLOWER + FASTER)


def draw_table(axes, table):
    """Draw a table of ratios."""
    ratios = table.to_numpy()
    norm = BoundaryNorm(LEVELS, COLORS.N)
    image = axes.imshow(ratios, cmap=COLORS, norm=norm, aspect="auto")
    for (row, column), ratio in np.ndenumerate(ratios):
        text = "" if np.isnan(ratio) else f"{ratio:.{int(ratio < 10)}f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=9)
    axes.set_xticks(range(table.shape[1]), table.columns)
    axes.set_yticks(range(table.shape[0]), table.index)
    require_image_of(axes, table)
    return image


# %%
# Nine panels show three parts of the model and three pairs of route and baseline.


# Drawing: nine panels of numbers for each machine. The numbers of the left column,
# relative to eager float32, vary most. Those of the middle and the right column,
# relative to ONNX Runtime float32, are closer to each other.
def draw_maps(grid, every):
    """Draw the maps of a machine: parts in rows, pairs of routes in columns."""
    shown = {key[1:]: table for key, table in every.items() if key[0] == grid.name}
    figure, panels = plt.subplots(
        3, 3, figsize=(6, 6.4), layout="constrained", sharex=True, sharey=True
    )
    for axes, ((route, part, baseline), table) in zip(
        panels.flat, shown.items(), strict=True
    ):
        image = draw_table(axes, table)
        axes.set_title(f"{part}:\n{route} int8 to\n{baseline} float32", fontsize=9)
    figure.colorbar(image, ax=panels, location="bottom", aspect=40, format="%g")
    machine = grid.provenance.machine
    instructions = ", ".join(machine.int8_dot_products) or "no int8 dot products"
    title = f"Speed-up of int8 on one thread: {machine.processor}, {instructions}"
    figure.suptitle(title, fontsize=11)
    figure.supylabel("texts side by side")
    figure.supxlabel("words per call")


for grid in grids:
    draw_maps(grid, maps)
plt.show()

# %%
# On one thread, int8 is faster than the float32 of the same route in almost all shapes,
# by more than the interval.

for grid in grids:
    alone = [cell for cell in grid.cells.values() if cell.threads == 1]
    faster = sum(cell.low > 1 for cell in alone)
    print(f"{grid.name}: faster in {faster} of {len(alone)} shapes")
    assert faster > 0.9 * len(alone)

# %%
# Look at the baseline first
# --------------------------
#
# Eager float32 is slower than ONNX Runtime's in every shape of the whole model, most of
# all where words come one at a time. This explains the large numbers in the left
# column: a large speed-up can mean a slow baseline. Relative to ONNX Runtime's float32,
# eager int8 is slower in some shapes.

for grid in grids:
    own, other = (maps[grid.name, "eager", "model", baseline] for baseline in routes)
    floats = own / other  # eager float32, relative to ONNX Runtime float32
    lowest, highest = floats.min(axis=None), floats.max(axis=None)
    slower = sum(
        (maps[grid.name, "eager", part, "ONNX"] < 1).sum().sum() for part in PARTS
    )
    print(
        f"{grid.name}: eager float32 takes {lowest:.1f} to {highest:.1f} times as long"
    )
    print(f"  as ONNX Runtime float32, and eager int8 takes longer in {slower} shapes")
    assert lowest > 1
    assert floats[1].max() == highest
    assert slower > 0

# %%
# Keep memory between calls
# -------------------------
#
# In the decoder, eager int8 gains least where it has most to do. One reason is memory.
# For 8 texts of 50 words, a call returns 13 million :term:`logits`. ONNX Runtime keeps
# their memory from call to call. PyTorch requests it from the C library each time. That
# of most Linux systems, glibc, keeps free blocks up to :published:`32 MiB` (see
# `mallopt(3) <https://man7.org/linux/man-pages/man3/mallopt.3.html>`_), and returns
# larger ones to the operating system, which has to map and zero every page again at the
# next call.
#
# Two variables make glibc keep larger blocks: ``MALLOC_MMAP_THRESHOLD_`` and
# ``MALLOC_TRIM_THRESHOLD_``. It reads them when a process starts, so compare two child
# processes. Each prints its fastest call of nine, which other work disturbs least.

SCRIPT = """
import torch
from smallport.quantize import quantize_model
from smallport.timing import time_interleaved

torch.set_num_threads(1)
float32 = torch.nn.Sequential(torch.nn.Linear(256, 33_278)).eval()
int8 = quantize_model(float32)
hidden = torch.rand(50, 8, 256)
with torch.no_grad():
    timings = time_interleaved(
        {"float32": lambda: float32(hidden), "int8": lambda: int8(hidden)}, repeats=9
    )
print(timings["float32"].fastest, timings["int8"].fastest)
"""
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": "1073741824",  # 1 GiB
    "MALLOC_TRIM_THRESHOLD_": "4294967296",  # 4 GiB
}

# %%
# Run it with and without the variables.

import os
import subprocess
import sys

from smallport.bench.memory import uses_glibc


def time_decoder(variables):
    """Time the decoder in a child process: seconds in float32 and in int8."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", SCRIPT],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        check=True,
    )
    return [float(seconds) for seconds in done.stdout.split()]


seconds = {"default": time_decoder({}), "memory kept": time_decoder(KEEP_MEMORY)}
for name, (float32, int8) in seconds.items():
    print(f"{name}: float32 {1e3 * float32:.0f} ms, int8 {1e3 * int8:.0f} ms")
gain = seconds["default"][1] / seconds["memory kept"][1]
# lint: conditional: other C libraries have no such variables
if uses_glibc():
    check("eager int8 decoder, memory kept: gain", gain, "×", at_least=1.15)
else:
    report("eager int8 decoder, memory kept: gain", gain, "×")

# %%
# A stored grid may have the decoder with and without the variables. They matter only in
# shapes whose logits are larger than :published:`32 MiB`.

KEPT = "eager, memory kept"
kept = next(grid for grid in grids if any(KEPT in place for place in grid.cells))
gains = pd.DataFrame(
    {
        "MiB": 4 * 33_278 * after.batch * after.length / 2**20,
        "gain": kept.cells["eager", *place[1:]].int8 / after.int8,
    }
    for place, after in kept.cells.items()
    if KEPT in place and ("eager", *place[1:]) in kept.cells
)
large, small = (gains.gain[gains.MiB > 32], gains.gain[gains.MiB <= 32])
print(f"{kept.name}: gain of int8 with large outputs {large.min():.1f} to ", end="")
print(f"{large.max():.1f}, with others {small.min():.1f} to {small.max():.1f}")
assert large.min() > 1.4
assert small.median() < 1.1
tables = {
    "default": kept.speedups("eager", "decoder", "eager"),
    "memory kept": kept.speedups(KEPT, "decoder", "eager"),
}

# %%
# Relative to eager float32 without the variables, that makes:

# Drawing: two panels of speed-ups of the decoder. With the default on the left they
# fall towards many texts and words; with memory kept on the right they fall less.
figure, panels = plt.subplots(
    1, 2, figsize=(5.4, 3.4), layout="constrained", sharey=True
)
for axes, (name, table) in zip(panels, tables.items(), strict=True):
    image = draw_table(axes, table)
    axes.set_title(f"decoder, {name}", fontsize=10)
    axes.set_xlabel("words per call")
panels[0].set_ylabel("texts side by side")
figure.colorbar(image, ax=panels, location="bottom", aspect=40, format="%g")
figure.suptitle("Speed-up of eager int8, to eager float32 by default")
plt.show()

# %%
# Exercises
# ---------
#
# **1.** With two threads, the eager LSTM gains less from int8 than with one. Print its
# table for two threads with ``grid.speedups``. Where is int8 slower than float32?

# Answer: int8 is slower for long texts.
for grid in grids:
    alone = grid.speedups("eager", "LSTM", "eager")
    together = grid.speedups("eager", "LSTM", "eager", threads=2)
    print(f"{grid.name}:\n{together.round(2)}")
    assert not (together[50] >= alone[50]).any()

# %%
# **2.** A prompt that is read to be continued needs only the logits of its last word.
# Call ``model.encoder``, ``model.rnn`` and ``model.decoder`` one after the other, and
# give the decoder the last output only. How much faster is that in float32?

# Answer: the decoder's work nearly vanishes, without any quantization.
from smallport.timing import time_interleaved

prompt, state = torch.arange(50).view(-1, 1), model.initial_state(1)


@torch.no_grad()
def read_last():
    """Read the prompt, and compute the logits of its last word only."""
    output, _ = model.rnn(model.encoder(prompt), state)
    return model.decoder(output[-1:])


read_all = torch.no_grad()(lambda: model(prompt, state)[0])
torch.testing.assert_close(read_last(), read_all()[-1:])
shortcut = time_interleaved({"all": read_all, "last": read_last})
ratio = shortcut["all"].median / shortcut["last"].median
print(f"{ratio:.1f} times as fast")
check("eager float32: all logits, to the last word's", ratio, "×", at_least=1.2)
folder.cleanup()

# %%
# Conclusion
# ----------
#
# - Measure the shapes that you serve, with your threads, in several processes, relative
#   to the fastest float32 that you have.
# - On Linux, if eager PyTorch returns outputs above :published:`32 MiB`, start it with
#   ``MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=4294967296``.
# - Compute only the logits that you need. That is faster than any integer.
# - Expect less from smaller models: :doc:`plot_20_lstm_dynamic_quantization` shows the
#   width below which int8 is slower.
#
# What to read next
# -----------------
#
# - :doc:`plot_55_roofline`: how far these times are from the hardware's limit.
# - :doc:`plot_60_which_route`: size, loss and speed of all methods.

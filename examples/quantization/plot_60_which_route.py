r"""
Which route?
============

There are many ways from a float model to a smaller one, and each is the fastest, or the
smallest, on somebody's page. On this page they run on one model, one text and one
thread, in the same run: PyTorch's eager quantization, ONNX Runtime in 8, 4 and 2 bits,
``torch.compile``, torchao and OpenVINO. You will

- see what a route is, and take one by hand, with the embedding in 4 bits;
- measure all routes that are installed: size, loss, time, and which weights really
  became integers;
- see the same for the published architecture on WikiText-2, as it was kept;
- add a route of your own.

The page needs ``onnx``, ``onnxruntime`` and ``onnxscript``. torchao and OpenVINO are
measured if they are installed, and ``torch.compile`` if there is a C++ compiler.

What you will learn: how the routes compare in size, loss and time on your machine, and
how to compare one of your own with them.
"""

# %%
# 1. The model, and the routes
# ----------------------------
#
# The model is the word language model that :doc:`the first page
# <plot_10_train_word_language_model>` trains: embedding, LSTM, decoder.

# sphinx_gallery_thumbnail_number = 1
# sphinx_gallery_measures_time = True
import torch

from smallport import assets, lstm

corpus = assets.corpus()
pretrained = assets.language_model(corpus)

model = lstm.WordLanguageModel(len(corpus.vocabulary), pretrained.config)
model.load_state_dict(torch.load(pretrained.file, weights_only=True))
model.eval()
torch.set_num_threads(1)

# %%
# A route takes the model in floats and gives one that runs, with its size and the types
# of its weights. The types are read from the file or the state dict that the route
# made: the name of a call does not say what it left out. Here are all routes of
# ``smallport.quantize.routes``, and what keeps each from running on the machine that
# built this page.

import pandas as pd

from smallport.display import show_table
from smallport.quantize.routes import ROUTES

show_table(
    pd.DataFrame(
        {
            "route": route.name,
            "packages": ", ".join(route.packages) or "torch",
            "missing here": route.missing() or "nothing",
            "future": route.maintenance,
        }
        for route in ROUTES
    ),
    "All routes, and what keeps each from running here",
)

# %%
# What is installed is measured. That must be PyTorch's routes and those through ONNX at
# least.

installed = {route.name for route in ROUTES if not route.missing()}
assert installed >= {"eager float32", "eager int8", "ONNX int8", "ONNX 4-bit"}

# %%
# 2. One route by hand
# --------------------
#
# The embedding is most of what eager int8 leaves in floats, and :doc:`page 3
# <plot_30_where_the_megabytes_are>` shows that its weights take 4 bits well. PyTorch's
# own 4-bit embedding is broken, ONNX Runtime's is not. We export and fold the model as
# on :doc:`page 4 <plot_40_lstm_through_onnx>`. Then one tool writes the embedding in
# blocks of 4 bits, and another the rest in 8.

import atexit
import shutil
import tempfile
from pathlib import Path

import onnx

from smallport.quantize import onnx as onnx_route
from smallport.quantize.onnx.blocks import nbits_tool

folder = Path(tempfile.mkdtemp())  # the last cell deletes it
atexit.register(shutil.rmtree, folder, ignore_errors=True)

onnx_route.export_lstm(model, folder / "exported.onnx")
onnx_route.fold_constants(folder / "exported.onnx", folder / "folded.onnx")

# %%
# The tool logs every operator that it passes over, which is hidden here.

from contextlib import ExitStack

from smallport.display import errors_only

nbits = nbits_tool()  # onnxruntime.quantization.matmul_nbits_quantizer
quiet = ExitStack()  # closed after the call
quiet.enter_context(errors_only(nbits.__name__))

# %%
# It is made for the matrices of transformers, hence its name. ``Gather`` is what ONNX
# calls the lookup in an embedding. Each block of 128 weights has a scale and a zero
# point.

quantizer = nbits.MatMulNBitsQuantizer(
    onnx.load(folder / "folded.onnx"),
    algo_config=nbits.DefaultWeightOnlyQuantConfig(
        block_size=128,
        is_symmetric=False,
        op_types_to_quantize=("Gather",),
        quant_axes=(("Gather", 1),),
    ),
)
quantizer.process()
quiet.close()
quantizer.model.save_model_to_file(str(folder / "embedding_4bit.onnx"))
onnx_route.quantize_file(folder / "embedding_4bit.onnx", folder / "by_hand.onnx")

# %%
# Look inside. ``GatherBlockQuantized`` has taken the place of ``Gather``.

operators = onnx_route.operator_counts(folder / "by_hand.onnx")
print(operators)
assert operators.get("GatherBlockQuantized") == 1, "the embedding is still in floats"
assert operators["DynamicQuantizeLSTM"] == pretrained.config.layers

by_hand = onnx_route.weight_types(folder / "by_hand.onnx")
show_table(pd.DataFrame(by_hand[:4]), "The largest tensors of the file made by hand")

# %%
# So the embedding is integers of four bits, and the rest of eight.

embedding = next(weight for weight in by_hand if "GatherBlock" in weight.operator)
assert embedding.dtype in {"UINT4", "INT4"}, f"the embedding is {embedding.dtype}"

# %%
# ``smallport`` has these steps as the route "ONNX 4-bit embedding", and what it makes
# is the same, tensor by tensor.

from smallport.quantize.routes import route_named

route_folder = folder / "routes"
route_folder.mkdir()
prepared = route_named("ONNX 4-bit embedding").prepare(model, route_folder)
print(f"{prepared.megabytes:.3f} MB: {dict(prepared.stored)}")
assert onnx_route.weight_types(route_folder / "embedding_4bit.onnx") == by_hand
assert prepared.stored == {"embedding": "uint4", "LSTM": "int8", "decoder": "int8"}

# %%
# Two more ideas stand behind the other routes through ONNX.
#
# *The loss inside.* To score a chunk of text, a model computes a logit for every word
# of the vocabulary and every token, and all that is wanted of them is one number a
# token. If the softmax and the choice of the target are part of the file, logits never
# leave it.
#
# *Fewer bits for rare words.* The vocabulary is in the order in which words first
# appear in the training text, so that frequent words come first. The last route gives 4
# bits to the first quarter of the words, and 2 bits to the others, which the text
# seldom needs:

first_quarter = len(corpus.vocabulary) // 4
share = float((corpus.test < first_quarter).float().mean())

from smallport.checks import check

check("share of test words in the vocabulary's first quarter", share, at_least=0.75)
print(f"{share:.0%} of the test text are words of the first quarter")

# %%
# 3. Measure them all
# -------------------
#
# ``measure_routes`` prepares each route, measures its loss on the test text, of a long
# one the beginning, and then lets the routes take turns: an excerpt in chunks of 25
# words, as a text is scored, and words one by one, as a text is written. Ratios are
# those of a turn to the same turn of the model in floats; the least and the greatest
# follow the median. Without int8 dot products, and for a model this small, some may be
# below one: nothing is claimed about them here.

from smallport.bench.routes import measure_routes
from smallport.machine import int8_dot_products

print(f"int8 dot products: {', '.join(int8_dot_products()) or 'none'}")
text = corpus.test[:10_000]
results = measure_routes(
    model, text, "the trained model", timed_tokens=1 + 500, single_words=50
)
live = {route.route: route for route in results.routes}
assert len(text) == min(len(corpus.test), 10_000)
assert set(live) == installed
assert live.keys().isdisjoint(results.missing)
for route in results.routes:
    ratio = route.speedup
    print(f"{route.route}: median {route.chunks}")
    print(
        f"{route.route}: {ratio.median:.2f} times as fast as float32 "
        f"({ratio.low:.2f} to {ratio.high:.2f})"
    )

# %%
# What was asked of the routes is a smaller model that predicts as well. First, the
# types of the weights. torchao and OpenVINO are held to what the page says about them
# if they are installed: both leave the LSTM in floats.

show_table(
    pd.DataFrame(
        {"route": name, "MB": round(route.megabytes, 3), **route.stored}
        for name, route in live.items()
    ),
    "Size of each route, and the types of its weights",
)

# %%
# "int8" alone says little. PyTorch's call leaves the embedding in floats unless it is
# named, and the peers leave the LSTM.

INTEGERS = ("int8", "uint8", "uint4", "int4", "uint2")


def in_integers(layer):
    """List the routes that store a layer in integers."""
    return {name for name, r in live.items() if r.stored[layer].split()[0] in INTEGERS}


FLOATS = {"eager float32", "ONNX float32", "torch.compile", "OpenVINO float32"}
PEERS = {name for name in live if name.startswith(("torchao", "OpenVINO"))}
assert in_integers("decoder") == set(live) - FLOATS
assert in_integers("LSTM") == set(live) - FLOATS - PEERS
assert "eager int8" not in in_integers("embedding")
assert "eager int8, embedding too" in in_integers("embedding")

# %%
# Then the loss. Every route must have read all of that text. In 8 bits it may cost a
# few hundredths of a nat, in fewer bits a tenth.

LOSS = live["eager float32"].loss
for name, route in live.items():
    assert route.tokens == len(text) - 1, f"{name}: {route.tokens} losses"
    bound = 0.1 if "bit" in name else 0.03
    check(
        f"loss, {name}, minus float32",
        route.loss - LOSS,
        "nats",
        at_least=-bound,
        at_most=bound,
    )
check("margin below the unigram model", corpus.unigram_loss(text) - LOSS, at_least=0.25)

# %%
# A loss that was copied from another route would look just as good. So each loss must
# be its own: wherever weights are stored differently, losses differ.

quantized = {name: route.loss for name, route in live.items() if name not in FLOATS}
SAME_WEIGHTS = {"ONNX int8, loss inside", "torchao int8, compiled"}
distinct = {
    LOSS,
    *(loss for name, loss in quantized.items() if name not in SAME_WEIGHTS),
}
assert len(distinct) == 1 + len(quantized.keys() - SAME_WEIGHTS), (
    f"two routes have the same loss: {quantized}"
)

# %%
# Two of them run one file, once with the loss outside and once with it inside, and must
# agree.

outside, inside = live["ONNX int8"].loss, live["ONNX int8, loss inside"].loss
check(
    "loss outside minus loss inside",
    outside - inside,
    "nats",
    at_least=-1e-4,
    at_most=1e-4,
)

# %%
# And a session may have been given another file than we think. Its losses would have to
# be what its logits say, which the measurement above never looked at, and further from
# those of the model in floats than rounding goes. We look at two routes, word by word.

beginning = corpus.test[: 1 + 250].view(-1, 1)
in_floats = lstm.losses(model, beginning.flatten())


def from_logits(made):
    """Compute the loss of each word from logits, the state carried along."""
    state, collected = model.initial_state(1), []
    for inputs, _ in lstm.chunks(beginning, 25):
        logits, state = made.model(inputs, state)
        collected.append(logits)
    return lstm.token_losses(torch.cat(collected), beginning[1:])


for name in ("ONNX int8, loss inside", "ONNX 4-bit embedding"):
    made = route_named(name).prepare(model, route_folder)
    losses = lstm.losses(made.model, beginning.flatten())
    check(
        f"{name}, loss inside against logits: largest difference of a word",
        float((losses - from_logits(made)).abs().max()),
        "nats",
        at_most=1e-3,
    )
    moved = float((losses - in_floats).abs().mean())
    check(f"{name}: mean change of a word's loss", moved, "nats", at_least=1e-3)

# %%
# 4. The published architecture, on WikiText-2
# --------------------------------------------
#
# The trained model is small. Measuring the published architecture, with weights trained
# on WikiText-2 and on all of its test text, takes too long for a build of this site.
# The figures in the next table were kept: they come from another day, and perhaps from
# another machine.

from smallport.bench.route_results import as_table, read_results

provenance, kept = read_results()
show_table(
    as_table(kept).drop(columns="maintenance"),
    "The published architecture on WikiText-2, as it was kept",
)

# %%
# Here is where they come from, and in what this build differs.

print(f"Kept: {provenance}")
print(f"Measured with: {provenance.command}")

assert not kept.missing, f"no figures were kept for {kept.missing}"
assert {route.route for route in kept.routes} == {route.name for route in ROUTES}
for difference in provenance.differences_from_here():
    print(f"not as here: {difference}")

# %%
# A table that is kept can grow stale. Sizes do not depend on what the weights are, so
# that some of them can be measured again, with random weights. PyTorch's engines save
# the weights of an LSTM in slightly different ways, hence the bounds.

torch.manual_seed(0)
published = lstm.WordLanguageModel(33_278, lstm.PUBLISHED).eval()
AGAIN = ("eager int8", "eager int8, embedding too", "ONNX 4-bit embedding")
for name in AGAIN:
    again = route_named(name).prepare(published, route_folder)
    before = kept.named(name)
    check(
        f"size now, to the kept size: {name}",
        again.megabytes / before.megabytes,
        at_least=0.997,
        at_most=1.003,
    )
    assert again.stored == before.stored

# %%
# The figure has both: what this build measured on the trained model, and what was kept
# for the published architecture. Down and to the right is better. The colour is the
# price in loss; routes in floats cost nothing. The numbers are listed below.

NUMBERS = {route.name: number for number, route in enumerate(ROUTES, start=1)}

# %%
# Dots that coincide share a label.


# Drawing: beside each dot stands the number of its route, and dots that coincide share
# a label.
def label_dots(axes, routes):
    """Write numbers beside dots, those of dots that coincide in one label."""
    labels = []
    for route in routes:
        x, y, number = route.speedup.median, route.megabytes, NUMBERS[route.route]
        for label in labels:
            if abs(label["x"] - x) < 0.45 and abs(label["y"] / y - 1) < 0.05:
                label["text"] += f", {number}"
                label["x"] = max(label["x"], x)
                break
        else:
            labels.append({"x": x, "y": y, "text": f"{number}"})
    for label in labels:
        axes.annotate(
            label["text"], (label["x"], label["y"]), (7, 5), textcoords="offset points"
        )


# %%
# The drawing itself is ordinary.

# Drawing: two panels with a numbered dot for each route, its size on a logarithmic axis
# over its speed, coloured by the loss it costs. Above is the trained model of this
# build, below the published architecture as it was kept. Routes in floats are at the
# upper left.
import matplotlib.pyplot as plt

figure, subplots = plt.subplots(2, 1, figsize=(6, 9), layout="constrained")
titles = ("Trained model, this build", f"Published architecture, {provenance.date}")
for axes, title, measured in zip(subplots, titles, (results, kept), strict=True):
    routes, reference = measured.routes, measured.routes[0]
    dots = axes.scatter(
        [route.speedup.median for route in routes],
        [route.megabytes for route in routes],
        c=[max(route.loss - reference.loss, 0) for route in routes],
        cmap="viridis_r",
        vmin=0,
        s=60,
        edgecolors="0.3",
    )
    label_dots(axes, routes)
    axes.set(title=title, xlabel="times as fast as eager float32", ylabel="size, MB")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.margins(0.1)
    axes.set_xlim(left=0)
    figure.colorbar(dots, ax=axes, label="loss above float32, nats")
plt.show()

# %%
# Which number is which route:

show_table(
    pd.DataFrame({"number": NUMBERS.values(), "route": NUMBERS.keys()}),
    "The numbers of the routes in the figure",
)

# %%
# 5. Plain advice
# ---------------
#
# All of it is read off the kept figures, and checked against them.
#
# *You stay in Python and want one call*: eager int8 with the embedding. It is as small
# as the int8 file of ONNX Runtime, but the call has been announced to go.
#
# *You deploy, and the loss must not change*: ONNX Runtime in int8 per channel, and the
# embedding in 4 bits. It is small and fast at once, and costs less than a thousandth.
#
# *Memory is what you lack*: rare words in 2 bits, the rest of embedding and decoder in
# 4. It is the smallest file, at less than a hundredth of a nat, and its median time is
# still below that of eager int8.
#
# *You have OpenVINO or torchao at hand*: fine for a model made of linear layers. Here
# the LSTM stays in floats, and so does the time that it takes.

from smallport.checks import report


def cost(name):
    """Compare the kept loss of a route with that in floats."""
    return kept.named(name).loss - kept.routes[0].loss


def smaller(name):
    """Compare the kept size of a route with that in floats."""
    return kept.routes[0].megabytes / kept.named(name).megabytes


BOTH, SMALLEST = "ONNX 4-bit embedding", "ONNX 2 to 4 bits"
check("kept: loss of the 4-bit embedding", cost(BOTH), "nats", at_most=0.001)
check("kept: times smaller, 4-bit embedding", smaller(BOTH), "×", at_least=5)
check("kept: loss of 2 to 4 bits", cost(SMALLEST), "nats", at_most=0.01)
check("kept: times smaller, 2 to 4 bits", smaller(SMALLEST), "×", at_least=8)
report("kept: speed-up, eager int8", kept.named("eager int8").speedup.median, "×")
for name in (BOTH, SMALLEST):
    report(f"kept: speed-up, {name}", kept.named(name).speedup.median, "×")
    assert kept.named(name).speedup.median > kept.named("eager int8").speedup.median
assert kept.named(BOTH).speedup.low > kept.named("eager int8").speedup.high
in_python, in_onnx = smaller("eager int8, embedding too"), smaller("ONNX int8")
check("kept: eager int8's size, to that of ONNX", in_onnx / in_python, at_most=1.01)
assert max(map(smaller, (r.route for r in kept.routes))) == smaller(SMALLEST)
for route in kept.routes:
    # lint: conditional: only these two families are said to leave the LSTM
    if route.route.startswith(("torchao", "OpenVINO")):
        assert route.stored["LSTM"] == "float32"
        assert route.speedup.high < kept.named(BOTH).speedup.low

# %%
# 6. Add a route of your own
# --------------------------
#
# A route is a function and a name. This one stores every weight in 16 bits, and
# computes in floats as before.

import copy

from smallport.quantize import state_dict_megabytes
from smallport.quantize.routes import Prepared, Route, stored_types


def half_on_disk(model, _):
    """Store weights as float16, and turn them back when they are loaded."""
    stored = copy.deepcopy(model).half()
    types = stored_types(stored.state_dict())
    return Prepared(copy.deepcopy(stored).float(), state_dict_megabytes(stored), types)


mine = measure_routes(
    model,
    corpus.test[:2001],
    "the trained model",
    routes=[ROUTES[0], Route("float16 on disk", half_on_disk)],
    timed_tokens=101,
    single_words=10,
)
show_table(
    as_table(mine)[["route", "embedding", "MB", "loss", "change"]],
    "The route of our own, beside the model in floats",
)

# %%
# Half the size, and next to no change of the loss.

plain, half = mine.routes
check("float16 size, to float32", half.megabytes / plain.megabytes, at_most=0.51)
check("float16: change of the loss", abs(half.loss - plain.loss), at_most=1e-3)
assert set(half.stored.values()) == {"float16"}

# %%
# The files have done their work.

shutil.rmtree(folder)
assert not folder.exists()

# %%
# Conclusion
# ----------
#
# Ask three questions of a quantizer before you believe its name: which weights are
# integers now, what did they cost on a whole text, and how fast is it against the model
# in floats *in the same run*. The answers differ more between routes that all say
# "int8" than between 8 bits and 4.
#
# What to read next
# -----------------
#
# - :doc:`Where the megabytes are <plot_30_where_the_megabytes_are>`: why the embedding
#   bears 4 bits and fewer.
# - :doc:`The LSTM through ONNX <plot_40_lstm_through_onnx>`: export and folding, and
#   what goes wrong.
# - `torchao <https://docs.pytorch.org/ao/stable/>`_ and `OpenVINO's compression of
#   weights
#   <https://docs.openvino.ai/2026/openvino-workflow/model-optimization-guide/weight-compression.html>`_,
#   for models made of linear layers.

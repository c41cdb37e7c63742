r"""
Which quantization method should you use?
=========================================

Result: ONNX Runtime with the embedding in 4 bits and the rest in 8 makes the model
small and fast, at nearly the same loss. A decoder in 4 bits makes it smaller still. On
well-trained weights, it costs many times as much loss.

Prerequisites: :doc:`Quantize an LSTM to int8 with quantize_dynamic
<plot_20_lstm_dynamic_quantization>` and :doc:`Export an LSTM to ONNX with dynamic
lengths, and quantize it <plot_40_lstm_through_onnx>`. Install ``onnx``, ``onnxruntime``
and ``onnxscript``. torchao and OpenVINO are measured if they are installed, and
``torch.compile`` if there is a C++ compiler.

What you will learn: how PyTorch, ONNX Runtime, torchao and OpenVINO compare in size,
loss and speed on one model and one text, how to measure them on your own model, and how
to add a method of your own.

Each tool publishes figures for a model that suits it. This page compares all of them on
one model: an :term:`embedding`, an LSTM of five layers, and a :term:`decoder`. A way
from the model in floats to a smaller one is called a *route* here.
"""

# %%
# 1. All routes on WikiText-2
# ---------------------------
#
# Measuring all routes on the published architecture takes more than an hour, so this
# build does not do it. It shows stored results, with their date and machine. The
# *well-trained* weights have a lower loss on WikiText-2 than those of the published
# tutorial; :doc:`/results` compares both. *Change*
# compares the mean loss on the test text with that of the model in floats; torchao,
# which is slow on this processor, read the beginning of the text. One thread reads
# chunks of 25 words, as when a text is scored, and words one by one, as when a text is
# generated. Ratios are medians of runs that took turns; :doc:`All stored results
# </results>` gives their ranges.

# sphinx_gallery_thumbnail_number = 1
# sphinx_gallery_measures_time = True
from smallport.bench.route_results import overview, read_results
from smallport.display import show_table

provenance, stored = read_results()
print(f"Measured on {provenance}")
print(f"Processes that measured time: {stored.processes}")
show_table(overview(stored), "All routes on WikiText-2, well-trained weights")

# %%
# "int8" in a name does not say which layers are integers. PyTorch's call leaves the
# embedding in floats unless it is named; torchao and OpenVINO leave the LSTM in floats.
# Speed needs two baselines: ONNX Runtime is faster than :term:`eager mode` in floats
# already. When they read chunks, all ONNX routes except *ONNX int8* compute the loss in
# the graph, which saves handing over the :term:`logits`. Compare *ONNX int8* with *ONNX
# int8, loss inside*: this alone makes chunks faster by a fifth.

# Drawing: for each route a bar of how many times smaller it is than float32, and a dot
# with its range of how many times as fast as eager float32 it is. Routes in ONNX
# Runtime with a 4-bit embedding are among the smallest and the fastest; those with a
# 4-bit decoder are smaller, and in the colour of a loss above a hundredth of a nat. A
# dotted line marks the speed of ONNX Runtime in floats.
import matplotlib.pyplot as plt

routes = sorted(stored.routes, key=lambda route: -route.megabytes)
names = [route.route for route in routes]
kinds = {
    "in floats": ("0.6", [n for n in names if "float32" in n or n == "torch.compile"]),
    "costs at most 0.01 nats": (
        "tab:blue",
        [n for n in names if stored.cost(n) <= 0.01],
    ),
    "costs more": ("tab:orange", [n for n in names if stored.cost(n) > 0.01]),
}
colours = {n: colour for colour, of_kind in reversed(kinds.values()) for n in of_kind}
figure, (sizes, speeds) = plt.subplots(
    1, 2, sharey=True, figsize=(6, 5.4), layout="constrained", facecolor="white"
)
sizes.barh(names, [stored.smaller(n) for n in names], color=[colours[n] for n in names])
for name in names:
    ratio = stored.speedup(name)
    speeds.plot([ratio.low, ratio.high], [name, name], color=colours[name], linewidth=3)
    speeds.plot(ratio.median, name, "o", color=colours[name], markersize=8)
in_onnx = stored.speedup("ONNX float32").median
speeds.axvline(in_onnx, color="0.5", linestyle=":", label="ONNX float32")
speeds.legend(loc="center right", bbox_to_anchor=(1, 0.33))
sizes.set(title="Times smaller", xlim=(0, None))
speeds.set(title="Times as fast, chunks", xlim=(0, None))
for axes in (sizes, speeds):
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("than eager float32" if axes is sizes else "as eager float32")
handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for colour, _ in kinds.values()]
figure.legend(handles, kinds, loc="outside lower center", ncols=3)
figure.suptitle("Size and speed of each route")
plt.show()

# %%
# 2. Effects of training and processor
# ------------------------------------
#
# A second stored run differs in two ways: its weights were trained for three epochs
# only, and its processor has instructions for :term:`int8 dot products <int8 dot
# product>`. A model that has learned little has little to lose: there, a decoder in 4
# bits costs little. :doc:`Quantize to 4 bits and fewer, layer by layer
# <plot_30_where_the_megabytes_are>` looks at each layer.

import pandas as pd

little_provenance, little = read_results("routes-three-epochs")
print(f"Three epochs: measured on {little_provenance}")
RUNS = {"well trained": stored, "three epochs": little}
for run, of_run in RUNS.items():
    print(f"{run}: float32 has a loss of {of_run.routes[0].loss:.3f}")

BEST, IN_PYTHON = "ONNX 4-bit embedding", "eager int8, embedding too"
FOUR, SMALLEST = "ONNX 4-bit", "ONNX 2 to 4 bits"
COMPARED = [IN_PYTHON, BEST, FOUR, SMALLEST, "torchao int8"]
COLUMNS = ["change", "chunks, × eager", "chunks, × ONNX"]
halves = [
    overview(of_run).set_index("route").loc[COMPARED, COLUMNS].add_suffix(f", {run}")
    for run, of_run in RUNS.items()
]
show_table(
    pd.concat(halves, axis=1).reset_index(),
    "Change of the loss, and speed in chunks, in both stored runs",
)

# %%
# The cost of 4 bits in the decoder depends on the training:

from smallport.checks import check, report

costs = {run: of_run.cost(FOUR) for run, of_run in RUNS.items()}
check("loss, 4 bits, well trained", costs["well trained"], "nats", at_least=0.03)
check("loss, 4 bits, three epochs", costs["three epochs"], "nats", at_most=0.01)

# %%
# 3. Advice
# ---------
#
# - *You deploy, and the loss must hardly change*: ONNX Runtime, the embedding in 4 bits
#   and the rest in 8 bits :term:`per channel`.
# - *You stay in Python and want one call*: eager int8, the embedding included. It is as
#   small as the int8 file of ONNX Runtime. The call has been announced to be removed.
# - *Space is scarce*: the decoder in 4 bits, too, and rare words in 2. It is slower in
#   chunks than 8 bits. First measure what it costs on a text of your own.
# - *You have torchao or OpenVINO*: use them for models of linear layers. They leave the
#   LSTM in floats, and are slower here than the first choice. Without int8 dot
#   products, torchao in 8 bits is even slower than eager float32.
#
# Both runs are of one architecture. On a model of a different size or training, the
# order of the routes can differ: measure it, as section 4 does.

# %%

# Guard: against stored results, of either run, that contradict the advice on size, loss
# and speed.
OVER = {"× eager": "eager float32", "× ONNX": "ONNX float32"}
for run, of_run in RUNS.items():
    cost, smaller, speed = of_run.cost, of_run.smaller, of_run.speedup
    check(f"{run}: ONNX float32, × eager", speed(OVER["× ONNX"]).median, at_least=1.2)
    check(f"{run}: loss, 4-bit embedding", cost(BEST), "nats", at_most=0.002)
    check(f"{run}: times smaller, 4-bit embedding", smaller(BEST), "×", at_least=5)
    for column, base in OVER.items():
        ratio = speed(BEST, base)
        report(f"{run}: speed, 4-bit embedding, {column}", ratio.median, "×")
    assert speed(BEST).low > speed("eager int8").high
    assert speed(BEST, OVER["× ONNX"]).low > 1
    check(f"{run}: loss, eager int8", cost(IN_PYTHON), "nats", at_most=0.01)
    as_small = smaller("ONNX int8") / smaller(IN_PYTHON)
    check(f"{run}: size of eager int8, to ONNX int8", as_small, at_most=1.01)
    check(f"{run}: times smaller, 2 to 4 bits", smaller(SMALLEST), "×", at_least=8)
    assert smaller(SMALLEST) == max(smaller(route.route) for route in of_run.routes)
    assert speed(FOUR, BEST).high < 1
    for route in of_run.routes:
        # lint: conditional: only these two families are said to leave the LSTM
        if route.route.startswith(("torchao", "OpenVINO")):
            assert route.stored["LSTM"] == "float32"
            assert speed(route.route).high < speed(BEST).low
assert stored.speedup("torchao int8").high < 1  # its processor has no int8 dot products
whole = stored.routes[0].tokens
beginning = {route.route for route in stored.routes if route.tokens < whole}
assert beginning == {"torchao int8", "torchao int8, compiled"}
assert stored.routes[0].loss < 5.167 < little.routes[0].loss  # the published loss
inside = stored.speedup("ONNX int8, loss inside", "ONNX int8").median
check("chunks, loss inside, to logits", inside, "×", at_least=1.15, at_most=1.25)

# %%
# 4. Measure your own model
# -------------------------
#
# ``measure_routes`` takes a model in floats whose only weights are in ``encoder`` (an
# embedding), ``rnn`` (an LSTM that takes the length first) and ``decoder`` (a linear
# layer). ``initial_state(batch_size)`` makes its state, and ``forward(tokens, state)``
# returns :term:`logits` and state. Exercise 1 wraps a model with other names. Here it
# is the model that :doc:`Train an LSTM word language model in PyTorch
# <plot_10_train_word_language_model>` trains. It is small: it may fit into the
# processor's cache, and :doc:`some ratios may be below one
# <plot_50_when_is_int8_faster>`.

import torch

from smallport import assets, lstm
from smallport.bench.routes import measure_routes
from smallport.machine import int8_dot_products

corpus = assets.corpus()
model = assets.language_model(corpus).model
torch.set_num_threads(1)

text = corpus.test[:10_000]
results = measure_routes(
    model, text, "the trained model", timed_tokens=1 + 500, single_words=50
)
print(f"int8 dot products: {', '.join(int8_dot_products()) or 'none'}")
for name, reason in results.missing.items():
    print(f"left out: {name} ({reason})")
show_table(overview(results), "All routes on the trained model, on this machine")

# %%

# Guard: against routes that store a layer in a different type than their name says,
# whose loss is far from that of float32, or that were not measured on all of the
# text.
INTEGERS = ("int8", "uint8", "uint4", "int4", "uint2")


def in_integers(layer):
    """List the routes that store a layer in integers."""
    return {r.route for r in results.routes if r.stored[layer].startswith(INTEGERS)}


measured = {route.route for route in results.routes}
FLOATS = {"eager float32", "ONNX float32", "torch.compile", "OpenVINO float32"}
PEERS = {name for name in measured if name.startswith(("torchao", "OpenVINO"))}
assert in_integers("decoder") == measured - FLOATS
assert in_integers("LSTM") == measured - FLOATS - PEERS
assert "eager int8" not in in_integers("embedding")
assert "eager int8, embedding too" in in_integers("embedding")

for route in results.routes:
    bound = 0.1 if "bit" in route.route else 0.03
    cost = results.cost(route.route)
    name = f"loss, {route.route}, minus float32"
    check(name, cost, "nats", at_least=-bound, at_most=bound)

assert measured >= {"eager float32", "eager int8", "ONNX int8", "ONNX 4-bit"}
assert measured.isdisjoint(results.missing)
assert len(text) == min(len(corpus.test), 10_000)
for route in results.routes:
    assert route.tokens == len(text) - 1, f"{route.route}: {route.tokens} losses"

# %%

# Guard: against losses that were copied from another route, and against a model that
# learned nothing.
LOSS = results.routes[0].loss
check("margin below the unigram model", corpus.unigram_loss(text) - LOSS, at_least=0.25)
SAME_WEIGHTS = {"ONNX int8, loss inside", "torchao int8, compiled"}
quantized = {
    r.route: r.loss for r in results.routes if r.route not in FLOATS | SAME_WEIGHTS
}
distinct = {LOSS, *quantized.values()}
assert len(distinct) == 1 + len(quantized), (
    f"two routes have the same loss: {quantized}"
)
outside = results.named("ONNX int8").loss
inside = results.named("ONNX int8, loss inside").loss
check(
    "loss outside minus loss inside",
    outside - inside,
    "nats",
    at_least=-1e-4,
    at_most=1e-4,
)

# %%
# 5. Store an embedding in 4 bits by hand
# ---------------------------------------
#
# Export the model and fold its constants, as in :doc:`Export an LSTM to ONNX with
# dynamic lengths, and quantize it <plot_40_lstm_through_onnx>`. Then one tool writes
# the embedding in blocks of 4 bits, and another the rest in 8. ``Gather`` is ONNX's
# name of the lookup in an embedding. Each block of 128 weights has a :term:`scale` and
# a :term:`zero point`.

import onnx

from smallport.display import errors_only
from smallport.files import scratch_folder
from smallport.quantize import onnx as onnx_route
from smallport.quantize.onnx.blocks import nbits_tool

folder = scratch_folder()
onnx_route.export_lstm(model, folder / "exported.onnx")
onnx_route.fold_constants(folder / "exported.onnx", folder / "folded.onnx")
nbits = nbits_tool()  # onnxruntime.quantization.matmul_nbits_quantizer


def embedding_4bit(source, target, block_size=128):
    """Write the embedding in blocks of 4 bits, and the rest in 8 bits."""
    quantizer = nbits.MatMulNBitsQuantizer(
        onnx.load(source),
        algo_config=nbits.DefaultWeightOnlyQuantConfig(
            block_size=block_size,
            is_symmetric=False,
            op_types_to_quantize=("Gather",),
            quant_axes=(("Gather", 1),),
        ),
    )
    with errors_only(nbits.__name__):  # it logs every operator that it skips
        quantizer.process()
    quantizer.model.save_model_to_file(str(target))
    onnx_route.quantize_file(target, target)


embedding_4bit(folder / "folded.onnx", folder / "by_hand.onnx")

# %%
# ``GatherBlockQuantized`` has replaced ``Gather``. The sizes below are those in the
# file, where two 4-bit numbers share a byte. All tensors and the graph sum to the file;
# the table shows the largest.

operators = onnx_route.operator_counts(folder / "by_hand.onnx")
assert operators.get("GatherBlockQuantized") == 1, "the embedding is still in floats"
assert operators["DynamicQuantizeLSTM"] == model.rnn.num_layers

parts = onnx_route.file_parts(folder / "by_hand.onnx")
embedding = next(part for part in parts if "GatherBlock" in part.operator)
assert embedding.dtype in {"UINT4", "INT4"}, f"the embedding is {embedding.dtype}"
size = (folder / "by_hand.onnx").stat().st_size / 1e6
graph = parts[-1].megabytes / size
check("graph and names, to the file", graph, at_least=1e-4, at_most=0.02)

show_table(
    pd.DataFrame([*parts[:4], parts[-1]]).drop(columns="shape"),
    f"The largest tensors, and the graph, of a file of {size:.3f} MB",
)

# %%
# Only ONNX Runtime runs the file. Two of its operators belong to ONNX Runtime's own
# domain, ``com.microsoft``, and the reference implementation of the ONNX standard
# rejects it. This holds for every integer route through ONNX, because all of them use
# ``DynamicQuantizeLSTM``.

# Guard: against operators of a different domain, and a file that the reference
# implementation runs.
from onnx.reference import ReferenceEvaluator

from smallport.checks import raises

domains = onnx_route.operator_domains(folder / "by_hand.onnx")
assert domains["com.microsoft"] == ["DynamicQuantizeLSTM", "GatherBlockQuantized"]
with raises(NotImplementedError, match="com.microsoft"):
    ReferenceEvaluator(onnx.load(folder / "by_hand.onnx"))

# %%

# Guard: against a route "ONNX 4-bit embedding" that does something else than the page,
# and against a session that runs a different file: the losses of two routes must follow
# from their logits, and differ from those of the model in floats.
from smallport.quantize.routes import route_named

(folder / "routes").mkdir()
prepared = route_named("ONNX 4-bit embedding").prepare(model, folder / "routes")
stored_here = onnx_route.weight_types(folder / "routes" / "embedding_4bit.onnx")
assert stored_here == onnx_route.weight_types(folder / "by_hand.onnx")
assert prepared.stored == {"embedding": "uint4", "LSTM": "int8", "decoder": "int8"}

beginning = corpus.test[: 1 + 250].view(-1, 1)
in_floats = lstm.losses(model, beginning.flatten())
for name in ("ONNX int8, loss inside", "ONNX 4-bit embedding"):
    made = route_named(name).prepare(model, folder / "routes")
    losses = lstm.losses(made.model, beginning.flatten())
    state, collected = model.initial_state(1), []
    for inputs, _ in lstm.chunks(beginning, 25):
        logits, state = made.model(inputs, state)
        collected.append(logits)
    from_logits = lstm.token_losses(torch.cat(collected), beginning[1:])
    check(
        f"{name}, loss inside against logits: largest difference of a word",
        float((losses - from_logits).abs().max()),
        "nats",
        at_most=1e-3,
    )
    moved = float((losses - in_floats).abs().mean())
    check(f"{name}: mean change of a word's loss", moved, "nats", at_least=1e-3)

# %%

# Guard: against stored results that are out of date. Sizes do not depend on the values
# of the weights, so they are measured again with random ones. PyTorch's engines save
# the weights of an LSTM in slightly different ways, hence the bounds.
from smallport.quantize.routes import ROUTES

for run, of_run in RUNS.items():
    assert not of_run.missing, f"{run} lacks {of_run.missing}"
    routes_of_run = {route.route for route in of_run.routes}
    assert routes_of_run == {route.name for route in ROUTES}
for difference in provenance.differences_from_here():
    print(f"not as here: {difference}")
torch.manual_seed(0)
published = lstm.WordLanguageModel(33_278, lstm.PUBLISHED).eval()
for name in ("eager int8", "eager int8, embedding too", "ONNX 4-bit embedding"):
    again = route_named(name).prepare(published, folder / "routes")
    before = read_results()[1].named(name)
    check(
        f"size now, to the stored size: {name}",
        again.megabytes / before.megabytes,
        at_least=0.997,
        at_most=1.003,
    )
    assert again.stored == before.stored

# %%
# Exercises
# ---------
#
# 1. Measure a model whose layers are called ``embed``, ``lstm`` and ``head``, and whose
#    LSTM has ``batch_first=True``. Wrap it, and let ``routes`` name only the routes of
#    the advice.

# Answer: the wrapper renames the layers. An LSTM has the same weights with the length
# first, so the wrapped model computes the same.
import copy

from torch import nn


class MyModel(nn.Module):
    """A model with different names."""

    def __init__(self, words):
        super().__init__()
        self.embed = nn.Embedding(words, 128)
        self.lstm = nn.LSTM(128, 64, batch_first=True)
        self.head = nn.Linear(64, words)

    def forward(self, tokens):
        return self.head(self.lstm(self.embed(tokens))[0])


class Wrapped(nn.Module):
    """Give a model the names and the order of axes that the routes need."""

    def __init__(self, mine):
        super().__init__()
        self.encoder, self.decoder = mine.embed, mine.head
        self.rnn = copy.deepcopy(mine.lstm)
        self.rnn.batch_first = False

    def forward(self, tokens, state):
        output, state = self.rnn(self.encoder(tokens), state)
        return self.decoder(output), state

    def initial_state(self, batch_size):
        shape = (self.rnn.num_layers, batch_size, self.rnn.hidden_size)
        return torch.zeros(shape), torch.zeros(shape)


# %%

# Answer: the wrapped model has the logits of the model, and the routes take it.
from smallport.quantize.routes import ROUTES, Prepared, Route, route_named

QUICK = {"timed_tokens": 101, "single_words": 10}
excerpt = corpus.test[:2001]
mine = MyModel(len(corpus.vocabulary)).eval()
wrapped = Wrapped(mine).eval()
tokens = excerpt[:50].view(25, 2)
logits, _ = wrapped(tokens, wrapped.initial_state(2))
torch.testing.assert_close(logits, mine(tokens.T).transpose(0, 1))

advised = [ROUTES[0], *map(route_named, (IN_PYTHON, "ONNX float32", BEST, SMALLEST))]
of_mine = measure_routes(wrapped, excerpt, "mine", routes=advised, **QUICK)
print(overview(of_mine).to_string(index=False))
assert of_mine.named(BEST).stored["LSTM"] == "int8"

# %%
# 2. Store the embedding in blocks of 32 instead of 128. How much larger is the file,
#    and what happens to the loss?

# Answer: smaller blocks have more scales, so the file is larger. The loss changes by
# less than a hundredth of a nat.
embedding_4bit(folder / "folded.onnx", folder / "blocks_of_32.onnx", block_size=32)
sizes_of, losses_of = {}, {}
for file in ("folded.onnx", "by_hand.onnx", "blocks_of_32.onnx"):
    runs = onnx_route.ONNXLanguageModel(folder / file, threads=1)
    sizes_of[file] = (folder / file).stat().st_size / 1e6
    losses_of[file] = lstm.evaluate(runs, excerpt)
    print(f"{file}: {sizes_of[file]:.3f} MB, loss {losses_of[file]:.4f}")
assert abs(losses_of["blocks_of_32.onnx"] - losses_of["by_hand.onnx"]) < 0.01
larger = sizes_of["blocks_of_32.onnx"] / sizes_of["by_hand.onnx"]
check("blocks of 32: size, to blocks of 128", larger, at_least=1.01, at_most=1.2)

# %%
# 3. Add a route of your own. A :class:`~smallport.quantize.routes.Route` is a name, and
#    a function that takes the model and a folder for its files, and returns a
#    ``Prepared``: a model that runs, its size in MB, and the types of its weights.
#    Store every weight in 16 bits, and compute in floats as before.

# Answer: float16 halves the size, and hardly changes the loss.
from smallport.quantize import state_dict_megabytes
from smallport.quantize.routes import stored_types


def half_on_disk(model, _):
    """Store weights as float16, and convert them back when they are loaded."""
    half = copy.deepcopy(model).half()
    types = stored_types(half.state_dict())
    return Prepared(copy.deepcopy(half).float(), state_dict_megabytes(half), types)


routes = [ROUTES[0], Route("float16 on disk", half_on_disk)]
halved = measure_routes(model, excerpt, "halved", routes=routes, **QUICK)
check("float16: times smaller", halved.smaller("float16 on disk"), "×", at_least=1.96)
gap = abs(halved.cost("float16 on disk"))
check("float16: change of the loss", gap, "nats", at_most=1e-3)
print(overview(halved).to_string(index=False))

# %%
# Conclusion
# ----------
#
# - Deploy with ONNX Runtime, the embedding in 4 bits and the rest in 8.
# - Measure the loss with well-trained weights, on a long text: weights that have
#   learned little lose little.
# - Compare speeds with float32 in the same engine, too.
# - Look at the types of the stored weights: a name does not say which layers are
#   integers.
#
# What to read next
# -----------------
#
# - :doc:`Quantize to 4 bits and fewer, layer by layer
#   <plot_30_where_the_megabytes_are>`
# - :doc:`When is int8 faster than float32? <plot_50_when_is_int8_faster>`
# - :doc:`All stored results, and the published run </results>`
# - `torchao <https://docs.pytorch.org/ao/stable/>`_ and `OpenVINO's compression of
#   weights
#   <https://docs.openvino.ai/2026/openvino-workflow/model-optimization-guide/weight-compression.html>`_,
#   for models made of linear layers

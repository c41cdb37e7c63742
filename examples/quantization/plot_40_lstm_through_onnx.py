r"""
The LSTM through ONNX, at lengths that it never saw
===================================================

How does a quantized LSTM get into ONNX? Somebody asked this in March 2020, about the
very tutorial that :doc:`our page on dynamic quantization
<plot_20_lstm_dynamic_quantization>` follows, and `the issue
<https://github.com/pytorch/pytorch/issues/35536>`_ was still open in November 2026. The
answer is to turn the order around: export the model in floats first, then quantize the
file.

Both steps have a trap, and both traps are silent. The export fixes the length of the
example, so that the file works until the last chunk of a text, which is shorter. The
quantization passes over the LSTM, so that the file gets smaller, but not by as much as
it should. On this page you will

- walk into the first trap, and read its cause off the exported program;
- export the LSTM so that every length and every batch works;
- walk into the second trap, and get out of it by folding constants;
- check the result: the same logits, the same loss, the same words.

The page stands on its own. It needs ``onnx``, ``onnxruntime`` and ``onnxscript``.

What you will learn: how to get an LSTM into an ONNX file that takes every length, and
how to make sure that its weights really became integers.
"""

# %%
# 1. The model
# ------------
#
# The model predicts the next word of a text: an embedding, an LSTM and a linear decoder
# with one score for each word. Its weights were trained on the corpus by :doc:`the
# first page <plot_10_train_word_language_model>` or, if it never ran, are trained just
# now. The LSTM's state goes in and comes out, so that a long text can be read in
# chunks.

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
print(model)

# %%
# Most of this page reads the beginning of the test text, cut into chunks of 25 words.
# There are forty of them, and the rest, a shorter one.

from smallport.lstm import batchify, chunks

excerpt = batchify(corpus.test[: 40 * 25 + 10 + 1], batch_size=1)
lengths = [len(inputs) for inputs, _ in chunks(excerpt, length=25)]
print(f"{len(lengths)} chunks, the last one of {lengths[-1]} words")
assert lengths == [25] * 40 + [10]

# %%
# 2. The plain export, and its trap
# ---------------------------------
#
# An exporter runs the model once, on an example, and writes down what happens. We have
# to say which axes of the example may have other sizes later. Here these are the length
# of a chunk and the number of texts read side by side, and the plain way to say so is
# ``Dim.DYNAMIC``. :func:`torch.export.export` refuses:

import textwrap

from torch._dynamo.exc import UserError
from torch.export import Dim

from smallport.checks import raises
from smallport.quantize.onnx import export_messages_hidden

example = (torch.zeros(25, 2, dtype=torch.int64), model.initial_state(2))


def both_axes(length: object, batch: object) -> dict[str, object]:
    """Name the length and the batch of each input."""
    return {"tokens": {0: length, 1: batch}, "state": ({1: batch}, {1: batch})}


refusal = (
    "You marked L['tokens'].size()[0] as dynamic",
    "your code specialized it to be a constant (25)",
    "replace it with either Dim.STATIC or Dim.AUTO",
)
with raises(UserError, match=refusal) as failure, export_messages_hidden():
    torch.export.export(
        model, example, dynamic_shapes=both_axes(Dim.DYNAMIC, Dim.DYNAMIC)
    )
print(textwrap.fill(failure.message.splitlines()[1].strip(" -"), 88))

# %%
# "Your code", it says, though the model's code never looks at the length. The message
# suggests ``Dim.AUTO``. The files need a folder, the inputs and outputs need names, and
# what the exporter says about PyTorch's own code is hidden.

import atexit
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

folder = Path(tempfile.mkdtemp())  # the last cell deletes it
atexit.register(shutil.rmtree, folder, ignore_errors=True)

names = {
    "input_names": ["tokens", "hidden", "cell"],
    "output_names": ["logits", "hidden_out", "cell_out"],
}
quiet = ExitStack()  # closed when the last export is done
quiet.enter_context(export_messages_hidden())

# %%
# Now :func:`torch.onnx.export` succeeds, and the file declares that it takes tokens of
# any length:

plain = torch.onnx.export(
    model,
    example,
    dynamo=True,
    dynamic_shapes=both_axes(Dim.AUTO, Dim.AUTO),
    verbose=False,
    **names,
)
plain.save(folder / "plain.onnx")

# %%
# Now read the excerpt with it, chunk by chunk, in ONNX Runtime. The state that comes
# out of one chunk goes into the next.

import onnxruntime as ort

options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 4  # the failure below need not be logged as well
session = ort.InferenceSession(folder / "plain.onnx", options)

length_declared, batch_declared = session.get_inputs()[0].shape
assert isinstance(length_declared, str), "the length is declared as fixed"
assert isinstance(batch_declared, str), "the batch is declared as fixed"

# %%
# Forty chunks pass, each as long as the example. The last one does not:

from onnxruntime.capi.onnxruntime_pybind11_state import Fail

state = [part.numpy() for part in model.initial_state(1)]
chunks_read = 0
announced = ("while running Reshape node", "requested shape:{25,-1,")
with raises(Fail, match=announced) as failure:
    for inputs, _ in chunks(excerpt, length=25):
        feed = {"tokens": inputs.numpy(), "hidden": state[0], "cell": state[1]}
        logits, *state = session.run(None, feed)
        chunks_read += 1

print(f"chunks read: {chunks_read}")
print("...", failure.message[failure.message.index("The input tensor") :])
assert chunks_read == 40

# %%
# A service that tests its export with the example that it exported would have shipped
# this file.
#
# 3. Read the cause off the exported program
# ------------------------------------------
#
# An exported program keeps, for each operation, the shape of what it computes. Sizes
# that may vary are symbols, such as ``s52``. Follow the first axis:

import pandas as pd

from smallport.display import show_table


def first_axes(
    program: torch.export.ExportedProgram, lstm_output: str
) -> dict[str, object]:
    """Collect the first axis of the tokens, and of what each layer makes of them."""
    nodes = {node.name: node for node in program.graph.nodes}
    outputs = {
        "tokens": "tokens",
        "embedding": "embedding",
        "LSTM": lstm_output,
        "decoder": "linear",
    }
    return {layer: nodes[name].meta["val"].shape[0] for layer, name in outputs.items()}


plain_axes = first_axes(plain.exported_program, lstm_output="getitem")
show_table(
    pd.DataFrame(plain_axes.items(), columns=["output of", "first axis"]),
    "First axis after each layer, as the plain export has it",
)

# %%
# The embedding still has a length that may vary; the LSTM and the decoder have 25. To
# find out the shape of the LSTM's output, PyTorch runs `a substitute written in Python
# <https://github.com/pytorch/pytorch/blob/v2.13.0/torch/_decomp/decompositions.py>`_
# (``one_layer_lstm``), which loops over the words. The example has 25 of them, the loop
# ends after 25, and that is what the program remembers. The symbol on the tokens is a
# leftover; the file's declaration, which repeats it, is wrong.

assert isinstance(plain_axes["tokens"], torch.SymInt)
assert isinstance(plain_axes["embedding"], torch.SymInt)
assert plain_axes["LSTM"] == plain_axes["decoder"] == 25
assert isinstance(plain_axes["LSTM"], int)

# %%
# 4. A way that holds
# -------------------
#
# ONNX has an `LSTM operator <https://onnx.ai/onnx/operators/onnx__LSTM.html>`_ of its
# own, which takes any length. So we keep PyTorch from looking inside the LSTM, and put
# that operator there ourselves: :func:`torch.onnx.ops.symbolic_multi_out` places an
# ONNX operator in a program and takes our word for the shapes of its outputs.
# :class:`smallport.quantize.onnx.LSTMOperators` does so for each layer:

from smallport.display import source_of
from smallport.quantize.onnx import LSTMOperators, onnx_gates

print(source_of(LSTMOperators.forward))
print()
print(source_of(onnx_gates))

# %%
# There are three things to get right. The four gates of an LSTM are stacked in another
# order than in PyTorch. Weights and states have one more axis, for the direction in
# which the text is read. And the length is read as ``inputs.shape[0]``, which stays a
# symbol.
#
# In a copy of the model this module takes the LSTM's place. This time the axes get
# names, and :func:`torch.export.export` has nothing against them.

import copy

exportable = copy.deepcopy(model)
exportable.rnn = LSTMOperators(model.rnn)
program = torch.export.export(
    exportable, example, dynamic_shapes=both_axes(Dim("length"), Dim("batch"))
)

axes = first_axes(program, lstm_output="squeeze")
show_table(
    pd.DataFrame(axes.items(), columns=["output of", "first axis"]),
    "First axis after each layer, with the LSTM as an operator",
)

# %%
# The same symbol from the tokens to the logits.

assert all(isinstance(axis, torch.SymInt) for axis in axes.values())
assert len({str(axis) for axis in axes.values()}) == 1

# %%
# A program like this can go to ONNX.

exported = torch.onnx.export(program, dynamo=True, verbose=False, **names)
exported.save(folder / "exported.onnx")
quiet.close()

# %%
# :class:`smallport.quantize.onnx.ONNXLanguageModel` runs the file. It calls a session
# as above, but takes and returns tensors, so that it can stand wherever the model
# stands.

from smallport.quantize.onnx import ONNXLanguageModel

onnx_model = ONNXLanguageModel(folder / "exported.onnx", threads=1)

# %%
# 5. Does it compute the same?
# ----------------------------
#
# Compare it with the model that it came from, at lengths and batches that the export
# never saw, down to a single word. Each run starts from a state that the model reached
# by reading, since with a state of zeros a mixed-up state would go unnoticed.
# Differences are given in terms of the spread of the numbers compared, their standard
# deviation.

from smallport.checks import check


@torch.no_grad()
def differences(candidate: object, length: int, batch: int) -> dict[str, float]:
    """Compare logits and states with the model's, after some reading."""
    rows = batchify(corpus.test[: (length + 50) * batch], batch)
    _, start = model(rows[:50], model.initial_state(batch))
    expected, expected_state = model(rows[50:], start)
    found, found_state = candidate(rows[50:], start)
    pairs = zip((expected, *expected_state), (found, *found_state), strict=True)
    return {
        name: float((a - b).abs().max() / a.std())
        for name, (a, b) in zip(("logits", "hidden", "cell"), pairs, strict=True)
    }


shapes = [(25, 2), (25, 1), (10, 1), (1, 1), (1, 8), (7, 3), (200, 4)]
table = pd.DataFrame(
    {"length": length, "batch": batch, **differences(onnx_model, length, batch)}
    for length, batch in shapes
)
show_table(table, "Largest differences between ONNX and eager, by shape of the input")

# %%
# Nothing but rounding is left.

worst = float(table[["logits", "hidden", "cell"]].to_numpy().max())
check("ONNX against eager: largest difference, to the spread", worst, at_most=5e-5)

# %%
# And the text on which the plain export failed? Each chunk's state goes into the next
# one, through all forty chunks and the shorter one at the end. We compare with a model
# that never saw a chunk: it reads the excerpt in one go.

state = onnx_model.initial_state(1)
collected = []
for inputs, _ in chunks(excerpt, length=25):
    logits, state = onnx_model(inputs, state)
    collected.append(logits)
with torch.no_grad():
    whole, end = model(excerpt[:-1], model.initial_state(1))

carried = torch.cat(collected)
assert carried.shape == whole.shape == (1010, 1, len(corpus.vocabulary))
check(
    "logits after 41 chunks: largest difference, to the spread",
    float((carried - whole).abs().max() / whole.std()),
    at_most=5e-5,
)
check(
    "state after 41 chunks: largest difference, to the spread",
    max(float((a - b).abs().max() / b.std()) for a, b in zip(state, end, strict=True)),
    at_most=5e-5,
)

# %%
# 6. Quantize the file, and the second trap
# -----------------------------------------
#
# :func:`onnxruntime.quantization.quantize_dynamic` works on files. We ask it for the
# embedding (``Gather``), the LSTM and the decoder (``MatMul``), with a scale of its own
# for each row of a weight rather than one for all of it.

from onnxruntime.quantization import QuantType, quantize_dynamic

from smallport.display import errors_only

settings = {
    "op_types_to_quantize": ["Gather", "LSTM", "MatMul"],
    "per_channel": True,
    "weight_type": QuantType.QInt8,
}
quiet.enter_context(errors_only("root"))  # else "consider pre-processing"

# %%
# It reads one file and writes another.

quantize_dynamic(folder / "exported.onnx", folder / "forgotten.onnx", **settings)
quiet.close()

# %%
# No error, and a smaller file. But look inside: which operators does the file have, and
# as what does it store its weights? A list of the largest tensors tells.

from smallport.quantize.onnx import operator_counts, weight_types

forgotten = weight_types(folder / "forgotten.onnx")
show_table(pd.DataFrame(forgotten[:6]), "The largest tensors of the quantized file")

# %%
# Embedding and decoder are integers. The LSTM is still an ``LSTM``, and its weights are
# floats. They are read by a ``Reshape`` and not by the LSTM: our ``onnx_gates`` became
# a part of the file, and puts the gates in order at each run. ``quantize_dynamic``
# takes weights that stand in the file, finds none at the LSTM, and says nothing about
# it.

LSTM_WEIGHT = tuple(model.rnn.weight_hh_l0.shape)
left = [weight for weight in forgotten if weight.shape == LSTM_WEIGHT]
assert operator_counts(folder / "forgotten.onnx")["LSTM"] == pretrained.config.layers
assert "DynamicQuantizeLSTM" not in operator_counts(folder / "forgotten.onnx")
assert left, "the LSTM's weights are not where this page says that they are"
assert {(weight.dtype, weight.operator) for weight in left} == {("FLOAT", "Reshape")}

# %%
# What depends on nothing but weights can be computed beforehand. This is called
# *constant folding*, and ``quant_pre_process`` has ONNX Runtime do it and save the
# result. ONNX Runtime recommends it in the log line that we hid above; whether the LSTM
# is quantized depends on it.

from onnxruntime.quantization.shape_inference import quant_pre_process

quant_pre_process(
    folder / "exported.onnx", folder / "folded.onnx", skip_symbolic_shape=True
)
folded = operator_counts(folder / "folded.onnx")
print("before:", operator_counts(folder / "exported.onnx"))
print("after: ", folded)

gone = {"Reshape", "GatherND", "Unsqueeze"} & set(folded)
assert not gone, f"the gates are still put in order at each run, by {gone}"
assert folded["LSTM"] == pretrained.config.layers

# %%
# The weights stand at the LSTM now, and there ``quantize_dynamic`` finds them. It puts
# ``DynamicQuantizeLSTM`` in the LSTM's place, an operator of ONNX Runtime's own.

quantize_dynamic(folder / "folded.onnx", folder / "int8.onnx", **settings)

quantized = operator_counts(folder / "int8.onnx")
print(quantized)
assert "LSTM" not in quantized, "quantize_dynamic left the LSTM in floats"
assert quantized["DynamicQuantizeLSTM"] == pretrained.config.layers
assert quantized["MatMulInteger"] == 1

# %%
# The names of operators could deceive; the stored tensors do not. Every matrix is made
# of 8-bit integers. What is left in floats is biases and scales, one number for a row.

int8 = weight_types(folder / "int8.onnx")
show_table(
    pd.DataFrame(int8[:6]), "The largest tensors, with the constants folded first"
)

# %%
# Nearly the whole file is integers, and each kind of layer has some.

by_type = pd.DataFrame(int8).groupby("dtype")["megabytes"].sum()
share = by_type.drop("FLOAT").sum() / by_type.sum()
check("integers' share of the int8 file", share, at_least=0.95)
assert {weight.operator for weight in int8 if weight.dtype.endswith("INT8")} >= {
    "Gather",
    "DynamicQuantizeLSTM",
    "MatMulInteger",
}

# %%
# ``smallport.quantize.onnx`` has each of the three steps as a function, for pages that
# are about something else. They give the same file.

from smallport.quantize import onnx as onnx_route

onnx_route.export_lstm(model, folder / "exported_again.onnx")
onnx_route.fold_constants(folder / "exported_again.onnx", folder / "folded_again.onnx")
onnx_route.quantize_file(folder / "folded_again.onnx", folder / "int8_again.onnx")
assert weight_types(folder / "int8_again.onnx") == int8
assert operator_counts(folder / "int8_again.onnx") == quantized

# %%
# 7. At what loss?
# ----------------
#
# An int8 model need not compute the same, it has to predict as well. First a guard
# against fooling ourselves: its logits must *differ* from the float file's by more than
# rounding of floats does, or the session runs another file than we think.

int8_model = ONNXLanguageModel(folder / "int8.onnx", threads=1)
moved = differences(int8_model, 25, 2)["logits"]
print(f"int8 against eager: {moved:.3g} of the spread")
assert moved > 10 * worst, "the int8 session computes what the float session computes"

# %%
# Now the loss on the whole test text, in chunks of 25 and with the last, shorter one.
# :func:`smallport.lstm.losses` gives the loss of every word, so that we can count them:
# nothing precedes the first word, and every other one must be there. Models that forget
# their state between chunks would agree with each other, so the beginning is also
# compared with the logits from reading it in one go.

losses = {
    name: lstm.losses(candidate, corpus.test)
    for name, candidate in (
        ("eager", model),
        ("ONNX", onnx_model),
        ("int8", int8_model),
    )
}
for name, values in losses.items():
    assert len(values) == len(corpus.test) - 1, f"{name}: {len(values)} losses"
    print(f"{name}: {values.mean():.4f} nats over {len(values):,} words")

at_once = lstm.token_losses(whole, excerpt[1:])
check(
    "eager in chunks against one go: largest difference of a word's loss",
    float((losses["eager"][: len(at_once)] - at_once).abs().max()),
    "nats",
    at_most=1e-3,
)
check(
    "ONNX float32 against eager: largest difference of a word's loss",
    float((losses["ONNX"] - losses["eager"]).abs().max()),
    "nats",
    at_most=1e-3,
)
gap = float(losses["int8"].mean() - losses["eager"].mean())
check("loss, ONNX int8 minus eager", gap, "nats", at_least=-0.01, at_most=0.01)

# %%
# As always, equal losses mean something only if there was something to lose. Both are
# below the loss of the unigram model, which knows how frequent words are and nothing
# else.

unigram_loss = corpus.unigram_loss()
margin = unigram_loss - float(losses["int8"].mean())
check("margin of int8 below the unigram model", margin, "nats", at_least=0.1)
check("loss gap, as a share of that margin", abs(gap) / margin, at_most=0.05)
print(f"unigram model: {unigram_loss:.4f} nats")

# %%
# 8. Why not export the quantized model?
# --------------------------------------
#
# It would be the obvious thing to do: quantize in PyTorch, as the tutorial does, and
# export what comes out. This is what the issue of 2020 is about. The weights of a
# quantized LSTM are packed into an object of PyTorch's own. :func:`torch.export.export`
# cannot look inside:

from smallport.quantize import known_warnings_ignored, quantize_model

eager_int8 = quantize_model(model)
announced = ("torch.classes.rnn.CellParamsBase", "'__obj_flatten__'")
with (
    raises(AttributeError, match=announced) as failure,
    known_warnings_ignored(),
):
    torch.export.export(eager_int8, example)
print(textwrap.fill(failure.message, 88))

# %%
# 9. Does it write the same text?
# -------------------------------
#
# :doc:`Page 2 <plot_20_lstm_dynamic_quantization>` lets the model write, each word
# drawn at random from what the model predicts, with a fixed seed. The same random
# numbers go into a new session here, loaded from the file alone. The words must be the
# same, too.


def write(candidate: object) -> list[str]:
    """Let a model write 500 words, with the random numbers of page 2."""
    return lstm.generate(candidate, corpus.vocabulary, 500, seed=7)


words = write(model)
float_words = write(ONNXLanguageModel(folder / "folded.onnx", threads=1))
print(lstm.readable(float_words[:100]))
assert float_words == words
assert len(set(words)) > 50

# %%
# With int8, the predictions move a little. A draw that lies close to the border between
# two words may then fall on the other side, and from there on it is another text: no
# error, but another sample from nearly the same model. Here is how far the two texts
# agree, and how the int8 model goes on from there.

int8_words = write(int8_model)
same = [a == b for a, b in zip(words, int8_words, strict=True)]
first_other = (*same, False).index(False)
print(f"words in the same place: {sum(same)} of {len(same)}")
print(f"words before the first other one: {first_other}")
print(lstm.readable(int8_words[first_other : first_other + 50]))
assert len(int8_words) == len(words)

# %%
# 10. How large?
# --------------
#
# Sizes are best seen on the published architecture, with its vocabulary of 33,278 words
# and five layers. Sizes do not depend on what the weights are, so random ones do. The
# three steps are the functions from above.

from smallport.quantize import state_dict_megabytes

torch.manual_seed(0)
published = lstm.WordLanguageModel(33_278, lstm.PUBLISHED).eval()
files = {
    name: folder / f"published_{name}.onnx"
    for name in ("exported", "forgotten", "folded", "int8")
}
onnx_route.export_lstm(published, files["exported"])
with errors_only("root"):
    quantize_dynamic(files["exported"], files["forgotten"], **settings)
onnx_route.fold_constants(files["exported"], files["folded"])
onnx_route.quantize_file(files["folded"], files["int8"])

sizes = {name: file.stat().st_size / 1e6 for name, file in files.items()}
check("ONNX float32 size", sizes["folded"], "MB", at_least=113.9, at_most=114.0)
check("int8 size, LSTM forgotten", sizes["forgotten"], "MB", at_least=37, at_most=38)
check("int8 size", sizes["int8"], "MB", at_least=28.8, at_most=28.9)
assert operator_counts(files["int8"])["DynamicQuantizeLSTM"] == lstm.PUBLISHED.layers
assert operator_counts(files["forgotten"])["LSTM"] == lstm.PUBLISHED.layers

# %%
# The figure splits each file into the model's layers, by the operators that read the
# stored tensors. PyTorch's eager int8 model is there for comparison. It leaves the
# embedding in floats; the file whose constants nobody folded leaves the LSTM. First,
# the parts:

LAYERS = {
    "embedding": {"Gather", "DequantizeLinear"},
    "LSTM": {"LSTM", "DynamicQuantizeLSTM", "Reshape"},
    "decoder": {"MatMul", "MatMulInteger", "Mul", "Add"},
}


def by_layer(file: Path) -> list[float]:
    """Add up what a file stores for embedding, LSTM and decoder, in MB."""
    stored = weight_types(file)
    return [
        sum(weight.megabytes for weight in stored if weight.operator in operators)
        for operators in LAYERS.values()
    ]


eager = quantize_model(published)
bars = {
    "eager\nint8": [
        state_dict_megabytes(layer)
        for layer in (eager.encoder, eager.rnn, eager.decoder)
    ],
    "ONNX\nfloat32": by_layer(files["folded"]),
    "ONNX int8,\nnot folded": by_layer(files["forgotten"]),
    "ONNX int8,\nfolded": by_layer(files["int8"]),
}

# %%
# And the figure:

# Drawing: a stacked bar for each of four models, by layer. Eager int8 is mostly
# embedding; ONNX in float32 is the largest; without folding the LSTM is as large as in
# floats; with folding all three parts are small.
import matplotlib.pyplot as plt

figure, subplot = plt.subplots(figsize=(7, 4), layout="constrained")
bottom = [0.0] * len(bars)
for layer, heights in zip(LAYERS, zip(*bars.values(), strict=True), strict=True):
    subplot.bar(list(bars), heights, bottom=bottom, label=layer, width=0.6)
    bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
subplot.set(title="Published architecture: size by layer", ylabel="size, MB")
subplot.legend()
plt.show()

# %%
# A picture of parts is honest only if the parts add up to the whole.

files_shown = list(bars.values())[1:]
for name, parts in zip(("folded", "forgotten", "int8"), files_shown, strict=True):
    total = sum(parts)
    assert abs(total - sizes[name]) < 0.01 * sizes[name], f"{name}: {total} MB"

# %%
# 11. How fast?
# -------------
#
# Time on one thread, the models taking turns, so that a busy machine is busy for all of
# them. Where the processor multiplies 8-bit integers and adds them up in one
# instruction, we claim that the folded int8 file is faster than the model in eager
# PyTorch. The other ratios are reported as they are.

from smallport.checks import report
from smallport.machine import int8_dot_products
from smallport.timing import time_interleaved

routes = {
    "eager float32": published,
    "eager int8": eager,
    "ONNX float32": ONNXLanguageModel(files["folded"], threads=1),
    "ONNX int8": ONNXLanguageModel(files["int8"], threads=1),
}
assert torch.get_num_threads() == 1
timings = time_interleaved(
    {
        name: lambda route=route: lstm.evaluate(route, corpus.test[:511])
        for name, route in routes.items()
    },
    repeats=5,
)
for name, seconds in timings.items():
    print(f"{name}: median {seconds}")

speedups = {
    name: timings["eager float32"].median / seconds.median
    for name, seconds in timings.items()
}
report("eager int8, speed-up", speedups["eager int8"], "×")
report("ONNX float32, speed-up", speedups["ONNX float32"], "×")
print(f"int8 dot products: {', '.join(int8_dot_products()) or 'none'}")
# lint: conditional: a speed-up is promised where there are int8 dot products
if int8_dot_products():
    check("ONNX int8, speed-up", speedups["ONNX int8"], "×", at_least=1.5)
else:
    report("ONNX int8, speed-up", speedups["ONNX int8"], "×")

# %%
# The files have done their work.

shutil.rmtree(folder)
assert not folder.exists()

# %%
# Conclusion
# ----------
#
# Export in floats, fold, quantize: four calls took an LSTM out of Python, made every
# matrix in it an integer, and left the loss where it was. What makes the recipe hold is
# small: one module that declares the shapes of its outputs, in place of a layer that
# the exporter unrolls.
#
# Three habits are worth more than the recipe. Run an exported model at sizes that the
# export never saw, the last chunk of a text among them. Compare a state that was
# carried, not one chunk. And read from the file what a quantizer did: it does not say
# what it left out.
#
# What to read next
# -----------------
#
# - :doc:`The model runs in the page </in_the_page>`: the file from section 6 in your
#   browser, where you can let it write.
# - :doc:`Dynamic quantization in eager PyTorch <plot_20_lstm_dynamic_quantization>`:
#   the same in one call, if you stay in Python.
# - :doc:`Check the exporter on Tiny-LLM </gallery/export/plot_10_tiny_llm_export>`:
#   shapes, guards and comparison for a transformer.
# - `ONNX Runtime's page on quantization
#   <https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html>`_,
#   and `torch.onnx.ops <https://docs.pytorch.org/docs/stable/onnx_ops.html>`_.

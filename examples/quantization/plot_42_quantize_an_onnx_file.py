"""
Verify a quantized ONNX file: weights, loss, size and speed
===========================================================

Result: ``quantize_dynamic`` of ONNX Runtime leaves an LSTM in float32 without an error
if its weights are computed in the graph. After constant folding all layers are int8:
a file of the published architecture becomes almost four times smaller. The loss of a
small trained model changes by less than a hundredth of a nat.

Prerequisites: a float32 ONNX file, as :doc:`Export an LSTM to ONNX with dynamic
lengths, and quantize it <plot_40_lstm_through_onnx>` writes. Install ``onnx``,
``onnxruntime`` and ``onnxscript``.

What you will learn: how to find the layers of an ONNX file that a quantizer left in
float32, how to prevent it, and how to compare loss, size and speed with float32.

A quantizer reports no error for a layer that it does not quantize, and a smaller file
is no proof. This page reads the stored weights, and then compares the file with the
model that it was made of.
"""

# %%
# Quantize a file and list its weights
# ------------------------------------
#
# :func:`smallport.quantize.onnx.export_lstm` does the export of the page before. A
# model whose layers have other names is wrapped first, as in exercise 1 of
# :doc:`plot_60_which_route`.

# sphinx_gallery_thumbnail_number = 1
# sphinx_gallery_measures_time = True
from onnxruntime.quantization import QuantType, quantize_dynamic

from smallport import assets, lstm
from smallport.display import errors_only
from smallport.files import scratch_folder
from smallport.quantize.onnx import export_lstm

corpus = assets.corpus()
model = assets.language_model(corpus).model
folder = scratch_folder()
export_lstm(model, folder / "exported.onnx")

settings = {
    "op_types_to_quantize": ["Gather", "LSTM", "MatMul"],
    "per_channel": True,
    "weight_type": QuantType.QInt8,
}
with errors_only("root"):  # the log recommends the step that is missing here
    quantize_dynamic(folder / "exported.onnx", folder / "unfolded.onnx", **settings)

# %%
# No error, and a smaller file. The largest :term:`initializers <initializer>` show the
# problem:

import pandas as pd

from smallport.display import show_table
from smallport.quantize.onnx import operator_counts, weight_types

unfolded = weight_types(folder / "unfolded.onnx")
show_table(pd.DataFrame(unfolded[:6]), "Largest tensors, without constant folding")

# %%
# The weights of the LSTM are still ``FLOAT``, and a ``Reshape`` reads them, not the
# LSTM. The graph reorders the gates at each run, and ``quantize_dynamic`` quantizes
# only weights that an operator reads directly from the file. It does not quantize a
# GRU, either: ``"GRU"`` in ``op_types_to_quantize`` has no effect (exercise 3).

lstm_shape = tuple(model.rnn.weight_hh_l0.shape)
left = {(each.dtype, each.operator) for each in unfolded if each.shape == lstm_shape}
assert left == {("FLOAT", "Reshape")}
assert "DynamicQuantizeLSTM" not in operator_counts(folder / "unfolded.onnx")

# %%
# Fold the constants first
# ------------------------
#
# :term:`Constant folding` computes beforehand what depends on weights only. ONNX
# Runtime does it in ``quant_pre_process``.

from onnxruntime.quantization import shape_inference

shape_inference.quant_pre_process(
    folder / "exported.onnx", folder / "folded.onnx", skip_symbolic_shape=True
)
folded = operator_counts(folder / "folded.onnx")
print("before:", operator_counts(folder / "exported.onnx"))
print("after: ", folded)
gone = {"Reshape", "GatherND", "Unsqueeze"} & set(folded)
assert not gone, f"the gates are still put in order at each run, by {gone}"

quantize_dynamic(folder / "folded.onnx", folder / "int8.onnx", **settings)
quantized = operator_counts(folder / "int8.onnx")
assert "LSTM" not in quantized, "quantize_dynamic left the LSTM in floats"
assert quantized["DynamicQuantizeLSTM"] == folded["LSTM"]
int8 = weight_types(folder / "int8.onnx")
show_table(pd.DataFrame(int8[:6]), "Largest tensors, with constant folding")

# %%
# Every matrix is now stored in 8 bits. Biases and scales remain in float32.

from smallport.checks import check

by_type = pd.DataFrame(int8).groupby("dtype")["megabytes"].sum()
share = by_type.drop("FLOAT").sum() / by_type.sum()
check("8-bit integers, share of the stored weights", share, at_least=0.95)
readers = {each.operator for each in int8 if each.dtype.endswith("INT8")}
assert readers >= {"Gather", "DynamicQuantizeLSTM", "MatMulInteger"}

# %%
# Compare the loss on the whole test text
# ---------------------------------------
#
# Compare the mean loss of the model in :term:`eager mode`, of the float32 file and of
# the int8 file. A difference in loss is meaningful only if the model has learned
# something, so the :term:`unigram model`, which knows word frequencies only, is the
# upper reference. The standard error of the differences of all words says how much of
# the mean difference is chance: one that is smaller than twice its standard error may
# have the opposite sign on a different text.

import torch

from smallport.quantize.onnx import ONNXLanguageModel, require_integer_file

torch.set_num_threads(1)
float_model = ONNXLanguageModel(folder / "folded.onnx", threads=1)
int8_model = ONNXLanguageModel(folder / "int8.onnx", threads=1)
losses = {
    "eager float32": lstm.losses(model, corpus.test),
    "ONNX float32": lstm.losses(float_model, corpus.test),
    "ONNX int8": lstm.losses(int8_model, corpus.test),
}
means = {name: float(values.mean()) for name, values in losses.items()}
means["unigram model"] = corpus.unigram_loss()
for name, mean in means.items():
    print(f"{name:14} {mean:.4f} nats")

by_word = losses["ONNX int8"] - losses["eager float32"]
gap = means["ONNX int8"] - means["eager float32"]
check("loss, ONNX int8 minus eager", gap, "nats", at_least=-0.01, at_most=0.01)
print(
    f"difference {gap:+.5f}, standard error {by_word.std() / len(by_word) ** 0.5:.5f}"
)
check(
    "ONNX float32 against eager: largest difference of a word's loss",
    float((losses["ONNX float32"] - losses["eager float32"]).abs().max()),
    "nats",
    at_least=1e-9,  # 0 would be the same engine twice
    at_most=1e-3,
)
margin = means["unigram model"] - means["ONNX int8"]
check("margin of int8 below the unigram model", margin, "nats", at_least=0.1)

# %%

# Guard: against words that were not evaluated, a state that was not passed on, and a
# session that computes in float32.
for name, values in losses.items():
    assert len(values) == len(corpus.test) - 1, f"{name}: {len(values)} losses"
beginning = corpus.test[:1011]
at_once = lstm.losses(model, beginning, chunk=len(beginning))
check(
    "eager in chunks against one go: largest difference of a word's loss",
    float((losses["eager float32"][:1010] - at_once).abs().max()),
    "nats",
    at_most=1e-3,
)
moved, rounding = (
    float((losses[name] - losses["eager float32"]).abs().max())
    for name in ("ONNX int8", "ONNX float32")
)
assert moved > 10 * rounding, (
    "the int8 session computes what the float session computes"
)
require_integer_file(folder / "folded.onnx", folder / "int8.onnx")

# %%
# Compare the size, layer by layer
# --------------------------------
#
# The published architecture has a vocabulary of 33,278 words and five LSTM layers. Its
# size does not depend on the values of the weights. The package has the two steps from
# above as functions.

from smallport.quantize import quantize_model, state_dict_megabytes
from smallport.quantize.onnx import fold_constants, quantize_file

torch.manual_seed(0)
published = lstm.WordLanguageModel(33_278, lstm.PUBLISHED).eval()
files = {
    name: folder / f"published_{name}.onnx"
    for name in ("exported", "float32", "unfolded", "int8")
}
export_lstm(published, files["exported"])
with errors_only("root"):
    quantize_dynamic(files["exported"], files["unfolded"], **settings)
fold_constants(files["exported"], files["float32"])
quantize_file(files["float32"], files["int8"])

sizes = {name: file.stat().st_size / 1e6 for name, file in files.items()}
check("ONNX float32 size", sizes["float32"], "MB", at_least=113.9, at_most=114.0)
check("int8 size, LSTM in float32", sizes["unfolded"], "MB", at_least=37, at_most=38)
check("int8 size", sizes["int8"], "MB", at_least=28.8, at_most=28.9)

# %%
# The operator that reads a tensor tells the layer that it belongs to. PyTorch's eager
# int8 model, for comparison, leaves the embedding in float32. The rest of each file is
# its graph.

LAYERS = {
    "embedding": {"Gather", "DequantizeLinear"},
    "LSTM": {"LSTM", "DynamicQuantizeLSTM", "Reshape"},
    "decoder": {"MatMul", "MatMulInteger", "Mul", "Add"},
}


def by_layer(name):
    """Add up the tensors of each layer, and the rest of the file, in MB."""
    stored = weight_types(files[name])
    parts = [
        sum(each.megabytes for each in stored if each.operator in operators)
        for operators in LAYERS.values()
    ]
    return [*parts, sizes[name] - sum(parts)]


eager = quantize_model(published)
eager_parts = (eager.encoder, eager.rnn, eager.decoder)
bars = {
    "eager int8": [*map(state_dict_megabytes, eager_parts), 0.0],
    "ONNX float32": by_layer("float32"),
    "ONNX int8,\nnot folded": by_layer("unfolded"),
    "ONNX int8": by_layer("int8"),
}
assert all(0 <= parts[-1] < 0.1 for parts in bars.values())

# %%

# Drawing: a stacked bar for each of four models, by layer. Eager int8 is mostly
# embedding; ONNX in float32 is the largest; without folding the LSTM is as large as in
# float32; with folding all three parts are small.
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
left = [0.0] * len(bars)
for layer, widths in zip(LAYERS, zip(*bars.values(), strict=True), strict=False):
    axes.barh(list(bars), widths, left=left, label=layer, height=0.6)
    left = [before + width for before, width in zip(left, widths, strict=True)]
axes.invert_yaxis()
axes.set(title="Constant folding makes the LSTM int8, too", xlabel="size, MB")
axes.legend()
plt.show()

# %%
# Compare the speed with both baselines
# -------------------------------------
#
# Time all four models on one thread, in turns. ONNX Runtime in float32 is already
# faster than eager PyTorch in float32, so compare int8 with both. The gain of int8
# depends on the processor: with :term:`int8 dot products <int8 dot product>` it is
# larger.

from smallport.checks import report
from smallport.machine import int8_dot_products
from smallport.timing import Ratio, time_interleaved

models = {
    "eager float32": published,
    "ONNX float32": ONNXLanguageModel(files["float32"], threads=1),
    "eager int8": eager,
    "ONNX int8": ONNXLanguageModel(files["int8"], threads=1),
}
text = corpus.test[:511]
timings = time_interleaved(
    {
        name: lambda each=each: lstm.evaluate(each, text)
        for name, each in models.items()
    },
    repeats=5,
    within=0.02,
)
speedups = {
    name: [
        Ratio.of(timings[baseline], seconds)
        for baseline in ("eager float32", "ONNX float32")
    ]
    for name, seconds in timings.items()
}
show_table(
    pd.DataFrame(
        {
            "model": name,
            "eager float32": f"{eager_ratio.median:.2f} ×",
            "ONNX float32": f"{onnx_ratio.median:.2f} ×",
        }
        for name, (eager_ratio, onnx_ratio) in speedups.items()
    ),
    "Speed-up over each baseline, one thread, chunks of 25 words, median of five turns",
)

# %%

over_eager, over_onnx = (ratio.median for ratio in speedups["ONNX int8"])
report("ONNX float32, speed-up", speedups["ONNX float32"][0].median, "×")
report("ONNX int8, speed-up over ONNX float32", over_onnx, "×")
print(f"int8 dot products: {', '.join(int8_dot_products()) or 'none'}")
# lint: conditional: a speed-up is claimed where there are int8 dot products
if int8_dot_products():
    check("ONNX int8, speed-up", over_eager, "×", at_least=1.5)
else:
    report("ONNX int8, speed-up", over_eager, "×")

# %%
# Exercises
# ---------
#
# 1. Quantize ``folded.onnx`` with one scale per tensor (``per_channel=False``). Compare
#    size and loss with ``int8.onnx``.

# Answer: the file is smaller by the scales, and the loss differs little on this text.
quantize_dynamic(
    folder / "folded.onnx",
    folder / "per_tensor.onnx",
    **settings | {"per_channel": False},
)
saved = [(folder / name).stat().st_size for name in ("int8.onnx", "per_tensor.onnx")]
per_tensor = ONNXLanguageModel(folder / "per_tensor.onnx", threads=1)
beginning = corpus.test[:1011]
cost = lstm.evaluate(per_tensor, beginning) - lstm.evaluate(model, beginning)
print(f"bytes saved: {saved[0] - saved[1]:,} of {saved[0]:,}; loss {cost:+.4f} nats")
assert 0 < saved[0] - saved[1] < 0.03 * saved[0]
assert abs(cost) < 0.05

# %%
# 2. Let the model and both files write 500 words with the same random numbers, with
#    :func:`smallport.lstm.generate`. Find the first word that differs.

# Answer: the float32 file writes the words of the model. In int8, some random number
# falls on the other side of a border between two words, and another text follows.
texts = {
    name: lstm.generate(candidate, corpus.vocabulary, 500, seed=7)
    for name, candidate in (
        ("eager", model),
        ("ONNX", float_model),
        ("int8", int8_model),
    )
}
assert texts["ONNX"] == texts["eager"]
assert len(set(texts["eager"])) > 20
lstm.require_drawn(int8_model, corpus.vocabulary, texts["int8"])
same = [a == b for a, b in zip(texts["eager"], texts["int8"], strict=True)]
print(f"words before the first different one: {(*same, False).index(False)}")
print(lstm.readable(texts["int8"][:60]))

# %%
# 3. Write ONNX files with one LSTM and with one GRU, whose weights are in the file.
#    Quantize both, and compare the types of the weights.

# Answer: the weights of the LSTM are int8 afterwards. Those of the GRU stay float32,
# without an error.
import onnx

SIZE = 64
for operator, gates in (("LSTM", 4), ("GRU", 3)):
    shape = (1, gates * SIZE, SIZE)
    weights = {name: torch.randn(shape).numpy() for name in ("W", "R")}
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, ["X", "W", "R"], ["Y"], hidden_size=SIZE)],
        operator,
        [onnx.helper.make_tensor_value_info("X", 1, ["length", "batch", SIZE])],
        [onnx.helper.make_tensor_value_info("Y", 1, ["length", 1, "batch", SIZE])],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    source, target = folder / f"{operator}.onnx", folder / f"{operator}_int8.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=opset, ir_version=8), source)
    with errors_only("root"):
        quantize_dynamic(
            source, target, **settings | {"op_types_to_quantize": [operator]}
        )
    large = {each.dtype for each in weight_types(target) if len(each.shape) == 3}
    print(f"{operator}: {', '.join(large)}")
    assert large == ({"INT8"} if operator == "LSTM" else {"FLOAT"})

# %%
# Conclusion
# ----------
#
# - Fold the constants of a file before you quantize it.
# - List the stored tensors of the result by type. Every matrix should be in 8 bits; a
#   GRU stays in float32.
# - Compare the loss on a text that is long enough, with a model that has learned
#   something, and the speed with ONNX Runtime in float32, too.
#
# What to read next
# -----------------
#
# - :doc:`When is int8 faster than float32? <plot_50_when_is_int8_faster>`: layer sizes,
#   batch sizes and lengths.
# - :doc:`Which quantization method should you use? <plot_60_which_route>`: this file
#   compared with other methods.
# - `ONNX Runtime's page on quantization
#   <https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html>`_.

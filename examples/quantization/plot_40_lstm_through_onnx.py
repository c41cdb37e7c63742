"""
Export an LSTM to ONNX with dynamic lengths, and quantize it
============================================================

Result: Exported as it is, this LSTM works only for texts of the example's length, and
no error says so. With the LSTM operator of ONNX in place of the layer, one file takes
all lengths and batch sizes within bounds that you declare, and its results equal those
of PyTorch up to rounding. After constant folding, all of its matrices can be quantized
to int8.

Prerequisites: an LSTM in PyTorch, such as the one that :doc:`Train an LSTM word
language model in PyTorch <plot_10_train_word_language_model>` trains. Install
``onnx``, ``onnxruntime`` and ``onnxscript``.

What you will learn: how to export an LSTM with named, bounded dynamic lengths, how to
verify the file at shapes that the export did not see, and how to quantize it to int8.

`pytorch#35536 <https://github.com/pytorch/pytorch/issues/35536>`_ has asked since 2020
how a quantized LSTM gets into ONNX. A quantized PyTorch model cannot be exported, but
the order can be reversed: export the model in float32, then quantize the file.
"""

# %%
# Find the size that the export fixes
# -----------------------------------
#
# The model is an :term:`embedding`, an LSTM and a linear :term:`decoder`. The state of
# the LSTM is an input and an output, so that a long text can be read in chunks.

# sphinx_gallery_thumbnail_number = 1
import torch

from smallport import assets, lstm

corpus = assets.corpus()
model = assets.language_model(corpus).model

# %%
# An exporter runs the model once on an example. A :term:`dynamic shape` is a size that
# may differ later: here the length of a chunk and the number of texts read side by
# side. Give each a name and bounds:

from torch._dynamo.exc import UserError
from torch.export import Dim

from smallport.checks import raises
from smallport.quantize.onnx import export_messages_hidden

example = (torch.zeros(25, 2, dtype=torch.int64), model.initial_state(2))


def dynamic_axes(length, batch):
    """Declare the length and the batch size of each input."""
    return {"tokens": {0: length, 1: batch}, "state": ({1: batch}, {1: batch})}


length, batch = Dim("length", min=1, max=512), Dim("batch", min=1, max=64)
announced = (
    "You marked length as dynamic",
    "your code specialized it to be a constant (25)",
    "replace it with either Dim.STATIC or Dim.AUTO",
)
with raises(UserError, match=announced) as failure, export_messages_hidden():
    torch.export.export(model, example, dynamic_shapes=dynamic_axes(length, batch))
print(failure.message.splitlines()[1].strip(" -").replace(". ", ".\n"))

# %%
# The model's code does not depend on the length. To find the shape of the LSTM's
# output, PyTorch runs `a decomposition in Python
# <https://github.com/pytorch/pytorch/blob/v2.13.0/torch/_decomp/decompositions.py>`_
# (``one_layer_lstm``) that loops over the words of the example. This
# :term:`specialization` fixes the length at 25. With ``Dim.AUTO``, which the message
# suggests, the exporter raises no error and the length is still fixed:

from smallport.files import scratch_folder

folder = scratch_folder()
names = {
    "input_names": ["tokens", "hidden", "cell"],
    "output_names": ["logits", "hidden_out", "cell_out"],
}
with export_messages_hidden():  # warnings about code inside PyTorch
    plain = torch.onnx.export(
        model,
        example,
        dynamo=True,
        dynamic_shapes=dynamic_axes(Dim.AUTO, Dim.AUTO),
        verbose=False,
        **names,
    )
plain.save(folder / "plain.onnx")

# %%
# The file declares a dynamic length. (To keep your files, choose another folder:
# Python deletes a scratch folder at its end.) Read the beginning of the test text in
# chunks of 25 words, the length of the example. The last chunk is shorter. The state
# after one chunk is the input of the next.

import onnxruntime as ort
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from smallport.lstm import batchify, chunks

options = ort.SessionOptions()
options.intra_op_num_threads = 1
options.log_severity_level = 4  # the exception below is enough
session = ort.InferenceSession(folder / "plain.onnx", options)
print("declared:", session.get_inputs()[0].shape)
assert all(isinstance(size, str) for size in session.get_inputs()[0].shape)

excerpt = batchify(corpus.test[: 40 * 25 + 10 + 1], batch_size=1)
state = [part.numpy() for part in model.initial_state(1)]
chunks_read = 0
announced = ("while running Reshape node", "requested shape:{25,-1,")
with raises(Fail, match=announced) as failure:
    for inputs, _ in chunks(excerpt, length=25):
        feed = {"tokens": inputs.numpy(), "hidden": state[0], "cell": state[1]}
        logits, *state = session.run(None, feed)
        chunks_read += 1

print(f"chunks read: {chunks_read}")
print(failure.message[failure.message.index("The input tensor") :])
assert chunks_read == 40

# %%
# A test with the example of the export would not have found this.
#
# Use the LSTM operator of ONNX
# -----------------------------
#
# ONNX has an `LSTM operator <https://onnx.ai/onnx/operators/onnx__LSTM.html>`_ that
# takes every length. :func:`torch.onnx.ops.symbolic_multi_out` puts an ONNX operator
# into an :term:`exported program` without running it, with output shapes that the
# caller declares. This module uses it for each layer of an :class:`torch.nn.LSTM` that
# reads the length first. It would export other kinds wrongly, so it rejects them; a
# section below exports a GRU, and a model with the batch first.

from torch import nn


def onnx_gates(weight):
    """Reorder input, forget, cell, output gate to input, output, forget, cell."""
    return torch.unflatten(weight, 0, (4, -1))[[0, 3, 1, 2]].flatten(0, 1)


class LSTMOperators(nn.Module):
    """Replace a one-directional LSTM in an export by ONNX's LSTM operators."""

    def __init__(self, lstm):
        super().__init__()
        if lstm.bidirectional or lstm.batch_first or lstm.proj_size or not lstm.bias:
            raise ValueError(f"LSTMOperators does not support {lstm}")
        self.lstm = lstm

    def forward(self, inputs, state):
        """Put one LSTM operator for each layer into the exported program."""
        hidden, cell = (torch.split(part, 1) for part in state)
        ends = []
        for weights, *start in zip(self.lstm.all_weights, hidden, cell, strict=True):
            input_weight, hidden_weight, *biases = map(onnx_gates, weights)
            tensors = [inputs, input_weight[None], hidden_weight[None]]
            outputs, *end = torch.onnx.ops.symbolic_multi_out(
                "LSTM",
                [*tensors, torch.cat(biases)[None], None, *start],
                {"hidden_size": self.lstm.hidden_size},
                dtypes=[inputs.dtype] * 3,
                shapes=[(inputs.shape[0], *hidden[0].shape), *(x.shape for x in start)],
            )
            inputs = outputs.squeeze(1)  # the axis of directions
            ends.append(end)
        hidden, cell = zip(*ends, strict=True)
        return inputs, (torch.cat(hidden), torch.cat(cell))


# %%
# Three details matter. ONNX stacks the four gates of an LSTM in a different order.
# Weights and states have one more axis, for the direction. And the length is read as
# ``inputs.shape[0]``, which remains a symbol.
#
# Export with named and bounded dimensions
# ----------------------------------------
#
# In a copy of the model the module replaces the LSTM. Now the named dimensions work.

import copy

exportable = copy.deepcopy(model)
exportable.rnn = LSTMOperators(model.rnn)
with export_messages_hidden():
    exported = torch.onnx.export(
        exportable,
        example,
        dynamo=True,
        dynamic_shapes=dynamic_axes(length, batch),
        verbose=False,
        **names,
    )
exported.save(folder / "exported.onnx")

session = ort.InferenceSession(folder / "exported.onnx", options)
print("inputs: ", {value.name: value.shape for value in session.get_inputs()})
print("outputs:", {value.name: value.shape for value in session.get_outputs()})
assert session.get_outputs()[0].shape[:2] == ["length", "batch"]

# %%
# The bounds belong to the exported program, which checks them, and computes nothing:
# its LSTM operator only stands for the one in the file. The ONNX file stores the names
# of the dimensions only. Choose bounds that you have tested. With a named dimension,
# :func:`torch.export.export` also raises an error where the model fixes it, and with
# ``Dim.AUTO`` it does not.

program = exported.exported_program.module()
with raises(AssertionError, match="Guard failed: tokens.size()[0] <= 512"):
    program(torch.zeros(513, 2, dtype=torch.int64), model.initial_state(2))
assert not torch.allclose(program(*example)[0], model(*example)[0])

# %%
# Compare the file with PyTorch
# -----------------------------
#
# Compare :term:`logits` and states at eight shapes, from one word to the bounds. The
# export saw only the first shape. Each run begins with a state that the model reached
# by reading, since a state of zeros would hide two states that are mixed up.
# Differences are divided by the standard deviation of the compared numbers.
# :class:`smallport.quantize.onnx.ONNXLanguageModel` calls a session like the one above,
# with tensors.

from smallport.checks import check
from smallport.quantize.onnx import ONNXLanguageModel

onnx_model = ONNXLanguageModel(folder / "exported.onnx", threads=1)


@torch.no_grad()
def differences(candidate, length, batch):
    """Compare logits and states with the model's, after 50 words of reading."""
    rows = batchify(corpus.test[: (length + 50) * batch], batch)
    _, start = model(rows[:50], model.initial_state(batch))
    expected, expected_state = model(rows[50:], start)
    found, found_state = candidate(rows[50:], start)
    pairs = zip((expected, *expected_state), (found, *found_state), strict=True)
    return [float((a - b).abs().max() / a.std()) for a, b in pairs]


shapes = [(25, 2), (25, 1), (10, 1), (1, 1), (1, 8), (7, 3), (512, 4), (1, 64)]
found = {shape: differences(onnx_model, *shape) for shape in shapes}
worst = max(max(of_shape) for of_shape in found.values())
name = "ONNX against eager: largest difference, to the spread"
check(name, worst, at_least=1e-9, at_most=5e-5)  # 0 would be the same engine twice

# %%
# Only rounding remains in all eight shapes.

# Drawing: for each of eight shapes, three marks on a logarithmic axis, the largest
# differences of logits, hidden state and cell state. All marks lie between 1e-7 and
# 2e-5, to the left of a dashed line at 5e-5, the largest difference that is allowed.
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
labels = [f"{length} × {batch}" for length, batch in shapes]
for number, (name, marker) in enumerate(
    {"logits": "o", "hidden state": "s", "cell state": "^"}.items()
):
    values = [of_shape[number] for of_shape in found.values()]
    axes.plot(values, labels, marker, label=name)
axes.axvline(5e-5, color="0.5", linestyle="--")
axes.set_xscale("log")
axes.invert_yaxis()
axes.set(xlabel="largest difference, to the spread", ylabel="length × batch")
axes.set_title("One ONNX file equals PyTorch at all shapes")
axes.legend(ncols=3, frameon=False, fontsize=9, loc="upper center")
axes.margins(y=0.2)
plt.show()

# %%
# The text on which the plain export failed: the file reads 41 chunks and passes its
# state on, and the model reads the text in one go.

text = excerpt[:, 0]
in_chunks = lstm.losses(onnx_model, text, chunk=25)
in_one_go = lstm.losses(model, text, chunk=len(text))
assert len(in_chunks) == 40 * 25 + 10
check(
    "41 chunks against one go: largest difference of a word's loss",
    float((in_chunks - in_one_go).abs().max()),
    "nats",
    at_most=1e-3,
)

# %%
# Quantize the file
# -----------------
#
# The first call folds constants (:term:`constant folding`): it computes what depends on
# weights only, such as the order of the gates, and stores the result. The second call
# stores the weights of the embedding (``Gather``), the LSTM and the decoder
# (``MatMul``) in 8 bits; LSTM and decoder have scales :term:`per channel`. Without the
# first call, the LSTM remains in float32 and no error is raised, as
# :doc:`plot_42_quantize_an_onnx_file` shows.

from onnxruntime.quantization import QuantType, quantize_dynamic, shape_inference

shape_inference.quant_pre_process(
    folder / "exported.onnx", folder / "folded.onnx", skip_symbolic_shape=True
)
quantize_dynamic(
    folder / "folded.onnx",
    folder / "int8.onnx",
    op_types_to_quantize=["Gather", "LSTM", "MatMul"],
    per_channel=True,
    weight_type=QuantType.QInt8,
)

# %%
# The operators of the file show that all three layers are quantized. One of the
# operators is not part of the ONNX standard: ``DynamicQuantizeLSTM`` belongs to the
# domain ``com.microsoft``, which only ONNX Runtime implements. The float32 file uses
# standard operators only.

import onnx

nodes = onnx.load(folder / "int8.onnx").graph.node
operators = {node.op_type: node.domain or "ai.onnx" for node in nodes}
for operator, domain in operators.items():
    print(f"{domain:14}{operator}")
assert "LSTM" not in operators, "quantize_dynamic left the LSTM in floats"
assert {"DequantizeLinear", "MatMulInteger"} <= operators.keys()
assert [name for name, domain in operators.items() if domain != "ai.onnx"] == [
    "DynamicQuantizeLSTM"
]
folded_nodes = onnx.load(folder / "folded.onnx").graph.node
assert {node.domain for node in folded_nodes} == {""}

# %%
# The int8 file is almost four times smaller. Its loss on the text from above is close
# to that of the model, and below that of the :term:`unigram model`, which knows word
# frequencies only.

int8_model = ONNXLanguageModel(folder / "int8.onnx", threads=1)
loss, int8_loss = lstm.evaluate(model, text), lstm.evaluate(int8_model, text)
float_size, int8_size = (
    (folder / name).stat().st_size for name in ("folded.onnx", "int8.onnx")
)
print(f"float32: {float_size / 1e6:.2f} MB, loss {loss:.4f} nats")
print(f"int8:    {int8_size / 1e6:.2f} MB, loss {int8_loss:.4f} nats")
check("int8 size, to float32", int8_size / float_size, at_most=0.27)
check("loss, ONNX int8 minus eager float32", int8_loss - loss, "nats", at_most=0.01)
margin = corpus.unigram_loss(text) - int8_loss
check("margin below the unigram model", margin, "nats", at_least=0.1)

# %%

# Guard: against code on this page that differs from the code of the package, and a file
# whose integers are not those of the weights, or are not multiplied.
from smallport.quantize import onnx as package

for operators_of in (LSTMOperators, package.LSTMOperators):
    for option in ({"batch_first": True}, {"bidirectional": True}, {"bias": False}):
        with raises(ValueError, match="LSTMOperators"):
            operators_of(nn.LSTM(8, 8, **option))

package.export_lstm(model, folder / "exported_again.onnx")
package.fold_constants(folder / "exported_again.onnx", folder / "folded_again.onnx")
package.quantize_file(folder / "folded_again.onnx", folder / "int8_again.onnx")
for content in (package.weight_types, package.operator_counts):
    assert content(folder / "int8_again.onnx") == content(folder / "int8.onnx")
package.require_integer_file(folder / "folded.onnx", folder / "int8.onnx")

# %%
# Export a GRU, or a model with the batch first
# ---------------------------------------------
#
# PyTorch has another way, still in a private module: a context manager in which the
# exporter keeps the loop over the words, and ONNX writes it as one LSTM or GRU
# operator. The model is not changed, and any layout of the inputs will do. For an LSTM
# it is called ``register_lstm_while_loop_decomposition``. Enter it before the first
# export of such a layer in a process; this page has exported before, so it runs the
# script in a separate process. ONNX Runtime does not quantize a GRU
# (:doc:`plot_42_quantize_an_onnx_file`).

GRU_SCRIPT = """
import sys

import torch
from torch import nn
from torch.export import Dim
from torch.export._patches import register_gru_while_loop_decomposition


class GRUModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.gru = nn.GRU(8, 6, batch_first=True)
        self.decoder = nn.Linear(6, 50)

    def forward(self, tokens, state):
        outputs, state = self.gru(self.embedding(tokens), state)
        return self.decoder(outputs), state


model = GRUModel().eval()
batch, length = Dim("batch", min=1, max=64), Dim("length", min=1, max=512)
with register_gru_while_loop_decomposition():
    program = torch.onnx.export(
        model,
        (torch.zeros(2, 25, dtype=torch.int64), torch.zeros(1, 2, 6)),
        dynamo=True,
        dynamic_shapes={"tokens": {0: batch, 1: length}, "state": {1: batch}},
        verbose=False,
    )
program.save(sys.argv[1])
for sizes in [(1, 10), (3, 1), (2, 100)]:
    inputs = torch.randint(50, sizes), torch.randn(1, sizes[0], 6)
    with torch.no_grad():
        torch.testing.assert_close(program(*inputs), model(*inputs))
    print("the same logits and state, batch × length:", sizes)
"""

# %%
# Run it, and read which sizes the file declares.

import subprocess
import sys

file = folder / "gru.onnx"
done = subprocess.run(  # noqa: S603
    [sys.executable, "-c", GRU_SCRIPT, file],
    capture_output=True,
    check=False,
    text=True,
)
assert done.returncode == 0, done.stderr
print(done.stdout)
declared = ort.InferenceSession(file, options).get_outputs()[0].shape
print("declared output:", declared)
assert done.stdout.count("the same logits") == 3
assert declared == ["batch", "length", 50]
assert package.operator_counts(file)["GRU"] == 1

# %%
# Exercises
# ---------
#
# 1. The exported program rejects a text of 513 words. Run ``exported.onnx`` on one, and
#    compare it with the model.

# Answer: ONNX Runtime does not know the bounds. It runs, and here the numbers are
# right.
beyond = differences(onnx_model, length=513, batch=1)
print(f"largest difference: {max(beyond):.1e}")
assert max(beyond) < 5e-5

# %%
# 2. Quantize the model in PyTorch with :func:`smallport.quantize.quantize_model`, and
#    export the quantized model with :func:`torch.export.export`. Find out why it fails.

# Answer: the weights of a quantized LSTM are packed into an object of PyTorch's own,
# which torch.export cannot read.
from smallport.quantize import known_warnings_ignored, quantize_model

announced = ("torch.classes.rnn.CellParamsBase", "'__obj_flatten__'")
with raises(AttributeError, match=announced) as failure, known_warnings_ignored():
    torch.export.export(quantize_model(model), example)
print(failure.message)

# %%
# Conclusion
# ----------
#
# - Export in float32 with the LSTM operator of ONNX, or inside the context manager,
#   fold the constants, quantize the file, and read its operators.
# - Declare dimensions with names and bounds: :func:`torch.export.export` then raises an
#   error for a fixed size. :func:`torch.onnx.export` alone may not.
# - Test an exported file at sizes that the export did not see, and with a state that is
#   passed on.
#
# What to read next
# -----------------
#
# - :doc:`plot_42_quantize_an_onnx_file`: the content, the loss, the size and the speed
#   of a quantized file.
# - :doc:`The model runs in the page </in_the_page>`: the int8 file in your browser.
# - :doc:`Export Tiny-LLM with its KV cache: torch.export
#   </gallery/export/plot_12_tiny_llm_export>`: a transformer.
# - `torch.onnx.ops <https://docs.pytorch.org/docs/stable/onnx_ops.html>`_.

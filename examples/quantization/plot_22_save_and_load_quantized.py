"""
Save and load a quantized model, and choose its engine
======================================================

Result: A quantized model is saved as its state dict, like any other. To load it with
``weights_only=True``, one class has to be allowed, and the state dict goes into a model
that was quantized in the same way. The loaded model computes exactly the same. The file
can be loaded with every engine; a model in memory keeps the engine that it was made
with.

Prerequisites: :doc:`Quantize an LSTM to int8 with quantize_dynamic
<plot_20_lstm_dynamic_quantization>`. The base installation is enough.

What you will learn: how to save a quantized model and load it safely, why an engine can
be missing on ARM, and what determines the size of a saved file.

Both questions `come up <https://github.com/pytorch/pytorch/issues/31468>`_ `again and
again <https://github.com/pytorch/pytorch/issues/123507>`_: an int8 state dict does not
fit a float model, and some builds of PyTorch quantize nothing before an engine is
chosen.
"""

# %%
# Save the state dict
# -------------------
#
# Three warnings are filtered: the function is deprecated, and two concern the tensors
# that it creates and that are loaded.

import atexit
import shutil
import tempfile
import warnings
from pathlib import Path

import torch
from torch import nn

from smallport import assets, lstm

for message in (
    "torch.ao.quantization is deprecated",
    "torch.quantize_per_tensor",
    "TypedStorage is deprecated",
):
    warnings.filterwarnings("ignore", message)

torch.set_num_threads(1)
if torch.backends.quantized.engine == "none":  # some builds for ARM, see below
    torch.backends.quantized.engine = "qnnpack"


def quantize(model):
    """Convert the LSTM and the linear layers of a model to int8."""
    return torch.ao.quantization.quantize_dynamic(
        model, {nn.LSTM, nn.Linear}, dtype=torch.qint8
    )


corpus = assets.corpus()
pretrained = assets.language_model(corpus)
model = pretrained.model.eval()
quantized_model = quantize(model)

folder = Path(tempfile.mkdtemp())  # the last cell deletes it
atexit.register(shutil.rmtree, folder, ignore_errors=True)
file = folder / "int8.pt"
torch.save(quantized_model.state_dict(), file)
print(f"{file.name}: {file.stat().st_size / 1e6:.3f} MB")

# %%
# Load it with weights_only=True
# ------------------------------
#
# The int8 weights are packed for the processor's instructions. A packed weight is a
# ``torch.ScriptObject``, which ``weights_only=True`` does not allow:

import pickle
import textwrap

from smallport.checks import check, raises

announced = "Unsupported global: GLOBAL torch.ScriptObject"
with raises(pickle.UnpicklingError, match=announced) as failure:
    torch.load(file, weights_only=True)

reason = next(line for line in failure.message.splitlines() if announced in line)
print(textwrap.fill(reason.strip(), 88))

# %%
# Do not switch the protection off: without it, a file can run any code when it is
# loaded. ``safe_globals`` allows this one class while the file is read. Then build the
# architecture with any weights, quantize it in the same way, and load.

untrained = lstm.WordLanguageModel(len(corpus.vocabulary), pretrained.config).eval()


def load_quantized(file):
    """Load the state dict of a quantized model into a new one."""
    loaded = quantize(untrained)
    with torch.serialization.safe_globals([torch.ScriptObject]):
        loaded.load_state_dict(torch.load(file, weights_only=True))
    return loaded


restored = load_quantized(file)

# %%
# The outputs of the restored model are equal to those of the quantized model in every
# bit. Those of the float model differ. ``require_integers`` compares the integers with
# the float weights, and multiplies them by hand.

from smallport.quantize import require_integers


@torch.no_grad()
def logits_of(candidate):
    """Compute the logits of four pieces of text."""
    pieces = lstm.batchify(corpus.test[:1000], batch_size=4)
    logits, _ = candidate(pieces, candidate.initial_state(4))
    return logits


expected = logits_of(quantized_model)
assert torch.equal(logits_of(restored), expected)
assert not torch.equal(logits_of(model), expected)
require_integers(model, restored)
print(f"{tuple(expected.shape)} logits, all equal")

# %%
# Choose the engine
# -----------------
#
# The :term:`engine` is the library inside PyTorch that multiplies the integers. On x86,
# PyTorch chooses one. Some builds for ARM choose none, and there ``quantize_dynamic``
# fails with a message about `NoQEngine
# <https://github.com/pytorch/pytorch/issues/123507>`_. The remedy is one line before
# quantizing, ``torch.backends.quantized.engine = "qnnpack"``, as at the top of this
# page.

chosen = torch.backends.quantized.engine
supported = torch.backends.quantized.supported_engines
print(f"{chosen = }")
print(f"{supported = }")
assert chosen in supported
assert chosen != "none"

# %%
# A model in memory keeps the engine that packed its weights: the choice of another one
# does not change its outputs. A file contains the integers, which are packed again for
# the engine that is chosen when they are loaded. So one file serves every engine. Their
# losses differ slightly, because they round differently. Measure on the engine that you
# deploy. (``qnnpack`` is made for ARM, and is tried only where it is the one chosen.)

text = corpus.test[:1000]
restored_loss = lstm.evaluate(restored, text)
differences = {}
for engine in supported:
    if engine == "none" or (engine == "qnnpack" and chosen != "qnnpack"):
        continue
    torch.backends.quantized.engine = engine
    assert torch.equal(logits_of(restored), expected)
    differences[engine] = lstm.evaluate(load_quantized(file), text) - restored_loss
    print(f"{engine}: loss {differences[engine]:+.5f} nats, compared with {chosen}")
torch.backends.quantized.engine = chosen

largest = max(map(abs, differences.values()))
check("largest difference of the loss between engines", largest, "nats", at_most=0.01)
assert differences[chosen] == 0

# %%
# Exercises
# ---------
#
# **1.** Load the int8 state dict into the float model, ``untrained``. What does the
# message name as missing?

# Answer: the float weights of the LSTM and of the decoder. A quantized layer stores
# packed weights under other names, so the model has to be quantized before it loads.
with torch.serialization.safe_globals([torch.ScriptObject]):
    state_dict = torch.load(file, weights_only=True)
with raises(
    RuntimeError, match=("Missing key(s)", "rnn.weight_ih_l0", "decoder.weight")
):
    untrained.load_state_dict(state_dict)
print("missing:", *sorted(set(untrained.state_dict()) - set(state_dict)))

# %%
# **2.** Four published builds of the tutorial that these pages follow saved the same
# float model under the same name, ``temp.p``, and printed :published:`113.943637 MB`,
# :published:`113.944064 MB` and twice :published:`113.944455 MB`. A saved file is a zip
# archive. List its entries with ``zipfile``. Which of them do not depend on the model,
# and how do they change the size?

# Answer: all but data.pkl and data/. PyTorch's releases added such entries over time.
# Without .format_version and .storage_alignment, and then without byteorder and
# serialization_id, the computed sizes are the other two that were printed. So older
# releases explain them; which ones the builds used is not known. The name of the file
# matters, too, since each path in the archive begins with its stem, but all four builds
# used the same one.
import zipfile

file = folder / "temp.p"
torch.save(lstm.WordLanguageModel(33_278, lstm.PUBLISHED).state_dict(), file)
with zipfile.ZipFile(file) as archive:
    entries = {entry.filename: entry.file_size for entry in archive.infolist()}
paths = list(entries)
assert all(path.startswith("temp/") for path in paths), (
    f"the archive's paths are now: {paths[0]} and the like"
)


def archive_size(*without):
    """Compute the size: each entry begins at a multiple of 64 bytes."""
    kept = {path: n for path, n in entries.items() if not path.endswith(without)}
    end = 0
    for path, size in kept.items():
        begin = end + 30 + len(path) + 4  # the entry's header
        end = begin + -begin % 64 + size + 16
    return end + sum(46 + len(path) for path in kept) + 98  # the table of contents


newer, older = (
    (".format_version", ".storage_alignment"),
    ("byteorder", "serialization_id"),
)
sizes = [archive_size("/none"), archive_size(*newer), archive_size(*newer, *older)]
print("entries:", *(path for path in paths if "/data/" not in path))
print("sizes:", *(f"{size / 1e6:.6f} MB" for size in sizes))
assert sizes[0] == file.stat().st_size
assert sizes[1:] == [113_944_064, 113_943_637]
check(
    "float32 size, saved as temp.p", sizes[0] / 1e6, "MB", at_least=113.943, at_most=114
)

# %%

# Guard: against files that are left behind.
shutil.rmtree(folder)

# %%
# Conclusion
# ----------
#
# - Save ``model.state_dict()``, and store with it how the model was quantized: the
#   state dict fits only a model that was quantized in the same way.
# - Load with ``weights_only=True`` and ``safe_globals([torch.ScriptObject])``, and
#   compare the outputs with those before saving.
# - Set the engine before you quantize or load, and measure the loss on the machine that
#   you deploy to.
#
# What to read next
# -----------------
#
# - :doc:`Export an LSTM to ONNX with dynamic lengths, and quantize it
#   <plot_40_lstm_through_onnx>`: a file that runs without PyTorch.
# - :doc:`Quantize to 4 bits and fewer, layer by layer
#   <plot_30_where_the_megabytes_are>`.

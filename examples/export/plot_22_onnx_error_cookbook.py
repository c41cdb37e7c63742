"""
ONNX export errors and silent differences: causes and fixes
===========================================================

Result: Three frequent errors after :func:`torch.export.export`, each reproduced,
explained and fixed: in the ONNX export, in ONNX Runtime and in a saved program. Two
mistakes raise no error: one makes a program compute something else, one makes a
comparison find no difference.

Prerequisites: PyTorch and the basics of ONNX, as in :doc:`Export Tiny-LLM to ONNX and
verify the result <plot_14_tiny_llm_onnx>`. The page uses ``torch``, ``transformers``,
``onnx``, ``onnxruntime`` and ``onnxscript``.

What you will learn: how to fix errors of ONNX export and of loading, and how to notice
a wrong program or a wrong comparison that raises no error.

:func:`torch.onnx.export` calls :func:`torch.export.export` first. The errors of that
step are on :doc:`torch.export errors: causes and fixes
<plot_20_export_error_cookbook>`.
"""

# %%
# Find your message
# -----------------
#
# - ``No ONNX function found for``: :ref:`Replace an operator that the ONNX exporter
#   lacks <recipe-onnx-function-missing>`
# - ``Got invalid dimensions for input`` or ``Unexpected input data type`` or ``are
#   missing from input feed``: :ref:`Match the inputs that the ONNX file declares
#   <recipe-onnx-input-rejected>`
# - ``We ran into an error when deserializing the saved file`` or ``Deserializing … in
#   pytree is not registered``: :ref:`Register the cache class before loading a program
#   <recipe-program-reloaded>`
#
# Three mistakes have no message:
#
# - one tensor as the example of two inputs: :ref:`Use a different tensor for each input
#   <recipe-example-shared>`
# - weights that program and model share: :ref:`Compare with a model that shares no
#   weights <recipe-weights-shared>`
# - a model that runs twice on the same inputs: :ref:`Copy the inputs before each run
#   <recipe-inputs-changed>`
#
# .. _recipe-onnx-function-missing:
#
# Replace an operator that the ONNX exporter lacks
# ------------------------------------------------
#
# This module computes, at each position, the largest value so far. PyTorch exports it,
# but the conversion to ONNX fails:

from copy import deepcopy

import numpy as np
import onnxruntime
import torch
from torch.export import Dim
from torch.onnx import OnnxExporterError

from smallport import checks
from smallport.display import show_message
from smallport.quantize.onnx import export_messages_hidden

torch.manual_seed(0)


class RunningMaximum(torch.nn.Module):
    def forward(self, hidden):  # (batch, length, width)
        return torch.cummax(hidden, dim=1).values


example = torch.randn(2, 10, 4)
shapes = {"hidden": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}}
announced = "No ONNX function found for <OpOverload(op='aten.cummax'"
with (
    export_messages_hidden(),
    checks.raises(OnnxExporterError, match=announced) as failure,
):
    torch.onnx.export(
        RunningMaximum().eval(),
        (example,),
        dynamo=True,
        dynamic_shapes=shapes,
        verbose=False,
    )
_, _, summary = failure.message.partition("## Exception summary\n\n")
show_message(summary.splitlines()[0])

# %%
# **Cause.** The exporter translates one operator after the other, and has no
# translation of ``aten.cummax``.
#
# **Fix.** Compute the same with operators that have one: a mask and a maximum. Or
# translate the operator yourself, and pass the translation to
# :func:`torch.onnx.export` as ``custom_translation_table``.


class MaskedMaximum(torch.nn.Module):
    def forward(self, hidden):
        position = torch.arange(hidden.shape[1])
        later = position[None, :] > position[:, None]
        every = hidden[:, None].masked_fill(later[:, :, None], float("-inf"))
        return every.amax(dim=2)


def to_onnx(model, arguments, shapes=None):
    """Export to ONNX, and open the result in ONNX Runtime."""
    with export_messages_hidden():
        program = torch.onnx.export(
            model.eval(), arguments, dynamo=True, dynamic_shapes=shapes, verbose=False
        )
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return program, session


_, session = to_onnx(MaskedMaximum(), (example,), shapes)
apart = 0.0
for size in ((1, 1, 4), (3, 7, 4), (2, 50, 4)):
    hidden = torch.randn(size)
    (found,) = session.run(None, {"hidden": hidden.numpy()})
    expected = RunningMaximum()(hidden).numpy()
    apart = max(apart, float(abs(found - expected).max()))

checks.check("without cummax: difference", apart, at_most=1e-6)

# %%
# .. _recipe-onnx-input-rejected:
#
# Match the inputs that the ONNX file declares
# --------------------------------------------
#
# ONNX Runtime rejects a different length, numbers of 64 bits and missing inputs:

from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument


class AddPositions(torch.nn.Module):
    def forward(self, hidden, positions):
        return hidden + positions


_, session = to_onnx(AddPositions(), (example, torch.randn(2, 10, 4)))
longer = np.ones((2, 11, 4), dtype=np.float32)
doubles = np.ones((2, 10, 4))
for announced, feed in {
    "Got invalid dimensions for input": {"hidden": longer, "positions": longer},
    "Unexpected input data type": {"hidden": doubles, "positions": doubles},
}.items():
    with checks.raises(InvalidArgument, match=announced) as failure:
        session.run(None, feed)
    show_message(failure.message)

with checks.raises(ValueError, match="are missing from input feed") as failure:
    session.run(None, {"hidden": longer})
show_message(failure.message)

# %%
# **Cause.** The file declares a name, a type and a shape for each input, by default the
# shape of the example. Numbers in NumPy have 64 bits by default.
#
# **Fix.** Export with ``dynamic_shapes``, and convert arrays before the call.

shapes = {"hidden": {1: Dim.DYNAMIC}, "positions": {1: Dim.DYNAMIC}}
add_positions, session = to_onnx(
    AddPositions(), (example, torch.randn(2, 10, 4)), shapes
)
for declared in session.get_inputs():
    print(declared.name, declared.type, declared.shape)

feed = {"hidden": longer, "positions": doubles[:, :1].repeat(11, axis=1)}
feed = {name: array.astype(np.float32) for name, array in feed.items()}
(summed,) = session.run(None, feed)
assert (summed == 2).all()

# %%
# .. _recipe-program-reloaded:
#
# Register the cache class before loading a program
# -------------------------------------------------
#
# A program whose inputs include a cache is saved, and loaded in a process in which the
# cache class is not registered. :func:`~smallport.export.without_cache_pytrees`
# imitates such a process.

import io

from torch.export import export
from transformers.exporters.exporter_dynamo import register_cache_pytrees_for_model

from smallport.export import caught_logs, without_cache_pytrees
from smallport.parity import InputShape
from smallport.tiny_llm import largest_difference, untrained_tiny_llm, verify_reference

untrained = untrained_tiny_llm()
model, inputs = untrained.model, untrained.inputs
register_cache_pytrees_for_model(model)
program = export(model, (), deepcopy(inputs), dynamic_shapes=untrained.dynamic_shapes)

file = io.BytesIO()
torch.export.save(program, file)
announced = "We ran into an error when deserializing the saved file."
with (
    caught_logs("torch._export.serde.serialize") as fallbacks,
    caught_logs("torch.export") as records,
    without_cache_pytrees(),
    checks.raises(RuntimeError, match=announced),
):
    torch.export.load(io.BytesIO(file.getvalue()))
causes = [str(record.exc_info[1]) for record in records if record.exc_info]
show_message("\n".join(causes))

cause = (
    "Deserializing transformers.cache_utils:DynamicCache in pytree is not registered."
)
assert causes == [cause]

# %%
# **Cause.** The file contains the structure of the inputs, but no code that takes a
# cache apart.
#
# **Fix.** Register the class before you load. The file also contains the example
# inputs. To load a cache among them, PyTorch unpickles it with ``weights_only=False``,
# which can run any code: `load only files that you trust
# <https://github.com/pytorch/pytorch/issues/153410>`_. A program can be saved without
# its examples, but then it checks no :term:`guards <guard>`.

logged = "\n".join(record.msg.partition(". ")[0] for record in fallbacks)
print("with examples:", logged)
assert logged == "Fallback to weights_only=False succeeded", "pickles are rejected now"

module = program.module()
program.example_inputs = None
file = io.BytesIO()
torch.export.save(program, file)
with (
    caught_logs("torch._export.serde.serialize") as fallbacks,
    without_cache_pytrees(),
):
    register_cache_pytrees_for_model(model)
    loaded = torch.export.load(io.BytesIO(file.getvalue()))

reference = untrained_tiny_llm().model
verify_reference(reference)
unseen = [InputShape(batch_size=1, cache_length=64, new_tokens=1), InputShape(3, 7, 5)]
apart = largest_difference(reference, loaded.module(), unseen)
checks.check("saved and loaded: difference", apart, at_most=1e-5)

# %%

# Guard: against a file without examples that is unpickled, or has guards.
assert fallbacks == [], "something in the file is still unpickled"
assert hasattr(module, "_guards_fn"), "a program with examples has no guards now"
assert not hasattr(loaded.module(), "_guards_fn"), "guards no longer need examples"

# %%
# .. _recipe-example-shared:
#
# Use a different tensor for each input
# -------------------------------------
#
# The example has the same tensor for both inputs. The export succeeds, and the program
# adds the positions to themselves:

wrong = export(AddPositions(), (example, example), dynamic_shapes=shapes)
ones, twos = torch.ones(2, 7, 4), torch.full((2, 7, 4), 2.0)
print("1 + 2 =", float(wrong.module()(ones, twos)[0, 0, 0]))

hidden_node = next(node for node in wrong.graph.nodes if node.name == "hidden")
assert not hidden_node.users, "the program reads its first input now"
assert (wrong.module()(ones, twos) == 4).all()

# %%
# **Cause.** The exporter recognizes tensors by identity, so it takes the two inputs for
# one. `PyTorch's developers expect this behaviour
# <https://github.com/pytorch/pytorch/issues/144683>`_. The ONNX exporter does the same.
#
# **Fix.** Use a different tensor for each input. Look for inputs that nothing uses:

wrong_onnx, session = to_onnx(AddPositions(), (example, example), shapes)
for name, program in {"one tensor": wrong_onnx, "two": add_positions}.items():
    unused = [one.name for one in program.model.graph.inputs if not one.uses()]
    print(f"{name}: unused inputs: {unused or 'none'}")

assert not wrong_onnx.model.graph.inputs[0].uses(), "ONNX: the first input is read now"

# %%

# Guard: against other results of the two files.
feed = {"hidden": ones.numpy(), "positions": twos.numpy()}
assert (session.run(None, feed)[0] == 4).all()
right = to_onnx(AddPositions(), (example, example.clone()), shapes)[1]
assert (right.run(None, feed)[0] == 3).all()

# %%
# .. _recipe-weights-shared:
#
# Compare with a model that shares no weights
# -------------------------------------------
#
# A layer is exported, then its weights change. A comparison finds no difference:

layer = torch.nn.Linear(4, 3)
before = deepcopy(layer)
program = export(layer, (example,))
with torch.no_grad():
    layer.weight *= 2
    difference_to_model = float(
        (program.module()(example) - layer(example)).abs().max()
    )
print("difference after the change:", difference_to_model)

assert difference_to_model == 0, "program and model no longer share their weights"
assert program.state_dict["weight"].data_ptr() == layer.weight.data_ptr()

# %%
# **Cause.** The program contains the tensors of the model, not copies of them. Their
# addresses are equal, as the last line asserts.
#
# **Fix.** Export a copy, or compare with a model that was built or loaded separately.

layer = deepcopy(before)
program = export(deepcopy(layer), (example,))
with torch.no_grad():
    layer.weight *= 2
    output = program.module()(example)
    apart = float((output - before(example)).abs().max())
    changed = float((output - layer(example)).abs().max())

assert changed > 0.1, "the program follows the model that it was copied from"
checks.check("exported copy: difference from the weights before", apart, at_most=1e-5)

# %%
# Exercises
# ---------
#
# 1. Does an ONNX file share its weights with the model? Export ``layer`` with
#    ``to_onnx``, change a weight of the layer, and run the session again.

# Answer: A session has its own copy of the weights.
_, session = to_onnx(layer, (example,))
(unchanged,) = session.run(None, {"input": example.numpy()})
with torch.no_grad():
    layer.weight += 1
    expected = layer(example).numpy()
(found,) = session.run(None, {"input": example.numpy()})
print("difference after the change:", float(abs(found - expected).max()))

assert (found == unchanged).all()
assert abs(found - expected).max() > 0.1, "the session follows the layer"

# %%
# 2. Export ``MaskedMaximum`` to ONNX with an example of a single text, ``example[:1]``.
#    Does the file accept three texts? Does :func:`torch.export.export` accept the
#    example?

# Answer: The file does: torch.onnx.export keeps the batch dynamic. torch.export.export
# raises an error.
both = {"hidden": {0: Dim.DYNAMIC, 1: Dim.DYNAMIC}}
_, session = to_onnx(MaskedMaximum(), (example[:1],), both)
three = torch.randn(3, 7, 4)
(found,) = session.run(None, {"hidden": three.numpy()})
assert (found == RunningMaximum()(three).numpy()).all()

with checks.raises(ValueError, match="0/1 specialized") as failure:
    export(MaskedMaximum(), (example[:1],), dynamic_shapes=both)
show_message(failure.message)

# %%
# Conclusion
# ----------
#
# - Read the names, types and shapes that an ONNX file declares before you run it.
# - Register cache classes before you load a program. Load only files that you trust.
# - Use a different tensor for each input of the example, and look for inputs that the
#   program never uses.
# - Compare every program with its model: at shapes that the export never saw, on a copy
#   of the inputs, and with a model that shares no weights.
#
# What to read next
# -----------------
#
# - :doc:`Verify an exported model: decode with its KV cache
#   <plot_30_exported_but_is_it_right>`
# - :doc:`Which architectures export correctly? The scoreboard, live
#   <plot_40_scoreboard_live>`

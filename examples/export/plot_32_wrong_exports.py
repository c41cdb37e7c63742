"""
Find mask, cache and position errors in an exported model
=========================================================

Result: Three wrong programs export without an error or a warning, and compute the right
logits at the inputs that they were exported with. Decoding two texts of different
lengths finds all three, and the tensors that differ first tell the cause.

Prerequisites: :doc:`plot_30_exported_but_is_it_right`, which writes the loop and the
comparison. This page calls :func:`smallport.parity.greedy_decode`, which does the same,
and needs only PyTorch and transformers.

What you will learn: how to test a comparison with programs that are wrong, and how to
infer the cause of an error from the step and the tensor that differ first.

A test that has never failed may be unable to fail. This page makes three mistakes that
occur when a model is prepared for export, and shows which test finds them.
"""

# %%
# Prepare the reference
# ---------------------
#
# Model and prompt are those of :doc:`plot_30_exported_but_is_it_right`: two layers, and
# two texts of seven and twelve tokens, the first one padded on the left.

import torch

from smallport.parity import cache_argument, greedy_decode
from smallport.tiny_llm import empty_cache, untrained_tiny_llm, verify_reference

TOLERANCE = 100 * 4 * torch.finfo(torch.float32).eps
untrained = untrained_tiny_llm(
    num_hidden_layers=2,
    num_attention_heads=6,
    num_key_value_heads=2,
    initializer_range=0.06,
)
model, config = untrained.model, untrained.configuration
verify_reference(model)
cache_name = cache_argument()

generator = torch.Generator().manual_seed(0)
prompt = torch.randint(3, config.vocab_size, (2, 12), generator=generator)
prompt[0, :5] = 0
prompt_mask = (prompt != 0).long()
eager = greedy_decode(
    lambda inputs: model(**inputs),
    prompt,
    empty_cache(config, 2),
    attention_mask=prompt_mask,
)
tokens = eager.tokens

# %%
# Write three wrong models
# ------------------------
#
# The first one loses the :term:`attention mask`, like a wrapper that does not pass it
# on.

from typing import Any

from transformers import LlamaForCausalLM


class MaskIgnored(LlamaForCausalLM):
    """Attend to padding as to any other token."""

    def forward(self, attention_mask: torch.Tensor, **inputs: Any) -> Any:
        """Run the model with a mask of ones."""
        return super().forward(attention_mask=torch.ones_like(attention_mask), **inputs)


# %%
# The second one returns the layers of its :term:`KV cache` in the wrong order. All of
# them have the same shape, so no shape check finds it.


class LayersSwapped(LlamaForCausalLM):
    """Return the second layer's cache as the first one's."""

    def forward(self, **inputs: Any) -> Any:
        """Run the model, and reverse the list of layers."""
        outputs = super().forward(**inputs)
        outputs[cache_name].layers.reverse()
        return outputs


# %%
# The third one is a program for the prompt only (:term:`prefill`); a second program
# takes the other steps (:term:`decode`). It computes positions from the mask, and
# counts from one instead of zero.


class FirstPositionIsOne(LlamaForCausalLM):
    """Read a prompt at positions 1, 2, 3, and so on."""

    def forward(self, attention_mask: torch.Tensor, **inputs: Any) -> Any:
        """Run the model at positions that are too large by one."""
        return super().forward(
            attention_mask=attention_mask,
            position_ids=attention_mask.cumsum(dim=1),  # - 1 is missing
            **inputs,
        )


# %%
# Export them
# -----------
#
# Each gets the model's weights. There is no error and no warning.

import warnings

from transformers.exporters import DynamoConfig, DynamoExporter

from smallport.display import errors_only
from smallport.parity import copy_inputs
from smallport.tiny_llm import make_inputs


def export(kind: type, example: dict) -> torch.nn.Module:
    """Export a wrong model with the weights of the right one."""
    wrong_model = kind(config).eval()
    wrong_model.load_state_dict(model.state_dict())
    shapes = {name: untrained.dynamic_shapes[name] for name in example}
    options = DynamoConfig(dynamic=True, dynamic_shapes=shapes)
    with errors_only("transformers", "torch.export"):  # hides remarks about versions
        exported = DynamoExporter().export(wrong_model, copy_inputs(example), options)
    return exported.program.module()


prompt_example = make_inputs(config, with_cache=False)
del prompt_example["position_ids"]
examples = {
    MaskIgnored: untrained.inputs,
    LayersSwapped: untrained.inputs,
    FirstPositionIsOne: prompt_example,
}
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    right = export(LlamaForCausalLM, untrained.inputs)
    wrong = {kind: export(kind, example) for kind, example in examples.items()}

assert not caught, [str(warning.message) for warning in caught]

# %%
# Compare a single call
# ---------------------
#
# Run each program at the inputs that it was exported with, and compare its
# :term:`logits` with the model's. This is the usual test of an export, and often the
# only one.

from smallport.checks import check

for kind, example in examples.items():
    with torch.no_grad():
        expected = model(**copy_inputs(example)).logits
        logits = wrong[kind](**copy_inputs(example)).logits
    difference = float((logits - expected).abs().max())
    print(f"{kind.__name__}: {difference:.2g}")
    check(f"logits of one call, {kind.__name__}", difference, at_most=TOLERANCE)

# %%
# All three pass. The example's mask holds only ones, so ignoring it changes nothing.
# The logits are computed before the layers are swapped. Llama's position embedding is
# *relative*: attention depends on the distance between two tokens, which stays the same
# when all positions move by one.
#
# Compare while decoding
# ----------------------
#
# The program for the prompt passes its cache to the right program, which takes all
# other steps. A program that chooses a wrong token would continue a different text, and
# later steps could not be compared. So ``feed`` gives each program the model's tokens,
# as :term:`teacher forcing` does in training.

from collections.abc import Callable

from smallport.parity import Discrepancy, compare_decodings


def count_from_one(inputs: dict) -> dict:
    """Read the prompt with the wrong program, every other token with the right one."""
    cache = inputs[cache_name]
    if cache.get_seq_length() > 0:
        return right(**inputs)
    outputs = wrong[FirstPositionIsOne](
        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
    )
    for number, (key, value, *_) in enumerate(outputs[cache_name]):
        cache.update(key, value, number)
    return {"logits": outputs.logits, cache_name: cache}


def differences(step: Callable[[dict], Any]) -> tuple[Discrepancy, ...]:
    """Decode both texts on the model's tokens, and compare each step."""
    decoded = greedy_decode(
        step,
        prompt,
        empty_cache(config, 2),
        attention_mask=prompt_mask,
        feed=tokens,
    )
    return compare_decodings(eager, decoded)


found = {
    "right": differences(lambda inputs: right(**inputs)),
    "MaskIgnored": differences(lambda inputs: wrong[MaskIgnored](**inputs)),
    "LayersSwapped": differences(lambda inputs: wrong[LayersSwapped](**inputs)),
    "FirstPositionIsOne": differences(count_from_one),
}

# %%
# The table shows in which step, counted from one, the cache and the logits first differ
# by more than the tolerance.

import pandas as pd

from smallport.display import show_table
from smallport.parity import worst_of


def first_beyond(steps: tuple[Discrepancy, ...], group: str) -> int | str:
    """Find the first step in which a group of tensors is out of tolerance."""
    beyond = [step.largest(group) > TOLERANCE for step in steps]
    return beyond.index(True) + 1 if any(beyond) else "never"


table = pd.DataFrame(
    {
        "program": name,
        "cache differs from step": first_beyond(steps, "present"),
        "logits differ from step": first_beyond(steps, "logits"),
        "largest difference": worst_of(steps).largest(),
    }
    for name, steps in found.items()
)
show_table(table, "The first step in which each program differs from the model")

# %%
# Decoding finds all three, far beyond the tolerance, and passes the right program. In
# two of them, the logits of the first step are right and only the cache is wrong; the
# logits follow in the second step.

largest = dict(zip(table["program"], table["largest difference"], strict=True))
check("right program, worst of all steps", largest.pop("right"), at_most=TOLERANCE)
for name, difference in largest.items():
    assert difference > 1000 * TOLERANCE, f"decoding does not find {name}"
check("wrong programs, the least of them", min(largest.values()), at_least=0.5)
assert table["cache differs from step"].tolist() == ["never", 1, 1, 1]
assert table["logits differ from step"].tolist() == ["never", 1, 2, 2]

# %%

# Drawing: four lines over the steps, on a logarithmic axis. The three wrong programs
# are far above the dashed line of the tolerance; two of them start below it, at the
# step that reads the prompt. The right program stays below it throughout.
import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(6, 4), layout="constrained", facecolor="white")
for (name, by_step), style in zip(found.items(), ".os^", strict=True):
    axis.plot(
        range(1, 33),
        [step.largest("logits") for step in by_step],
        style,
        label=name,
        linestyle="-",
        markersize=4,
        color="gray" if name == "right" else None,
    )
axis.axhline(TOLERANCE, color="#c44e52", linestyle="--", label="tolerance")
axis.set_yscale("symlog", linthresh=1e-8)
axis.set_ylim(-2e-9, 100)
axis.set_xlabel("step (the first one reads the prompt)")
axis.set_ylabel("largest difference of the logits")
axis.set_title("Three wrong programs and the right one")
axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False)
axis.spines[["top", "right"]].set_visible(False)

# %%
# Infer the cause
# ---------------
#
# The tensors of the first step tell the causes apart.

rows = [{"program": name, **steps[0].by_tensor} for name, steps in found.items()]
first_step = pd.DataFrame(rows)
show_table(first_step, "Largest difference of each tensor in the first step")

# %%
# - All cache tensors are wrong and the logits are right: look at the order of the
#   layers.
# - Keys are wrong and values are right: look at the positions. Only keys carry one.
# - The first layer's cache is right, and everything after its attention is wrong: look
#   at the mask.

beyond = (first_step.set_index("program") > TOLERANCE).T.to_dict("list")
assert beyond == {
    "right": [False, False, False, False, False],
    "MaskIgnored": [True, False, False, True, True],
    "LayersSwapped": [False, True, True, True, True],
    "FirstPositionIsOne": [False, True, False, True, False],
}

# %%
# The padding is necessary. On the longer text alone, which has none, the program that
# ignores its mask is right in every number of all 32 steps.

start = empty_cache(config, 1)
unpadded = compare_decodings(
    greedy_decode(lambda inputs: model(**inputs), prompt[1:], start),
    greedy_decode(lambda inputs: wrong[MaskIgnored](**inputs), prompt[1:], start),
)
check(
    "program that ignores its mask, on a text without padding",
    worst_of(unpadded).largest(),
    at_most=TOLERANCE,
)

# %%
# Have the cause found
# --------------------
#
# ``smallport check MODEL --why`` does this for any model. If a comparison fails, it
# runs model and program side by side, and names the first module and operator that
# differ. Then it tests the usual causes there. A cause is named only if an experiment
# confirms it: attention with the program's mask, say, has to give the program's
# result. The other causes are :ref:`recipe-equal-scores` and
# :ref:`recipe-branch-on-length`.
#
# .. _recipe-masks-differ:
#
# Let the program see the same keys
# ---------------------------------
#
# The program's attention mask differs from the model's: padding is visible, a window
# is wider, or queries are aligned to the first key instead of the last. Queries that
# see no key at all have no defined result, and each runtime computes a different one.
#
# **Fix.** Build the mask from the mask and the lengths that the call is given, with
# ``cache_length + new_tokens`` columns, and let each query see at least its own key.
#
# .. _recipe-positions-differ:
#
# Count positions alike
# ---------------------
#
# The model computes what the program computes if its positions are shifted.
#
# **Fix.** Pass ``position_ids`` to both, or compute them as ``mask.cumsum(1) - 1``; a
# step of :term:`decode` takes the last of them.
#
# .. _recipe-tensors-mixed-up:
#
# Return each tensor in its place
# -------------------------------
#
# The program returns the right tensors under wrong names, such as keys as values, or
# gives all texts the cache of the first one.
#
# **Fix.** Name outputs in the order of :func:`smallport.parity.name_outputs`, and give
# the cache a dynamic batch axis.
#
# .. _recipe-half-precision:
#
# Keep one precision
# ------------------
#
# The program computes a part in half precision, and the model does not.
#
# **Fix.** Export outside of ``torch.autocast``, and convert the whole model or nothing.
#
# .. _recipe-code-differs:
#
# Export the code that the model runs
# -----------------------------------
#
# The program leaves out a module, or has a different number in it.
#
# **Fix.** Look for code that runs only in an export, such as a branch on
# ``torch.compiler.is_exporting()`` or a patch of the exporter, and for a configuration
# that has changed since.

# %%
# Exercises
# ---------
#
# **1.** Leave ``feed`` out, so that each program continues with its own tokens. How
# many of the 64 tokens differ then, and what does the comparison of logits still tell?

# Answer: at least half of the tokens differ, since one wrong token changes everything
# after it. From there on, the logits belong to different texts, and their difference
# tells nothing.
for kind in (MaskIgnored, LayersSwapped):
    program = wrong[kind]
    own = greedy_decode(
        lambda inputs, program=program: program(**inputs),
        prompt,
        empty_cache(config, 2),
        attention_mask=prompt_mask,
    )
    print(f"{kind.__name__}: {int((own.tokens != tokens).sum())} of 64 tokens differ")
    assert (own.tokens != tokens).sum() >= 32

# %%
# **2.** Write a fourth wrong model, which returns the keys of a layer as its values.
# Export it, and look at the first step before you look at the answer. Which tensors
# differ?

# Answer: only the values differ in the first step. The logits were computed before the
# cache was changed, and differ from the second step on.


class KeysAsValues(LlamaForCausalLM):
    """Return the keys of each layer as its values."""

    def forward(self, **inputs: Any) -> Any:
        """Run the model, and copy the keys."""
        outputs = super().forward(**inputs)
        for layer in outputs[cache_name].layers:
            layer.values = layer.keys.clone()
        return outputs


fourth = export(KeysAsValues, untrained.inputs)
steps = differences(lambda inputs: fourth(**inputs))
wrong_tensors = [name for name, by in steps[0].by_tensor.items() if by > TOLERANCE]
print("step 1:", *wrong_tensors)
print("logits differ from step", first_beyond(steps, "logits"))
assert wrong_tensors == ["present.0.value", "present.1.value"]
assert first_beyond(steps, "logits") == 2

# %%
# Conclusion
# ----------
#
# - Test your test: a wrong program must fail it.
# - Compare the cache, not only the logits: a wrong cache shows in the logits a step
#   later, or only in the program that reads it next.
# - Put texts of different lengths into the batch.
# - Feed all programs the same tokens when you look for the cause.
#
# What to read next
# -----------------
#
# - :doc:`plot_40_scoreboard_live`: the same test for many architectures.
# - :doc:`plot_20_export_error_cookbook`: errors that an export does report.

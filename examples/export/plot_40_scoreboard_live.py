"""
Which architectures export correctly? The scoreboard, live
==========================================================

Result: Seven of the eight architectures that this page checks export and compute the
same numbers as the model. RWKV fails, as on the :doc:`scoreboard </scoreboard>`. All
verdicts equal the stored ones where the versions are the same.

Prerequisites: :doc:`plot_30_exported_but_is_it_right`, which verifies one model. The
packages ``onnx``, ``onnxruntime`` and ``onnxscript`` must be installed.

What you will learn: how to check many architectures, each in a separate process, and
how to trace different numbers to their cause.

Transformers registers well over a hundred architectures for causal language modelling.
One that exports well says little about the next one, and each release may break some.
``smallport sweep`` checks them all. That takes too long for a page, so this one checks
eight through the first stages, and compares them with the scoreboard.
"""

# %%
# Choose architectures
# --------------------
#
# :func:`~smallport.architectures.tiny.architectures` lists all of them, and
# :func:`~smallport.architectures.tiny.tiny_model` builds a tiny model of each: a few
# narrow layers, several heads, every kind of layer that the architecture has, and
# random weights. Whether a model exports depends on its code and not on its weights.
# Five are the same in each run, and three are drawn at random.

import random

import transformers

from smallport.architectures.tiny import architectures, tiny_model
from smallport.sweep.runner import choose

FIXED = "bloom,gpt2,llama,mistral,rwkv"
OTHERS = """
codegen cohere falcon gemma2 glm gpt_neo gpt_neox gptj granite helium mpt nemotron
olmo2 opt phi3 qwen2 qwen3 seed_oss smollm3 stablelm
"""

registered = architectures()
drawn = random.SystemRandom().sample(OTHERS.split(), 3)
chosen = choose(registered, ",".join([FIXED, *drawn]))
print(f"transformers {transformers.__version__} registers {len(registered)} of them")
for name in chosen:
    model = tiny_model(name)
    how = "drawn: " if name in drawn else ""
    print(f"{how}{name}, {type(model).__name__}, {model.num_parameters():,} parameters")
    assert model.num_parameters() <= 5_000_000

assert len(chosen) == 8
assert len(registered) > 100

# %%
# Run each in a separate process
# ------------------------------
#
# Some exports hang, some use all memory, and some end the process without an error
# message. So each architecture has a process with a limit on time and memory. Each
# verdict is written to a file at once, and an interrupted sweep resumes from these
# files. Only verdicts with the same versions and the same code are used again.
#
# :func:`~smallport.sweep.executors.local` runs two processes at a time;
# :func:`~smallport.sweep.executors.cluster` runs the same work on a Dask cluster. The
# stages after *matches*, which compares the exported program with the model at shapes
# that the export never saw, are left out here. One more model is broken on purpose: its
# program ignores the mask, and the sweep has to report it.

import tempfile
from pathlib import Path

from smallport.architectures.broken import BROKEN
from smallport.sweep.executors import local
from smallport.sweep.runner import sweep
from smallport.sweep.verdicts import Verdicts

with tempfile.TemporaryDirectory() as folder, local(jobs=2) as executor:
    tried, verdicts = sorted([*chosen, BROKEN]), Verdicts(Path(folder))
    found = list(sweep(tried, verdicts, executor, until="matches"))
    files = sorted(file.stem for file in Path(folder).glob("*.json"))

reports = {verdict.model_type: verdict.report for verdict in found}

assert sorted(reports) == files == tried, "a verdict was lost, or doubled"
broken = reports.pop(BROKEN).failure()
assert getattr(broken, "stage", "") == "matches", "the sweep misses a broken model"
print("broken on purpose:", broken.found)

# %%
# Count the passes
# ----------------
#
# Each stage is counted against all chosen architectures. A stage that was not reached
# did not pass.

from smallport.display import show_table
from smallport.sweep.counts import count_stages, counts_table

counts = count_stages(reports.values(), len(chosen))
show_table(counts_table(counts), "The chosen architectures, counted at each stage")

# %%
# RWKV is a recurrent model, which keeps a state instead of a cache. Its failure is
# reported in the stage in which it occurred.

from smallport.checks import check

passed = {count.stage: count.passed for count in counts}
failure = reports["rwkv"].failure()
print(f"rwkv: failed in {failure.stage}")
print(failure.error.splitlines()[0])

assert {count.total for count in counts} == {len(chosen)}
assert passed["decodes"] == passed["ONNX"] == passed["ONNX Runtime matches"] == 0
assert [name for name in chosen if reports[name].failure()] == ["rwkv"]
assert failure.stage == "exported"
assert passed["ran"] == len(chosen)
check("of eight architectures, those that match", passed["matches"], at_least=7)

# %%
# Compare with the scoreboard
# ---------------------------
#
# The :doc:`scoreboard </scoreboard>` shows a stored sweep over all architectures and
# stages. Different versions may give different verdicts, so only those with the same
# versions are compared.

from smallport.sweep.scoreboard import comparable, contradictions, read_scoreboard

stored = read_scoreboard()
same = comparable(found, stored)
print("stored results:", stored.provenance)
print(f"{len(same)} of {len(found)} verdicts were found with the same versions")

# lint: conditional: different versions may give different verdicts
if same:
    contradicting = contradictions(same, stored)
    assert not contradicting, "\n".join(contradicting)

# %%

# Guard: against a check that compares less than before, and a model that is wrong.
# With transformers 5.24.0, which renamed the cache, no cache was compared.
from smallport.sweep.scoreboard import less_compared

lost = less_compared(found, stored)
assert not lost, "\n".join(lost)

# %%
# The figure shows all registered architectures of the stored sweep.

from smallport.checks import report

stored_counts = stored.counts()
report("stored sweep: registered architectures", len(stored.registered))
report("stored sweep: pass every stage", stored_counts[-1].passed)
assert {count.total for count in stored_counts} == {len(stored.registered)}

# %%

# Drawing: a horizontal bar for each stage, the first stage on top. The part that passed
# gets shorter from stage to stage; a hatched end is what failed in that stage.
import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(6, 3.8), layout="constrained", facecolor="white")
for count in stored_counts:
    axis.barh(count.stage, count.passed, color="#4c72b0")
    axis.barh(
        count.stage, count.failed, left=count.passed, color="#dd8452", hatch="///"
    )
axis.invert_yaxis()
axis.set_xlim(0, len(stored.registered))
axis.set_xlabel("registered architectures")
axis.set_title("Architectures that pass (blue) and fail (hatched)")
axis.spines[["top", "right"]].set_visible(False)

# %%
# Trace different numbers to their cause
# --------------------------------------
#
# Some programs run and compute different numbers than the model. A large difference
# need not be an error, so each one was traced to its cause, and the cause reduced to a
# module of a few lines. The :doc:`scoreboard </scoreboard>` shows which architecture
# each explains.

from smallport.sweep.mismatches import mismatches, unexplained

for name, stored_report in mismatches(stored.reports.values()).items():
    stage = stored_report.failure()
    print(f"{name}, in {stage.stage}: {stage.largest_difference:.2g}")

assert not unexplained(stored.reports.values()), unexplained(stored.reports.values())

# %%
# .. _recipe-equal-scores:
#
# .. _equal-scores:
#
# Equal scores
# ------------
#
# Sparse attention reads only the keys with the highest scores, and experts are chosen
# in the same way. Two scores can be equal to the last bit: in Doge, a score depends on
# the token only, so a token that occurs twice has the same score twice. Which of them
# comes first? Export only the choice.

import torch

from smallport.quantize.onnx import export_messages_hidden


class Choice(torch.nn.Module):
    """Choose the two highest scores."""

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """Return their places."""
        return scores.topk(2).indices


different = torch.tensor([5.0, 1.0, 4.0, 2.0, 0.0, 3.0])
equal = torch.tensor([5.0, 0.0, 0.0, 0.0, 0.0, 0.0])
choice = Choice().eval()
with export_messages_hidden():
    in_onnx = torch.onnx.export(choice, (different,), dynamo=True, verbose=False)

for scores in (different, equal):
    print("PyTorch", choice(scores).tolist(), "ONNX", in_onnx(scores)[0].tolist())

# %%
# `ONNX <https://onnx.ai/onnx/operators/onnx__TopK.html>`_ specifies that the first of
# equal scores is chosen. The documentation of :func:`torch.topk` leaves it open, and
# PyTorch chooses a different one. Neither is wrong, but the two read different keys,
# and all later numbers differ.
#
# **Fix.** Subtract a little from each score, the more the further right it is, or
# accept the difference: each choice is as good as the other.

assert choice(different).tolist() == in_onnx(different)[0].tolist() == [0, 2]
assert in_onnx(equal)[0].tolist() == [0, 1], "ONNX no longer picks the first"
assert choice(equal).tolist() != [0, 1], "PyTorch picks the first, too: sweep again"

# %%
# .. _recipe-branch-on-length:
#
# .. _branch-on-length:
#
# A branch on the length of the cache
# -----------------------------------
#
# GIT widens its attention mask if the cache holds tokens. An export follows one side of
# such a branch, the one that its example takes, and assumes that no dynamic size is 0
# or 1. The program does not check this when it runs, so with an empty cache it silently
# takes the wrong side. Zamba 2 has such a branch on the number of new tokens.
#
# **Fix.** Compute with the length instead of branching on it, or export one program for
# each side, as for a prompt and for single tokens.


class Branch(torch.nn.Module):
    """Add one if the cache holds something."""

    def forward(self, cache: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        """Return the new tokens, or those plus one."""
        return new + 1 if cache.shape[0] > 0 else new


dynamic = {0: torch.export.Dim.DYNAMIC}
branch, new = Branch(), torch.zeros(3)
program = torch.export.export(
    branch, (torch.zeros(30), new), dynamic_shapes=(dynamic, dynamic)
).module()

for length in (30, 2, 1, 0):
    cache = torch.zeros(length)
    agree = torch.equal(program(cache, new), branch(cache, new))
    print(f"{length} cached:", "same numbers" if agree else "different numbers")
    assert agree == (length > 0), "the export uses an empty cache now: sweep again"

# %%
# Exercises
# ---------
#
# **1.** Change ``Choice`` so that PyTorch and ONNX choose the same places in ``equal``.

# Answer: subtract a little from each score, the more the further right it is. Then no
# two scores are equal, and the first of the former equals is the highest.


class FirstChoice(torch.nn.Module):
    """Choose the two highest scores, of equal ones the first."""

    def forward(self, scores: torch.Tensor) -> torch.Tensor:
        """Return their places."""
        return (scores - 1e-4 * torch.arange(len(scores))).topk(2).indices


first = FirstChoice().eval()
with export_messages_hidden():
    first_in_onnx = torch.onnx.export(first, (different,), dynamo=True, verbose=False)

for scores, places in ((different, [0, 2]), (equal, [0, 1])):
    print("PyTorch", first(scores).tolist(), "ONNX", first_in_onnx(scores)[0].tolist())
    assert first(scores).tolist() == first_in_onnx(scores)[0].tolist() == places

# %%
# **2.** Change ``Branch`` so that its program is also right with an empty cache.
# Compute the number to add, instead of branching.

# Answer: ``any`` over no elements is false, which counts as zero.


class NoBranch(torch.nn.Module):
    """Add one if the cache holds something, without a branch."""

    def forward(self, cache: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        """Return the new tokens, or those plus one."""
        return new + torch.ones_like(cache).any()


no_branch = torch.export.export(
    NoBranch(), (torch.zeros(30), new), dynamic_shapes=(dynamic, dynamic)
).module()
for length in (30, 2, 1, 0):
    cache = torch.zeros(length)
    print(f"{length} cached:", no_branch(cache, new).tolist())
    assert torch.equal(no_branch(cache, new), branch(cache, new))

# %%
# Conclusion
# ----------
#
# - Check more than one architecture, each in a separate process, and count a process
#   that was stopped as a result.
# - Count against all architectures: one that was left out did not pass.
# - Store long results with their versions, and check a few of them again in each build.
# - Trace a difference to its cause before you call it an error, or rounding.
#
# What to read next
# -----------------
#
# - :doc:`The scoreboard </scoreboard>`: all architectures, with the error of each.
# - :doc:`plot_20_export_error_cookbook`: the causes of these errors, and fixes.
# - For a model of your own: ``smallport check``, at the end of
#   :doc:`plot_14_tiny_llm_onnx`.

"""
Sweep over architectures, and compare with the scoreboard
=========================================================

One model that exports well says little about the next one. Transformers registers well
over a hundred architectures for causal language modelling, each with an attention, a
cache or a routing of its own, and a release of any package involved may break some of
them. The way to know is to check them all. ``smallport sweep`` does that, and the
:doc:`scoreboard </scoreboard>` shows what it found.

A whole sweep takes too long for a page. This one

- takes eight architectures through the first stages, one that is known to fail among
  them;
- counts what they passed, stage by stage;
- compares each verdict with the one that the scoreboard shows. If the versions are
  the same and the verdicts are not, or less is compared than was, this page goes red;
- shows, in modules of a few lines, why some architectures compute other numbers once
  they are exported.

What you will learn: how to check many architectures at once, and how to trace a
difference to its cause.
"""

# %%
# Choose architectures
# --------------------
#
# :func:`~smallport.architectures.tiny.architectures` names all of them. A table of
# rules turns the default configuration of each into a tiny one: a few narrow layers,
# several heads, every kind of layer that the architecture has, random weights. Whether
# a model can be exported depends on its code and not on its weights.
#
# RWKV is the one that is known to fail. It is a recurrent model, and keeps a state
# instead of a cache.

import transformers

from smallport.architectures.tiny import architectures, tiny_model
from smallport.sweep.runner import choose

registered = architectures()
chosen = choose(registered, "bloom,gpt2,gpt_neox,llama,mistral,opt,qwen2,rwkv")
print(f"transformers {transformers.__version__} registers {len(registered)} of them")
for name in chosen:
    model = tiny_model(name)
    print(f"{name}: {type(model).__name__}, {model.num_parameters():,} parameters")
    assert model.num_parameters() <= 5_000_000

assert len(chosen) == 8
assert len(registered) > 100

# %%
# Run them, each in a process of its own
# --------------------------------------
#
# Some exports hang, some take all the memory that there is, and some end the process
# without a word. So each architecture has a process, with a limit on its time and its
# memory, and whatever happens to that process is a verdict. Each verdict is written to
# a file as soon as it is there. A sweep that was interrupted, or killed, goes on from
# there, and only what was found with the same versions and the same rules is believed.
#
# :func:`~smallport.sweep.executors.local` runs two at a time on this machine. Its
# sibling :func:`~smallport.sweep.executors.cluster` hands the same work to a Dask
# cluster. To keep the page short, the sweep ends with the stage *matches*: what was
# exported is compared with the model, at shapes that the export never saw.

import tempfile
from pathlib import Path

from smallport.sweep.executors import local
from smallport.sweep.runner import sweep
from smallport.sweep.verdicts import Verdicts

with tempfile.TemporaryDirectory() as folder, local(jobs=2) as executor:
    found = list(sweep(chosen, Verdicts(Path(folder)), executor, until="matches"))
    files = sorted(file.stem for file in Path(folder).glob("*.json"))

reports = {verdict.model_type: verdict.report for verdict in found}

assert sorted(reports) == files == list(chosen), "a verdict was lost, or doubled"

# %%
# Count what passed
# -----------------
#
# Every stage is counted by itself, against all that were chosen. The stages after
# *matches* were not asked for, so nothing passed them: a stage that was not reached is
# no pass.

from smallport.display import show_table
from smallport.sweep.counts import count_stages, counts_table

counts = count_stages(reports.values(), len(chosen))
show_table(counts_table(counts), "The chosen architectures, counted at each stage")

# %%
# The failure stands in the stage in which it happened, with the error in full.

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
# The scoreboard was made from a sweep over all architectures, through all stages, at
# the time and on the machine that the next cell prints. With other versions than those,
# a verdict may be another, so only those are compared whose versions are the same.

from smallport.sweep.scoreboard import (
    comparable,
    contradictions,
    less_compared,
    read_scoreboard,
)

kept = read_scoreboard()
same = comparable(found, kept)
print("kept results:", kept.provenance)
print(f"{len(same)} of {len(found)} verdicts were found with the versions of those")

# lint: conditional: other versions may give other verdicts
if same:
    contradicting = contradictions(same, kept)
    assert not contradicting, "\n".join(contradicting)

# %%
# A verdict also rests on what was compared. With transformers 5.24.0, which renamed the
# cache, an earlier version of this check passed everything and no longer compared a
# single cache. So whatever the versions are, these must compare as much as before: as
# many tensors, the same outputs, and the same sizes of batches and texts.

lost = less_compared(found, kept)
for name in ("llama", "gpt2"):
    compared = reports[name].coverage.compared
    print(f"{name}: {compared['number of tensors'][0]} tensors", *compared["outputs"])

assert not lost, "\n".join(lost)

# %%
# How far did they all get? Each bar counts every registered architecture. What was not
# reached, or has no verdict, is left empty.

stages = [count.stage for count in kept.counts()]
passing = [count.passed for count in kept.counts()]
assert passing == sorted(passing, reverse=True)
assert {count.total for count in kept.counts()} == {len(kept.registered)}

# %%
# As a picture:

# Drawing: a horizontal bar for each stage, the first stage on top. The part that passed
# gets shorter from stage to stage; a hatched end is what failed in that stage.
import matplotlib.pyplot as plt

figure, axis = plt.subplots(figsize=(7, 3.6), layout="constrained", facecolor="white")
failing = [count.failed for count in kept.counts()]
axis.barh(stages, passing, color="#4c72b0", label="passed")
axis.barh(
    stages, failing, left=passing, color="#dd8452", hatch="///", label="failed here"
)
axis.invert_yaxis()
axis.set_xlim(0, len(kept.registered))
axis.set_xlabel("registered architectures")
axis.set_title("How far architectures get")
axis.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
axis.spines[["top", "right"]].set_visible(False)

# %%
# Where the numbers differ
# ------------------------
#
# Some architectures run to the end and compute other numbers than the model. A large
# difference need not be a mistake, so each one was traced to its cause, and the cause
# cut down to a module of a few lines. The :doc:`scoreboard </scoreboard>` says which
# architecture it explains. No difference may stay unexplained.

from smallport.sweep.mismatches import mismatches, unexplained

for name, kept_report in mismatches(kept.reports.values()).items():
    stage = kept_report.failure()
    print(f"{name}, in {stage.stage}: {stage.largest_difference:.2g}")

assert not unexplained(kept.reports.values()), unexplained(kept.reports.values())

# %%
# .. _equal-scores:
#
# Equal scores
# ------------
#
# Models with sparse attention read only the keys with the highest scores, and experts
# are chosen the same way. Two scores can be equal to the last bit: in Doge, a score
# depends on nothing but the token, so a token that occurs twice has the same score
# twice. Which of equal ones come first? Export the choice alone, and see.

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
# `ONNX <https://onnx.ai/onnx/operators/onnx__TopK.html>`_ picks the one on the left.
# The documentation of :func:`torch.topk` leaves it open, and another one is picked.
# Both keep their promises, and yet the model reads other keys, and every number after
# that is another. A model reads the same keys everywhere only if no two scores are
# equal.

assert choice(different).tolist() == in_onnx(different)[0].tolist() == [0, 2]
assert in_onnx(equal)[0].tolist() == [0, 1], "ONNX no longer picks the first"
assert choice(equal).tolist() != [0, 1], "PyTorch picks the first, too: sweep again"

# %%
# .. _branch-on-length:
#
# A branch on the length of the cache
# -----------------------------------
#
# GIT widens its attention mask if there is something in the cache. An export follows
# one side of such a branch, the one that its example took, and takes for granted that
# no dynamic size is 0 or 1. Nothing checks that when the program runs. With an empty
# cache, the program is on the wrong side, and says nothing. Zamba 2 branches on the
# number of new tokens: a single one is computed in another form.


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
    print(f"{length} tokens in the cache:", "agrees" if agree else "differs")
    assert agree == (length > 0), "the export heeds an empty cache now: sweep again"

# %%
# What to take away
# -----------------
#
# - Check more than one architecture, each in a process of its own, and count what
#   stopped a process as a result.
# - Count against all that there are. What was left out did not pass.
# - Results that take long are kept with their versions, and a few of them are measured
#   again by each build.
# - Trace a difference to its cause before you call it a mistake, or rounding.
#
# For a model of your own, ``smallport check`` does the same, as the end of
# :doc:`plot_10_tiny_llm_export` shows.

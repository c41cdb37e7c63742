r"""
Dynamic quantization of an LSTM word language model
===================================================

A trained model stores its weights as 32-bit floats. Quantization stores them as 8-bit
integers: a quarter of the bytes to keep, to load and to move through the processor's
caches. *Dynamic* quantization is the easiest kind. The weights are converted once,
beforehand; the activations are converted on the fly, each time with the scale that fits
them; no calibration data is needed and nothing is trained again.

This page quantizes an LSTM, and then asks the three questions that matter: how much
smaller, how much faster, and at what loss? It follows the PyTorch tutorial `Dynamic
Quantization on an LSTM Word Language Model
<https://docs.pytorch.org/tutorials/advanced/dynamic_quantization_tutorial.html>`_ by
James Reed, edited by Seth Weidman, and checks each of its claims on the machine that
built this site.

What you will learn: what one call of ``quantize_dynamic`` saves in bytes and in time,
what it costs in loss, and how to check all three.
"""

# %%
# 1. The model
# ------------
#
# The model is the one of PyTorch's `word language model example
# <https://github.com/pytorch/examples/blob/main/word_language_model/model.py>`_: an
# embedding, an LSTM, dropout, and a linear decoder with one score for every word. This
# is its code, without the docstrings.

# sphinx_gallery_thumbnail_number = 1
# sphinx_gallery_measures_time = True
from smallport import lstm
from smallport.display import source_of

print(source_of(lstm.WordLanguageModel))

# %%
# Two of its layers, the LSTM and the decoder, are made of matrix products. The
# embedding multiplies nothing: it looks up a row for each word.

from smallport import assets

corpus = assets.corpus()
pretrained = assets.language_model(corpus)

model = lstm.WordLanguageModel(len(corpus.vocabulary), pretrained.config)
print(model)

# %%
# 2. The text and the weights
# ---------------------------
#
# The weights belong to the corpus that the vocabulary comes from. :doc:`The page before
# this one <plot_10_train_word_language_model>` trains them, and if it never ran, they
# were trained just now; or they are the published ones, if you asked for those. They
# are a *state dict*, a mapping from names to tensors. ``weights_only=True`` makes
# PyTorch load tensors and nothing else: a file that holds code, as any pickle may, is
# refused instead of run.

import torch

print("weights:", pretrained.source)
state_dict = torch.load(pretrained.file, map_location="cpu", weights_only=True)
model.load_state_dict(state_dict)
model.eval()

for name, tensor in state_dict.items():
    print(f"{name:18} {tuple(tensor.shape)}")

# %%
# From here on everything runs on one thread, as in the published tutorial. With
# several, a timing also measures how well the work is shared out. A setting is only a
# setting, so we look at what PyTorch's libraries report, and then at the clock: one
# thread cannot use more processor time than the time that passes.

import re
import time

from smallport.checks import check, report

torch.set_num_threads(1)
threads = dict(
    re.findall(
        r"(get_num_threads|\w+_max_threads)\(\) : (\d+)",
        torch.__config__.parallel_info(),
    )
)
print(threads)
assert set(threads.values()) == {"1"}, f"more than one thread: {threads}"

matrix = torch.randn(1024, 1024)
passed, used = time.perf_counter(), time.process_time()
for _ in range(10):
    matrix @ matrix
passed, used = time.perf_counter() - passed, time.process_time() - used
check("processor time, to the time that passed", used / passed, "×", at_most=1.1)

# %%
# 3. Does it work?
# ----------------
#
# Let us see what the model writes. It draws a thousand words, one after another, each
# from its own prediction; the random numbers are seeded, so the text is the same every
# time that these weights write it. Here is how it begins.

from smallport.lstm import readable

words = lstm.generate(model, corpus.vocabulary, 1000, seed=7)
print(readable(words[:120]))
assert len(words) == 1000

# %%
# Do the weights fit the words? Then the text is varied, and words that stand side by
# side belong together: many of its pairs of neighbours also occur in the training text,
# many more than if the same words were shuffled.

import itertools

check("distinct words in the generated text", len(set(words)), "words", at_least=100)

training_pairs = set(itertools.pairwise(corpus.vocabulary.decode(corpus.train)))


def share_of_known_pairs(text):
    """Count the neighbours that are also neighbours in the training text."""
    pairs = list(itertools.pairwise(text))
    return sum(pair in training_pairs for pair in pairs) / len(pairs)


order = torch.randperm(len(words), generator=torch.Generator().manual_seed(7))
in_order, shuffled = map(share_of_known_pairs, (words, [words[i] for i in order]))
print(f"known pairs: {in_order:.2f} of all, {shuffled:.2f} after shuffling")
check("known pairs in the text, minus shuffled", in_order - shuffled, at_least=0.1)

# %%
# 4. Measuring the loss
# ---------------------
#
# The test text is read in chunks of 25 words, and the state goes from one chunk to the
# next. The loss of a word is the negative logarithm of the probability that the model
# gave it: the logarithm of the sum of all exponentiated scores, minus the word's own
# score. Averaged over all words, and written out by hand, it is this loop.


@torch.no_grad()
def loss_by_hand(candidate, tokens):
    """Average the loss of each word but the first."""
    state = candidate.initial_state(batch_size=1)
    losses = []
    for start in range(0, len(tokens) - 1, 25):
        targets = tokens[start + 1 : start + 26, None]
        inputs = tokens[start : start + len(targets), None]
        logits, state = candidate(inputs, state)
        scores = logits.gather(-1, targets[..., None]).squeeze(-1)
        losses.append(logits.logsumexp(-1) - scores)
    return torch.cat(losses).double().mean().item()


excerpt = corpus.test[:1000]
loss = loss_by_hand(model, excerpt)
print(f"loss on the first {len(excerpt)} words: {loss:.3f} nats")

# %%
# :func:`smallport.lstm.evaluate` gives the same. From here on it does the measuring.

torch.testing.assert_close(lstm.evaluate(model, excerpt), loss, rtol=1e-5, atol=0)

# %%
# 5. Quantize
# -----------
#
# One call does it. It is told which kinds of layers to convert and what to store their
# weights as. It warns that it is deprecated, and that the quantized tensors it makes
# are. We hide these two warnings and no others, and come back to them below. We also
# make sure that PyTorch has an engine for integers, which section 12 explains.

import warnings

from torch import nn

from smallport.quantize import ensure_engine

warnings.filterwarnings(
    "ignore", "torch.ao.quantization is deprecated", DeprecationWarning
)
warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
print("engine:", ensure_engine())

# %%
# Now the call.

quantized_model = torch.ao.quantization.quantize_dynamic(
    model, {nn.LSTM, nn.Linear}, dtype=torch.qint8
)
print(quantized_model)

# %%
# It returned a copy that looks almost the same. The LSTM and the decoder have become
# their dynamic quantized counterparts, and the embedding is still in floats. The
# original is as it was.

from torch.ao.nn.quantized import dynamic

assert type(quantized_model.rnn) is dynamic.LSTM, "the LSTM is not quantized"
assert type(quantized_model.decoder) is dynamic.Linear, "the decoder is not quantized"
assert quantized_model.encoder.weight.dtype is torch.float32
assert type(model.rnn) is nn.LSTM
assert type(model.decoder) is nn.Linear

# %%
# And the warning? Here it is. It announces that the function will be removed in PyTorch
# 2.10. This page ran on a later release, and the function was still there. The
# replacement that the warning names is torchao's ``quantize_``, which, `its
# documentation
# <https://docs.pytorch.org/ao/stable/generated/torchao.quantization.quantize_.html>`_
# says, converts "the weight of linear modules". This model has an LSTM.

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    torch.ao.quantization.quantize_dynamic(
        model, {nn.LSTM, nn.Linear}, dtype=torch.qint8
    )

deprecations = [w for w in caught if issubclass(w.category, DeprecationWarning)]
assert deprecations, "quantize_dynamic is no longer deprecated: rewrite this section"
announcement = str(deprecations[0].message)
print(announcement.splitlines()[0])
print(f"{torch.__version__ = }")
announced = "torch.ao.quantization is deprecated and will be removed in 2.10"
assert announced in announcement, f"the announcement is now: {announcement}"
assert "please migrate to use torchao eager mode quantize_ API" in announcement
assert tuple(map(int, torch.__version__.split(".")[:2])) > (2, 10)

# %%
# 6. The embedding too
# --------------------
#
# The call also takes a mapping from kinds of layers to *how* each is to be quantized.
# With one more entry, it converts the embedding. The first two entries say what the set
# above says. The third is made for embeddings: only the weights are quantized, and each
# row has a scale and a zero point of its own, kept as floats. The idea is that of the
# `tutorial on the same model in FX graph mode
# <https://docs.pytorch.org/tutorials/prototype/fx_graph_mode_ptq_dynamic.html>`_.

from torch.ao.quantization import (
    default_dynamic_qconfig,
    float_qparams_weight_only_qconfig,
)

recipe = {
    nn.LSTM: default_dynamic_qconfig,
    nn.Linear: default_dynamic_qconfig,
    nn.Embedding: float_qparams_weight_only_qconfig,
}
smallest_model = torch.ao.quantization.quantize_dynamic(model, recipe)
print(smallest_model.encoder)

QuantizedEmbedding = torch.ao.nn.quantized.Embedding
assert type(smallest_model.encoder) is QuantizedEmbedding, (
    "the embedding is not quantized"
)
assert type(smallest_model.rnn) is dynamic.LSTM, "the LSTM is not quantized"
assert type(smallest_model.decoder) is dynamic.Linear, "the decoder is not quantized"
scales = smallest_model.encoder.weight().q_per_channel_scales()
assert len(scales) == len(corpus.vocabulary)

# %%
# 7. How much smaller?
# --------------------
#
# The size of a model is the size of its saved state dict. Besides the trained model we
# measure one of the published architecture, with its vocabulary of 33,278 words and
# five LSTM layers, built on the spot with random weights: what a tensor holds does not
# change how many bytes it takes. So the two sizes of the published page,
# :published:`113.944 MB` and :published:`79.738 MB`, can be claimed here without its
# weights.

from smallport.quantize import quantize_model, state_dict_megabytes

torch.manual_seed(0)
published = lstm.WordLanguageModel(33_278, lstm.PUBLISHED).eval()
EMBEDDING_TOO = "int8, embedding too"
families = {
    "trained model": {
        "float32": model,
        "int8": quantized_model,
        EMBEDDING_TOO: smallest_model,
    },
    "published architecture": {
        "float32": published,
        "int8": quantize_model(published),  # the first call, without its warnings
        EMBEDDING_TOO: torch.ao.quantization.quantize_dynamic(published, recipe),
    },
}
sizes = {
    title: {kind: state_dict_megabytes(member) for kind, member in family.items()}
    for title, family in families.items()
}
for title, family_sizes in sizes.items():
    for kind, size in family_sizes.items():
        print(f"{title}, {kind}: {size:.3f} MB")

# %%
# These are the claims. The engine ``qnnpack`` saves an LSTM with slightly more bytes,
# so there the upper bounds are higher. Nothing is claimed about the trained model,
# whose size depends on its vocabulary.

slack = 0.05 if torch.backends.quantized.engine == "qnnpack" else 0.0
float_size, int8_size, smallest_size = sizes["published architecture"].values()
architecture = "published architecture"
check(
    f"float32 size, {architecture}", float_size, "MB", at_least=113.93, at_most=113.95
)
check(
    f"int8 size, {architecture}", int8_size, "MB", at_least=79.73, at_most=79.75 + slack
)
check(
    f"int8 size, embedding too, {architecture}",
    smallest_size,
    "MB",
    at_least=28.88,
    at_most=28.90 + slack,
)
check(f"int8 size, to float32, {architecture}", int8_size / float_size, at_most=0.71)
for kind, size in sizes["trained model"].items():
    report(f"{kind} size, trained model", size, "MB")

# %%
# The published size and ours differ in the third decimal. The reason is the file's
# name. A saved state dict is a zip archive in which the path of every tensor begins
# with the archive's name, and the published page saved to ``temp.p``. Under that name,
# the file is as large as the published one.

import tempfile
import zipfile
from pathlib import Path

with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "temp.p")
    torch.save(published.state_dict(), file)
    with zipfile.ZipFile(file) as archive:
        paths = archive.namelist()
    size = file.stat().st_size / 1e6

print(f"{size:.4f} MB as {file.name}, with paths such as {paths[0]}")
assert all(path.startswith("temp/") for path in paths), (
    f"the archive's paths are now: {paths[0]} and the like"
)
check("float32 size, saved as temp.p", size, "MB", at_least=113.943, at_most=113.945)
assert size < float_size

# %%
# Eight bits instead of 32 are a quarter, so why is the whole so far from it? The figure
# splits each model into its layers. What was converted did shrink to a quarter. But a
# large share of a word language model is its embedding, and only the third bar has that
# in 8 bits. These are the parts:

LAYERS = {"encoder": "embedding", "rnn": "LSTM", "decoder": "decoder"}
layer_sizes = {
    (title, kind): [state_dict_megabytes(getattr(member, layer)) for layer in LAYERS]
    for title, family in families.items()
    for kind, member in family.items()
}

# %%
# And this is the figure:

# Drawing: three stacked bars each for the trained model and for the published
# architecture: float32, int8, and int8 with the embedding. From the first bar to the
# second, LSTM and decoder shrink and the embedding stays; in the third bar it shrinks,
# too.
import matplotlib.pyplot as plt

figure, subplots = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
for axes, (title, family) in zip(subplots, families.items(), strict=True):
    for position, kind in enumerate(family):
        bottom = 0.0
        for number, size in enumerate(layer_sizes[title, kind]):
            axes.bar(position, size, bottom=bottom, color=f"C{number}", width=0.6)
            bottom += size
    labels = [kind.replace(", ", ",\n") for kind in family]
    axes.set(title=title, ylabel="size, MB", xticks=range(3), xticklabels=labels)
figure.suptitle("Size by layer")
subplots[1].legend(subplots[1].patches[:3], LAYERS.values())
plt.show()

# %%
# A figure is only as good as its numbers. So we count the bytes from the architecture.
# A float takes four. In a converted layer each weight takes one byte and each bias
# still four; each row of a converted embedding has eight more, for its scale and zero
# point. The layers' sizes must add up to the whole, and both to the count, but for the
# little that the archive itself takes.


def count_megabytes(layer, *, converted):
    """Count the bytes of the numbers in a layer."""
    count = sum(
        parameter.numel() * (1 if converted and parameter.dim() > 1 else 4)
        for parameter in layer.parameters()
    )
    if converted and isinstance(layer, nn.Embedding):
        count += 8 * layer.num_embeddings
    return count / 1e6


CONVERTED = {
    "float32": (),
    "int8": ("rnn", "decoder"),
    EMBEDDING_TOO: ("encoder", "rnn", "decoder"),
}
for (title, kind), parts in layer_sizes.items():
    original = families[title]["float32"]
    counted = [
        count_megabytes(getattr(original, layer), converted=layer in CONVERTED[kind])
        for layer in LAYERS
    ]
    beyond = [size - count for size, count in zip(parts, counted, strict=True)]
    assert all(0 < extra < 0.02 + slack for extra in beyond), (
        f"{title}, {kind}: {beyond}"
    )
    extra = sizes[title][kind] - sum(counted)
    assert 0 < extra < 0.03 + slack, f"{title}, {kind}: {extra} MB more than counted"

# %%
# So a converted layer is close to a quarter of its size in floats: a little more, since
# biases, scales and zero points are not in 8 bits.

in_floats, in_int8, with_embedding = (
    layer_sizes["published architecture", kind] for kind in CONVERTED
)
shares = {"embedding": with_embedding[0] / in_floats[0]}
shares |= {"LSTM": in_int8[1] / in_floats[1], "decoder": in_int8[2] / in_floats[2]}
for layer, share in shares.items():
    check(f"{layer}: int8 size, to float32", share, at_least=0.25, at_most=0.26)
    print(f"{layer}: {share:.3f} of its size in floats")
assert in_int8[0] == in_floats[0]

# %%
# 8. At what loss?
# ----------------
#
# Rounding the weights to 8 bits changes every prediction a little. Does it change the
# loss? The published page says that there is no difference, having printed
# :published:`5.167 nats` and :published:`5.168 nats`. We evaluate the three models on
# the whole test text. To know that it is the whole, we listen in on what each model
# reads.


def loss_on_the_test_text(candidate):
    """Measure the loss on the whole test text, no word left out."""
    read = []
    listener = candidate.register_forward_pre_hook(
        lambda _, inputs: read.append(inputs[0].flatten())
    )
    loss = lstm.evaluate(candidate, corpus.test)
    listener.remove()
    # The last word is a target only: nothing has to be predicted from it.
    assert torch.equal(torch.cat(read), corpus.test[:-1]), "not the whole test text"
    return loss


trained = families["trained model"]
losses = {kind: loss_on_the_test_text(member) for kind, member in trained.items()}
for kind, loss in losses.items():
    report(f"loss, {kind}", loss, "nats")
    print(f"{kind}: {loss:.4f} nats")

token_losses = lstm.losses(model, corpus.test)
assert len(token_losses) == len(corpus.test) - 1
mean = token_losses.double().mean().item()
torch.testing.assert_close(losses["float32"], mean, rtol=1e-5, atol=0)

# %%
# The losses differ by less than a hundredth. They are not *equal*, which would only
# mean that the same model was measured twice. And the loss by hand agrees with each.

gap = losses["int8"] - losses["float32"]
check("loss, int8 minus float32", gap, "nats", at_least=-0.01, at_most=0.01)
embedding_gap = losses[EMBEDDING_TOO] - losses["float32"]
check(
    "loss, int8 with embedding minus float32",
    embedding_gap,
    "nats",
    at_least=-0.01,
    at_most=0.01,
)
assert len(set(losses.values())) == 3, (
    f"equal losses, which no rounding gives: {losses}"
)
for member in trained.values():
    torch.testing.assert_close(
        lstm.evaluate(member, excerpt), loss_by_hand(member, excerpt), rtol=1e-5, atol=0
    )

# %%
# Losses that are close prove nothing by themselves: two models that know nothing have
# close losses too. An untrained model guesses uniformly before and after quantization.
# What gives the comparison its meaning is that all three losses are far below the
# unigram model's, which knows the frequency of each word and nothing else. There was
# something to lose, and it is still there.

unigram_loss = corpus.unigram_loss()
margin = unigram_loss - max(losses.values())
largest_gap = max(abs(gap), abs(embedding_gap))
check("margin of all three below the unigram model", margin, "nats", at_least=0.25)
check("largest loss gap, as a share of that margin", largest_gap / margin, at_most=0.02)
print(f"unigram model: {unigram_loss:.4f} nats, {margin:.2f} above all three")

# %%
# Does the int8 model also write as well? With the same random numbers, its text follows
# that of the float model until a probability that was rounded tips the choice of a
# word; from there on it is another text. We let the *float* model judge both. To it,
# both are much likelier than the frequencies of their words would have it.

quantized_words = lstm.generate(quantized_model, corpus.vocabulary, 1000, seed=7)
pairs = enumerate(zip(words, quantized_words, strict=True))
parting = next((place for place, (a, b) in pairs if a != b), len(words))
print(f"the texts part after {parting} words; int8 goes on:\n")
print(readable(quantized_words[parting : parting + 60]))
report("words before the int8 text leaves the float32 text", parting, "words")

for kind, text in {"float32": words, "int8": quantized_words}.items():
    tokens = corpus.vocabulary.encode(text)
    advantage = corpus.unigram_loss(tokens) - lstm.evaluate(model, tokens)
    check(f"{kind} text, below the unigram model", advantage, "nats", at_least=0.25)

# %%
# 9. How much faster?
# -------------------
#
# A single timing mostly shows what else the machine was doing. So the models of a
# family read the same piece of the test text in turns, after a warm-up that is not
# counted; we take the median and show every repeat. The published page timed the whole
# of WikiText-2's test text, once: :published:`188.6 s` and :published:`106.2 s` on one
# thread.

from smallport.timing import time_interleaved

excerpt = corpus.test[:1000]
begin = time.perf_counter()
timings = {
    title: time_interleaved(
        {
            kind: lambda member=member: lstm.evaluate(member, excerpt)
            for kind, member in family.items()
        },
        repeats=5,
    )
    for title, family in families.items()
}
passed = time.perf_counter() - begin
for title, timing in timings.items():
    for kind, seconds in timing.items():
        print(f"{title}, {kind}: median {seconds}")

# %%
# Did the clock run while the models did? Then the repeats add up to most of the time
# that passed. The rest is the warm-up, one run in six.

timed = [s for timing in timings.values() for t in timing.values() for s in t.seconds]
assert len(timed) == 5 * 6
accounted = sum(timed) / passed
check("timed repeats, to the time that passed", accounted, "×", at_least=0.5, at_most=1)

# %%
# The ratio is what carries over to another machine, seconds do not. It depends on
# whether the processor can multiply 8-bit integers and add them up in one instruction.
# Where it can, we claim a speed-up for the published architecture; where it cannot, the
# figure is reported as it is.

from smallport.machine import int8_dot_products

speedups = {
    (title, kind): timing["float32"].median / timing[kind].median
    for title, timing in timings.items()
    for kind in ("int8", EMBEDDING_TOO)
}
speedup = speedups["published architecture", "int8"]
# lint: conditional: without int8 dot products, nothing is claimed about speed
if int8_dot_products():
    check("speed-up, published architecture", speedup, "×", at_least=1.5)
else:
    report("speed-up, published architecture", speedup, "×")
report("speed-up, trained model", speedups["trained model", "int8"], "×")
print(f"int8 dot products: {', '.join(int8_dot_products()) or 'none'}")
for (title, kind), speedup in speedups.items():
    print(f"{title}, {kind}: {speedup:.2f} times as fast as float32")

# %%
# Each dot in the figure is one repeat, the line its median. Where the dots of two kinds
# do not overlap, the difference is not noise.

# Drawing: a column of dots for each kind of weights, with a line at its median, for the
# trained model on the left and the published architecture on the right.
figure, subplots = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for axes, (title, timing) in zip(subplots, timings.items(), strict=True):
    for position, repeats in enumerate(timing.values()):
        axes.scatter([position] * len(repeats.seconds), repeats.seconds, alpha=0.6)
        axes.hlines(repeats.median, position - 0.2, position + 0.2, color="0.3")
    axes.set(
        title=title,
        ylabel="seconds",
        xticks=range(3),
        xticklabels=[kind.replace(", ", ",\n") for kind in timing],
        xlim=(-0.5, 2.5),
    )
    axes.set_ylim(bottom=0)
figure.suptitle("Seconds for the same text, repeat by repeat")
plt.show()

# %%
# 10. Why is int8 slower for my model?
# ------------------------------------
#
# Because its products are small. Quantizing the activations takes time at every step,
# and so does each call of the integer kernel, however little it multiplies. A large
# matrix product makes up for that, a small one does not. Here are models of one LSTM
# layer and a vocabulary of 500, from narrow to wide.

HIDDEN_SIZES = (32, 64, 128, 256, 512)
tokens = torch.randint(500, (400,), generator=torch.Generator().manual_seed(0))


def time_both(hidden_size):
    """Time a small model in floats and in 8 bits."""
    config = lstm.LSTMConfig(hidden_size, hidden_size, layers=1)
    small = lstm.WordLanguageModel(500, config).eval()
    small_int8 = quantize_model(small)
    return time_interleaved(
        {
            "float32": lambda: lstm.evaluate(small, tokens),
            "int8": lambda: lstm.evaluate(small_int8, tokens),
        },
        repeats=9,
    )


by_size = {}
for hidden_size in HIDDEN_SIZES:
    both = time_both(hidden_size)
    turns = zip(both["float32"].seconds, both["int8"].seconds, strict=True)
    ratios = [in_float / in_int8 for in_float, in_int8 in turns]
    median = both["float32"].median / both["int8"].median
    by_size[hidden_size] = (median, min(ratios), max(ratios))
    print(
        f"hidden size {hidden_size}: {median:.2f} times as fast as float32 "
        f"({min(ratios):.2f} to {max(ratios):.2f})"
    )

# %%
# On a processor with int8 dot products, int8 is slower at the narrow end and faster at
# the wide one. Elsewhere, the two figures are reported.

narrow, wide = by_size[32][0], by_size[512][0]
# lint: conditional: without int8 dot products, nothing is claimed about speed
if int8_dot_products():
    check("speed-up, hidden size 32", narrow, "×", at_most=0.9)
    check("speed-up, hidden size 512", wide, "×", at_least=1.5)
else:
    report("speed-up, hidden size 32", narrow, "×")
    report("speed-up, hidden size 512", wide, "×")

# %%
# Each turn gave a ratio of its own. The band holds all of them.

# Drawing: the median of the speed-up as a line over the hidden size, in a band that
# holds all turns, and a dashed line where int8 is as fast as float32.
figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
medians, lowest, highest = zip(*by_size.values(), strict=True)
axes.fill_between(HIDDEN_SIZES, lowest, highest, alpha=0.25, label="all turns")
axes.plot(HIDDEN_SIZES, medians, marker="o", label="median")
axes.axhline(1, color="0.3", linestyle="--", label="as fast as float32")
axes.set_xscale("log", base=2)
axes.set(
    title="Speed-up of int8 by the width of the model",
    xlabel="hidden size",
    ylabel="times as fast as float32",
    xticks=HIDDEN_SIZES,
    xticklabels=HIDDEN_SIZES,
)
axes.set_ylim(bottom=0)
axes.legend()
plt.show()

# %%
# 11. Save it and load it
# -----------------------
#
# A quantized model is saved like any other, by its state dict. Loading it has one
# catch. The int8 weights are packed for the processor's instructions, and a packed
# weight is a ``torch.ScriptObject``, which ``weights_only=True`` does not know. It
# refuses:

import io
import pickle
import textwrap

from smallport.checks import raises
from smallport.quantize import known_warnings_ignored

file = io.BytesIO()  # a file in memory; a path does as well
torch.save(quantized_model.state_dict(), file)

file.seek(0)
announced = "Unsupported global: GLOBAL torch.ScriptObject"
with (
    known_warnings_ignored(),
    raises(pickle.UnpicklingError, match=announced) as refusal,
):
    torch.load(file, weights_only=True)

reason = next(line for line in refusal.message.splitlines() if announced in line)
print(textwrap.fill(reason.strip(), 88))

# %%
# There is no need to give up the protection. ``safe_globals`` allows this one class,
# for this one file, which we wrote ourselves. The state dict then goes into a
# *quantized* model: build the architecture, quantize it with whatever weights it has,
# and load.

file.seek(0)
untrained = lstm.WordLanguageModel(len(corpus.vocabulary), pretrained.config).eval()
restored = quantize_model(untrained)
with torch.serialization.safe_globals([torch.ScriptObject]), known_warnings_ignored():
    restored.load_state_dict(torch.load(file, weights_only=True))

# %%
# The restored model is the quantized model: not close to it, but equal in every bit of
# its output. The float model's output is another.


@torch.no_grad()
def output_of(candidate):
    """Read the same four pieces of text with any model."""
    pieces = lstm.batchify(corpus.test[:1000], batch_size=4)
    logits, _ = candidate(pieces, candidate.initial_state(4))
    return logits


expected = output_of(quantized_model)
assert torch.equal(output_of(restored), expected)
assert not torch.equal(output_of(model), expected)
print(f"{tuple(expected.shape)} logits, all equal")

# %%
# 12. The engine
# --------------
#
# What multiplies the integers is a library inside PyTorch, the *engine*. On x86 it is
# chosen for you. Some builds for ARM choose none, and there ``quantize_dynamic`` fails
# with a message about ``NoQEngine``, as users have `reported
# <https://github.com/pytorch/pytorch/issues/123507>`_. The remedy, given there too, is
# one line before quantizing: ``torch.backends.quantized.engine = "qnnpack"``. On this
# page :func:`smallport.quantize.ensure_engine` saw to it, in section 5.

chosen = torch.backends.quantized.engine
supported = torch.backends.quantized.supported_engines
print(f"{chosen = }")
print(f"{supported = }")
assert chosen in supported
assert chosen != "none"

# %%
# A quantized model *in memory* keeps to the engine that packed its weights: choose
# another one, and its output stays the same to the bit. The state dict that we saved is
# different. It holds the integers themselves, and they are packed again for whatever
# engine is chosen when they are loaded. So one file serves every engine. The outputs of
# different engines may differ by rounding, so measure on the one that you deploy.

restored_loss = lstm.evaluate(restored, corpus.test[:1000])
# qnnpack is made for ARM, and elsewhere it warns of its own rounding.
engines = [
    name for name in supported if name not in {"none", "qnnpack"} or name == chosen
]
for engine in engines:
    torch.backends.quantized.engine = engine
    assert torch.equal(output_of(restored), expected)
    file.seek(0)
    moved = quantize_model(untrained)
    with (
        torch.serialization.safe_globals([torch.ScriptObject]),
        known_warnings_ignored(),
    ):
        moved.load_state_dict(torch.load(file, weights_only=True))
    difference = lstm.evaluate(moved, corpus.test[:1000]) - restored_loss
    print(f"{engine}: loss differs by {difference:+.5f} nats from {chosen}'s")
    assert abs(difference) < 0.01
torch.backends.quantized.engine = chosen

# %%
# How to read the results
# -----------------------
#
# *Size* is arithmetic, and it is the same everywhere: converted layers shrink to a
# quarter, the rest stays. Look at the figure of your own model's layers before you
# promise anybody a quarter. For a word language model the embedding decides.
#
# *Loss* is a measurement on one text. The bound holds for this model on this text; the
# margin over the unigram model says that it means something. For your own model,
# measure on your own text.
#
# *Time* depends on the processor and on the shapes. What gets faster is the matrix
# products; the work around them (quantizing activations, the steps of the LSTM, which
# come one after another) does not. If int8 is slower for your model, look at the sizes
# of its products first.
#
# Conclusion
# ----------
#
# One call, no calibration and no training, made an LSTM language model smaller and, on
# a processor with int8 instructions, faster, and the loss hardly moved. The call is
# deprecated, so keep checks like the ones above beside it: they will tell you when an
# upgrade changes something.
#
# What to read next
# -----------------
#
# - :doc:`Train a word language model <plot_10_train_word_language_model>`, if you
#   skipped it: where the weights come from and what their loss means.
# - :doc:`Check the exporter on Tiny-LLM </gallery/export/plot_10_tiny_llm_export>`: how
#   to take a model out of Python, and how to know that it still computes the same.
# - `The quantization page of the PyTorch documentation
#   <https://docs.pytorch.org/docs/stable/quantization.html>`_, and `torchao
#   <https://docs.pytorch.org/ao/stable/>`_ for models made of linear layers.

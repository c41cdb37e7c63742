"""
Train an LSTM word language model in PyTorch
============================================

Result: A small LSTM predicts a text that it has never seen far better than word
frequencies alone do. Its loss is higher on the test text than on the validation text.
The largest part of this difference comes from words that never occur in the training
text.

Prerequisites: `tensors, modules and optimizers in PyTorch
<https://docs.pytorch.org/tutorials/beginner/basics/intro.html>`_. Install
``matplotlib``.

What you will learn: how to turn a text into batches, train an LSTM on it, and judge its
loss against simple baselines.

The other pages make this model smaller and faster, and measure what that costs. This is
only possible with a model that has learned something. The architecture is that of
PyTorch's `word language model example
<https://github.com/pytorch/examples/tree/main/word_language_model>`_. By default the
model is trained once, in about a minute, and cached. With
``SMALLPORT_ASSETS=published``, the page loads published weights and WikiText-2 instead
(see :doc:`/assets`).
"""

# %%
# Turn a text into numbers
# ------------------------
#
# The default text, or corpus, is the reference of the Python language, which every
# Python contains. It has three parts. The model learns from the training part. The loss
# on the validation part is computed after each epoch. The test part is used only at the
# end. Whole blocks of paragraphs belong to one part or another, and each paragraph
# occurs only once in the corpus.

from smallport import assets
from smallport.checks import check, report

corpus = assets.corpus()
parts = {"training": corpus.train, "validation": corpus.valid, "test": corpus.test}
lines = {
    part: " ".join(corpus.vocabulary.decode(tokens.tolist())).split("<eos>")[:-1]
    for part, tokens in parts.items()
}
print(corpus.name)
for part, tokens in parts.items():
    beginning = " ".join(lines[part][:9]).strip()
    print(f"{part}: {len(tokens):,} tokens, begins with {beginning[:40]!r}")

# %%
# Each distinct word gets a number. Words and punctuation marks are both
# :term:`tokens <token>`, and ``<eos>`` ends each line. For your own text file, use
# ``Path("train.txt").read_text(encoding="utf-8").splitlines()`` as the lines.

import torch


def encode(lines, index):
    """Look up the number of each word, and add new words to the index."""
    words = (word for line in lines for word in [*line.split(), "<eos>"])
    return torch.tensor([index.setdefault(word, len(index)) for word in words])


index = {}
train, valid, test = (encode(lines[part], index) for part in parts)
print(f"{len(index):,} distinct words")
print(f"{test[:9] = }")

# %%

# Guard: against other numbers than those of the corpus, parts of another size, and
# parts that repeat passages of eight words of the parts before them.
for name, tokens, before in (
    ("valid", valid, train),
    ("test", test, torch.cat([train, valid])),
):
    share = 100 * len(tokens) / sum(map(len, parts.values()))
    check(f"share of the text, {name}", share, "%", at_least=6, at_most=14)
    seen = 100 * corpus.seen(tokens, before).double().mean().item()
    check(f"{name} tokens in passages of earlier parts", seen, "%", at_most=15)
for tokens, part in ((train, "training"), (valid, "validation"), (test, "test")):
    assert torch.equal(tokens, parts[part])

# %%
# Compute the loss of two baselines
# ---------------------------------
#
# The loss of a language model is the negative logarithm of the probability that it gave
# to the token that came next, averaged over a text, in :term:`nats <nat>`. Its
# exponential is the :term:`perplexity`.
#
# Two models without any knowledge of word order are the baselines. The first gives each
# word the same probability. The :term:`unigram model` knows how often each word occurs
# in the training part. A model whose loss is not below that of the unigram model has
# learned nothing about language. One is added to each count, so that no word has a
# probability of zero.

import math

train_counts = torch.bincount(train, minlength=len(index))
unigram = ((train_counts + 1).double() / (len(train) + len(index))).log()

uniform_loss = math.log(len(index))
unigram_loss = -unigram[test].mean().item()
check("loss of the unigram model", unigram_loss, "nats", at_most=uniform_loss - 1)
print(f"uniform: {uniform_loss:.2f} nats, perplexity {math.exp(uniform_loss):.0f}")
print(f"unigram: {unigram_loss:.2f} nats, perplexity {math.exp(unigram_loss):.0f}")

# %%

# Guard: against wrong counts, since all losses are compared with these.
from collections import Counter

counted = Counter(train.tolist())
total = len(train) + len(index)
surprises = [math.log(total / (counted[token] + 1)) for token in test.tolist()]
assert math.isclose(sum(surprises) / len(surprises), unigram_loss, rel_tol=1e-6)
assert math.isclose(corpus.unigram_loss(test), unigram_loss, rel_tol=1e-6)
assert round(math.exp(uniform_loss)) == len({*train.tolist(), *index.values()})

# %%
# Define the model
# ----------------
#
# The encoder, an :term:`embedding`, looks up a vector for each token. The LSTM reads
# these vectors one after another, and its state is all that it remembers of the text.
# The :term:`decoder` turns each output of the LSTM into :term:`logits`, one score for
# each word of the vocabulary.

from dataclasses import asdict

from torch import nn


class WordLanguageModel(nn.Module):
    """Predict the next word of a text."""

    def __init__(self, words, embedding_size, hidden_size, layers, dropout):
        super().__init__()
        between_layers = dropout if layers > 1 else 0.0
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(words, embedding_size)
        self.rnn = nn.LSTM(embedding_size, hidden_size, layers, dropout=between_layers)
        self.decoder = nn.Linear(hidden_size, words)
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.uniform_(self.decoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, tokens, state):
        """Score every word as the successor of each token."""
        output, state = self.rnn(self.drop(self.encoder(tokens)), state)
        return self.decoder(self.drop(output)), state

    def initial_state(self, batch_size):
        """Make the state that a text begins with."""
        shape = (self.rnn.num_layers, batch_size, self.rnn.hidden_size)
        return torch.zeros(shape), torch.zeros(shape)


torch.manual_seed(0)
config = assets.lstm_config()
untrained = WordLanguageModel(len(index), **asdict(config))
print(config)

# %%
# Train it
# --------
#
# ``batchify`` lays the text out in columns, which the model reads side by side.
# ``chunks`` cuts the columns into inputs and targets; the target of a token is the next
# token. The state goes from one chunk to the next, but it is detached: otherwise each
# step would compute gradients back to the beginning of the text.

import itertools


def batchify(tokens, columns):
    """Lay a text out in columns of consecutive tokens, and drop what is left over."""
    rows = len(tokens) // columns
    return tokens[: rows * columns].view(columns, rows).t().contiguous()


def chunks(batches, length):
    """Cut columns into inputs and targets."""
    for start in range(0, len(batches) - 1, length):
        targets = batches[start + 1 : start + 1 + length]
        yield batches[start : start + len(targets)], targets


def train_epoch(model, batches, optimizer, length=35, steps=None):
    """Read the columns once, or only for some steps; return the loss of each step."""
    model.train()
    state = model.initial_state(batches.shape[1])
    losses = []
    for inputs, targets in itertools.islice(chunks(batches, length), steps):
        state = tuple(part.detach() for part in state)
        logits, state = model(inputs, state)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        losses.append(loss.item())
    return losses


print(batchify(torch.arange(7), columns=2))

# %%
# Twelve steps with a copy of the model show that the loss falls. It begins at that of
# the uniform model. (Published weights need no training, so this cell is then skipped.)

import copy

# lint: conditional: published weights need no training
if assets.profile() == "embedded":
    learner = copy.deepcopy(untrained)
    optimizer = torch.optim.AdamW(learner.parameters(), lr=1e-2)
    steps = train_epoch(learner, batchify(train, columns=10), optimizer, steps=12)
    print(" ".join(f"{loss:.2f}" for loss in steps))
    assert abs(steps[0] - uniform_loss) < 0.1
    check("loss gained by a dozen steps", steps[0] - steps[-1], "nats", at_least=1.2)

# %%
# :func:`smallport.lstm.train` trains in the same way for several epochs, with a
# learning rate that rises to its maximum and then falls to nearly zero.
# :func:`smallport.assets.language_model` trains the model if no weights are cached, and
# returns it with a record of the training. Its :term:`state dict` fits the class above.

pretrained = assets.language_model(corpus)
training = pretrained.training

model = WordLanguageModel(len(index), **asdict(config))
model.load_state_dict(pretrained.model.state_dict())
print("weights:", pretrained.source)
# lint: conditional: published weights come without a record
if training is not None:
    report("training of the small model", training.seconds, "s")
    print(f"trained in {training.seconds:.0f} s on {training.machine}")

# %%

# Guard: against a record of another training.
from smallport import lstm

# lint: conditional: published weights come without a record
if training is not None:
    recorded = [epoch.valid_loss for epoch in training.curve]
    measured = lstm.evaluate(model, valid, batch_size=lstm.TrainingConfig().batch_size)
    assert math.isclose(measured, recorded[-1], abs_tol=1e-3)
    assert len(recorded) == lstm.TrainingConfig().epochs
    assert recorded == sorted(recorded, reverse=True)

# %%
# Measure the loss
# ----------------
#
# The model reads the text in chunks of 25 tokens and keeps its state between them. The
# loss of each token is stored, so that losses can be averaged over any set of tokens.
# At most the first 25,000 tokens of each part are read, which covers the default text.


@torch.no_grad()
def token_losses(model, tokens, length=25):
    """Compute the loss of each token but the first, which nothing precedes."""
    model.eval()
    state = model.initial_state(batch_size=1)
    losses = []
    for inputs, targets in chunks(tokens[:, None], length):
        logits, state = model(inputs, state)
        losses.append(
            nn.functional.cross_entropy(
                logits.flatten(0, 1), targets.flatten(), reduction="none"
            )
        )
    return torch.cat(losses)


torch.set_num_threads(1)  # a chunk is too small to be shared among threads
valid, test = valid[:25_000], test[:25_000]
valid_losses, test_losses = token_losses(model, valid), token_losses(model, test)

test_loss, valid_loss = test_losses.mean().item(), valid_losses.mean().item()
unigram_loss = -unigram[test[1:]].mean().item()
limit = 5.0 if assets.profile() == "embedded" else 5.5
check("test loss", test_loss, "nats", at_least=limit - 0.9, at_most=limit)
check("margin below the unigram model", unigram_loss - test_loss, "nats", at_least=0.8)
check("test perplexity", math.exp(test_loss), at_most=math.exp(unigram_loss) / 2)

print(f"validation: {valid_loss:.2f} nats")
print(f"test: {test_loss:.2f} nats, perplexity {math.exp(test_loss):.0f}")
print(f"test, unigram model: {unigram_loss:.2f} nats")

# %%

# Guard: against a loss of a part of the text, a lost state, and dropout in evaluation.
# The beginning of the test part is computed again, one token at a time and in double
# precision.
from smallport import lstm

piece = test[:101]
state = model.initial_state(batch_size=1)
by_hand = []
with torch.no_grad():
    for token, following in itertools.pairwise(piece):
        logits, state = model(token.view(1, 1), state)
        scores = logits.flatten().double()
        by_hand.append((scores.exp().sum().log() - scores[following]).item())
largest = (torch.tensor(by_hand) - test_losses[: len(by_hand)]).abs().max().item()
assert len(by_hand) > 2 * lstm.EVALUATION_CHUNK
check("loss by hand: largest difference", largest, "nats", at_most=1e-3)
torch.testing.assert_close(lstm.losses(model, test), test_losses)

unseen = ~corpus.seen(test, train)[1:]
margin = corpus.unigram_loss(test[1:][unseen]) - test_losses[unseen].mean().item()
check("margin below the unigram model, unseen passages", margin, "nats", at_least=0.8)

# %%
# The learning curve shows whether more epochs would help. The training loss is measured
# with dropout. (Published weights come without a curve.)

# Drawing: losses over the epochs. Where the model was trained here, two curves fall,
# for the training and the validation part. The mark of the test part at the right end
# lies above the validation curve, and below the dashed line of the unigram model.
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
curve = training.curve if training is not None else ()
epochs = range(1, len(curve) + 1)
if curve:
    train_curve = [epoch.train_loss for epoch in curve]
    axes.plot(epochs, train_curve, "o-", label="training, with dropout")
    axes.plot(epochs, [epoch.valid_loss for epoch in curve], "s-", label="validation")
end = len(curve) + 1
axes.plot(end, test_loss, "D", color="tab:green", label="test")
axes.axhline(unigram_loss, color="0.5", linestyle="--", label="unigram model, test")
axes.set_xticks([*epochs, end], [*map(str, epochs), "at the end"])
axes.set(xlabel="epoch", ylabel="loss, nats per token", title="Loss by epoch")
axes.legend()
plt.show()

# %%
# Why the test loss is higher than the validation loss
# ----------------------------------------------------
#
# In the default text, the two parts are different passages, and the test part is the
# harder one: the unigram model has a higher loss on it, too, and it has no settings
# that could be tuned to the validation part.
#
# Each token adds its loss, divided by the number of tokens, to the loss of the part. So
# the difference can be split exactly by how often the training part contains the token.

import pandas as pd

from smallport.display import show_table

labels = ["never", "1 to 9", "10 to 99", "100 or more"]
table = pd.DataFrame(index=labels)
for part, tokens, losses in (
    ("validation", valid, valid_losses),
    ("test", test, test_losses),
):
    times = train_counts[tokens[1:]].numpy()
    groups = pd.cut(times, [-1, 0, 9, 99, len(train)], labels=labels)
    by_times = pd.Series(losses.double()).groupby(groups, observed=False)
    table[f"{part}, tokens"] = (by_times.count() / len(losses)).map("{:.1%}".format)
    table[f"{part}, nats"] = by_times.sum() / len(losses)
table["difference"] = table["test, nats"] - table["validation, nats"]

gap = test_loss - valid_loss
assert math.isclose(table["difference"].sum(), gap, abs_tol=1e-4)
report("test loss, minus validation loss", gap, "nats")
show_table(
    table.rename_axis("times in training").reset_index(),
    "Parts of the loss, by how often the training part contains the token",
)

# %%
# In the default text, words that the training part never contains make the largest
# difference: the test part has more of them, and the model can give them only a very
# small probability. In WikiText-2, ``<unk>`` stands for all rare words, so the training
# part contains every word of the others.

unigram_gap = unigram_loss + unigram[valid[1:]].mean().item()
print(f"test minus validation, unigram model: {unigram_gap:.2f} nats")
# lint: conditional: in WikiText-2, the training part contains all words of the others
if assets.profile() == "embedded":
    assert table["difference"].idxmax() == "never", table["difference"]
    check("unigram loss, test minus validation", unigram_gap, "nats", at_least=0.02)

# %%
# Let it write
# ------------
#
# Each word is drawn from the model's prediction, with seeded random numbers. The
# untrained model draws words at random. The trained one has learned where lines end and
# which words often follow each other, but its text makes no sense.

from smallport import lstm

length = 400
before = lstm.generate(untrained, corpus.vocabulary, length, seed=3)
after = lstm.generate(model, corpus.vocabulary, length, seed=3)
print(f"Untrained:\n{lstm.readable(before[:40])}\n")
print(f"Trained:\n{lstm.readable(after[:60])}")

written = corpus.vocabulary.encode(after)
margin = corpus.unigram_loss(written[1:]) - lstm.evaluate(model, written)
check("margin below the unigram model, written text", margin, "nats", at_least=0.8)

# %%

# Guard: against a text that repeats one word, that is as random as before training, or
# that is another one at each run.
import statistics


def variety(words):
    """Count the distinct words, and compute the share of the most frequent one."""
    counts = Counter(words)
    return len(counts), max(counts.values()) / len(words)


test_words = corpus.vocabulary.decode(test)
pieces = [
    variety(test_words[start : start + length])
    for start in range(0, len(test_words) - length + 1, length)
]
distinct = statistics.median(count for count, _ in pieces)
top_share = statistics.median(share for _, share in pieces)
ratio = variety(after)[0] / distinct
check("distinct words, written to corpus", ratio, at_least=0.6, at_most=1.8)
dominance = variety(after)[1] / top_share
check("most frequent word, written to corpus", dominance, at_most=2)
assert variety(before)[0] > 1.8 * distinct
before_loss = lstm.evaluate(model, corpus.vocabulary.encode(before))
assert lstm.evaluate(model, written) < before_loss - 2
assert after == lstm.generate(model, corpus.vocabulary, length, seed=3)
lstm.require_drawn(model, corpus.vocabulary, after)

# %%
# Exercises
# ---------
#
# **1.** Compute the loss of the first 5,000 tokens of the training part. How far below
# the validation loss is it, and what does the model know about these tokens?

# Answer: the model has read this text before, and in part knows it by heart. So its
# loss here says little about other texts.
train_loss = token_losses(model, train[:5_000]).mean().item()
below = valid_loss - train_loss
print(f"training: {train_loss:.2f} nats, {below:.2f} below the validation loss")
check("training loss, below the validation loss", below, "nats", at_least=0.1)

# %%
# **2.** ``generate`` divides the :term:`logits` by its argument ``temperature`` before
# it draws a word. Let the model write 400 words at a temperature of 0.5. Are there more
# distinct words, or fewer?

# Answer: fewer. A low temperature makes probable words more probable.
cool = lstm.generate(model, corpus.vocabulary, length, seed=3, temperature=0.5)
print(lstm.readable(cool[:60]))
print(f"{len(set(cool))} distinct words at 0.5, {len(set(after))} at 1.0")
assert len(set(cool)) < len(set(after))

# %%
# Conclusion
# ----------
#
# - Compute the loss of a unigram model first. "The loss did not change" says nothing
#   about a model that is no better than this.
# - Use the test part once, at the end, and store the loss of each token: means over
#   parts of the tokens explain a difference.
# - Compare losses only on the same text. Here, another part of the same corpus changes
#   the loss more than quantization will.
#
# What to read next
# -----------------
#
# - :doc:`Quantize an LSTM to int8 with quantize_dynamic
#   <plot_20_lstm_dynamic_quantization>` makes this model smaller and faster.
# - The `word language model example
#   <https://github.com/pytorch/examples/tree/main/word_language_model>`_ trains larger
#   models on WikiText-2, Transformers among them.

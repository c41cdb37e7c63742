"""
Train a word language model
===========================

Before a model can be made smaller, there has to be a model. This page trains one: it
reads a text word by word and learns to predict which word comes next. By default it is
small enough to be trained in front of you, and good enough to have something to lose
when :doc:`the next page <plot_20_lstm_dynamic_quantization>` turns its weights into
8-bit integers.

The architecture is that of PyTorch's `word language model example
<https://github.com/pytorch/examples/tree/main/word_language_model>`_, which the
published tutorial on dynamic quantization quantizes. Training happens once: the weights
are kept in a cache, and the page says when and where they were made. With
``SMALLPORT_ASSETS=published`` nothing is trained; the page then shows WikiText-2 and
the weights that were published for it.

What you will learn: how a word language model is trained and judged, and which loss it
has to beat before anybody may claim that it learned something.
"""

# %%
# A text
# ------
#
# What the model reads is called a corpus. The default one needs no download, because it
# comes with Python: the reference of the language, which ``help()`` prints topic by
# topic. It is small, so that training is short. (If a file is missing or broken, a
# :exc:`smallport.AssetError` says which one and what to do.)

from smallport import assets

corpus = assets.corpus()
print(f"{corpus.name}: {len(corpus.vocabulary):,} distinct words")

# %%
# A :class:`~smallport.lstm.Corpus` has three parts. The model learns from the first, we
# watch its progress on the second, and we keep the third for the end: a loss says
# something only about a text that nobody tuned anything on. Validation and test get
# about a tenth of the text each.
#
# ``check`` stands behind the numbers on these pages. It asserts the claim that goes
# with a number, and where the site is built it keeps the
# :class:`~smallport.checks.Result`.

import pandas as pd

from smallport.checks import check
from smallport.display import show_table

splits = {"train": corpus.train, "valid": corpus.valid, "test": corpus.test}
total = sum(map(len, splits.values()))
for name in ("valid", "test"):
    share = 100 * len(splits[name]) / total
    check(f"share of the text, {name}", share, "%", at_least=6, at_most=14)

excerpts = {name: corpus.vocabulary.decode(part[:9]) for name, part in splits.items()}
show_table(
    pd.DataFrame(
        {
            "split": splits.keys(),
            "tokens": [f"{len(part):,}" for part in splits.values()],
            "begins with": [" ".join(words) for words in excerpts.values()],
        }
    ),
    "The three parts of the text",
)

# %%
# Words and punctuation marks are tokens alike, and ``<eos>`` ends every line. The
# :class:`~smallport.lstm.Vocabulary` gives each distinct token a number; the three
# parts are long tensors of such numbers.

import torch

from smallport.lstm import END_OF_LINE

print(f"{corpus.test[:9] = }")
assert torch.equal(corpus.vocabulary.encode(excerpts["test"]), corpus.test[:9])
assert all(
    corpus.vocabulary.decode(part[-1:]) == [END_OF_LINE] for part in splits.values()
)

# %%
# How much of it is memory?
# -------------------------
#
# Texts repeat themselves. In a reference, a paragraph about sequences stands in the
# topic on lists and again in the one on tuples; in an encyclopedia, headings recur.
# Where a line of the test also stands in the training part, a model can do well by
# remembering it. So each paragraph of Python's reference is kept only once, rules and
# table borders are left out, and whole blocks of paragraphs go into one part or
# another. WikiText-2 is split by article.
#
# What remains are lines that are alike by chance, such as short headings. We count
# them, since they limit what the losses below can mean.

seen = {name: corpus.seen_in_training(splits[name]) for name in ("valid", "test")}
for name, tokens in seen.items():
    share = 100 * tokens.double().mean().item()
    check(f"{name} tokens on lines that training saw", share, "%", at_most=5)
    print(f"{name}: {share:.1f} % of the tokens stand on lines that training saw")

# %%
# What to beat
# ------------
#
# The loss of a language model is its surprise: the negative logarithm of the
# probability that it gave to the word that came, averaged over the text and measured in
# nats. Its exponential is the *perplexity*: the model is as uncertain as if it had to
# choose among that many equally likely words.
#
# Two models that know nothing about order set the scale. The first thinks every word
# equally likely. The second, the unigram model, knows how frequent each word is in the
# training part, and nothing else. A model that does not beat the second has learned
# nothing about language.

import math

uniform_loss = math.log(len(corpus.vocabulary))
unigram_loss = corpus.unigram_loss(corpus.test)
check("loss of the unigram model", unigram_loss, "nats", at_most=uniform_loss - 1)
print(f"uniform: {uniform_loss:.2f} nats, perplexity {math.exp(uniform_loss):.0f}")
print(f"unigram: {unigram_loss:.2f} nats, perplexity {math.exp(unigram_loss):.0f}")

# %%
# Everything that follows is measured against this number, so we count once more by
# hand. Some words appear in the test part only; one is added to every count, which
# keeps their probability above zero.

from collections import Counter

counts = Counter(corpus.train.tolist())
everything = len(corpus.train) + len(corpus.vocabulary)
surprises = [
    math.log(everything / (counts[token] + 1)) for token in corpus.test.tolist()
]
assert math.isclose(sum(surprises) / len(surprises), unigram_loss, rel_tol=1e-6)

# %%
# The model
# ---------
#
# Three layers do the work. The *encoder* looks up a vector for each word. The *LSTM*
# reads these vectors one after another and carries a state along, which is all it
# remembers of what it has read. The *decoder* turns each of its outputs into a score
# for every word of the vocabulary. Between them, dropout sets some activations to zero
# during training, so that the model does not rely on any single one. Its sizes are a
# :class:`~smallport.lstm.LSTMConfig`.

from smallport import lstm

config = assets.lstm_config()
print(config)

torch.manual_seed(0)
untrained = lstm.WordLanguageModel(len(corpus.vocabulary), config)
print(untrained)

# %%
# The forward pass is short enough to do by hand. We take four runs of text side by
# side, six tokens each, and push them through the layers. The model's own ``forward``
# does the same, to the last bit.

from smallport.lstm import batchify

tokens = batchify(corpus.valid[:24], batch_size=4)
state = untrained.initial_state(batch_size=4)
untrained.eval()  # dropout is for training

embedded = untrained.drop(untrained.encoder(tokens))
output, next_state = untrained.rnn(embedded, state)
logits = untrained.decoder(untrained.drop(output))

print(f"{tuple(tokens.shape) = }")
print(f"{tuple(embedded.shape) = }")
print(f"{tuple(output.shape) = }")
print(f"{tuple(logits.shape) = }")
assert torch.equal(logits, untrained(tokens, state)[0])

# %%
# Where do the parameters sit? In a word language model most of them belong to the
# vocabulary: the encoder has a row for every word, and so has the decoder. Keep that in
# mind for the next page, where it decides how much smaller the model gets.

parameters = {
    name: sum(parameter.numel() for parameter in layer.parameters())
    for name, layer in untrained.named_children()
}
total = sum(parameters.values())
assert parameters["encoder"] + parameters["decoder"] > parameters["rnn"]

show_table(
    pd.DataFrame(
        {
            "layer": parameters.keys(),
            "parameters": [f"{count:,}" for count in parameters.values()],
            "share": [f"{count / total:.0%}" for count in parameters.values()],
        }
    ),
    "Parameters of the model, by layer",
)

# %%
# A step of training
# ------------------
#
# Training cuts the text into chunks. For each chunk the model predicts every next word,
# the loss says how surprised it was, and the optimizer moves the weights a little
# against the gradient. The LSTM's state is passed on from chunk to chunk, but it is
# *detached* from the computation that made it: otherwise each step would have to send
# gradients back to the beginning of the text. How many chunks are read side by side,
# how long they are and how large the steps: that is a
# :class:`~smallport.lstm.TrainingConfig`.

import copy
import itertools

from smallport.lstm import chunks

schedule = lstm.TrainingConfig()
print(schedule)


def first_steps(model: lstm.WordLanguageModel, steps: int) -> list[float]:
    """Train a model on the first chunks; return the loss before each step."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.peak_learning_rate)
    state = model.initial_state(schedule.batch_size)
    losses = []
    text = chunks(batchify(corpus.train, schedule.batch_size), schedule.chunk)
    for inputs, targets in itertools.islice(text, steps):
        logits, state = model(inputs, lstm.detach(state))
        loss = lstm.token_losses(logits, targets).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
        optimizer.step()
        losses.append(loss.item())
    return losses


# %%
# Here are a dozen such steps, with a copy of the model that is thrown away afterwards.
# Before the first step the model is as good as uniform guessing; after the last it has
# found out, at least, that some words are more frequent than others. (Published weights
# need no training, so with them this cell does nothing.)

# lint: conditional: published weights need no training
if assets.profile() == "embedded":
    losses = first_steps(copy.deepcopy(untrained), steps=12)
    print(" ".join(f"{loss:.2f}" for loss in losses))
    assert abs(losses[0] - uniform_loss) < 0.1
    check("loss gained by a dozen steps", losses[0] - losses[-1], "nats", at_least=1)

# %%
# All the steps
# -------------
#
# :func:`smallport.lstm.train` repeats this over the whole training part, several times,
# with a learning rate that climbs to its peak and then falls to nearly zero. We do not
# call it here but ask for the weights that belong to this corpus:
# :func:`smallport.assets.language_model` trains them if nobody has yet, and otherwise
# takes them from the cache. Either way it returns the record of the training along with
# the model: an :class:`~smallport.lstm.Epoch` for each reading of the text, the date,
# and the :class:`~smallport.machine.Machine`. Published weights come without a record.

from smallport.checks import report

pretrained = assets.language_model(corpus)
model, training = pretrained.model, pretrained.training
print(f"{pretrained.source}, SHA-256 {pretrained.sha256[:16]}...")
# lint: conditional: published weights come without a record
if training is not None:
    report("training of the small model", training.seconds, "s")
    print(f"finished {training.date} after {training.seconds:.0f} s of training")
    print(f"torch {training.torch} on {training.machine}")

# %%
# A record can be wrong, or belong to other weights. The last loss in it is that of the
# model as it stands here, on the validation part, so we measure it again. And each
# reading has brought it down.

# lint: conditional: published weights come without a record
if training is not None:
    recorded = [epoch.valid_loss for epoch in training.curve]
    valid_loss = lstm.evaluate(model, corpus.valid, batch_size=schedule.batch_size)
    print(" ".join(f"{loss:.2f}" for loss in recorded), f"measured: {valid_loss:.2f}")
    assert math.isclose(valid_loss, recorded[-1], abs_tol=1e-3)
    assert len(recorded) == schedule.epochs
    assert recorded == sorted(recorded, reverse=True)

# %%
# What it learned
# ---------------
#
# So far, nothing has touched the test part. Its loss is what the next page will try to
# keep. The chunks are small and give several threads little to share, so we use one. If
# the text is very long, we read its beginning; the default one is read to its end, and
# there is a loss for every token but the first, which nothing precedes.

torch.set_num_threads(1)
test = corpus.test[:25_000]
test_losses = lstm.losses(model, test)
test_loss = test_losses.mean().item()
unigram_loss = corpus.unigram_loss(test[1:])

assert len(test_losses) == len(test) - 1
assert assets.profile() == "published" or len(test) == len(corpus.test)
limit = 5.0 if assets.profile() == "embedded" else 5.5
check("test loss of the trained model", test_loss, "nats", at_most=limit)
check("margin below the unigram model", unigram_loss - test_loss, "nats", at_least=0.8)
print(f"{test_loss:.2f} nats, {unigram_loss - test_loss:.2f} below the unigram model")

# %%
# Is that number right? The same by hand, for a piece of the text and without any
# helper: one word at a time, the logarithm of the probabilities written out, the state
# passed on. The piece is longer than a chunk, and its losses are the same.

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
print(f"{len(by_hand)} words, largest difference {largest:.1e} nats")

# %%
# In perplexities the gain is easier to grasp: the model hesitates between less than
# half as many words as the unigram model. On the lines that training never saw it
# cannot remember, it has to predict; there it has to beat the unigram model just as
# clearly. Since nearly all lines are of this kind, the two losses are close.

unseen = ~seen["test"][1 : len(test)]
unseen_loss = test_losses[unseen].mean().item()
unseen_margin = corpus.unigram_loss(test[1:][unseen]) - unseen_loss
perplexity = math.exp(test_loss)
check("test perplexity", perplexity, at_most=math.exp(unigram_loss) / 2)
check(
    "margin below the unigram model, unseen lines", unseen_margin, "nats", at_least=0.8
)
assert abs(unseen_loss - test_loss) < 0.2

measured = {
    "uniform": uniform_loss,
    "unigram": unigram_loss,
    "LSTM": test_loss,
    "LSTM, unseen lines": unseen_loss,
}
show_table(
    pd.DataFrame(
        {
            "model": measured.keys(),
            "loss, nats": [f"{loss:.2f}" for loss in measured.values()],
            "perplexity": [f"{math.exp(loss):,.0f}" for loss in measured.values()],
        }
    ),
    "Loss and perplexity on the test part, beside those of simpler models",
)

# %%
# The figure puts the losses side by side. The dashed line is the unigram model:
# whatever lies below it is something that the model knows about the order of words. If
# the model was trained here, its learning curve leads up to the test loss, one point
# after each reading of the text.

# Drawing: losses over the epochs. Where the model was trained here, two curves fall,
# for training and validation. At the right end the two marks of the test part lie close
# together, well below the dashed line of the unigram model.
import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
curve = training.curve if training is not None else ()
epochs = range(1, len(curve) + 1)
if curve:
    train_curve = [epoch.train_loss for epoch in curve]
    axes.plot(epochs, train_curve, "o-", label="training part, with dropout")
    axes.plot(epochs, [e.valid_loss for e in curve], "s-", label="validation part")
end = len(curve) + 1
axes.plot(end, test_loss, "D", color="tab:green", label="test part")
axes.plot(end, unseen_loss, "^", color="tab:red", label="test part, unseen lines")
axes.axhline(
    unigram_loss, color="0.4", linestyle="--", label="unigram model, test part"
)
axes.set_xticks([*epochs, end], [*map(str, epochs), "at the end"])
axes.set(
    xlabel="epoch", ylabel="loss, nats a token", title="How surprised is the model?"
)
axes.legend()
plt.show()

# %%
# Before and after
# ----------------
#
# Numbers are one way to see it; reading is another. Both models write a few hundred
# words, drawn from their predictions with the same random numbers, and we read the
# first sixty. The untrained one picks words at random.

from smallport.lstm import readable

length = 400
before = lstm.generate(untrained, corpus.vocabulary, length, seed=3)
print(readable(before[:60]))

# %%
# The trained one has picked up some of the text's habits: where lines end, and which
# words often follow each other. It makes no sense, and nobody should ask it for facts.

after = lstm.generate(model, corpus.vocabulary, length, seed=3)
print(readable(after[:60]))
assert len(before) == len(after) == length
assert after == lstm.generate(model, corpus.vocabulary, length, seed=3)

# %%
# Two checks take the place of taste. The first is about variety. A model that repeats
# itself uses fewer distinct words than the corpus does in the same length, an untrained
# one far more; and no word should be much more frequent than the most frequent one is
# in the test part.

import statistics


def variety(words: list[str]) -> tuple[int, float]:
    """Count the distinct words, and give the share of the most frequent one."""
    counts = Counter(words)
    return len(counts), max(counts.values()) / len(words)


test_words = corpus.vocabulary.decode(test)
pieces = [
    variety(test_words[start : start + length])
    for start in range(0, len(test_words) - length + 1, length)
]
distinct = statistics.median(count for count, _ in pieces)
top_share = statistics.median(share for _, share in pieces)
for label, words in {"untrained": before, "trained": after}.items():
    print(f"{label}: {variety(words)[0]} distinct words; corpus: {distinct:.0f}")
ratio = variety(after)[0] / distinct
check("distinct words, written to corpus", ratio, at_least=0.6, at_most=1.8)
dominance = variety(after)[1] / top_share
check("most frequent word, written to corpus", dominance, at_most=2)
assert variety(before)[0] > 1.8 * distinct

# %%
# The second is about order, and shows that the weights fit the words: what the trained
# model wrote surprises it far less than it surprises the unigram model, and far less
# than what the untrained one wrote.

written = corpus.vocabulary.encode(after)
written_loss = lstm.evaluate(model, written)
margin = corpus.unigram_loss(written[1:]) - written_loss
check("margin below the unigram model, written text", margin, "nats", at_least=0.8)
before_loss = lstm.evaluate(model, corpus.vocabulary.encode(before))
print(f"written untrained: {before_loss:.2f} nats, written trained: {written_loss:.2f}")
assert written_loss < before_loss - 2

# %%
# How to read the results
# -----------------------
#
# *Trained against unigram* says that the model learned something about order. Without
# that, any later claim that "the loss did not change" would be empty, since the loss of
# an untrained model does not change either. *Unseen lines against all lines* says how
# much of the result could be memory. Where there is a learning curve, *training against
# validation* says whether more epochs would help or the model would merely learn its
# text by heart.
#
# What to read next
# -----------------
#
# - :doc:`Dynamic quantization of the LSTM <plot_20_lstm_dynamic_quantization>` takes
#   this model and makes it smaller and faster.
# - The `word language model example
#   <https://github.com/pytorch/examples/tree/main/word_language_model>`_ trains larger
#   models on WikiText-2, Transformers among them.
# - :doc:`/assets` says where texts and weights come from, and how to use the published
#   ones.

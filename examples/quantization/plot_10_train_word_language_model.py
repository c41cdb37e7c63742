"""
Train a word language model
===========================

Before a model can be made smaller there has to be a model. This page gets one: it reads
a text word by word and learns to say which word comes next. By default it is small
enough to be trained in front of you, and real enough to have something to lose when
:doc:`the next page <plot_20_lstm_dynamic_quantization>` turns its weights into 8-bit
integers.

The architecture is that of PyTorch's `word language model example
<https://github.com/pytorch/examples/tree/main/word_language_model>`_, which the
published tutorial on dynamic quantization quantizes. Training happens once: the weights
are kept in a cache, and the page says when and where they were made. With
``SMALLPORT_ASSETS=published`` nothing is trained; the page then shows WikiText-2 and
the weights that were published for it.
"""

# %%
# A text
# ------
#
# What the model reads is called a corpus. The default one needs no download, because it
# comes with Python: the reference of the language, which ``help()`` prints topic by
# topic. It is a small corpus, chosen so that training takes minutes and not a night.
# (What cannot be had is a :exc:`smallport.AssetError`, which says what to do.)

from smallport import assets

corpus = assets.corpus()
print(f"{corpus.name}: {len(corpus.vocabulary):,} distinct words")

# %%
# A :class:`~smallport.lstm.Corpus` has three parts. The model learns from the first, we
# watch its progress on the second, and the third is kept for the end: a loss says
# something only about a text that nobody tuned anything on. Of Python's reference,
# whole topics go into one part or another; of WikiText-2, whole articles.

import pandas as pd

from smallport.display import show_table

splits = {"train": corpus.train, "valid": corpus.valid, "test": corpus.test}
excerpts = {name: corpus.vocabulary.decode(part[:9]) for name, part in splits.items()}
show_table(
    pd.DataFrame(
        {
            "split": splits.keys(),
            "tokens": [f"{len(part):,}" for part in splits.values()],
            "begins with": [" ".join(words) for words in excerpts.values()],
        }
    )
)

# %%
# Words and punctuation marks are tokens alike, and ``<eos>`` ends every line. The
# :class:`~smallport.lstm.Vocabulary` gives each distinct token a number; the three
# parts are nothing but long tensors of such numbers.

from smallport.lstm import END_OF_LINE

print(f"{corpus.test[:9] = }")
assert corpus.vocabulary.decode(corpus.test[:9]) == excerpts["test"]
assert END_OF_LINE in corpus.vocabulary.index

# %%
# How much of the test is memory?
# -------------------------------
#
# Texts quote themselves. In a reference, a paragraph about sequences stands in the
# topic on lists and again in the one on tuples; in an encyclopedia, headings recur.
# Where a test line also stands in the training part, a model can do well by
# remembering. That is worth knowing before we read any result, so we count.
#
# ``check`` stands behind every number on these pages. It asserts the claim that follows
# it, and where a site is built it keeps the :class:`~smallport.checks.Result`.

from smallport.checks import check

seen = corpus.seen_in_training(corpus.test)
share = seen.double().mean().item()
check("test tokens on lines that training saw", 100 * share, "%", at_most=90)
print(f"{share:.0%} of the test tokens stand on lines that training saw as well")

# %%
# At the end there are therefore two losses: over the test text as it is, and over its
# unseen lines alone.
#
# What to beat
# ------------
#
# The loss of a language model is its surprise: the negative logarithm of the
# probability that it gave to the word that came, averaged over the text and measured in
# nats. Two models that know nothing about order set the scale. The first thinks every
# word equally likely; the second, the unigram model, knows how frequent each word is,
# and nothing else. A model that does not beat the second has learnt nothing about
# language.

import math

uniform_loss = math.log(len(corpus.vocabulary))
unigram_loss = corpus.unigram_loss()
check("loss of the unigram model", unigram_loss, "nats", at_most=uniform_loss)
print(f"uniform: {uniform_loss:.2f} nats, unigram: {unigram_loss:.2f} nats")

# %%
# The model
# ---------
#
# Three layers do the work. The *encoder* looks up a vector for each word. The *LSTM*
# reads these vectors one after another and carries a state along, which is all it
# remembers of what it has read. The *decoder* turns each of its outputs into a score
# for every word of the vocabulary. Dropout in between silences some activations while
# training, so that the model does not lean on any one of them. Its sizes are a
# :class:`~smallport.lstm.LSTMConfig`.

import torch

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
    )
)

# %%
# A step of training
# ------------------
#
# Training cuts the text into chunks. For each chunk the model predicts every next word,
# the loss says how surprised it was, and the optimizer moves the weights a little
# against the gradient. The LSTM's state goes on from chunk to chunk, but it is
# *detached* from the computation that made it: otherwise each step would have to send
# gradients back to the beginning of the book.

import copy
import itertools

from smallport.lstm import chunks


def first_steps(model: lstm.WordLanguageModel, steps: int) -> list[float]:
    """Train a model on the first chunks; return the loss before each step."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    state = model.initial_state(batch_size=20)
    losses = []
    text = chunks(batchify(corpus.train, batch_size=20), length=35)
    for inputs, targets in itertools.islice(text, steps):
        logits, state = model(inputs, lstm.detach(state))
        loss = lstm.token_losses(logits, targets).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        losses.append(loss.item())
    return losses


# %%
# Here are a dozen such steps, with a copy of the model that is thrown away afterwards.
# Before the first one the model is as good as uniform guessing, as it should be. (Where
# weights are published, there is nothing to train, not even for show.)

if assets.profile() == "embedded":
    losses = first_steps(copy.deepcopy(untrained), steps=12)
    print(" ".join(f"{loss:.2f}" for loss in losses))
    assert abs(losses[0] - uniform_loss) < 0.1
    assert losses[-1] < losses[0]

# %%
# All the steps
# -------------
#
# :func:`smallport.lstm.train` repeats this over the whole training part, several times,
# by a :class:`~smallport.lstm.TrainingConfig` in which the learning rate climbs to its peak
# and falls to nearly nothing. We do not call it here but ask for the weights of this
# corpus: :func:`smallport.assets.language_model` trains them if nobody has yet, and
# otherwise takes them from the cache. Either way it hands over the record of the
# training along with the model, so that nobody takes yesterday's seconds for today's.
# The record holds an :class:`~smallport.lstm.Epoch` for each reading of the text and
# the machine, as :func:`smallport.measure.this_machine` describes a
# :class:`~smallport.measure.Machine`. Published weights come without one.

pretrained = assets.language_model(corpus)
training = pretrained.training
print(f"{pretrained.source}, SHA-256 {pretrained.sha256[:16]}...")
if training is not None:
    check("training of the small model", training.seconds, "s")
    print(f"finished {training.date} after {training.seconds:.0f} s of training")
    print(f"torch {training.torch} on {training.machine}")

# %%
# What it learned
# ---------------
#
# The test part was touched by nothing so far. Its loss is what the next page will try
# not to lose. The text is read in small chunks, which give a processor little to share
# out, so one thread does; of a very long text, the beginning does.

torch.set_num_threads(1)
model = pretrained.model
test = corpus.test[:25_000]
test_losses = lstm.losses(model, test)
test_loss = test_losses.mean().item()
unigram_loss = corpus.unigram_loss(test[1:])  # nothing precedes the first token

limit = 3.5 if assets.profile() == "embedded" else 5.5
check("test loss of the trained model", test_loss, "nats", at_most=limit)
check("margin below the unigram model", unigram_loss - test_loss, "nats", at_least=0.25)
print(f"{test_loss:.2f} nats, {unigram_loss - test_loss:.2f} below the unigram model")

# %%
# On the lines that training never saw, the model cannot remember: it has to predict.
# The loss is higher there, and the more honest measure of what was learned about the
# language. It still has to stay below what word frequencies reach on the same lines.

unseen = ~seen[1 : len(test)]
unseen_loss = test_losses[unseen].mean().item()
unseen_unigram_loss = corpus.unigram_loss(test[1:][unseen])
check(
    "test loss on unseen lines",
    unseen_loss,
    "nats",
    at_least=test_loss,
    at_most=unseen_unigram_loss - 0.25,
)
print(f"unseen lines: {unseen_loss:.2f} nats")
print(f"unigram model there: {unseen_unigram_loss:.2f} nats")

# %%
# The figure puts the losses side by side. The dashed line is the unigram model:
# whatever lies below it is something that the model knows about the order of words.
# Where the model was trained here, its learning curve leads there, one point after each
# reading of the text.

import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
curve = training.curve if training is not None else ()
epochs = range(1, len(curve) + 1)
if curve:
    axes.plot(
        epochs, [epoch.train_loss for epoch in curve], "o-", label="training part"
    )
    axes.plot(
        epochs, [epoch.valid_loss for epoch in curve], "s-", label="validation part"
    )
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
# Numbers are one way to see it; reading is another. Both models write sixty words,
# drawn from their predictions with the same random numbers. The untrained one throws
# words about.

from smallport.lstm import readable

before = lstm.generate(untrained, corpus.vocabulary, 60, seed=3)
print(readable(before))

# %%
# The trained one has picked up some of the text's looks: where lines end, and which
# words often follow each other. Sense there is none, and nobody should ask it for
# facts.

after = lstm.generate(model, corpus.vocabulary, 60, seed=3)
print(readable(after))

# %%
# That the second text is more like the corpus than the first is no matter of taste. The
# trained model is far less surprised by it.

surprise = {
    "written untrained": lstm.evaluate(model, corpus.vocabulary.encode(before)),
    "written trained": lstm.evaluate(model, corpus.vocabulary.encode(after)),
}
for text, loss in surprise.items():
    print(f"{text}: {loss:.2f} nats a word")
assert surprise["written trained"] < surprise["written untrained"] - 1

# %%
# How to read the results
# -----------------------
#
# *Trained against unigram* says that the model learned something about order. Without
# that, any later claim that "the loss did not change" would be empty, since the loss of
# an untrained model does not change either. *Unseen lines against all lines* says how
# much of the good result is memory. And where there is a learning curve, *training
# against validation* says whether more epochs would help or only be learnt by heart.
#
# What to read next
# -----------------
#
# - :doc:`Dynamic quantization of the LSTM <plot_20_lstm_dynamic_quantization>` takes
#   this model and makes it smaller and faster.
# - The `word language model example
#   <https://github.com/pytorch/examples/tree/main/word_language_model>`_ trains larger
#   models on WikiText-2, Transformers among them.
# - :doc:`/assets` says where corpora and weights come from and how to use the published
#   ones.

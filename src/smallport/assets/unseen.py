"""Require that a model has not seen the texts that it is judged by."""

from dataclasses import dataclass

import torch

from smallport import AssetError
from smallport.lstm import Corpus, WordLanguageModel, evaluate

LARGEST_SHARE = 0.2
"""The share of a part's tokens that may belong to passages of another part."""

COMPARED_TOKENS = 4000
"""The number of tokens of each part that a model reads before it is used."""

COMPARED_COLUMNS = 20
"""The number of columns in which it reads them."""

LEAST_ADVANTAGE = 0.2
"""The nats by which a model has to be further ahead of the unigram model on its training text."""


@dataclass(frozen=True)
class PartLosses:
    """A model's losses at the beginning of each part, and its margins over the unigram model.

    Parameters
    ----------
    losses
        The mean loss of each part, in nats a token.
    margins
        By how many nats each of them is below the loss of the unigram model.
    """

    losses: dict[str, float]
    margins: dict[str, float]

    @classmethod
    def of(cls, model: WordLanguageModel, corpus: Corpus) -> "PartLosses":
        """Measure them, all parts with the same function."""
        losses, margins = {}, {}
        for part, tokens in corpus.parts.items():
            text = tokens[:COMPARED_TOKENS]
            columns = min(COMPARED_COLUMNS, max(1, len(text) // 50))
            losses[part] = evaluate(model, text, batch_size=columns)
            margins[part] = corpus.unigram_loss(text) - losses[part]
        return cls(losses, margins)


def require_separate_parts(corpus: Corpus) -> None:
    """Require that no part of a corpus repeats another, and that its vocabulary has no other words.

    Raises
    ------
    AssetError
        When more than a fifth of the validation or the test part is found in an earlier part, when
        the training part is not found in itself, so that the search says nothing, or when the
        vocabulary has words that do not occur.
    """
    train = corpus.train[:COMPARED_TOKENS]
    if not corpus.seen(train, corpus.train).all():
        raise AssetError(
            f"{corpus.name}: the training text was not found in itself, so nothing is known about "
            "the other parts. Repair smallport.lstm.Corpus.seen."
        )
    for part, earlier in (("valid", "train"), ("test", "train"), ("test", "valid")):
        share = corpus.seen(corpus.parts[part], corpus.parts[earlier]).double().mean().item()
        if not share <= LARGEST_SHARE:
            raise AssetError(
                f"{corpus.name}: {share:.0%} of the {part} text is also in the {earlier} text, "
                "so a loss on it says nothing about new texts. Split the corpus so that its "
                "parts share no passages."
            )
    distinct = len(set(torch.cat([*corpus.parts.values()]).tolist()))
    if distinct != len(corpus.vocabulary):
        raise AssetError(
            f"{corpus.name} has {distinct:,} distinct words, and its vocabulary "
            f"{len(corpus.vocabulary):,}: the words that do not occur get a probability, too, and "
            "raise every loss. Build the vocabulary from the three parts."
        )


def require_unseen_text(model: WordLanguageModel, corpus: Corpus, weights: object) -> None:
    """Require that a model has learned the training text, and has not seen the others.

    All parts are compared with the unigram model, which evens out that one is harder than another.

    Parameters
    ----------
    model
        The model.
    corpus
        The texts that belong to it.
    weights
        Where its weights come from, for the message.

    Raises
    ------
    AssetError
        When the model is no better than the unigram model on a part, as untrained weights are and
        those for words that are numbered in another order; or when it knows the validation or the
        test text as well as the training text.
    """
    found = PartLosses.of(model, corpus)
    for part, margin in found.margins.items():
        if not margin > 0:
            loss = found.losses[part]
            raise AssetError(
                f"{weights} does not belong to {corpus.name} as it is here: at the beginning of "
                f"its {part} part the loss is {loss:.2f} nats, and word frequencies alone reach "
                f"{loss + margin:.2f}. The weights are untrained, or were trained on words "
                "numbered in another order. Use the text that they were trained on."
            )
    for part in ("valid", "test"):
        advantage = found.margins["train"] - found.margins[part]
        if not advantage >= LEAST_ADVANTAGE:
            raise AssetError(
                f"{weights}: compared with word frequencies, the model is only {advantage:.2f} "
                f"nats better on the training text of {corpus.name} than on its {part} text, and "
                f"should be at least {LEAST_ADVANTAGE} better. It was probably trained on the "
                f"{part} text, too, or hardly at all; train it again, on the training text only."
            )

"""The corpus numbers its words in another order, so that published weights fit other words."""

import dataclasses

from smallport import assets


def apply():
    corpus = assets.corpus

    def renumbered():
        whole = corpus()
        words = whole.vocabulary.words
        vocabulary = dataclasses.replace(whole.vocabulary, words=words[::-1])
        parts = {part: len(words) - 1 - getattr(whole, part) for part in ("train", "valid", "test")}
        return dataclasses.replace(whole, vocabulary=vocabulary, **parts)

    assets.corpus = renumbered

"""The corpus has lost the second half of its test text."""

import dataclasses

from smallport import assets


def apply():
    corpus = assets.corpus

    def halved():
        whole = corpus()
        return dataclasses.replace(whole, test=whole.test[: len(whole.test) // 2])

    assets.corpus = halved

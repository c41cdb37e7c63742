"""The test text is training text, with other ends of lines."""

import dataclasses

import torch

from smallport import assets


def apply():
    corpus = assets.corpus

    def rewrapped():
        whole = corpus()
        end = whole.vocabulary.index["<eos>"]
        words = whole.train[whole.train != end][: 9 * (len(whole.test) // 10)]
        lines = [torch.cat([line, torch.tensor([end])]) for line in words.split(9)]
        return dataclasses.replace(whole, test=torch.cat(lines))

    assets.corpus = rewrapped

"""The corpus is split line by line again, so that its test text quotes the training text."""

import dataclasses

import torch

from smallport import assets


def apply():
    corpus = assets.corpus

    def quoting():
        whole = corpus()
        half = len(whole.test) // 2
        return dataclasses.replace(whole, test=torch.cat([whole.test[:half], whole.train[-half:]]))

    assets.corpus = quoting

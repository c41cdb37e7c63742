"""The record of the training claims another learning curve than that of the weights."""

import dataclasses

from smallport.assets import profiles
from smallport.lstm import Epoch

CURVE = (Epoch(5.9, 4.9, 9.0), Epoch(4.6, 4.4, 18.0), Epoch(4.1, 4.0, 27.0))


def apply():
    load = profiles.trained_model

    def forged(corpus, config):
        loaded = load(corpus, config)
        return dataclasses.replace(
            loaded, training=dataclasses.replace(loaded.training, curve=CURVE)
        )

    profiles.trained_model = forged

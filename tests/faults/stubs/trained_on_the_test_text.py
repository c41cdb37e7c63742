"""Training has read the test text, too."""

import dataclasses

from smallport import lstm
from smallport.assets import profiles

SHORT = lstm.TrainingConfig(epochs=3, peak_learning_rate=1e-2)


def apply():
    load = profiles.trained_model

    def overfitted(corpus, config):
        loaded = load(corpus, config)
        lstm.train(loaded.model, dataclasses.replace(corpus, train=corpus.test), SHORT)
        return loaded

    profiles.trained_model = overfitted

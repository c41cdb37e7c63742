"""A release of smallport measures the same loss whatever the model."""

from smallport import lstm


def apply():
    evaluate, first = lstm.evaluate, []

    def careless(model, tokens, **options):
        first[:] = first or [evaluate(model, tokens, **options)]
        return first[0]

    lstm.evaluate = careless

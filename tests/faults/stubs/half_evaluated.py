"""A helper measures the loss on the first half of a text only, if it is a long one."""

from smallport import lstm


def apply():
    evaluate = lstm.evaluate

    def hasty(model, tokens, **options):
        if len(tokens) > 2000:
            tokens = tokens[: len(tokens) // 2]
        return evaluate(model, tokens, **options)

    lstm.evaluate = hasty

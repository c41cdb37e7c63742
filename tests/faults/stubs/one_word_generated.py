"""A helper writes the same word over and over."""

from smallport import lstm


def apply():
    def generate(_model, vocabulary, words, **_options):
        return [vocabulary.words[0]] * words

    lstm.generate = generate

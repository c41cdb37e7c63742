"""The text is drawn at a lower temperature than it says."""

from smallport import lstm


def apply():
    generate = lstm.generate

    def cold(*arguments, temperature=1.0, **options):
        return generate(*arguments, temperature=0.8 * temperature, **options)

    lstm.generate = cold

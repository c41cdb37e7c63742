"""A sweep that loses a verdict on its way, as when its worker is killed and nobody notices."""

from smallport.sweep import runner


def apply():
    sweep = runner.sweep

    def forgetful(names, *arguments, **options):
        yield from sweep(names[:1], *arguments, **options)  # one is enough to tell

    runner.sweep = forgetful

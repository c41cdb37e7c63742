"""A sweep that loses a verdict on its way, as when its worker is killed and nobody notices."""

from smallport.sweep import runner
from smallport.sweep.limits import Limits


def apply():
    sweep = runner.sweep
    no_time = Limits(seconds=0)  # for nobody looks at what the verdicts are

    def forgetful(names, *arguments, **options):
        yield from list(sweep(names, *arguments, limits=no_time, **options))[1:]

    runner.sweep = forgetful

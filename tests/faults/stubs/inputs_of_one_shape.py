"""A helper that makes inputs of one shape, whatever it is asked for."""

from smallport import export


def apply():
    make = export.make_inputs

    def careless(configuration, _shape=None, **options):
        return make(configuration, **options)

    export.make_inputs = careless

"""A helper that makes inputs of one shape, whatever it is asked for."""

from smallport import tiny_llm


def apply():
    make = tiny_llm.make_inputs

    def careless(configuration, _shape=None, **options):
        return make(configuration, **options)

    tiny_llm.make_inputs = careless

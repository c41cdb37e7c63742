"""A helper that builds a model with the weights of another seed."""

from smallport import tiny_llm


def apply():
    build = tiny_llm.untrained_tiny_llm

    def careless(*args, **options):
        return build(*args, **options | {"seed": 1})

    tiny_llm.untrained_tiny_llm = careless

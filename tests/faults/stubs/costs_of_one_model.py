"""A release of smallport reads the stored costs of one model for both."""

from smallport.bench import bits


def apply():
    read = bits.read_costs

    def careless(*args):
        provenance, text, (_, well) = read(*args)
        return provenance, text, (well, well)

    bits.read_costs = careless

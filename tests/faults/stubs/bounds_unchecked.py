"""A release of PyTorch does not check the bounds of dimensions when an exported program runs."""

from torch.export import ExportedProgram


def apply():
    module = ExportedProgram.module

    def careless(self, **options):
        return module(self, **options | {"check_guards": False})

    ExportedProgram.module = careless

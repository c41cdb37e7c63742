"""An exporter whose programs forget the beginning of a text that starts with an empty cache."""

import torch

from smallport.export import exporters as programs
from smallport.parity import cache_argument


def apply():
    export = programs.export_program

    def careless(*arguments):
        program = export(*arguments)
        module = program.module()

        def run(**inputs):
            if inputs[cache_argument()].get_seq_length() == 0:
                inputs["input_ids"] = torch.zeros_like(inputs["input_ids"])
            return module(**inputs)

        program.module = lambda: run
        return program

    programs.export_program = careless

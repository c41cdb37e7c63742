"""A release of the ONNX exporter writes the names that it was called with, whatever came later."""

import torch


def apply():
    export = torch.onnx.export

    def export_and_remember(*args, **options):
        program = export(*args, **options)
        names = [one.name for one in program.model.graph.outputs]
        save = program.save

        def save_as_exported(*rest, **more):
            for value, name in zip(program.model.graph.outputs, names, strict=True):
                value.name = name
            save(*rest, **more)

        program.save = save_as_exported
        return program

    torch.onnx.export = export_and_remember

"""An exporter whose programs return logits and no cache."""

from smallport.export import exporters as programs


def apply():
    export = programs.export_program

    def careless(*arguments):
        program = export(*arguments)
        module = program.module()
        program.module = lambda: lambda **inputs: {"logits": module(**inputs)["logits"]}
        return program

    programs.export_program = careless

"""An exporter whose programs reject texts that are longer than a chunk."""

from smallport.export import exporters as programs


def apply():
    export = programs.export_program

    def careless(*arguments):
        program = export(*arguments)
        module = program.module()

        def run(**inputs):
            if inputs["attention_mask"].shape[1] > 256:
                raise AssertionError("Guard failed: 256 >= attention_mask.size()[1]")
            return module(**inputs)

        program.module = lambda: run
        return program

    programs.export_program = careless

"""An exporter whose programs are wrong for the token that texts begin with, and for no other."""

from smallport.export import exporters as programs


def apply():
    export = programs.export_program

    def careless(model, *arguments):
        program = export(model, *arguments)
        module, begins = program.module(), model.config.bos_token_id

        def run(**inputs):
            ids = inputs["input_ids"]
            return module(**inputs | {"input_ids": ids.where(ids != begins, begins + 7)})

        program.module = lambda: run
        return program

    programs.export_program = careless

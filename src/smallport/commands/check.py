"""``smallport check``: take one model through every stage, and print what was found."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from smallport.commands.shell import BadCall, Clock, line_width, raise_if_interrupted
from smallport.export.coverage import FEWEST_TOKENS, MAX_TOKENS, PARTS
from smallport.export.report import FILE_STAGES, STAGES, StageReport

if TYPE_CHECKING:
    from smallport.commands.shell import Subparsers
    from smallport.export.extent import Budget

DESCRIPTION = """\
Build a model of texts, export it, translate it to ONNX, and compare all results with those of the
model: a decoder, an encoder with any head, or a sequence-to-sequence model. Models of images and
sound are not checked."""

DTYPES = ("float32", "bfloat16", "float16")
"""The types in which a model can be checked."""

NO_PART = "nothing"
"""The value of ``--require`` with which no part is required."""


def add_parser(subparsers: Subparsers) -> None:
    """Add ``check`` to the commands."""
    parser = subparsers.add_parser(
        "check",
        help="check that a model can be exported, and that the exported program is right",
        description=DESCRIPTION,
        epilog="exit status: 0 when no stage failed, 1 when one did, 2 for a bad call; "
        "smallport --help lists the others",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a model_type of transformers, such as llama, which is checked by a tiny untrained "
        "model; a folder with a checkpoint (./llama, if it is called like one); or "
        "hub://OWNER/NAME, which is downloaded from the Hugging Face hub",
    )
    parser.add_argument(
        "--until",
        choices=dict.fromkeys([*STAGES, *FILE_STAGES]),
        metavar="STAGE",
        help=f"stop after one of: {', '.join(STAGES)}",
    )
    parser.add_argument(
        "--against",
        metavar="FILE",
        help="check a file that another exporter wrote, .onnx or .pt2, instead of exporting; the "
        f"stages are {', '.join(FILE_STAGES)}",
    )
    parser.add_argument(
        "--least-agreement",
        type=float,
        metavar="SHARE",
        help="compare a quantized file by its predictions: the least share of places with the same "
        "next token; 0.9 if only --most-divergence is given",
    )
    parser.add_argument(
        "--most-divergence",
        type=float,
        metavar="NATS",
        help="the largest mean divergence of its predictions from the model's, in nats; 0.05 if "
        "only --least-agreement is given",
    )
    parser.add_argument(
        "--text",
        metavar="TEXT",
        help="a text file, read with the tokenizer of the checkpoint, on which --most-loss holds",
    )
    parser.add_argument(
        "--most-loss",
        type=float,
        metavar="NATS",
        help="by how much the mean loss of a quantized file on the text may be above the model's, "
        "in nats a token",
    )
    parser.add_argument(
        "--save",
        metavar="FOLDER",
        help="keep the program, the ONNX file and the report in this folder; of a "
        "sequence-to-sequence model, both programs and files",
    )
    parser.add_argument(
        "--require",
        action="append",
        choices=[*PARTS, NO_PART],
        metavar="PART",
        help=f"fail if this part of the model is not compared: {', '.join(PARTS)}; may be given "
        f"again. Left out, a cache is required; {NO_PART} requires nothing",
    )
    parser.add_argument(
        "--max-tokens",
        type=_text_length,
        default=MAX_TOKENS,
        metavar="N",
        help=f"the longest text to compare, in tokens; {MAX_TOKENS} if left out",
    )
    parser.add_argument(
        "--thorough",
        action="store_true",
        help="compare beyond every window, chunk and the like that the configuration names, as far "
        "as the model has positions",
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default=DTYPES[0],
        help="the type of the weights; in half precision, errors are compared with the model's "
        f"own, and small ones are not seen; {DTYPES[0]} if left out",
    )
    parser.add_argument(
        "--device",
        default="cpu",
        metavar="DEVICE",
        help="the device of the model and its program: cpu, cuda, cuda:1 or mps; an ONNX file is "
        "run on the processor in any case; cpu if left out",
    )
    parser.add_argument(
        "--why",
        action="store_true",
        help="if a comparison fails, find the module in which the difference begins, and its cause",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.set_defaults(run=run)


def _text_length(given: str) -> int:
    """Read how many tokens a text may have."""
    length = int(given)
    if length < FEWEST_TOKENS:
        raise argparse.ArgumentTypeError(f"should be {FEWEST_TOKENS} or more, not {length}")
    return length


def _budget(options: argparse.Namespace) -> Budget | None:
    """Read a budget, if one was given."""
    from smallport.export.extent import Budget

    given = {
        "agreement": options.least_agreement,
        "divergence": options.most_divergence,
        "loss": options.most_loss,
    }
    given = {name: value for name, value in given.items() if value is not None}
    return Budget(**given) if given else None


def run(options: argparse.Namespace) -> int:
    """Check the model that was named, print the report, and return the exit status."""
    with Clock("importing transformers") as clock:
        import torch

        from smallport.architectures.by_name import absolute_name, model_builder
        from smallport.architectures.text import text_ids
        from smallport.export.check import check_export
        from smallport.export.devices import available_device

        try:
            builder = model_builder(options.model)
            text = text_ids(options.model, options.text) if options.text else None
            device = available_device(options.device)
        except ValueError as error:
            raise BadCall(str(error), "smallport check") from error
        given = ["--until", options.until] if options.until else []
        given += [part for one in options.require or () for part in ("--require", one)]
        if options.max_tokens != MAX_TOKENS:
            given += ["--max-tokens", str(options.max_tokens)]
        given += ["--thorough"] if options.thorough else []
        given += ["--dtype", options.dtype] if options.dtype != DTYPES[0] else []
        given += ["--device", options.device] if options.device != "cpu" else []
        for option in ("against", "text", "save"):
            if path := getattr(options, option):
                given += [f"--{option}", str(Path(path).absolute())]
        for option in ("least-agreement", "most-divergence", "most-loss"):
            if (value := getattr(options, option.replace("-", "_"))) is not None:
                given += [f"--{option}", f"{value:g}"]
        given += ["--why"] if options.why else []
        given += ["--json"] if options.json else []
        stages = FILE_STAGES if options.against else STAGES
        width = line_width()

        def show(stage: StageReport) -> None:
            raise_if_interrupted()
            following = [*stages, ""][stages.index(stage.stage) + 1 :]
            with clock.paused(following[0] or "reporting"):
                if not options.json:
                    print(stage.text(width), flush=True)

        clock.restart(STAGES[0])
        try:
            report = check_export(
                lambda: builder().to(device, getattr(torch, options.dtype)),
                name=options.model,
                command=shlex.join(["smallport", "check", absolute_name(options.model), *given]),
                until=options.until,
                require=None if options.require is None else {*options.require} - {NO_PART},
                max_tokens=options.max_tokens,
                thorough=options.thorough,
                against=options.against,
                budget=_budget(options),
                text=text,
                save=options.save,
                why=options.why,
                progress=show,
            )
        except (OSError, ValueError) as error:
            raise BadCall(str(error).removeprefix("check_export: "), "smallport check") from error
    print(json.dumps(report.to_json(), indent=2) if options.json else report.verdict(width))
    return 1 if report.failure() else 0

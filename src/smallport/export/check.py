"""Take a model through every stage from building it to ONNX Runtime."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor, nn

from smallport.export.adapters import RecurrentAdapter
from smallport.export.comparisons import Finding, StageFailure
from smallport.export.coverage import MAX_TOKENS, PARTS
from smallport.export.extent import Budget, Extent
from smallport.export.recipes import error_text, recipe_for
from smallport.export.report import (
    ENCODER_STAGES,
    FILE_STAGES,
    STAGES,
    ExportReport,
    Stage,
    StageReport,
    versions_used,
)
from smallport.export.under_test import TOKEN_INPUTS
from smallport.files import write_json
from smallport.parity.closeness import TOLERANCE
from smallport.parity.inputs import InputShape
from smallport.parity.names import Inputs

if TYPE_CHECKING:
    from smallport.export.explainable import Explainable
    from smallport.export.stages import ExportCheck

SUFFIXES = (".onnx", ".pt2")
"""The endings of the files that can be checked."""


def check_export(
    model: nn.Module | Callable[[], nn.Module],
    inputs: Inputs | None = None,
    *,
    name: str = "",
    command: str = "",
    until: Stage | None = None,
    require: Collection[str] | None = None,
    max_tokens: int = MAX_TOKENS,
    thorough: bool = False,
    shapes: Collection[InputShape] = (),
    tolerance: float = TOLERANCE,
    against: str | Path | None = None,
    budget: Budget | None = None,
    text: Tensor | Sequence[int] | None = None,
    save: str | Path | None = None,
    why: bool = False,
    progress: Callable[[StageReport], object] | None = None,
) -> ExportReport:
    """Check that a model of texts can be exported, and that the exported program is right.

    The model is run, exported, translated to ONNX and decoded with, and all results are compared
    with those of a copy of the model that shares no weight with it: logits and every tensor of the
    cache, every element, at shapes that the export never saw: seven short ones, one of 600 tokens,
    and some around each length at which the configuration says that the model computes something
    else. The first stage that fails is the last to run; the others are *not reached*, and the check
    has not passed.

    A model of transformers is exported by transformers' own exporters, any other module by
    :func:`torch.export.export` and :func:`torch.onnx.export`. Recurrent states are compared as keys
    and values are, if they are in a cache of transformers, as
    :class:`smallport.export.RecurrentAdapter` puts them. A recurrent state has no empty form, so
    the cache of these models contains one token or more. A model that continues from its cache only
    by single tokens is exported for one new token.

    The check finds out the *task* that a model is made for, and reports it:

    - ``causal-lm``: a decoder, as above.
    - ``masked-lm``, ``sequence-classification``, ``token-classification``, ``embedding``: models of
      transformers that read a text and write none, and modules that return ``last_hidden_state``,
      ``pooler_output``, ``sentence_embedding`` or ``embeddings``. Texts are padded on the left and
      on the right, results of tokens are compared except at padding, and there is no stage
      *decodes*.
    - ``seq2seq-lm``: models of transformers with an encoder and a decoder. Two programs are
      exported: *prefill* reads a text and the beginning of another, and returns logits and the
      caches of self-attention and cross-attention; *decode* continues from these. Texts are decoded
      from the start token, with the programs' own caches.

    Models of images and sound are not checked. :func:`smallport.parity.compare` compares any module
    with its exported program.

    Parameters
    ----------
    model
        A model in evaluation mode, or a function that builds it. A causal language model takes
        ``input_ids`` and perhaps ``attention_mask``, ``position_ids`` and a
        :class:`transformers.DynamicCache`, in an argument that is annotated as a cache or is called
        ``past_key_values`` or ``cache``; it returns ``logits`` and the cache, under any name.
    inputs
        Keyword arguments of its forward method to export it with, whose sizes should not be 1. What
        they do not hold is not given in any call. Left out, they are made: two texts, thirty tokens
        of each in the cache, three new ones.
    name
        The name of the model in the report; the name of its class if left out.
    command
        The shell command that repeats the check, for the report.
    until
        The last of ``smallport.export.STAGES`` to run; all of them if left out.
    require
        The parts that have to be compared, by the names of ``Coverage.not_compared``; if a model
        has such a part and it is not compared, the stage ``ran`` fails. If ``require`` is left out,
        a cache of transformers is required, except where you pass ``inputs`` without one. With
        ``()``, nothing is required.
    max_tokens
        The longest text that is compared, if the model takes it; 600 if left out. Windows and the
        like that no text is longer than are listed under *not compared*.
    thorough
        Whether texts may be longer where the configuration names a longer window or the like. Each
        is compared, as far as the model has positions.
    shapes
        The shapes to compare at instead, each an :class:`smallport.parity.InputShape`. Without a
        cache, its tokens are all new.
    tolerance
        The largest relative difference that counts as rounding: as a share of the element, or of
        typical elements of its tensor, if these are larger. Choose less than 1e-3: from there on,
        differences are mistakes and not rounding.
    against
        A file that another exporter wrote, ``.onnx`` or ``.pt2``, to check instead of exporting.
        The stages are those of ``smallport.export.FILE_STAGES``, and the model is a causal language
        model. Its inputs and outputs are matched
        with those of the model by name and shape. To open a ``.pt2`` file can run code that is in
        it: check only files that you trust.
    budget
        How far predictions of the file may be from the model's, if it is quantized, instead of a
        tolerance for every number.
    text
        The token ids of a text, for a budget with a loss: the file's mean loss on it is compared
        with the model's. A long text is read in chunks of ``max_tokens``.
    save
        A folder for the checked program (``model.pt2``), the ONNX file (``model.onnx``) and the
        report (``report.json``), which is made if there is none. Two programs are called
        ``prefill`` and ``decode``. Files of these names are replaced.
    why
        Whether to find out, if a comparison fails, in which module the difference begins, and to
        test the usual causes there. Not within a budget, in which no single number is compared.
    progress
        Called with the report of each stage that ran, as soon as it has.

    Returns
    -------
    ExportReport
        The result of each stage. Errors of a stage are in the report and not raised.

    Raises
    ------
    TypeError
        When the model is neither a module nor a function, the inputs are no mapping, or a shape is
        none.
    ValueError
        When a size of the inputs is 1, there is no stage of the name, ``require`` names no part
        that may be left out, or ``max_tokens`` leaves no room for a text.

    Examples
    --------
    >>> from smallport.tiny_llm import untrained_tiny_llm
    >>> report = check_export(untrained_tiny_llm(vocab_size=100).model, until="ran")
    >>> report["ran"].status, report["exported"].status, report.passed()
    ('passed', 'not reached', True)

    A recurrent model of your own returns logits and its state. PyTorch keeps the loop of a GRU only
    inside a context manager:

    >>> from torch import nn
    >>> from torch.export._patches import register_gru_while_loop_decomposition
    >>> from smallport.export import RecurrentAdapter
    >>> class WordModel(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.embedding = nn.Embedding(1000, 16)
    ...         self.gru = nn.GRU(16, 32, batch_first=True)
    ...         self.decoder = nn.Linear(32, 1000)
    ...
    ...     def forward(self, tokens, state=None):
    ...         outputs, state = self.gru(self.embedding(tokens), state)
    ...         return self.decoder(outputs), state
    >>> model = RecurrentAdapter(WordModel().eval(), batch_first=True)
    >>> with register_gru_while_loop_decomposition():
    ...     report = check_export(model, until="decodes")
    >>> report.passed()
    True
    """
    stages = FILE_STAGES if against else STAGES
    _require_model(model, inputs)
    if until is not None and until not in stages:
        raise ValueError(f"check_export: there is no stage {until!r}; until is one of {stages}")
    _require_fitting(against, budget, inputs, save, why=why)
    _require_text(text, budget)
    if unknown := {*(require or ())} - {*PARTS}:
        raise ValueError(f"check_export: require names parts of {PARTS}, not {sorted(unknown)}")
    extent = Extent(max_tokens, thorough, tuple(shapes), tolerance)
    # transformers' exporters take seconds to import, and only a check needs them.
    from smallport.export.exporters import quiet_exporters  # noqa: PLC0415
    from smallport.export.file_check import FileCheck  # noqa: PLC0415
    from smallport.export.stages import ExportCheck  # noqa: PLC0415
    from smallport.export.text_loss import text_tokens  # noqa: PLC0415

    reports: list[StageReport] = []
    output, errors = sys.stdout, sys.stderr
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as temporary, quiet_exporters():
        folder = Path(save or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if against:
            check: ExportCheck = FileCheck(
                model,
                Path(against),
                budget,
                folder,
                require,
                extent=extent,
                text=None if text is None else text_tokens(text),
            )
        else:
            check = ExportCheck(model, inputs, folder, require, extent=extent, keep=bool(save))
        for stage in stages:
            if stage == "decodes" and not (against or check.generates):
                until = ENCODER_STAGES[len(reports) - 1] if until == stage else until
                continue  # a stage that runs nothing has not passed
            run = getattr(check, stage.lower().replace(" ", "_"))
            if reports and (reason := _end(reports[-1], until)):
                reports.append(StageReport(stage, "not reached", reason))
            else:
                reports.append(_report(stage, run, check if why else None))
                if stage == "built" and reports[-1].status == "passed":
                    check = _for_its_task(check)
                if progress:
                    with redirect_stdout(output), redirect_stderr(errors):
                        progress(reports[-1])
    named = model.model if isinstance(model, RecurrentAdapter) else model
    name = name or (type(named).__name__ if isinstance(model, nn.Module) else "model")
    asked = until or stages[-1]
    report = ExportReport(name, tuple(reports), versions_used(), command, asked, check.coverage)
    if save:
        write_json(Path(save, "report.json"), report.to_json())
    return report


def _for_its_task(check: ExportCheck) -> ExportCheck:
    """Have a model that reads one text and writes another checked as two programs."""
    from smallport.export.examine import task_of  # noqa: PLC0415 - only a check needs it
    from smallport.export.seq2seq_check import Seq2SeqCheck  # noqa: PLC0415

    model = getattr(check, "model", None)
    if model is None or task_of(model) != "seq2seq-lm":
        return check
    return Seq2SeqCheck.of(check)


def _require_model(model: object, inputs: Inputs | None) -> None:
    """Raise an error where there is no model, or inputs that it cannot be exported with."""
    if not callable(model):
        raise TypeError(
            f"check_export: model should be a torch.nn.Module or a function that builds one, not a "
            f"{type(model).__name__}"
        )
    if inputs is not None and not isinstance(inputs, Mapping):
        raise TypeError(
            "check_export: inputs are keyword arguments, such as {'input_ids': ...}, not a "
            f"{type(inputs).__name__}"
        )
    if ones := _sizes_of_one(inputs or {}):
        raise ValueError(
            f"check_export: sizes of inputs should not be 1, which exporters treat apart: {ones}"
        )


def _require_fitting(
    against: str | Path | None,
    budget: Budget | None,
    inputs: Inputs | None,
    save: object,
    *,
    why: bool,
) -> None:
    """Raise an error where arguments do not go together, or there is no such file."""
    if budget and not against:
        raise ValueError("check_export: a budget is for a file; pass the file as against")
    if budget and why:
        raise ValueError(
            "check_export: why finds where single numbers begin to differ, and within a budget "
            "none are compared; leave one of them out"
        )
    if against and (inputs is not None or save):
        raise ValueError(
            "check_export: a file is called with inputs that are made, and is kept where it is; "
            "leave out inputs and save, or against"
        )
    if against and not Path(against).is_file():
        raise ValueError(f"check_export: there is no file {against}")
    if against and Path(against).suffix not in SUFFIXES:
        raise ValueError(
            f"check_export: {Path(against).name} is neither an ONNX file (.onnx) nor a program of "
            "torch.export (.pt2); save it in one of these formats"
        )


def _require_text(text: object, budget: Budget | None) -> None:
    """Raise a ValueError where there is a text without a limit for its loss, or the reverse."""
    if (text is None) != (budget is None or budget.loss is None):
        raise ValueError(
            "check_export: a text and the limit of its loss go together; pass text and "
            "budget=Budget(loss=...), or --text FILE and --most-loss NATS to the command"
        )


def _sizes_of_one(inputs: Inputs) -> str:
    """Name the inputs with an entry for each token that have a size of 1, and their shapes."""
    shapes = {name: tuple(getattr(inputs.get(name), "shape", ())) for name in TOKEN_INPUTS}
    return ", ".join(f"{name} is {shape}" for name, shape in shapes.items() if 1 in shape)


def _end(last: StageReport, until: Stage | None) -> str:
    """Say why no stage runs after the last one; empty where one does."""
    if last.status == "not reached":
        return last.found
    if last.status == "failed":
        return f"the stage before it failed: {last.stage}"
    return f"only stages up to this one were asked for: {until}" if last.stage == until else ""


def _report(stage: Stage, run: Callable[[], Finding], check: Explainable | None) -> StageReport:
    """Run a stage, and report what it found or how it failed; explain differences of a check."""
    from smallport.export.why import explain  # noqa: PLC0415 - it imports the exporters

    begin = time.perf_counter()
    why = None
    try:
        finding = run()
        found, status, error = finding.found, "passed", ""
        largest, rejected = finding.difference, finding.rejected
    except StageFailure as failure:
        found, status, error = failure.found, "failed", ""
        largest, rejected = failure.difference, failure.rejected
        if failure.error:
            error = error_text(failure.error)
        if check and largest:
            why = explain(check, stage)
    except Exception as failure:  # noqa: BLE001 - what a model fails with is what is asked for
        found, status, error = f"it raises {type(failure).__name__}", "failed", error_text(failure)
        largest, rejected = None, ()
    return StageReport(
        stage,
        status,
        found,
        time.perf_counter() - begin,
        largest_difference=largest.relative if largest else None,
        where=largest.where if largest else "",
        error=error,
        recipe=recipe_for(error or found) if status == "failed" else "",
        rejected=rejected,
        error_ratio=largest.ratio if largest else None,
        why=why,
    )

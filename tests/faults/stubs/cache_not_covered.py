"""A release with which every verdict is the same, and no cache is compared any more."""

from dataclasses import replace

from smallport.sweep import runner


def apply():
    sweep = runner.sweep

    def without_cache(*arguments, **options):
        for verdict in sweep(*arguments, **options):
            coverage = verdict.report.coverage
            compared = {**coverage.compared, "outputs": ["logits"], "number of tensors": [1]}
            fewer = replace(coverage, compared=compared if coverage.compared else {})
            yield replace(verdict, report=replace(verdict.report, coverage=fewer))

    runner.sweep = without_cache

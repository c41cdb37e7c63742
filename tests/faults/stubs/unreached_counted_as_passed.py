"""A count that takes a stage that was not reached for one that was passed."""

import dataclasses

from smallport.sweep import counts


def apply():
    honest = counts.count_stages

    def count_stages(*arguments):
        return [
            dataclasses.replace(one, passed=one.passed + one.not_reached, not_reached=0)
            for one in honest(*arguments)
        ]

    counts.count_stages = count_stages

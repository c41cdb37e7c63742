"""A release of PyTorch refuses a cache that is no pytree in other words."""

from torch._dynamo.exc import UserError


def apply():
    init = UserError.__init__

    def reworded(self, kind, message, *args, **kwargs):
        message = message.replace("Cannot associate shape", "Cannot match shape")
        init(self, kind, message, *args, **kwargs)

    UserError.__init__ = reworded

"""An evaluation starts each chunk from a state of zeros, for every model alike."""

from smallport import lstm


def apply():
    losses = lstm.losses

    def forgetful(model, tokens, **options):
        class Forgetful:
            initial_state = staticmethod(model.initial_state)
            eval = staticmethod(model.eval)

            def __call__(self, tokens, state):
                del state
                return model(tokens, self.initial_state(tokens.shape[1]))

        return losses(Forgetful(), tokens, **options)

    lstm.losses = forgetful

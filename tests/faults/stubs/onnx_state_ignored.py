"""An exported model starts each chunk from a state of zeros, whatever it is given."""

from smallport.quantize.onnx import ONNXLanguageModel


def apply():
    run = ONNXLanguageModel.__call__

    def forgetful(self, tokens, state):
        del state
        return run(self, tokens, self.initial_state(tokens.shape[1]))

    ONNXLanguageModel.__call__ = forgetful

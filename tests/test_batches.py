"""Nothing of a text is lost or moved on its way to the model."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from smallport.lstm import batchify, chunk_count, chunks


@given(tokens=st.integers(2, 200), batch_size=st.integers(1, 20))
def test_columns_hold_the_text_in_order(tokens, batch_size):
    assume(tokens >= 2 * batch_size)
    stream = torch.arange(tokens)
    batches = batchify(stream, batch_size)
    assert batches.shape == (tokens // batch_size, batch_size)
    kept = batches.t().flatten()
    assert torch.equal(kept, stream[: len(kept)])
    assert tokens - len(kept) < batch_size
    assert batches.is_contiguous()


@given(tokens=st.integers(0, 40), batch_size=st.integers(1, 25))
def test_too_few_tokens_are_refused_with_both_numbers(tokens, batch_size):
    assume(tokens < 2 * batch_size)
    with pytest.raises(ValueError, match=rf"at least {2 * batch_size} tokens, not {tokens},"):
        batchify(torch.arange(tokens), batch_size)


@given(rows=st.integers(2, 60), batch=st.integers(1, 4), length=st.integers(1, 70))
def test_chunks_lose_nothing_and_targets_follow_inputs(rows, batch, length):
    batches = torch.arange(rows * batch).view(rows, batch)
    pairs = list(chunks(batches, length))
    assert torch.equal(torch.cat([inputs for inputs, _ in pairs]), batches[:-1])
    assert torch.equal(torch.cat([targets for _, targets in pairs]), batches[1:])
    assert len(pairs) == chunk_count(batches, length)
    assert all(len(inputs) == len(targets) for inputs, targets in pairs)
    assert all(len(inputs) == length for inputs, _ in pairs[:-1])

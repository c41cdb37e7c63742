"""Tests of :mod:`smallport.parity.decoding`."""

import copy
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from transformers import DynamicCache

from smallport.parity import (
    Decoding,
    cache_argument,
    compare_decodings,
    greedy_decode,
    name_outputs,
    run_session,
)
from smallport.tiny_llm import empty_cache, untrained_tiny_llm

SMALL = {
    "vocab_size": 50,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.5,
}
PROMPT = torch.tensor([[0, 0, 7, 8, 9], [11, 12, 13, 14, 15]])
MASK = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])


@pytest.fixture(scope="module")
def untrained():
    return untrained_tiny_llm(**SMALL)


@pytest.fixture
def decode(untrained):
    """Give a function that decodes both texts, with the model where no step is named."""

    def run(step=None, *, steps=8, **options):
        return greedy_decode(
            step or (lambda inputs: untrained.model(**inputs)),
            PROMPT,
            empty_cache(untrained.configuration, len(PROMPT)),
            attention_mask=MASK,
            new_tokens=steps,
            **options,
        )

    return run


def largest(expected, actual):
    actual = replace(actual, modules=frozenset())  # it is of the same model
    return max(step.largest() for step in compare_decodings(expected, actual))


def test_a_model_is_not_compared_with_itself(decode):
    with pytest.raises(ValueError, match="compare_decodings: all differences are exactly 0"):
        compare_decodings(decode(), decode())


def test_every_step_extends_the_cache_by_what_it_read(decode):
    decoding = decode()
    assert decoding.tokens.shape == (2, 8)
    assert decoding.logits.shape == (2, 8, 50)
    assert decoding.attention_mask.shape == (2, 12)
    assert [step["logits"].shape[1] for step in decoding.steps] == [5] + 7 * [1]
    assert [step["present.1.key"].shape for step in decoding.steps] == [
        (2, 2, 5 + number, 4) for number in range(8)
    ]


def test_each_step_is_given_what_is_new_and_the_positions_of_real_tokens():
    """Seen from outside: a model whose positions are relative computes the same with others."""
    calls = []

    def step(inputs):
        calls.append({name: value for name, value in inputs.items() if name != "past_key_values"})
        length = inputs["attention_mask"].shape[1]
        logits = torch.nn.functional.one_hot(torch.tensor([[length], [2]]), 20).float()
        return {"logits": logits, "present.0.key": torch.zeros(2, 1, length, 1)}

    greedy_decode(step, PROMPT, {}, attention_mask=MASK, new_tokens=3)
    assert [call["input_ids"].tolist() for call in calls] == [
        PROMPT.tolist(),
        [[5], [2]],
        [[6], [2]],
    ]
    assert [call["position_ids"].tolist() for call in calls] == [
        [[0, 0, 0, 1, 2], [0, 1, 2, 3, 4]],
        [[3], [5]],
        [[4], [6]],
    ]
    assert calls[2]["attention_mask"].tolist() == [[0, 0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 1]]


def test_the_tokens_are_those_of_one_pass_without_a_cache(untrained, decode):
    decoding = decode()
    texts = torch.cat([PROMPT, decoding.tokens[:, :-1]], dim=1)
    positions = (decoding.attention_mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        logits = untrained.model(
            input_ids=texts,
            attention_mask=decoding.attention_mask,
            position_ids=positions,
            use_cache=False,
        ).logits[:, 4:]
    torch.testing.assert_close(decoding.logits, logits, rtol=0, atol=1e-4)
    assert torch.equal(decoding.tokens, logits.argmax(-1))
    assert len(set(decoding.tokens.flatten().tolist())) > 4


def test_the_tokens_are_those_of_transformers_own_generation(untrained, decode):
    written = untrained.model.generate(
        input_ids=PROMPT,
        attention_mask=MASK,
        max_new_tokens=8,
        min_new_tokens=8,
        do_sample=False,
        eos_token_id=None,
        pad_token_id=0,
    )
    assert torch.equal(written[:, 5:], decode().tokens)


def test_a_cache_that_holds_the_beginning_is_continued(untrained, decode):
    whole, past = decode(), 3
    positions = (MASK.cumsum(dim=-1) - 1).clamp(min=0)
    with torch.no_grad():
        begun = untrained.model(
            PROMPT[:, :past], attention_mask=MASK[:, :past], position_ids=positions[:, :past]
        )
    continued = greedy_decode(
        lambda inputs: untrained.model(**inputs),
        PROMPT[:, past:],
        begun[cache_argument()],
        attention_mask=MASK,
        new_tokens=whole.tokens.shape[1],
    )
    assert torch.equal(continued.tokens, whole.tokens)
    assert torch.equal(continued.attention_mask, whole.attention_mask)


def test_a_padded_text_decodes_as_it_does_alone(untrained, decode):
    alone = greedy_decode(
        lambda inputs: untrained.model(**inputs),
        PROMPT[:1, 2:],
        empty_cache(untrained.configuration, 1),
        new_tokens=8,
    )
    together = decode()
    assert torch.equal(alone.tokens, together.tokens[:1])
    torch.testing.assert_close(alone.logits, together.logits[:1], rtol=0, atol=1e-4)


def test_a_margin_is_the_lead_over_the_second_best():
    logits = torch.tensor([[[0.0, 3.0, 1.0], [0.5, 0.25, 0.0]]])
    steps = tuple({"logits": one[:, None]} for one in logits.unbind(1))
    decoding = Decoding(logits.argmax(-1), torch.ones(1, 2), steps)
    assert decoding.tokens.tolist() == [[1, 0]]
    assert decoding.margins.tolist() == [[2.0, 0.25]]
    assert decoding.ties.tolist() == [[False, False]]
    level = Decoding(decoding.tokens, torch.ones(1, 1), ({"logits": torch.ones(1, 1, 2)},))
    assert level.ties.tolist() == [[True]]


@pytest.mark.parametrize("forbidden", [-1e4, -65504.0, -1e9, torch.finfo().min, -torch.inf])
def test_tokens_are_level_by_the_size_of_typical_logits(forbidden):
    """Each text and step by its own: the second text has logits a thousand times larger."""
    logits = torch.randn(2, 4, 50, generator=torch.Generator().manual_seed(0))
    logits[..., 3] = forbidden
    best = logits.amax(dim=-1)
    logits[..., 7], logits[..., 8] = best + 1, best + 1.01
    logits[0, 2, 7] = logits[0, 2, 8] - 1e-5
    allowed = torch.arange(50) != 3
    logits[1] = torch.where(allowed, 1000 * logits[1], logits[1])
    logits[1, 1, 7] = logits[1, 1, 8] - 0.01
    steps = tuple({"logits": one[:, None]} for one in logits.unbind(1))
    ties = Decoding(logits.argmax(-1), torch.ones(2, 4), steps).ties
    assert ties.nonzero().tolist() == [[0, 2], [1, 1]]


def test_the_cache_that_is_passed_in_is_left_alone(untrained):
    cache = DynamicCache()
    greedy_decode(lambda inputs: untrained.model(**inputs), PROMPT, cache, new_tokens=2)
    assert cache.get_seq_length() == 0


def test_kept_tensors_are_copies_even_if_the_cache_is_written_in_place():
    keys = torch.zeros(1, 1, 4, 1)

    def step(inputs):
        keys[:, :, inputs["attention_mask"].shape[1] - 1] = 1
        return {"logits": torch.zeros(1, 1, 2), "present.0.key": keys}

    decoding = greedy_decode(step, torch.tensor([[1]]), {}, new_tokens=3)
    assert [int(kept["present.0.key"].sum()) for kept in decoding.steps] == [1, 2, 3]


def test_an_onnx_session_gets_back_what_it_returned(untrained, decode):
    """A session that runs the model shows that names and tensors reach the right places."""

    class Session:
        def get_inputs(self):
            caches = [f"past_key_values.{n}.{part}" for n in (0, 1) for part in ("key", "value")]
            names = ["input_ids", "attention_mask", "position_ids", *caches]
            return [SimpleNamespace(name=name) for name in names]

        def get_outputs(self):
            caches = [f"present.{n}.{part}" for n in (0, 1) for part in ("key", "value")]
            return [SimpleNamespace(name=name) for name in ("logits", *caches)]

        def run(self, _names, feed):
            tensors = {name: torch.from_numpy(array) for name, array in feed.items()}
            cache = DynamicCache()
            for layer in (0, 1):
                place = f"past_key_values.{layer}"
                cache.update(tensors.pop(f"{place}.key"), tensors.pop(f"{place}.value"), layer)
            outputs = untrained.model(**tensors, **{cache_argument(): cache})
            return [tensor.numpy() for tensor in name_outputs(outputs).values()]

    session = Session()
    decoding = decode(lambda inputs: run_session(session, inputs))
    assert torch.equal(decoding.tokens, decode().tokens)
    assert largest(decode(), decoding) == 0


def test_fed_tokens_take_the_place_of_the_chosen_ones(decode):
    free = decode()
    assert largest(free, decode(feed=free.tokens)) == 0
    other = decode(feed=(free.tokens + 1) % 50)
    first, second, *_ = compare_decodings(free, other)
    assert first.largest() == 0
    assert second.largest("logits") > 1e-3
    assert torch.equal(other.tokens[:, 0], free.tokens[:, 0])


def broken(fault):
    """Give a step of the model with a fault in its inputs or outputs."""

    def make(model):
        def step(inputs):
            return fault(model, inputs)

        return step

    return make


@broken
def mask_ignored(model, inputs):
    return model(**inputs | {"attention_mask": torch.ones_like(inputs["attention_mask"])})


@broken
def prompt_off_by_one(model, inputs):
    shift = int(inputs["input_ids"].shape[1] > 1)
    return model(**inputs | {"position_ids": inputs["position_ids"] + shift})


@broken
def layers_swapped(model, inputs):
    outputs = model(**inputs)
    outputs[cache_argument()].layers.reverse()
    return outputs


@broken
def cache_not_fed_back(model, inputs):
    return model(**inputs | {cache_argument(): DynamicCache()})


@pytest.mark.parametrize(
    "fault", [mask_ignored, prompt_off_by_one, layers_swapped], ids=lambda fault: fault.__name__
)
def test_a_fault_shows(untrained, decode, fault):
    assert largest(decode(), decode(fault(untrained.model))) > 1e-2


def test_a_cache_that_is_not_fed_back_has_the_wrong_length(untrained, decode):
    wrong = decode(
        lambda inputs: cache_not_fed_back(untrained.model)(
            inputs
            | {"attention_mask": inputs["attention_mask"][:, -inputs["input_ids"].shape[1] :]}
        )
    )
    with pytest.raises(ValueError, match=r"present.0.key should have the shape \(2, 2, 6, 4\)"):
        compare_decodings(decode(), wrong)


def changed(decoding, number, name, place, value):
    """Copy a decoding and change one element of one tensor of one step."""
    steps = copy.deepcopy(decoding.steps)
    steps[number][name][place] = value
    return Decoding(decoding.tokens, decoding.attention_mask, steps)


@pytest.mark.parametrize(
    ("number", "name", "place"),
    [
        (0, "logits", (0, 2, 3)),
        (3, "logits", (1, 0, 49)),
        (0, "present.0.key", (0, 1, 2, 3)),
        (7, "present.1.value", (1, 0, 0, 0)),
    ],
)
@pytest.mark.parametrize("value", [1e3, float("nan")])
def test_each_element_counts(decode, number, name, place, value):
    decoding = decode()
    found = compare_decodings(decoding, changed(decoding, number, name, place, value))
    assert [step.largest() != 0 for step in found] == [step == number for step in range(8)]
    assert found[number].worst() == name
    assert found[number].where.startswith(name)
    assert found[number].where.endswith(f" at step {number}")


@given(data=st.data(), forbidden=st.sampled_from([-65504.0, -1e9, -torch.inf]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_error_is_found_at_its_step_tensor_and_element(decode, data, forbidden):
    steps = [{name: tensor.clone() for name, tensor in one.items()} for one in decode().steps]
    for step in steps:
        step["logits"][..., 3] = forbidden
    mask = torch.ones_like(decode().attention_mask)
    decoding = Decoding(decode().tokens, mask, tuple(steps))
    number = data.draw(st.integers(0, 7))
    name = data.draw(st.sampled_from(sorted(steps[number])))
    tensor = steps[number][name]
    place = tuple(data.draw(st.integers(0, size - 1)) for size in tensor.shape)
    assume(name != "logits" or place[-1] != 3)
    value = float(tensor[place]) + 0.01 * (1 + float(tensor.abs().nan_to_num(0, 0, 0).median()))
    value += 0.01 * abs(float(tensor[place]))
    found = compare_decodings(decoding, changed(decoding, number, name, place, value))
    assert [step.tolerable for step in found] == [step != number for step in range(8)]
    assert [tensor for tensor, share in found[number].shares.items() if share] == [name]
    assert found[number].where.startswith(f"{name}{list(place)} is ")


@pytest.mark.parametrize(
    ("number", "name", "place"),
    [(0, "logits", (0, 1, 3)), (0, "present.0.key", (0, 1, 0, 3)), (7, "present.1.value", (0, 0))],
)
def test_padding_does_not_count(decode, number, name, place):
    decoding = decode()
    place = (*place, slice(0, 2)) if len(place) == 2 else place
    assert largest(decoding, changed(decoding, number, name, place, float("nan"))) == 0


def test_a_cache_of_the_newest_tokens_is_aligned_at_its_end(decode):
    """A sliding window drops the oldest tokens, and padding with them."""
    decoding = decode()

    def windowed(steps):
        return tuple(
            {name: t[:, :, -4:] if name != "logits" else t for name, t in step.items()}
            for step in steps
        )

    window = Decoding(decoding.tokens, decoding.attention_mask, windowed(decoding.steps))
    padded = changed(window, 0, "present.0.key", (0, 0, 0, 0), 9.0)
    real = changed(window, 2, "present.0.key", (0, 0, 0, 0), 9.0)
    assert largest(window, padded) == 0
    assert largest(window, real) > 1


def test_a_tensor_without_an_axis_of_tokens_counts_as_a_whole():
    def decoding(value):
        steps = ({"logits": torch.zeros(2, 5, 3), "present.0.state": torch.full((2, 4), value)},)
        return Decoding(torch.zeros(2, 1), MASK, steps)

    assert largest(decoding(0.0), decoding(0.5)) == 0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"new_tokens": 0}, "new_tokens must be at least 1, not 0"),
        ({"attention_mask": MASK[:, 1:]}, r"have the shapes \(2, 5\) and \(2, 4\)"),
        ({"attention_mask": MASK.flip(-1)}, "pad texts on the left"),
        ({"attention_mask": torch.zeros_like(MASK)}, "pad texts on the left"),
        ({"attention_mask": MASK - torch.tensor([0, 0, 0, 1, 0])}, "pad texts on the left"),
        ({"feed": MASK}, r"feed should have the shape \(2, 3\), .* and has \(2, 5\)"),
    ],
)
def test_a_prompt_that_cannot_be_continued(options, message):
    def never(_inputs):
        pytest.fail("the step should not have been run")

    with pytest.raises(ValueError, match=message):
        greedy_decode(never, PROMPT, {}, **{"new_tokens": 3} | options)


@pytest.mark.parametrize(
    ("outputs", "found"),
    [
        ({"logits": torch.zeros(2, 5, 3)}, "returned logits"),
        ({"present.0.key": torch.zeros(2, 1, 5, 4)}, "returned present.0.key"),
        ((torch.zeros(2, 5, 3), torch.zeros(1)), "returned 0, 1"),
    ],
)
def test_a_step_that_returns_too_little(outputs, found):
    with pytest.raises(ValueError, match=f"{found}, and should return logits and the cache"):
        greedy_decode(lambda _: outputs, PROMPT, {})


@pytest.mark.parametrize("name", ["logits", "present.0.key"])
@pytest.mark.parametrize("cut", [slice(0, 1), (slice(None), slice(None), slice(0, 1))])
def test_a_tensor_of_another_shape_is_named(decode, name, cut):
    decoding = decode()
    steps = copy.deepcopy(decoding.steps)
    steps[0][name] = steps[0][name][cut]
    with pytest.raises(ValueError, match=f"{name} should have the shape"):
        compare_decodings(decoding, Decoding(decoding.tokens, decoding.attention_mask, steps))


def test_decodings_of_other_prompts_or_lengths_are_not_compared(untrained, decode):
    unpadded = greedy_decode(
        lambda inputs: untrained.model(**inputs),
        PROMPT,
        empty_cache(untrained.configuration, 2),
        new_tokens=8,
    )
    with pytest.raises(ValueError, match=r"8 and 8 steps, and masks .* that are not equal"):
        compare_decodings(decode(), unpadded)
    with pytest.raises(ValueError, match="8 and 7 steps"):
        compare_decodings(decode(), decode(steps=7))

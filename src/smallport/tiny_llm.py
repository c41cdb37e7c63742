"""Tiny-LLM, untrained: its configuration, the model, and a checkpoint.

Whether an architecture can be exported does not depend on its weights. A model that is built from
a configuration and never trained needs no download and exports in seconds, and an error that it
shows concerns the real one, too.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers  # whose classes are loaded where they are used, which takes seconds
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from torch import Tensor
from transformers.utils import logging as transformers_logging

from smallport.by_hand import llama_logits
from smallport.parity.closeness import worst_of
from smallport.parity.compare import compare
from smallport.parity.inputs import (
    DynamicShapes,
    InputShape,
    Vocabulary,
    after_cache,
    dynamic_shapes,
    random_text,
    text_inputs,
)
from smallport.parity.names import Inputs, cache_argument
from smallport.soundness import draw_texts, require_sound

PARAMETERS = 12_988_992
"""The number of parameters of the published Tiny-LLM."""

ROTARY_BASE = 10_000.0
"""The base of the rotary positions of the published Tiny-LLM."""

SPECIAL_TOKENS = ("<unk>", "<s>", "</s>")
"""The special tokens; their indices are 0, 1 and 2, as in the published configuration."""


@dataclass(frozen=True, eq=False)
class UntrainedTinyLLM:
    """A model with random weights, and its inputs and dynamic shapes for an export.

    Parameters
    ----------
    model
        The model, in evaluation mode.
    inputs
        Keyword arguments of its forward method. The forward pass changes the cache among them:
        hand it a copy.
    dynamic_shapes
        For each input the axes that may change, as :func:`smallport.parity.dynamic_shapes` finds
        them.
    configuration
        The configuration of the model.
    """

    model: transformers.LlamaForCausalLM
    inputs: Inputs
    dynamic_shapes: DynamicShapes
    configuration: transformers.LlamaConfig


def tiny_llm_config(*, dynamic_rope: bool = False, **overrides: Any) -> transformers.LlamaConfig:
    """Write down the configuration of the published Tiny-LLM [1]_.

    Parameters
    ----------
    dynamic_rope
        Whether the rotary position embedding is rescaled when a text outgrows
        ``max_position_embeddings``. The published model does not do it.
    overrides
        Other values for entries of :class:`transformers.LlamaConfig`, such as
        ``num_hidden_layers=2``.

    Returns
    -------
    transformers.LlamaConfig
        A model of this configuration has ``PARAMETERS`` parameters if nothing is overridden.

    Raises
    ------
    TypeError
        When an override is no entry of the configuration: transformers would keep a misspelt name
        and ignore it.
    ValueError
        When ``dynamic_rope`` and an override both set the rotary position embedding.

    References
    ----------
    .. [1] https://huggingface.co/arnir0/Tiny-LLM

    Examples
    --------
    >>> tiny_llm_config().hidden_size, tiny_llm_config(hidden_size=96).hidden_size
    (192, 96)
    """
    known = vars(transformers.LlamaConfig())
    for name in overrides:
        if name not in known:
            raise TypeError(
                f"tiny_llm_config: LlamaConfig has no entry {name!r}; its names are those of "
                "https://huggingface.co/docs/transformers/model_doc/llama#transformers.LlamaConfig"
            )
    entries: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"],
        "bos_token_id": SPECIAL_TOKENS.index("<s>"),
        "eos_token_id": SPECIAL_TOKENS.index("</s>"),
        "hidden_act": "silu",
        "hidden_size": 192,
        "initializer_range": 0.02,
        "intermediate_size": 1024,
        "max_position_embeddings": 1024,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": False,
        "use_cache": True,
        "vocab_size": 32_000,
    }
    if dynamic_rope:
        if "rope_parameters" in overrides:
            raise ValueError(
                "tiny_llm_config: dynamic_rope=True sets rope_parameters, and so does an override; "
                "leave one of them out"
            )
        entries["rope_parameters"] = {
            "rope_type": "dynamic",
            "rope_theta": 10_000.0,
            "factor": 10.0,
        }
    return transformers.LlamaConfig(**entries | overrides)


def untrained_tiny_llm(
    shape: InputShape = InputShape(),  # noqa: B008 - it is frozen
    *,
    with_cache: bool = True,
    dynamic_rope: bool = False,
    seed: int = 0,
    **overrides: Any,
) -> UntrainedTinyLLM:
    """Build a Tiny-LLM with random weights, with inputs and dynamic shapes to export it.

    The defaults are those of ``get_tiny_llm`` in onnx-diagnostic [1]_.

    Parameters
    ----------
    shape, with_cache
        Sizes of the inputs, as in :func:`smallport.tiny_llm.make_inputs`.
    dynamic_rope, overrides
        Changes to the configuration, as in :func:`smallport.tiny_llm.tiny_llm_config`.
    seed
        Of the weights and the inputs; the global generator is left alone.

    Returns
    -------
    UntrainedTinyLLM
        The model in evaluation mode, its inputs, their dynamic shapes, its configuration.

    Raises
    ------
    TypeError, ValueError
        As :func:`tiny_llm_config` and :func:`make_inputs`, before anything is built.

    References
    ----------
    .. [1] https://sdpython.github.io/doc/onnx-diagnostic/dev/

    Examples
    --------
    >>> untrained = untrained_tiny_llm(vocab_size=100, num_hidden_layers=2)
    >>> list(untrained.inputs)[:-1]  # the last one is the cache
    ['input_ids', 'attention_mask', 'position_ids']
    >>> untrained.model(**untrained.inputs).logits.shape
    torch.Size([2, 3, 100])
    """
    configuration = tiny_llm_config(dynamic_rope=dynamic_rope, **overrides)
    inputs = make_inputs(configuration, shape, with_cache=with_cache, seed=seed)
    larger = InputShape(shape.batch_size + 1, shape.cache_length + 1, shape.new_tokens + 1)
    shapes = dynamic_shapes(inputs, _inputs(configuration, larger, with_cache, seed))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.LlamaForCausalLM(configuration)
    model.train(mode=False)
    return UntrainedTinyLLM(model, inputs, shapes, configuration)


def make_inputs(
    configuration: transformers.LlamaConfig,
    shape: InputShape = InputShape(),  # noqa: B008 - it is frozen
    *,
    with_cache: bool = True,
    seed: int = 0,
) -> Inputs:
    """Make random inputs of a Llama model's forward method, as a step of generation sees them.

    Parameters
    ----------
    configuration
        Of the model.
    shape
        Their sizes. Padding is in the cache, where the mask hides it; positions count from the
        first real token.
    with_cache
        Whether the inputs hold a cache. Without one, ``cache_length`` is ignored and the new tokens
        are the beginning of the text.
    seed
        Of the random tokens and cache; the global generator is left alone.

    Returns
    -------
    dict
        ``input_ids`` and ``position_ids`` of shape ``(batch, new)`` and ``attention_mask`` of shape
        ``(batch, cache + new)``, all ``int64``; and, with a cache, a
        :class:`transformers.DynamicCache` whose key and value tensors have the shape ``(batch,
        key-value heads, cache, head size)``, under the name that
        :func:`smallport.parity.cache_argument` gives.

    Raises
    ------
    ValueError
        When a size is not a positive integer, there is more padding than the cache holds, or the
        text is longer than the model's ``max_position_embeddings``.

    Examples
    --------
    >>> inputs = make_inputs(tiny_llm_config(), InputShape(3, cache_length=7, new_tokens=5))
    >>> {name: tuple(inputs[name].shape) for name in ("input_ids", "attention_mask")}
    {'input_ids': (3, 5), 'attention_mask': (3, 12)}
    >>> inputs[cache_argument()].layers[0].keys.shape
    torch.Size([3, 1, 7, 96])
    """
    _require_positive("batch_size", shape.batch_size)
    _require_positive("new_tokens", shape.new_tokens)
    if with_cache:
        _require_positive(
            "cache_length", shape.cache_length, "with_cache=False makes inputs without one"
        )
    past = shape.cache_length if with_cache else 0
    length = past + shape.new_tokens
    if length > configuration.max_position_embeddings:
        raise ValueError(
            f"make_inputs: a cache_length of {past} and {shape.new_tokens} new_tokens make "
            f"{length}, and the model has {configuration.max_position_embeddings} positions "
            "(max_position_embeddings); ask for fewer tokens or override the configuration"
        )
    if not 0 <= shape.padding <= past:
        raise ValueError(
            f"make_inputs: padding must be between 0 and the cache_length, {past}, not "
            f"{shape.padding}; a longer cache_length makes room for more"
        )
    return _inputs(configuration, shape, with_cache, seed)


def largest_difference(
    reference: transformers.LlamaForCausalLM,
    run: Callable[..., Any],
    shapes: Sequence[InputShape],
    *,
    eager: bool = False,
) -> float:
    """Find the largest difference from a model, in logits and cache, at several shapes.

    Parameters
    ----------
    reference
        The model. It must share no weights with what is compared.
    run
        The program to compare, such as ``program.module()``. It is called with the inputs as
        keyword arguments.
    shapes
        The sizes of the inputs. Texts may be longer than the model's ``max_position_embeddings``.
    eager
        Whether ``run`` is no exported program but a model, too, which may be equal.

    Returns
    -------
    float
        The largest difference of all tensors at all shapes, as :func:`smallport.parity.compare`
        finds it.

    Raises
    ------
    RuntimeError
        When not all shapes were compared, or inputs have other sizes than were asked for.

    Examples
    --------
    >>> model, other = (untrained_tiny_llm(seed=seed, vocab_size=50).model for seed in (0, 1))
    >>> largest_difference(model, model, [InputShape(1, 7, 2)], eager=True)
    0.0
    >>> largest_difference(model, other, [InputShape(1, 7, 2)]) > 0.01
    True
    """
    configuration = copy.copy(reference.config)
    longest = max(shape.cache_length + shape.new_tokens for shape in shapes)
    configuration.max_position_embeddings = max(longest, configuration.max_position_embeddings)
    ran = []

    def noted(inputs: Inputs) -> Any:
        mask, (batch_size, new) = inputs["attention_mask"], inputs["input_ids"].shape
        padding = int((mask == 0).sum())
        ran.append(InputShape(batch_size, mask.shape[1] - new, new, padding))
        return run(**inputs)

    found = compare(
        reference,
        noted,
        shapes,
        make_inputs=partial(make_inputs, configuration),
        eager=eager,
    )
    if not [*found] == ran == [*shapes]:
        listed = ["; ".join(map(str, one)) or "nothing" for one in (shapes, ran)]
        raise RuntimeError(
            f"largest_difference: asked for {listed[0]}, and compared {listed[1]}; is make_inputs "
            "or smallport.parity.compare changed?"
        )
    return float(worst_of(found.values()).largest())


@torch.no_grad()
def verify_reference(model: transformers.LlamaForCausalLM) -> None:
    """Require that a Tiny-LLM computes the right logits, before programs are compared with it.

    An exported program repeats the mistakes of its model and agrees with it. So a text alone has to
    have the logits that it has in a batch with padding, a changed last token must change no earlier
    logit, tokens that are read one by one must have the logits of one call, and NumPy has to
    compute the same from the weights alone.

    Parameters
    ----------
    model
        The model, of any number of layers and heads, without biases.

    Raises
    ------
    AssertionError
        When a check finds a difference that rounding does not explain; the message says which.

    Examples
    --------
    >>> verify_reference(untrained_tiny_llm(vocab_size=50, num_hidden_layers=2).model)
    """
    configuration = model.config
    weights = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}

    def read(ids: Tensor, mask: Tensor) -> Tensor:
        return Tensor(model(**text_inputs(ids, mask), use_cache=False).logits)

    def steps(ids: Tensor, mask: Tensor) -> Tensor:
        inputs, cache, logits = text_inputs(ids, mask), transformers.DynamicCache(), []
        for token in range(ids.shape[1]):
            step = {
                name: one[:, : token + 1] if name == "attention_mask" else one[:, token, None]
                for name, one in inputs.items()
            }
            logits.append(model(**step, **{cache_argument(): cache}).logits)
        return torch.cat(logits, dim=1)

    def by_hand(ids: Tensor, mask: Tensor) -> Tensor:
        logits = llama_logits(
            weights,
            ids.numpy(),
            mask.numpy(),
            head_size=configuration.head_dim or 0,
            rotary_base=ROTARY_BASE,
            epsilon=configuration.rms_norm_eps,
        )
        return torch.from_numpy(logits).float()

    ids, mask = draw_texts(configuration.vocab_size)
    require_sound(read, steps, by_hand, ids, mask)


def _require_positive(name: str, value: int, way_out: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        hint = f"; {way_out}" if way_out else ""
        raise ValueError(f"make_inputs: {name} must be a positive integer, not {value!r}{hint}")


def _inputs(
    configuration: transformers.LlamaConfig,
    shape: InputShape,
    with_cache: bool,  # noqa: FBT001 - as make_inputs has it
    seed: int,
) -> Inputs:
    vocabulary = Vocabulary(configuration.vocab_size)
    if not with_cache:
        return random_text(vocabulary, replace(shape, cache_length=0), seed=seed)
    text = random_text(vocabulary, shape, seed=seed)
    cache = _random_cache(configuration, shape.batch_size, shape.cache_length, seed)
    return after_cache(text, shape.cache_length) | {cache_argument(): cache}


def empty_cache(
    configuration: transformers.LlamaConfig, batch_size: int
) -> transformers.DynamicCache:
    """Make the cache of a text's first step: all its tensors, with no token in them.

    A model accepts a cache without tensors. A program that was exported with a cache takes the same
    number of tensors, of length zero.

    Parameters
    ----------
    configuration
        Of the model.
    batch_size
        How many texts.

    Examples
    --------
    >>> empty_cache(tiny_llm_config(), batch_size=2).layers[0].keys.shape
    torch.Size([2, 1, 0, 96])
    """
    return _random_cache(configuration, batch_size, 0, seed=0)


def _random_cache(
    configuration: transformers.LlamaConfig, batch_size: int, length: int, seed: int
) -> transformers.DynamicCache:
    generator = torch.Generator().manual_seed(seed)
    heads = configuration.num_key_value_heads or configuration.num_attention_heads
    head_size = configuration.head_dim or (
        configuration.hidden_size // configuration.num_attention_heads
    )
    sizes = (batch_size, heads, length, head_size)
    cache = transformers.DynamicCache()
    for layer in range(configuration.num_hidden_layers):
        keys = torch.randn(sizes, generator=generator)
        cache.update(keys, torch.randn(sizes, generator=generator), layer)
    return cache


def write_checkpoint(folder: str | Path, lines: Iterable[str], *, seed: int = 0) -> None:
    """Write a Tiny-LLM with random weights and a tokenizer, as ``from_pretrained`` reads them.

    The tokenizer is a byte-level BPE trained on the given text, of at most 32,000 tokens. It puts
    ``<s>`` before a text, as the published one does.

    Parameters
    ----------
    folder
        Where to write; it is made if it is not there.
    lines
        The text that the tokenizer learns from.
    seed
        Of the weights; the global generator is left alone.

    Raises
    ------
    ValueError
        When there is no text.
    FileExistsError
        When the folder is a file.
    """
    text = [line for line in lines if line.strip()]
    if not text:
        raise ValueError(
            f"write_checkpoint: no line with text to train the tokenizer of {folder} on; "
            "pass the lines of a corpus"
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    configuration = tiny_llm_config()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.LlamaForCausalLM(configuration)
    tokenizer = _train_tokenizer(text, configuration.vocab_size)
    with _no_progress_bars():
        model.save_pretrained(folder)
        transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
            tokenizer_object=tokenizer,
            model_max_length=configuration.max_position_embeddings,
            **dict(zip(("unk_token", "bos_token", "eos_token"), SPECIAL_TOKENS, strict=True)),
        ).save_pretrained(folder)


def _train_tokenizer(text: list[str], vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE, special tokens first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        text,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A",
        pair="<s> $A <s> $B",
        special_tokens=[("<s>", SPECIAL_TOKENS.index("<s>"))],
    )
    return tokenizer


def require_tokenizer(tokenizer: Any, text: str) -> None:
    """Require that a tokenizer keeps a text, and other texts of the same words.

    Parameters
    ----------
    tokenizer
        The tokenizer, as transformers loads it.
    text
        A text of several words.

    Raises
    ------
    AssertionError
        When a text is not the same after it is encoded and decoded, when all of its tokens mean
        the same, or when the words in another order, which is drawn, do not have other tokens.
    """
    words = text.split()
    shuffled = random.SystemRandom().sample(words, len(words))
    seen: dict[str, tuple[int, ...]] = {}
    for one in {text, " ".join(shuffled), " ".join(2 * words)}:
        ids = tokenizer(one)["input_ids"]
        kept = tokenizer.decode(ids, skip_special_tokens=True)
        if kept != one:
            raise AssertionError(f"the tokenizer loses text: {one!r} becomes {kept!r}")
        if len({tokenizer.decode([number]) for number in ids}) == 1:
            raise AssertionError(f"the tokenizer has the same token for all of {one!r}")
        seen[one] = tuple(ids)
    if len({*seen.values()}) < len(seen):
        raise AssertionError(f"the tokenizer has the same tokens for {' and '.join(seen)}")


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Turn transformers' progress bars off, and afterwards on again if they were on."""
    enabled = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if enabled:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]

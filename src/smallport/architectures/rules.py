"""Rules that make a tiny configuration of every default one: tables, no code.

:mod:`smallport.architectures.tiny` applies them. A general rule applies to a field name in
every architecture. An entry applies to one architecture, and overrides the rules.

The sizes are small, and no two that should be told apart are equal: two layers, four heads and two
of keys and values, a window that a text of twenty tokens outgrows, fewer tokens to select than even
a short text has. Weights are drawn wider than for training: with the usual 0.02 the attention of so
narrow a model is almost uniform, and a wrong mask or position would change almost nothing. The
chunks in which state space layers work through a text keep their size, as a program is exported for
one chunk and may reject several: the check compares longer texts, too, so there are positions for
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from smallport.architectures.tasks import CAUSAL, MASKED, SEQ2SEQ

WIDTH, FEED_FORWARD, EXPERT, RANK = 64, 96, 32, 32
LAYERS, HEADS, KEY_VALUE_HEADS, HEAD_SIZE, ROTARY_SIZE = 2, 4, 2, 16, 8
VOCABULARY, POSITIONS, WINDOW, SELECTED = 512, 640, 16, 4
STATE_HEADS = 2 * WIDTH // HEAD_SIZE  # a state space layer is twice as wide as the model
EXPERTS, EXPERTS_PER_TOKEN = 8, 2

_SIZES: tuple[tuple[int, str], ...] = (
    (
        WIDTH,
        """
        attention_hidden_size d_model emb_dim embedding_dim embedding_size hidden_size
        hidden_size_global input_embedding_size lru_width n_embd output_embedding_size
        pronunciation_embed_dim shape_embed_dim word_embed_proj_dim
        """,
    ),
    (
        FEED_FORWARD,
        """
        d_ff d_inner decoder_ffn_dim dense_intermediate_size dff dim_ff encoder_ffn_dim
        feed_forward_size ffn_dim ffn_hidden_size intermediate_size intermediate_size_mlp
        """,
    ),
    (
        EXPERT,
        """
        expert_ffn_hidden_size hidden_size_per_layer_input moe_intermediate_size
        moe_shared_expert_intermediate_size router_hidden_size
        shared_expert_intermediate_size shared_experts_intermediate_size
        shared_intermediate_size
        """,
    ),
    (24, "d_kv"),  # the heads of T5 together are not as wide as the model
    (RANK, "adapter_rank hc_lowrank kv_lora_rank laurel_rank o_lora_rank q_lora_rank"),
    (
        LAYERS,
        """
        decoder_layers encoder_layers n_layer n_layers num_blocks num_decoder_layers
        num_encoder_layers num_hidden_layers num_layers num_layers_per_stack
        """,
    ),
    (
        HEADS,
        """
        attention_heads decoder_attention_heads encoder_attention_heads
        linear_num_heads linear_num_value_heads n_head n_heads num_attention_heads
        num_decoder_attention_heads num_encoder_attention_heads num_heads o_groups
        swa_num_attention_heads
        """,
    ),
    (
        KEY_VALUE_HEADS,
        """
        kv_n_heads linear_num_key_heads num_key_value_heads num_kv_heads
        swa_num_key_value_heads
        """,
    ),
    (
        HEAD_SIZE,
        """
        attention_head_dim attention_head_size d_head dim_head head_dim index_head_dim
        kv_channels linear_head_dim linear_key_head_dim linear_value_head_dim mamba_d_head
        mamba_d_state mamba_head_dim qk_nope_head_dim query_pre_attn_scalar ssm_state_size
        state_size swa_head_dim v_head_dim
        """,
    ),
    (ROTARY_SIZE, "mamba_dt_rank qk_rope_head_dim rotary_dim time_step_rank"),
    (STATE_HEADS, "mamba_n_heads mamba_num_heads n_mamba_heads"),
    (STATE_HEADS * HEAD_SIZE, "mamba_d_ssm"),
    (EXPERTS, "moe_num_experts n_routed_experts num_experts num_local_experts"),
    (
        EXPERTS_PER_TOKEN,
        """
        moe_k moe_top_k moe_topk n_group n_groups num_experts_per_tok
        """,
    ),
    (
        1,
        """
        first_k_dense_replace moe_layer_start_index moe_num_shared_experts n_shared_experts
        num_dense_layers num_shared_experts topk_group
        """,
    ),
    (4, "zero_expert_num"),
    (
        VOCABULARY,
        """
        audio_vocab_size decoder_vocab_size encoder_hash_byte_group_vocab
        pronunciation_vocab_size shape_vocab_size vocab_size vocab_size_per_layer_input
        """,
    ),
    (
        POSITIONS,
        """
        context_length max_position_embeddings max_seq_len max_target_positions
        n_ctx n_positions
        """,
    ),
    (
        WINDOW,
        """
        attention_chunk_size attention_window_size floor_scale
        local_attention_window_len log_scaling_n_floor rel_extent sliding_window
        sliding_window_size window_size
        """,
    ),
    (SELECTED, "index_topk"),
    (0, "pad_token_id"),
    (1, "bos_token_id decoder_start_token_id"),
    (2, "eos_token_id forced_eos_token_id"),
)

AT_MOST: Mapping[str, int] = MappingProxyType(
    {name: limit for limit, names in _SIZES for name in names.split()}
)
"""Sizes by the name of the field: where the default is larger, it is lowered to the value."""

SETTINGS: Mapping[str, Any] = MappingProxyType({"init_std": 0.1, "initializer_range": 0.1})
"""The value of a field of this name, whatever its default."""

TASK_SETTINGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        CAUSAL: {"is_decoder": True, "use_cache": True},
        MASKED: {},
        SEQ2SEQ: {"use_cache": True},
    }
)
"""By task, further settings of this kind."""

IMPLIED: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {"kv_lora_rank": {"num_key_value_heads": HEADS}}  # latent attention has no groups of heads
)
"""The values of other fields where a configuration has the field, as names are not enough."""

LAYER_LISTS: tuple[str, ...] = (
    "indexer_types",
    "layer_types",
    "layers_block_type",
    "mlp_layer_types",
)
"""Fields that name the kind of each layer. Every kind of the default is kept, once."""

"""How every architecture's default configuration becomes a tiny one: tables, no code.

:mod:`smallport.sweep.tiny` applies them. A general rule knows a field by its name, whichever
architecture it belongs to; an entry knows one architecture, and wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

WIDTH, HEADS, KEY_VALUE_HEADS, HEAD_SIZE = 64, 4, 2, 16
VOCABULARY, FEED_FORWARD, EXPERTS, LAYERS, POSITIONS, WINDOW = 512, 96, 8, 2, 256, 16

AT_MOST: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(("vocab_size", "vocab_size_per_layer_input", "decoder_vocab_size"), VOCABULARY)
    | dict.fromkeys(
        (
            "attention_hidden_size",
            "d_model",
            "emb_dim",
            "embedding_dim",
            "embedding_size",
            "hidden_size",
            "lru_width",
            "n_embd",
            "word_embed_proj_dim",
        ),
        WIDTH,
    )
    | dict.fromkeys(
        (
            "d_inner",
            "decoder_ffn_dim",
            "dense_intermediate_size",
            "dff",
            "dim_ff",
            "encoder_ffn_dim",
            "ffn_dim",
            "ffn_hidden_size",
            "intermediate_size",
            "intermediate_size_mlp",
        ),
        FEED_FORWARD,
    )
    | dict.fromkeys(
        (
            "expert_ffn_hidden_size",
            "hidden_size_per_layer_input",
            "laurel_rank",
            "moe_intermediate_size",
            "moe_shared_expert_intermediate_size",
            "router_hidden_size",
            "shared_expert_intermediate_size",
            "shared_experts_intermediate_size",
            "shared_intermediate_size",
        ),
        32,
    )
    | dict.fromkeys(
        (
            "decoder_layers",
            "encoder_layers",
            "n_layer",
            "n_layers",
            "num_blocks",
            "num_decoder_layers",
            "num_encoder_layers",
            "num_hidden_layers",
            "num_layers",
        ),
        LAYERS,
    )
    | dict.fromkeys(
        (
            "attention_heads",
            "decoder_attention_heads",
            "encoder_attention_heads",
            "index_n_heads",
            "linear_num_heads",
            "linear_num_value_heads",
            "n_head",
            "n_heads",
            "num_attention_heads",
            "num_decoder_attention_heads",
            "num_encoder_attention_heads",
            "num_heads",
            "swa_num_attention_heads",
        ),
        HEADS,
    )
    | dict.fromkeys(
        (
            "kv_n_heads",
            "linear_num_key_heads",
            "num_key_value_heads",
            "num_kv_heads",
            "swa_num_key_value_heads",
        ),
        KEY_VALUE_HEADS,
    )
    | dict.fromkeys(
        (
            "attention_head_dim",
            "attention_head_size",
            "d_head",
            "dim_head",
            "head_dim",
            "index_head_dim",
            "kv_channels",
            "linear_head_dim",
            "linear_key_head_dim",
            "linear_value_head_dim",
            "mamba_d_head",
            "mamba_d_state",
            "mamba_head_dim",
            "qk_nope_head_dim",
            "ssm_state_size",
            "state_size",
            "swa_head_dim",
            "v_head_dim",
        ),
        HEAD_SIZE,
    )
    | dict.fromkeys(("qk_rope_head_dim", "rotary_dim", "time_step_rank", "mamba_dt_rank"), 8)
    | dict.fromkeys(("kv_lora_rank", "q_lora_rank", "o_lora_rank", "hc_lowrank"), 32)
    | dict.fromkeys(("mamba_n_heads", "mamba_num_heads", "n_mamba_heads"), 8)
    | dict.fromkeys(
        ("moe_num_experts", "n_routed_experts", "num_experts", "num_local_experts"), EXPERTS
    )
    | dict.fromkeys(
        (
            "moe_k",
            "moe_top_k",
            "moe_topk",
            "n_group",
            "n_groups",
            "num_expert_group",
            "num_experts_per_tok",
            "num_experts_per_token",
        ),
        2,
    )
    | dict.fromkeys(
        (
            "first_k_dense_replace",
            "moe_layer_start_index",
            "moe_num_shared_experts",
            "n_shared_experts",
            "num_dense_layers",
            "num_shared_experts",
            "topk_group",
        ),
        1,
    )
    | dict.fromkeys(
        (
            "context_length",
            "max_position_embeddings",
            "max_seq_len",
            "max_target_positions",
            "model_max_length",
            "n_ctx",
            "n_positions",
        ),
        POSITIONS,
    )
    | dict.fromkeys(
        (
            "attention_chunk_size",
            "attention_window_size",
            "index_topk",
            "rel_extent",
            "sliding_window",
            "sliding_window_size",
            "window_size",
        ),
        WINDOW,
    )
    | dict.fromkeys(("block_size", "chunk_size", "mamba_chunk_size"), 16)
    | {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
)
"""Sizes: a field of this name is lowered to the value; where its default is smaller, it stays."""

SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        "is_decoder": True,
        "use_cache": True,
        "initializer_range": 0.1,
        "init_std": 0.1,
    }
)
"""A field of this name gets the value, whatever its default is."""

LAYER_LISTS: tuple[str, ...] = ("layer_types", "layers_block_type", "mlp_layer_types")
"""Fields that name the kind of each layer: every kind that the default has is kept, once."""

ENTRIES: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
"""Fields of one architecture that the general rules get wrong, by its ``model_type``."""

UNBUILDABLE: Mapping[str, str] = MappingProxyType({})
"""Architectures of which no tiny model runs, with the reason."""

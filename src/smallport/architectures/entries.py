"""Exceptions from the general rules, one architecture at a time: tables, no code."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from smallport.architectures.rules import (
    EXPERT,
    EXPERTS,
    EXPERTS_PER_TOKEN,
    FEED_FORWARD,
    HEAD_SIZE,
    HEADS,
    KEY_VALUE_HEADS,
    LAYERS,
    POSITIONS,
    RANK,
    ROTARY_SIZE,
    SELECTED,
    STATE_HEADS,
    VOCABULARY,
    WIDTH,
    WINDOW,
)
from smallport.architectures.tasks import SEQ2SEQ

_SLIDING_AND_FULL = {"layer_types": ["sliding_attention", "full_attention"]}
_PLAIN_ROPE = {"rope_type": "default", "rope_theta": 10_000.0}
_GEMMA_4 = {"global_head_dim": 2 * HEAD_SIZE}
_GEMMA_3N = {
    "num_hidden_layers": 4,
    "num_kv_shared_layers": 2,
    "layer_types": ["sliding_attention", "full_attention"] * 2,
    "activation_sparsity_pattern": [0.95, 0.0, 0.0, 0.0],
}
_QWEN_4 = {
    "indexer_n_heads": HEADS,
    "indexer_kv_heads": 1,
    "indexer_head_dim": HEAD_SIZE,
    "indexer_budget": 8,
    "indexer_compress_ratio": 4,
}
_DOTS_3_NOTE = {  # its sliding layers have heads of their own
    "qk_nope_head_dim": 24,
    "head_dim": 32,
    "swa_num_attention_heads": 2,
    "swa_num_key_value_heads": 2,
    "swa_q_lora_rank": RANK,
    "swa_kv_lora_rank": 24,
    "swa_head_dim": 24,
    "swa_qk_nope_head_dim": 16,
    "swa_v_head_dim": 16,
}

ENTRIES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "bamba": {"attn_layer_indices": [1]},
        "big_bird": {"attention_type": "original_full"},  # as a decoder it has no other
        "bigbird_pegasus": {"attention_type": "original_full"},
        "blt": {"num_hidden_layers": LAYERS},  # which its cache asks for and its default lacks
        "cohere_compass_text": _SLIDING_AND_FULL
        | {"rope_parameters": {"sliding_attention": _PLAIN_ROPE, "full_attention": None}},
        "cpmant": {"position_bias_num_buckets": 32, "position_bias_max_distance": 64},
        "dbrx": {  # clip_qkv and rope_theta are those of the published model
            "attn_config": {
                "clip_qkv": 8.0,
                "kv_n_heads": KEY_VALUE_HEADS,
                "rope_theta": 500_000.0,
            },
            "ffn_config": {"moe_top_k": EXPERTS_PER_TOKEN},
        },
        "deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},  # as published
        "deberta-v2": {
            "relative_attention": True,
            "pos_att_type": ["c2p", "p2c"],
            "position_buckets": WINDOW,
            "position_biased_input": False,
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
        },
        "deepseek_v2": {"first_k_dense_replace": 1, "num_experts_per_tok": EXPERTS_PER_TOKEN},
        "deepseek_v4": {
            "compress_rates": {
                "compressed_sparse_attention": 2,
                "heavily_compressed_attention": 4,
            },
            "index_topk": 2,  # of what is left after compression
            "partial_rotary_factor": 0.5,
        },
        "distilbert": {"dim": WIDTH, "hidden_dim": FEED_FORWARD},
        "doge": {"keep_window_size": 2},  # below it, nothing is left out
        "dots1": {
            "n_routed_experts": EXPERTS,
            "n_shared_experts": 1,
            "num_experts_per_tok": EXPERTS_PER_TOKEN,
            "first_k_dense_replace": 1,
            "norm_topk_prob": True,
        },
        "dots3_note": {
            "text_config": _DOTS_3_NOTE,
            "vision_config": {"adapter_in_dim": WIDTH, "adapter_out_dim": WIDTH},
            "audio_config": {"adapter_input_size": WIDTH, "adapter_out_dim": WIDTH},
        },
        "dots3_note_text": _DOTS_3_NOTE,
        "encoder-decoder": {"decoder": {"is_decoder": True, "add_cross_attention": True}},
        "esm": {  # its defaults have no vocabulary; the others are those of ESM-2
            "vocab_size": VOCABULARY,
            "pad_token_id": 0,
            "mask_token_id": 3,
            "position_embedding_type": "rotary",
            "token_dropout": True,
        },
        "esmc": {"num_key_value_heads": HEADS},
        "eurobert": {"mask_token_id": 3},
        "falcon_h1": {"mamba_d_head": HEAD_SIZE},
        "flaubert": {"embed_init_std": 0.1},
        "flint": {"mlp_only_layers": [0]},
        "fsmt": {"src_vocab_size": VOCABULARY, "tgt_vocab_size": VOCABULARY},
        "funnel": {"block_sizes": [1, 2]},
        "gemma3n_text": _GEMMA_3N,
        "gemma4": {"text_config": _GEMMA_4},
        "gemma4_text": _GEMMA_4,
        "gemma4_unified": {"text_config": _GEMMA_4},
        "gemma4_unified_text": _GEMMA_4,
        "got_ocr2": {"vision_config": {"image_size": 64, "mlp_dim": 96, "output_channels": 32}},
        "gpt_neo": {"attention_types": [[["global", "local"], 1]]},
        "granitemoe_swa": {"shared_intermediate_size": EXPERT},
        "granitemoehybrid": {"layer_types": ["linear_attention", "full_attention"]},
        "granitemoeshared": {"shared_intermediate_size": EXPERT},
        "hrm_text": {"num_hidden_layers": 16},  # each of the two stacks' layers in each cycle
        "hunyuan_v1_dense": {"head_dim": HEAD_SIZE},
        "hunyuan_v1_moe": {
            "head_dim": HEAD_SIZE,
            "num_experts": EXPERTS,
            "moe_topk": EXPERTS_PER_TOKEN,
        },
        "inkling_text": {"logits_mup_width_multiplier": 1.0},
        "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1},
        "laguna": _SLIDING_AND_FULL,
        "led": {
            "attention_window": WINDOW,
            "max_encoder_position_embeddings": POSITIONS,
            "max_decoder_position_embeddings": POSITIONS,
        },
        "lfm2": {"layer_types": ["conv", "full_attention"]},
        "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
        "llama4": {"text_config": {"no_rope_layers": [1, 0]}},
        "llama4_text": {"no_rope_layers": [1, 0]},
        "longformer": {"attention_window": WINDOW},
        "longt5": {"local_radius": WINDOW},
        "luke": {"entity_vocab_size": VOCABULARY, "entity_emb_size": RANK},
        "longcat_flash": {"head_dim": ROTARY_SIZE},
        "mamba2": {"num_heads": STATE_HEADS},
        "mellum": _SLIDING_AND_FULL,
        "mimo_v2_flash": {"head_dim": 24},  # wider than the values' 16, as in the original
        "ministral3": {  # its queries are scaled by how often a text is longer than the original
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 10_000.0,
                "factor": 16.0,
                "original_max_position_embeddings": 2 * WINDOW,
                "llama_4_scaling_beta": 0.1,
            },
        },
        "minimax_m3_vl_text": {
            "layer_types": ["full_attention", "minimax_m3_sparse"],
            "mlp_layer_types": ["dense", "sparse"],
            "index_block_size": 4,
            "index_topk_blocks": 2,
        },
        "ministral": {"head_dim": HEAD_SIZE} | _SLIDING_AND_FULL,
        "mobilebert": {"embedding_size": RANK},  # narrower than its layers, as in the original
        "modernbert": {"local_attention": 2 * WINDOW, "cls_token_id": 1, "sep_token_id": 2},
        "modernbert-decoder": {"local_attention": 2 * WINDOW},  # half of it to either side
        # Several codebooks stand in the batch axis, where no text has anything to do with them.
        "musicgen": {"decoder": {"num_codebooks": 1}},
        "musicgen_melody": {"decoder": {"num_codebooks": 1}},
        "nllb-moe": {"encoder_sparse_step": LAYERS, "decoder_sparse_step": LAYERS},
        "nemotron": {"num_key_value_heads": KEY_VALUE_HEADS},
        "pegasus_x": {"block_size": WINDOW, "num_global_tokens": SELECTED},
        "perceiver": {
            "d_latents": 2 * WIDTH,
            "num_latents": WINDOW,
            "num_self_attends_per_block": LAYERS,
            "num_self_attention_heads": HEADS,
            "num_cross_attention_heads": HEADS,
        },
        "qwen4_exp": {"text_config": _QWEN_4},
        "qwen4_exp_text": _QWEN_4,
        "recurrent_gemma": {"block_types": ["recurrent", "attention"]},
        "reformer": {
            "attn_layers": ["local", "lsh"],
            "axial_pos_embds": False,
            "hash_seed": 0,  # otherwise each call hashes differently
            "num_buckets": 2,
        },
        "smollm3": {"no_rope_layers": [1, 0]},
        "switch_transformers": {"num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1},
        "xlm": {"causal": True},
        "xlm:masked-lm": {"causal": False, "embed_init_std": 0.1},
        "xlstm": {"hidden_size": 128, "embedding_dim": 128},  # heads are rounded up below that
        "xmod": {"default_language": "en_XX"},
        "zamba": {  # the block that its attention layers share needs two of them
            "layers_block_type": ["linear_attention", "hybrid", "hybrid"],
            "num_hidden_layers": 3,
            "attention_hidden_size": 2 * WIDTH,
            "attention_head_dim": 2 * HEAD_SIZE,
        },
        "zaya": {"layer_types": ["hybrid", "hybrid_sliding"], "sliding_window": WINDOW},
    }
)
"""Fields of a configuration, nested ones by name, by the ``model_type`` they belong to.

What follows a name with a task is added in that task.
"""

UNBUILDABLE: Mapping[str, str] = MappingProxyType(
    {
        "gemma3n": "its vision tower is a model of the package timm, which is not installed; "
        "gemma3n_text is its language model",
        "gemma4_assistant": "it drafts tokens for a Gemma 4: its forward method ignores tokens and "
        "takes that model's embeddings, hidden states, keys and values",
        "gemma4_unified_assistant": "it drafts tokens for a Gemma 4: its forward method ignores "
        "tokens and takes that model's embeddings, hidden states, keys and values",
        "mra:masked-lm": "its attention is a CUDA kernel that is downloaded from the hub; without "
        "the kernel, transformers computes zeros instead",
    }
)
"""Architectures of which no tiny model can be built, with the reason."""

SOUND = "its input is sound, and audio models are not checked"
OUT_OF_SCOPE: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(
        (
            f"{model_type}:{SEQ2SEQ}"
            for model_type in (
                "audioflamingo3",
                "glmasr",
                "granite_speech",
                "granite_speech_plus",
                "moss_transcribe_diarize",
                "musicflamingo",
                "nemo_speechlm",
                "omniasr",
                "qwen2_audio",
                "qwen3_asr",
                "vibevoice_asr",
                "voxtral",
                "voxtral_realtime",
            )
        ),
        SOUND,
    )
)
"""Architectures that are registered for a task and not checked in it, each with the reason."""

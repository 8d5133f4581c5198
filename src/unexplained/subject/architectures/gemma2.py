"""Gemma 2: as Gemma 3, with soft-capped attention scores."""

from __future__ import annotations

from unexplained.subject.architectures import ARCHITECTURES, Architecture

ARCHITECTURES.add(
    "gemma2",
    Architecture(
        "gemma2",
        attention_post_norm="post_attention_layernorm",
        mlp_norm="pre_feedforward_layernorm",
        mlp_post_norm="post_feedforward_layernorm",
        norm="rms, 1 + gain",
        unsupported=lambda config: (
            "use_bidirectional_attention" if config.use_bidirectional_attention else ""
        ),
        # Caps that bend what random weights give.
        tiny={"head_dim": 16, "sliding_window": 5, "query_pre_attn_scalar": 20}
        | {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 5.0},
    ),
)

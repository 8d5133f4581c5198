"""OLMo 2: norms after attention and MLP and none before, norms of all queries and all keys."""

from __future__ import annotations

from unexplained.subject.architectures import ARCHITECTURES, Architecture

ARCHITECTURES.add(
    "olmo2",
    Architecture(
        "olmo2",
        attention_norm="",
        head_norms=("self_attn.q_norm", "self_attn.k_norm"),
        attention_post_norm="post_attention_layernorm",
        mlp_norm="",
        mlp_post_norm="post_feedforward_layernorm",
    ),
)

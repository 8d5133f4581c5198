"""Gemma 3: norms after attention and MLP as well, whose gain is one more than their weight."""

from __future__ import annotations

from typing import Any

from unexplained.subject.architectures import ARCHITECTURES, Architecture


def _unsupported(config: Any) -> str:
    for setting in ("attn_logit_softcapping", "use_bidirectional_attention"):
        if getattr(config, setting, None):
            return setting
    return ""


ARCHITECTURES.add(
    "gemma3_text",
    Architecture(
        "gemma3_text",
        head_norms=("self_attn.q_norm", "self_attn.k_norm"),
        attention_post_norm="post_attention_layernorm",
        mlp_norm="pre_feedforward_layernorm",
        mlp_post_norm="post_feedforward_layernorm",
        norm="rms, 1 + gain",
        unsupported=_unsupported,
        tiny={"head_dim": 16, "sliding_window": 5},
    ),
)

"""Qwen 3: as Llama, with norms of queries and keys."""

from __future__ import annotations

from unexplained.subject.architectures import ARCHITECTURES, Architecture

ARCHITECTURES.add(
    "qwen3",
    Architecture(
        "qwen3", head_norms=("self_attn.q_norm", "self_attn.k_norm"), tiny={"head_dim": 16}
    ),
)

"""Phi 3: one layer gives queries, keys and values."""

from __future__ import annotations

from unexplained.subject.architectures import ARCHITECTURES, Architecture

ARCHITECTURES.add(
    "phi3",
    Architecture("phi3", projections=("self_attn.qkv_proj",) * 3, fused="side by side"),
)

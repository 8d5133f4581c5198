"""Phi 3: one layer gives queries, keys and values."""

from __future__ import annotations

from unexplained.subject.families import FAMILIES, Family

FAMILIES.add(
    "phi3",
    Family("phi3", projections=("self_attn.qkv_proj",) * 3, fused="side by side"),
)

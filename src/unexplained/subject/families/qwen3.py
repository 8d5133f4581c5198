"""Qwen 3: as Llama, with norms of queries and keys."""

from __future__ import annotations

from unexplained.subject.families import FAMILIES, Family

FAMILIES.add("qwen3", Family("qwen3", tiny={"head_dim": 16}))

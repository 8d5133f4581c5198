"""Qwen 2: as Llama, with biases in its projections."""

from __future__ import annotations

from unexplained.subject.families import FAMILIES, Family

FAMILIES.add("qwen2", Family("qwen2"))

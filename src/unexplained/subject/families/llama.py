"""Llama, and all that is built like it."""

from __future__ import annotations

from unexplained.subject.families import FAMILIES, Family

FAMILIES.add("llama", Family("llama"))

"""Mistral: as Llama."""

from __future__ import annotations

from unexplained.subject.families import FAMILIES, Family

FAMILIES.add("mistral", Family("mistral", tiny={"sliding_window": 7}))

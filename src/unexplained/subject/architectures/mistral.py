"""Mistral: as Llama."""

from __future__ import annotations

from unexplained.subject.architectures import ARCHITECTURES, Architecture

ARCHITECTURES.add("mistral", Architecture("mistral", tiny={"sliding_window": 7}))

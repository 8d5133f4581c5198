"""Qwen 2: as Llama, with biases in its projections."""

from __future__ import annotations

from unexplained.subject.architectures import ARCHITECTURES, Architecture

ARCHITECTURES.add("qwen2", Architecture("qwen2"))

"""Llama, and all that is built like it."""

from __future__ import annotations

from unexplained.subject.architectures import ARCHITECTURES, Architecture

ARCHITECTURES.add("llama", Architecture("llama"))

"""SmolLM3: as Llama, with layers that have no rotary embedding."""

from __future__ import annotations

from unexplained.subject.architectures import ARCHITECTURES, Architecture

ARCHITECTURES.add("smollm3", Architecture("smollm3", tiny={"no_rope_layers": [1, 0, 1]}))

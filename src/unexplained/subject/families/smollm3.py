"""SmolLM3: as Llama, with layers that have no rotary embedding."""

from __future__ import annotations

from unexplained.subject.families import FAMILIES, Family

FAMILIES.add("smollm3", Family("smollm3", tiny={"no_rope_layers": [1, 0, 1]}))

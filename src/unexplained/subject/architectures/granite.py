"""Granite: as Llama, with multipliers of embeddings, attention scores, what blocks add, and logits."""

from __future__ import annotations

from unexplained.subject.architectures import ARCHITECTURES, Architecture

ARCHITECTURES.add(
    "granite",
    Architecture(
        "granite",
        residual_scale=lambda config: float(config.residual_multiplier),
        logits_divisor=lambda config: float(config.logits_scaling),
        unsupported=lambda config: "" if config.residual_multiplier else "residual_multiplier=0",
        tiny={"embedding_multiplier": 3.0, "attention_multiplier": 0.3}
        | {"residual_multiplier": 0.22, "logits_scaling": 4.0},
    ),
)

"""Qwen 3 with mixtures of experts as MLPs: in every layer, so that all have the same parts."""

from __future__ import annotations

from typing import Any

from unexplained.subject.architectures import ARCHITECTURES, Architecture


def _unsupported(config: Any) -> str:
    if config.mlp_only_layers:
        return f"mlp_only_layers={config.mlp_only_layers}"
    every = config.decoder_sparse_step
    return "" if every == 1 else f"decoder_sparse_step={every}"


ARCHITECTURES.add(
    "qwen3_moe",
    Architecture(
        "qwen3_moe",
        head_norms=("self_attn.q_norm", "self_attn.k_norm"),
        neuron_output="",
        expert_neurons=lambda config: config.num_experts_per_tok * config.moe_intermediate_size,
        unsupported=_unsupported,
        tiny={"head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2}
        | {"moe_intermediate_size": 24},
    ),
)

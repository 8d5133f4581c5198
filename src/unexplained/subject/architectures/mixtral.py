"""Mixtral: as Mistral, with mixtures of experts as MLPs."""

from __future__ import annotations

from unexplained.subject.architectures import ARCHITECTURES, Architecture

ARCHITECTURES.add(
    "mixtral",
    Architecture(
        "mixtral",
        neuron_output="",
        expert_neurons=lambda config: config.num_experts_per_tok * config.intermediate_size,
        tiny={"sliding_window": 7, "num_local_experts": 4, "num_experts_per_tok": 2},
    ),
)

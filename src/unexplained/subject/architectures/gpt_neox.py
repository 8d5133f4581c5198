"""GPT-NeoX (Pythia): queries, keys and values head by head, attention and MLP side by side."""

from __future__ import annotations

from unexplained.subject.architectures import ARCHITECTURES, Architecture

ARCHITECTURES.add(
    "gpt_neox",
    Architecture(
        "gpt_neox",
        body="gpt_neox",
        layers="gpt_neox.layers",
        final_norm="gpt_neox.final_layer_norm",
        attention="attention",
        projections=("attention.query_key_value",) * 3,
        fused="by head",
        head_output="attention.dense",
        neuron_output="mlp.dense_4h_to_h",
        norm="layer",
        parallel=lambda config: bool(config.use_parallel_residual),
        tiny={"num_key_value_heads": 4},
    ),
)

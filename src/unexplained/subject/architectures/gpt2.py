"""GPT-2: positions from a table, one fused projection, weights the other way round."""

from __future__ import annotations

from typing import Any

from unexplained.subject.architectures import ARCHITECTURES, Architecture


def _unsupported(config: Any) -> str:
    for flag in ("reorder_and_upcast_attn", "add_cross_attention"):
        if getattr(config, flag, False):
            return flag
    return ""


ARCHITECTURES.add(
    "gpt2",
    Architecture(
        "gpt2",
        body="transformer",
        layers="transformer.h",
        final_norm="transformer.ln_f",
        attention_norm="ln_1",
        attention="attn",
        projections=("attn.c_attn",) * 3,
        fused="side by side",
        head_output="attn.c_proj",
        mlp_norm="ln_2",
        neuron_output="mlp.c_proj",
        norm="layer",
        transposed=True,
        embedded_positions=True,
        unsupported=_unsupported,
        tiny={"num_key_value_heads": 4},
    ),
)

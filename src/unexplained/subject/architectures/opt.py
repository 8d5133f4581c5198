"""OPT: positions from a table, an MLP without a module of its own. `q` is scaled before it is read."""

from __future__ import annotations

from typing import Any

from unexplained.subject.architectures import ARCHITECTURES, Architecture


def _unsupported(config: Any) -> str:
    if not config.do_layer_norm_before:
        return "do_layer_norm_before=False"
    if config.word_embed_proj_dim != config.hidden_size:
        return f"word_embed_proj_dim={config.word_embed_proj_dim}"
    if config._remove_final_layer_norm:
        return "_remove_final_layer_norm"
    return "" if config.layer_norm_elementwise_affine else "layer_norm_elementwise_affine=False"


ARCHITECTURES.add(
    "opt",
    Architecture(
        "opt",
        body="model.decoder",
        layers="model.decoder.layers",
        final_norm="model.decoder.final_layer_norm",
        attention_norm="self_attn_layer_norm",
        head_output="self_attn.out_proj",
        mlp_norm="final_layer_norm",
        mlp=("fc1", "fc2"),
        neuron_output="fc2",
        norm="layer",
        embedded_positions=True,
        unsupported=_unsupported,
        tiny={"num_key_value_heads": 4, "ffn_dim": 48, "word_embed_proj_dim": 32},
    ),
)

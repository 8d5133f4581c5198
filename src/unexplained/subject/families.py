"""Where things are in each architecture: the only place that knows module names.

To add a family: add an entry to `FAMILIES`, then run the engine's laws (tests/test_engine.py),
which are parametrised over this table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from unexplained.errors import SubjectError, near_matches

Norm = Literal["rms", "rms, 1 + gain", "layer"]


@dataclass(frozen=True)
class Family:
    """Module paths of one architecture; paths below a layer are relative to the layer."""

    name: str
    body: str = "model"
    """The stack without the unembedding, called with `input_ids`."""
    layers: str = "model.layers"
    final_norm: str = "model.norm"
    attention_norm: str = "input_layernorm"
    """The norm between the stream and a layer's attention."""
    attention: str = "self_attn"
    projections: tuple[str, str, str] = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
    """The linear layers to queries, keys and values; one layer three times where it is fused."""
    fused: Literal["", "side by side", "by head"] = ""
    """How a fused layer's outputs lie: all queries, keys, values; or head by head its three."""
    head_output: str = "self_attn.o_proj"
    """The linear layer whose input is every head's z, side by side."""
    attention_post_norm: str = ""
    """A norm between the attention output and the residual stream (Gemma)."""
    mlp_norm: str = "post_attention_layernorm"
    """The norm between the stream and a layer's MLP."""
    mlp: str = "mlp"
    neuron_output: str = "mlp.down_proj"
    """The MLP's last linear layer: its inputs are the neurons."""
    mlp_post_norm: str = ""
    norm: Norm = "rms"
    transposed: bool = False
    """GPT-2's Conv1D keeps its weight as (input, output)."""
    parallel: Callable[[Any], bool] = lambda config: False
    """Whether attention and MLP read the same stream, so that there is no `resid_mid`."""
    embedded_positions: bool = False
    """Whether positions are looked up in a table, which ends somewhere."""
    unsupported: Callable[[Any], str] = lambda config: ""
    """Names a setting of the configuration that the engine would get wrong."""


def _gpt2_unsupported(config: Any) -> str:
    for flag in ("reorder_and_upcast_attn", "add_cross_attention"):
        if getattr(config, flag, False):
            return flag
    return ""


def _gemma3_unsupported(config: Any) -> str:
    for setting in ("attn_logit_softcapping", "use_bidirectional_attention"):
        if getattr(config, setting, None):
            return setting
    return ""


def positions(family: Family, config: Any) -> int | None:
    """The most tokens that a pass may have; None where there is no such limit.

    A table of positions ends. Rotary embeddings that are rescaled with the length (`dynamic`,
    `longrope`) are those of shorter passes up to a length that the configuration states; beyond
    it a key depends on how long the prompt becomes, so beginnings could not be shared, and
    `dynamic` ones depend on what was run before.
    """
    limits = [int(config.max_position_embeddings)] if family.embedded_positions else []
    stated = getattr(config, "rope_parameters", None) or {}
    by_layer_type = [value for value in stated.values() if isinstance(value, dict)]
    for rotary in by_layer_type or [stated]:
        kind = rotary.get("rope_type", "default")
        if "dynamic" in kind:
            # At its very limit it keeps what a longer pass, of whomever, left behind.
            limits.append(int(config.max_position_embeddings) - 1)
        if kind == "longrope":
            limits.append(int(rotary["original_max_position_embeddings"]))
    return min(limits, default=None)


_LLAMA = Family("llama")

FAMILIES: dict[str, Family] = {
    "llama": _LLAMA,
    "mistral": Family("mistral"),
    "qwen2": Family("qwen2"),
    "qwen3": Family("qwen3"),
    "phi3": Family("phi3", projections=("self_attn.qkv_proj",) * 3, fused="side by side"),
    "gemma3_text": Family(
        "gemma3_text",
        attention_post_norm="post_attention_layernorm",
        mlp_norm="pre_feedforward_layernorm",
        mlp_post_norm="post_feedforward_layernorm",
        norm="rms, 1 + gain",
        unsupported=_gemma3_unsupported,
    ),
    "gpt2": Family(
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
        unsupported=_gpt2_unsupported,
    ),
    "gpt_neox": Family(
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
    ),
}
"""By `config.model_type`."""


def family_of(model: nn.Module) -> Family:
    """The family of a model, by its configuration's `model_type`.

    Raises:
        SubjectError: The architecture is not in the table, or a setting of it is not supported.
    """
    config: Any = model.config
    kind = str(config.model_type)
    asked = f"A model of type '{kind}' ({type(model).__name__})"
    if kind not in FAMILIES:
        raise SubjectError(
            asked,
            "this architecture is not in the table of families",
            f"{near_matches(kind, FAMILIES)} A new one needs an entry in subject/families.py: "
            "where its layers, norms, head output, neurons and unembedding are.",
        )
    family = FAMILIES[kind]
    if setting := family.unsupported(config):
        raise SubjectError(
            asked,
            f"its setting '{setting}' is on and the engine does not reproduce it",
            "Switch it off if the weights allow it, or use another model.",
        )
    for path in (family.body, family.layers, family.final_norm):
        try:
            model.get_submodule(path)
        except AttributeError:
            raise SubjectError(
                asked,
                f"it has no module '{path}', which models of this type have",
                "Load it with its language-model head (AutoModelForCausalLM).",
            ) from None
    return family

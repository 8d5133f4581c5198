"""Where things are in each architecture: the only place that knows module names.

To add an architecture: add a file that adds it to `ARCHITECTURES` under its `model_type`, then run the engine's
laws (tests/test_engine.py), which run over a tiny model of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from unexplained.errors import SubjectError
from unexplained.registry import Registry

Norm = Literal["rms", "rms, 1 + gain", "layer"]


@dataclass(frozen=True)
class Architecture:
    """Module paths of one architecture; paths below a layer are relative to the layer."""

    name: str
    body: str = "model"
    """The stack without the unembedding, called with `input_ids`."""
    layers: str = "model.layers"
    final_norm: str = "model.norm"
    attention_norm: str = "input_layernorm"
    """The norm between the stream and a layer's attention; empty where it reads the stream itself."""
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
    """The norm between the stream and a layer's MLP; empty where it reads the stream itself."""
    mlp: tuple[str, ...] = ("mlp",)
    """The MLP, from the module that reads to the one that writes."""
    neuron_output: str = "mlp.down_proj"
    """The MLP's last linear layer: its inputs are the neurons; empty for mixtures of experts."""
    expert_neurons: Callable[[Any], int] = lambda config: 0
    """How many neurons of experts a token passes through."""
    mlp_post_norm: str = ""
    head_norms: tuple[str, ...] = ()
    """Norms of queries and of keys, before rotary embedding."""
    norm: Norm = "rms"
    transposed: bool = False
    """GPT-2's Conv1D keeps its weight as (input, output)."""
    parallel: Callable[[Any], bool] = lambda config: False
    """Whether attention and MLP read the same stream, so that there is no `resid_mid`."""
    embedded_positions: bool = False
    """Whether positions are looked up in a table, which ends somewhere."""
    residual_scale: Callable[[Any], float] = lambda config: 1.0
    """What the outputs of attention and MLP are multiplied by on their way to the stream (Granite)."""
    logits_divisor: Callable[[Any], float] = lambda config: 1.0
    """What logits are divided by."""
    unsupported: Callable[[Any], str] = lambda config: ""
    """Names a setting of the configuration that the engine would get wrong."""
    tiny: Mapping[str, object] = field(default_factory=dict)
    """Settings of the tiny model that the laws are run on, besides what Llama's are called (a width of 32,
    three layers of four heads with two keys): those by which it is one of this architecture."""


ARCHITECTURES: Registry[Architecture] = Registry(
    "architecture", "unexplained.subject.architectures", SubjectError
)
"""By `config.model_type`."""


def positions(architecture: Architecture, config: Any) -> int | None:
    """The most tokens that a pass may have; None where there is no such limit.

    A table of positions ends. Rotary embeddings that are rescaled with the length (`dynamic`,
    `longrope`) are those of shorter passes up to a length that the configuration states; beyond
    it a key depends on how long the prompt becomes, so beginnings could not be shared, and
    `dynamic` ones depend on what was run before.
    """
    limits = [int(config.max_position_embeddings)] if architecture.embedded_positions else []
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


def listed() -> str:
    """All that there are. No near names: nobody typed this one, and one that is like it is another."""
    return f"There are: {', '.join(ARCHITECTURES.all())}."


def architecture_of(model: nn.Module) -> Architecture:
    """The architecture of a model, by its configuration's `model_type`.

    Raises:
        SubjectError: The architecture is not in the table, or a setting of it is not supported.
    """
    config: Any = model.config
    kind = str(config.model_type)
    asked = f"A model of type '{kind}' ({type(model).__name__})"
    known = ARCHITECTURES.all()
    if kind not in known:
        raise SubjectError(
            asked,
            "it is not in the table of architectures",
            f"{listed()} A new one needs a file in subject/architectures: "
            "where its layers, norms, head output, neurons and unembedding are.",
        )
    architecture = known[kind]
    if setting := architecture.unsupported(config):
        raise SubjectError(
            asked,
            f"the engine does not reproduce its setting '{setting}'",
            "Change it if the weights allow it, or use another model.",
        )
    for path in (architecture.body, architecture.layers, architecture.final_norm):
        try:
            model.get_submodule(path)
        except AttributeError:
            raise SubjectError(
                asked,
                f"it has no module '{path}', which models of this type have",
                "Load it with its language-model head (AutoModelForCausalLM).",
            ) from None
    return architecture

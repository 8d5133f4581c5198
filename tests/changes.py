"""What users of torch and transformers do to a model, each with the words that refuse it.

Every change takes a model and gives the same one with the same seed, so it can be made to a model
that was opened up and to a fresh one. Words are those that a refusal must have one of; "" where
the number as it is now must be given.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from tiny import tiny_model, tokens

Change = Callable[[Any], object]

ATTENTION = "attention"
CHANGED = "changed|replaced|since|another|no longer|not the|hook|forward|module|layer"
"""A refusal must say that the model is not what was opened up, or what stands in its place."""


def by_hand(self: Any, hidden_states: Tensor, position_embeddings: Any, **kwargs: Any) -> Any:
    """Llama's attention written out without transformers' interface, as patches of others do."""
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb, repeat_kv

    shape = (*hidden_states.shape[:-1], -1, self.head_dim)
    q, k, v = (
        f(hidden_states).view(shape).transpose(1, 2)
        for f in (self.q_proj, self.k_proj, self.v_proj)
    )
    q, k = apply_rotary_pos_emb(q, k, *position_embeddings)
    k, v = (repeat_kv(x, self.num_key_value_groups) for x in (k, v))
    z = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    return self.o_proj(z.transpose(1, 2).flatten(2)), None


def patch_forward(path: str, forward: Callable[..., Any]) -> Change:
    def change(model: Any) -> None:
        module = model.get_submodule(path)
        module.forward = types.MethodType(forward, module)

    return change


def halved_forward(path: str) -> Change:
    """The module's own forward, halved."""

    def change(model: Any) -> None:
        module = model.get_submodule(path)
        plain_forward = module.forward

        def forward(*args: Any, **kwargs: Any) -> Any:
            out = plain_forward(*args, **kwargs)
            return (out[0] * 0.5, *out[1:]) if isinstance(out, tuple) else out * 0.5

        module.forward = forward

    return change


def hook(path: str, factor: float = 0.5) -> Change:
    """A forward hook that scales what a module gives."""

    def scale(module: nn.Module, args: Any, out: Any) -> Any:
        if isinstance(out, Tensor):
            return out * factor
        if isinstance(out, tuple):
            return (out[0] * factor, *out[1:])
        out[0 if path else "logits"] = (out[0] if path else out.logits) * factor
        return out

    return lambda model: model.get_submodule(path).register_forward_hook(scale)


def body_hook(model: Any) -> None:
    """A hook on the whole stack that steers its last hidden state."""

    def steer(module: nn.Module, args: Any, out: Any) -> Any:
        out.last_hidden_state = out.last_hidden_state + 0.3
        return out

    model.model.register_forward_hook(steer)


def logits_hook(model: Any) -> None:
    """A hook on the whole model that lowers the temperature, as samplers do."""

    def sharpen(module: nn.Module, args: Any, out: Any) -> Any:
        out.logits = out.logits * 2
        return out

    model.register_forward_hook(sharpen)


def pre_hook(path: str, factor: float = 0.5) -> Change:
    """A pre-hook that scales what a module reads."""
    return lambda model: model.get_submodule(path).register_forward_pre_hook(
        lambda module, args: (args[0] * factor, *args[1:])
    )


def steering(model: Any) -> None:
    """A steering vector added to the stream after layer 0."""
    vector = torch.linspace(-1, 1, 32)
    model.model.layers[0].register_forward_hook(
        lambda module, args, out: (
            (out[0] + vector, *out[1:]) if isinstance(out, tuple) else out + vector
        )
    )


class Halved(nn.Module):
    """A wrapper of a module that hides its attributes."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        out = self.inner(*args, **kwargs)
        return (out[0] * 0.5, *out[1:]) if isinstance(out, tuple) else out * 0.5


class Transparent(Halved):
    """A wrapper that passes attributes through, so that `.weight` is there and is not all."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)


def put(path: str, make: Callable[[Any], nn.Module]) -> Change:
    """Put another module in a module's place."""
    return lambda model: model.set_submodule(path, make(model))


def other(path: str) -> Change:
    """The same module of a model with other weights."""
    return put(path, lambda model: tiny_model(model.config.model_type, seed=9).get_submodule(path))


def wrap(path: str, wrapper: type[nn.Module] = Halved) -> Change:
    return put(path, lambda model: wrapper(model.get_submodule(path)))


def fewer_layers(model: Any) -> None:
    model.model.layers = model.model.layers[:2]
    model.config.num_hidden_layers = 2


def fewer_layers_by_configuration(model: Any) -> None:
    model.config.num_hidden_layers = 2


def a_layer_deleted(model: Any) -> None:
    del model.model.layers[0]
    model.config.num_hidden_layers = 2


def a_layer_more(model: Any) -> None:
    extra = tiny_model("llama", seed=9).model.layers[1]
    extra.self_attn.layer_idx = 3
    model.model.layers.append(extra)
    model.config.num_hidden_layers = 4


def layers_in_another_order(model: Any) -> None:
    layers = model.model.layers
    layers[1], layers[2] = layers[2], layers[1]


def a_layer_shared(model: Any) -> None:
    model.model.layers[2] = model.model.layers[1]


def resized(model: Any) -> None:
    torch.manual_seed(0)
    model.resize_token_embeddings(80)


class Scaled(nn.Module):
    """A parametrisation."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight * 1.5


def parametrised(path: str) -> Change:
    return lambda model: parametrize.register_parametrization(
        model.get_submodule(path), "weight", Scaled()
    )


def pruned(path: str) -> Change:
    return lambda model: prune.l1_unstructured(model.get_submodule(path), "weight", amount=0.5)


def pruned_and_edited(model: Any) -> None:
    """The mask is applied when the module is called: `.weight` is stale until then."""
    prune.l1_unstructured(model.lm_head, "weight", amount=0.5)
    with torch.no_grad():
        model.lm_head.weight_orig.mul_(1.5)


def optimizer_step(model: Any) -> None:
    step = torch.optim.SGD(model.parameters(), lr=0.5)
    model(input_ids=tokens(), labels=tokens()).loss.backward()
    step.step()
    model.zero_grad()


def edited_data(model: Any) -> None:
    """`.data` does not move the version counter."""
    model.model.layers[1].mlp.down_proj.weight.data.mul_(1.7)


def new_data(model: Any) -> None:
    weight = model.model.layers[1].mlp.down_proj.weight
    weight.data = weight.data * 1.7


def new_parameter(model: Any) -> None:
    linear = model.model.layers[1].mlp.down_proj
    linear.weight = nn.Parameter(linear.weight.detach() * 1.7)


def edited_through_numpy(model: Any) -> None:
    """Neither version nor storage says that anything happened."""
    model.model.layers[1].mlp.down_proj.weight.detach().numpy()[:] *= 1.7


def swapped_back_and_forth(model: Any) -> None:
    with torch.no_grad():
        model.lm_head.weight.mul_(2).div_(2)


def loaded_state(model: Any) -> None:
    model.load_state_dict(tiny_model("llama", seed=9).state_dict())


def tied(model: Any) -> None:
    model.lm_head.weight = model.model.embed_tokens.weight


def frequencies(model: Any) -> None:
    """A buffer that no state dict holds."""
    model.model.rotary_emb.inv_freq.mul_(0.5)


def attribute(path: str, name: str, value: Any) -> Change:
    """A number or function kept on a module, which neither weights nor configuration show."""
    return lambda model: setattr(model.get_submodule(path), name, value)


def setting(name: str, value: Any) -> Change:
    return lambda model: setattr(model.config, name, value)


LLAMA_CHANGES = {
    "another attention is chosen: eager": (
        lambda model: model.set_attn_implementation("eager"),
        ATTENTION,
    ),
    "another attention is chosen: sdpa": (
        lambda model: model.set_attn_implementation("sdpa"),
        ATTENTION,
    ),
    "another attention is written into the configuration": (
        setting("_attn_implementation", "eager"),
        ATTENTION,
    ),
    "one layer's attention has a configuration of its own": (
        lambda model: setattr(
            model.model.layers[1].self_attn,
            "config",
            type(model.config)(**model.config.to_dict(), attn_implementation="sdpa"),
        ),
        ATTENTION,
    ),
    "an attention's forward is written anew": (
        patch_forward("model.layers.1.self_attn", by_hand),
        f"{ATTENTION}|forward",
    ),
    "an attention is wrapped": (wrap("model.layers.1.self_attn"), CHANGED),
    "an attention of another model": (other("model.layers.1.self_attn"), CHANGED),
    "a layer's forward is patched": (halved_forward("model.layers.1"), CHANGED),
    "a norm's forward is patched": (halved_forward("model.layers.1.input_layernorm"), CHANGED),
    "the final norm's forward is patched": (halved_forward("model.norm"), CHANGED),
    "an output layer's forward is patched": (
        halved_forward("model.layers.1.self_attn.o_proj"),
        CHANGED,
    ),
    "the unembedding's forward is patched": (halved_forward("lm_head"), CHANGED),
    "an MLP of another model": (other("model.layers.1.mlp"), CHANGED),
    "an MLP is wrapped": (wrap("model.layers.1.mlp"), CHANGED),
    "an MLP is an identity": (put("model.layers.1.mlp", lambda model: nn.Identity()), CHANGED),
    "an MLP's last layer is wrapped": (wrap("model.layers.1.mlp.down_proj"), CHANGED),
    "an output layer is wrapped, its weight still shows": (
        wrap("model.layers.1.self_attn.o_proj", Transparent),
        CHANGED,
    ),
    "a layer of another model": (other("model.layers.1"), CHANGED),
    "a last layer of another model": (other("model.layers.2"), CHANGED),
    "a layer is wrapped": (wrap("model.layers.2"), CHANGED),
    "the final norm of another model": (other("model.norm"), CHANGED),
    "the embedding of another model": (other("model.embed_tokens"), CHANGED),
    "the unembedding of another model": (other("lm_head"), CHANGED),
    "the unembedding is wrapped": (wrap("lm_head"), CHANGED),
    "the unembedding is wrapped, its weight still shows": (wrap("lm_head", Transparent), CHANGED),
    "the whole stack of another model": (other("model"), CHANGED),
    "fewer layers": (fewer_layers, CHANGED),
    "fewer layers by the configuration": (fewer_layers_by_configuration, CHANGED),
    "a layer is deleted": (a_layer_deleted, CHANGED),
    "a layer more": (a_layer_more, CHANGED),
    "layers in another order": (layers_in_another_order, CHANGED),
    "a layer that stands twice": (a_layer_shared, CHANGED),
    "a hook on a layer": (hook("model.layers.1"), CHANGED),
    "a hook on an attention": (hook("model.layers.1.self_attn"), CHANGED),
    "a hook on an output layer": (hook("model.layers.1.self_attn.o_proj"), CHANGED),
    "a hook on what an output layer reads": (pre_hook("model.layers.1.self_attn.o_proj"), CHANGED),
    "a hook on an MLP": (hook("model.layers.1.mlp"), CHANGED),
    "a hook on the final norm": (hook("model.norm"), CHANGED),
    "a hook on what the final norm reads": (pre_hook("model.norm", -0.5), CHANGED),
    "a hook on the embedding": (hook("model.embed_tokens", 0.7), CHANGED),
    "a hook on the whole stack": (body_hook, CHANGED),
    "a hook on the unembedding": (hook("lm_head"), CHANGED),
    "a hook on what the unembedding reads": (pre_hook("lm_head"), CHANGED),
    "a hook on the whole model": (logits_hook, CHANGED),
    "a steering vector": (steering, CHANGED),
    "an embedding that was resized": (resized, CHANGED),
    "an output layer with a parametrised weight": (
        parametrised("model.layers.1.self_attn.o_proj"),
        CHANGED,
    ),
    "an unembedding with a parametrised weight": (parametrised("lm_head"), CHANGED),
    "an output layer that was pruned": (pruned("model.layers.1.self_attn.o_proj"), CHANGED),
    "an unembedding that was pruned": (pruned("lm_head"), CHANGED),
    "an unembedding that was pruned and edited": (pruned_and_edited, f"{CHANGED}|prune"),
    "an optimizer's step": (optimizer_step, ""),
    "weights edited through .data": (edited_data, ""),
    "weights with new .data": (new_data, ""),
    "a new parameter": (new_parameter, ""),
    "weights edited through numpy": (edited_through_numpy, ""),
    "another state dict": (loaded_state, ""),
    "an unembedding tied to the embedding": (tied, ""),
    "weights changed and changed back": (swapped_back_and_forth, ""),
    "rotary frequencies": (frequencies, ""),
    "a norm's epsilon": (attribute("model.norm", "variance_epsilon", 0.3), ""),
    "an attention's scale": (attribute("model.layers.1.self_attn", "scaling", 1.0), ""),
    "another activation": (attribute("model.layers.1.mlp", "act_fn", nn.Tanh()), CHANGED),
    "a setting that modules have read already": (setting("rms_norm_eps", 0.3), ""),
    "weights in float64": (lambda model: model.double(), ""),
    "no gradients": (lambda model: model.requires_grad_(False), ""),
    "checkpointing of activations": (
        lambda model: model.gradient_checkpointing_enable({"use_reentrant": False}),
        "",
    ),
}


def softcap(model: Any) -> None:
    model.config.final_logit_softcapping = 2.0


OTHER_CHANGES = {
    "Gemma's softcap": ("gemma3", softcap, ""),
    "Mistral's window in the configuration": ("mistral", setting("sliding_window", 3), ""),
    "Mistral's unembedding of another model": ("mistral", other("lm_head"), CHANGED),
    "GPT-2's layer of another model": ("gpt2", other("transformer.h.1"), CHANGED),
    "GPT-2's unembedding is untied": (
        "gpt2",
        lambda m: setattr(m.lm_head, "weight", nn.Parameter(m.lm_head.weight.detach() * 1.5)),
        CHANGED,
    ),
    "GPT-NeoX's final norm of another model": (
        "gpt_neox",
        other("gpt_neox.final_layer_norm"),
        CHANGED,
    ),
}


def a_layer_copied(model: Any) -> None:
    """What a layer that stands twice computes, in modules that each stand once."""
    model.model.layers[2] = copy.deepcopy(model.model.layers[1])


def for_plain(name: str) -> Change:
    """The change to make to the model for plain Hugging Face, whose hooks sit on modules by name."""
    if name == "a layer that stands twice":
        return a_layer_copied
    if name == "an attention is wrapped":  # which hides its output layer
        return halved_forward("model.layers.1.self_attn")
    return LLAMA_CHANGES[name][0]

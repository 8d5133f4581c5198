"""Every kind of site, in every architecture, is what plain hooks on Hugging Face's own model see and change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import eager_mask

from tiny import CONFIGS, there, tiny_model, tiny_subject, tokens
from unexplained.sites import Site
from unexplained.subject import Batch, Edit

WHERE = "embed final L1.resid_pre L1.resid_mid L1.resid_post L1.attn L1.mlp L1.N3 L1.H2.q L1.H2.k "
WHERE += "L1.H2.v L1.H2.pattern L1.H2.z L1.H2.out"


@dataclass(frozen=True)
class Modules:
    """Where things are, written down a second time."""

    layers: str = "model.layers"
    norm: str = "model.norm"
    heads: str = "self_attn.o_proj"
    attn: str = "self_attn"
    middle: str = "post_attention_layernorm"
    neurons: str = "mlp.down_proj"
    mlp: str = "mlp"


_GEMMA = Modules(attn="post_attention_layernorm", middle="pre_feedforward_layernorm",
                 mlp="post_feedforward_layernorm")  # fmt: skip
MODULES = {
    "gpt2": Modules("transformer.h", "transformer.ln_f", "attn.c_proj", "attn", "ln_2", "mlp.c_proj"),
    "gpt_neox": Modules("gpt_neox.layers", "gpt_neox.final_layer_norm", "attention.dense", "attention",
                        neurons="mlp.dense_4h_to_h"),
    "gemma2": _GEMMA, "gemma3_text": _GEMMA, "olmo2": replace(_GEMMA, middle="mlp"),
    "opt": Modules("model.decoder.layers", "model.decoder.final_layer_norm", "self_attn.out_proj",
                   middle="final_layer_norm", neurons="fc2", mlp="fc2"),
}  # fmt: skip
"""Of all other architectures Llama's."""


def half(value: Tensor) -> Tensor:
    """A change that is no multiple of the value."""
    return value * 0.5 + 0.125


@dataclass
class Plain:
    """Hugging Face's model, one value of which is changed by hand."""

    model: Any
    site: Site
    seen: Tensor = field(default_factory=lambda: torch.empty(0))

    def logits(self) -> Tensor:
        with torch.no_grad(), self._changed():
            logits: Tensor = self.model(tokens(), use_cache=False).logits
        return logits

    def change(self, value: Tensor) -> Tensor:
        self.seen = value.clone()
        return half(value)

    @contextmanager
    def _changed(self) -> Iterator[None]:
        BY_HAND[:] = [self]
        handles = [] if self.site.value in ("q", "k", "v", "pattern") else self._hooks()
        try:
            yield
        finally:
            BY_HAND.clear()
            for handle in handles:
                handle.remove()

    def _hooks(self) -> list[Any]:
        config, site = self.model.config, self.site
        at = MODULES.get(config.model_type, Modules())
        layers = self.model.get_submodule(at.layers)
        layer = layers[min(max(site.layer, 0), 2)]
        times = getattr(config, "residual_multiplier", 1)
        if site.part in ("embed", "resid_pre"):
            return [_before(layer, self.change)]
        if site.part == "resid_post":
            return [_after(layer, self.change)]
        if site.part == "final":
            return [_after(self.model.get_submodule(at.norm), self.change)]
        if site.part in ("attn", "mlp"):
            end = layer.get_submodule(getattr(at, site.part))
            return [_after(end, lambda value: self.change(value * times) / times)]
        if site.part == "resid_mid":
            moved: list[Tensor] = []

            def middle(value: Tensor) -> Tensor:
                moved[:] = [self.change(value) - value]
                return value + moved[0]

            reads = layer.get_submodule(at.middle)
            return [_before(reads, middle), _after(layer, lambda x: x + moved[0].view(x.shape))]
        if site.part == "N":
            part = slice(site.index, site.index + 1)
            return [_before(layer.get_submodule(at.neurons), lambda x: self._within(x, part))]
        heads = layer.get_submodule(at.heads)
        size = getattr(config, "head_dim", None) or 32 // 4
        mine = slice(site.index * size, (site.index + 1) * size)
        if site.value == "z":
            return [_before(heads, lambda x: self._within(x, mine))]
        return [_writes(heads, mine, times, self.change)]

    def _within(self, value: Tensor, part: slice) -> Tensor:
        value = value.clone()
        value[..., part] = self.change(value[..., part])
        return value


def _before(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Any:
    return module.register_forward_pre_hook(
        lambda module, args, kwargs: ((change(args[0]), *args[1:]), kwargs), with_kwargs=True
    )


def _after(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Any:
    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    return module.register_forward_hook(hook)


def _writes(
    module: nn.Module, part: slice, times: float, change: Callable[[Tensor], Tensor]
) -> Any:
    """What one head writes: the output layer without bias on its z alone."""

    def hook(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        alone = torch.zeros_like(args[0])
        alone[..., part] = args[0][..., part]
        old = (module.forward(alone) - module.forward(alone * 0)) * times
        return output + (change(old) - old) / times

    return module.register_forward_hook(hook)


BY_HAND: list[Plain] = []


def _by_hand(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor,
    scaling: float, softcap: float | None = None, **others: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """Attention in full, every head with keys of its own."""
    group = query.shape[1] // key.shape[1]
    there = {"q": query.clone(), "k": key.repeat_interleave(group, 1)}
    there["v"] = value.repeat_interleave(group, 1)

    def changed(name: str) -> Tensor:
        for plain in BY_HAND:
            if (plain.site.layer, plain.site.value) == (module.layer_idx, name):
                there[name][:, plain.site.index] = plain.change(there[name][:, plain.site.index])
        return there[name]

    scores = torch.einsum("bhqd,bhkd->bhqk", changed("q"), changed("k")) * scaling
    if softcap:
        scores = softcap * (scores / softcap).tanh()
    there["pattern"] = (scores + mask).softmax(-1)
    return torch.einsum("bhqk,bhkd->bqhd", changed("pattern"), changed("v")), None


AttentionInterface.register("by hand", _by_hand)
AttentionMaskInterface.register("by hand", eager_mask)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_kind_of_site_is_what_plain_hooks_see_and_change(name: str) -> None:
    subject, model = tiny_subject(name), tiny_model(name)
    model.set_attn_implementation("by hand")
    for site in subject.sites(there(subject, WHERE)):
        if site.part == "resid_mid" and subject.anatomy.parallel:
            continue
        seen: list[Tensor] = []

        def change(local: Any, seen: list[Tensor] = seen) -> Tensor:
            seen[:] = [local.value]
            return half(local.value)

        found = subject.logits(subject.run(Batch.of(tokens()), [Edit(site, change)]).normed)
        plain = Plain(model, site)
        right = plain.logits()
        bound = 400 * torch.finfo(torch.float32).eps
        for mine, theirs in ((seen[0], plain.seen.view(seen[0].shape)), (found, right)):
            assert float((mine - theirs).abs().max()) < bound * float(theirs.abs().max()), site


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_hugging_faces_under_either_of_its_attentions(name: str) -> None:
    """Soft-capped models have no `sdpa`: transformers would leave the cap out."""
    subject, model = tiny_subject(name), tiny_model(name)
    found = subject.logits(subject.run(Batch.of(tokens())).normed)
    for attention in ("eager", "sdpa")[: 1 if subject.anatomy.architecture.name == "gemma2" else 2]:
        model.set_attn_implementation(attention)
        with torch.no_grad():
            right = model(tokens(), use_cache=False).logits
        bound = 400 * torch.finfo(torch.float32).eps * float(right.abs().max())
        assert float((found - right).abs().max()) < bound, attention

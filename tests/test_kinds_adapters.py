"""Adapters: the numbers of the model with the adapters merged into its weights, or a refusal by name.

`Lora` has the structure of a layer of the adapter library peft (0.21: `base_layer`, `lora_A`,
`lora_B`, `scaling`, and `weight` and `bias` that are those of the base layer), so that these
tests do not need it. The right numbers are those of a model in whose weights it was merged.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kinds import (
    loss,
    measured,
    opened,
    plain,
    plain_logit_difference,
    plain_loss,
    right_or_refused,
    whole_circuit,
)
from tiny import tiny_model
from unexplained.errors import UnexplainedError

ADAPTER = "adapter|lora|peft|base_layer|wrapp|merge"


class Lora(nn.Module):
    """A linear layer with a low-rank term beside it."""

    def __init__(self, base_layer: nn.Linear, seed: int = 3, *, zero: bool = False) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.base_layer = base_layer
        width, outputs = base_layer.in_features, base_layer.out_features
        self.lora_A = nn.ModuleDict({"default": nn.Linear(width, 2, bias=False)})
        self.lora_B = nn.ModuleDict({"default": nn.Linear(2, outputs, bias=False)})
        self.scaling = {"default": 0.5}
        self.disable_adapters = False
        self.merged_adapters: list[str] = []
        with torch.no_grad():
            for side in (self.lora_A, self.lora_B):
                weight = side["default"].weight
                weight.copy_(torch.randn(weight.shape, generator=generator) * 0.7)
            if zero:
                self.lora_B["default"].weight.zero_()

    @property
    def weight(self) -> Tensor:
        """As in peft: the base layer's, whatever is added to it."""
        return self.base_layer.weight

    @property
    def bias(self) -> Tensor | None:
        return self.base_layer.bias

    def delta(self) -> Tensor:
        """What the adapter adds to the weight."""
        product: Tensor = self.lora_B["default"].weight @ self.lora_A["default"].weight
        return product * self.scaling["default"]

    def merge(self) -> None:
        """Add it to the base layer's weight for good, as `merge()` of peft does."""
        with torch.no_grad():
            self.base_layer.weight += self.delta()
        self.merged_adapters.append("default")

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base_layer(x)
        if self.disable_adapters or self.merged_adapters:
            return out
        return out + self.lora_B["default"](self.lora_A["default"](x)) * self.scaling["default"]


class Hidden(nn.Module):
    """An adapter library that shows no weight of its own: an IA3-like gain on the output."""

    def __init__(self, base_layer: nn.Module, outputs: int) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.ia3_l = nn.Parameter(torch.linspace(0.2, 1.8, outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base_layer(x) * self.ia3_l
        return out


class LoraEmbedding(nn.Module):
    """An embedding with a low-rank term."""

    def __init__(self, base_layer: nn.Embedding) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        self.base_layer = base_layer
        rows, width = base_layer.weight.shape
        self.lora_embedding_A = nn.Parameter(torch.randn(rows, 2, generator=generator))
        self.lora_embedding_B = nn.Parameter(torch.randn(2, width, generator=generator) * 0.3)

    @property
    def weight(self) -> Tensor:
        return self.base_layer.weight

    def forward(self, ids: Tensor) -> Tensor:
        out: Tensor = self.base_layer(ids) + self.lora_embedding_A[ids] @ self.lora_embedding_B
        return out


class PeftModel(nn.Module):
    """A whole model inside an adapter library's own, which passes attributes on."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.base_model = nn.Module()
        self.base_model.model = model

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("base_model").model, name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.base_model.model(*args, **kwargs)


class PromptTuned(PeftModel):
    """Virtual tokens before every prompt: the model inside is as it was, the whole is not."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        generator = torch.Generator().manual_seed(4)
        self.prompt_encoder = nn.Embedding(4, 32)
        with torch.no_grad():
            self.prompt_encoder.weight.copy_(torch.randn(4, 32, generator=generator))

    def forward(self, input_ids: Tensor, **kwargs: Any) -> Any:
        model = self.base_model.model
        embedded = model.get_input_embeddings()(input_ids)
        virtual = self.prompt_encoder.weight.expand(len(input_ids), -1, -1)
        out = model(inputs_embeds=torch.cat([virtual, embedded], 1), **kwargs)
        out.logits = out.logits[:, 4:]
        return out


def adapt(*names: str, **how: Any) -> Callable[[Any], None]:
    """Adapters on all linear layers whose path ends in one of the names."""

    def change(model: Any) -> None:
        for path, module in list(model.named_modules()):
            if path.rpartition(".")[2] in names and isinstance(module, nn.Linear):
                model.set_submodule(path, Lora(module, seed=len(path), **how))

    return change


def each(model: Any, action: Callable[[Lora], object]) -> None:
    for module in list(model.modules()):
        if isinstance(module, Lora):
            action(module)


def disabled(model: Any) -> None:
    adapt("o_proj", "down_proj")(model)
    each(model, lambda lora: setattr(lora, "disable_adapters", True))


def merged_in_place(model: Any) -> None:
    adapt("o_proj", "down_proj")(model)
    each(model, Lora.merge)


def merged_and_unloaded(model: Any) -> None:
    adapt("o_proj", "down_proj")(model)
    for path, module in list(model.named_modules()):
        if isinstance(module, Lora):
            module.merge()
            model.set_submodule(path, module.base_layer)


def adapted_embedding(model: Any) -> None:
    model.model.embed_tokens = LoraEmbedding(model.model.embed_tokens)


def gains(path: str, outputs: int) -> Callable[[Any], None]:
    return lambda model: model.set_submodule(path, Hidden(model.get_submodule(path), outputs))


def two_deep(model: Any) -> None:
    """An adapter on an adapter: two libraries."""
    adapt("o_proj")(model)
    lora = model.model.layers[1].self_attn.o_proj
    model.model.layers[1].self_attn.o_proj = Hidden(lora, 32)


def bottleneck(model: Any) -> None:
    """A Houlsby adapter: what an MLP writes passes through a small residual network."""
    inner = nn.Sequential(nn.Linear(32, 4), nn.GELU(), nn.Linear(4, 32))
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in inner.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    mlp = model.model.layers[1].mlp
    mlp.adapter = inner
    mlp.register_forward_hook(lambda module, args, out: out + module.adapter(out))


ADAPTERS = {
    "low-rank terms on outputs": (adapt("o_proj", "down_proj"), ADAPTER),
    "low-rank terms on one output layer": (adapt("o_proj"), ADAPTER),
    "low-rank terms on queries and values": (adapt("q_proj", "v_proj"), ADAPTER),
    "low-rank terms on every linear layer": (
        adapt("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        ADAPTER,
    ),
    "a low-rank term on the unembedding": (adapt("lm_head"), ADAPTER),
    "a low-rank term on the embedding": (adapted_embedding, ADAPTER),
    "low-rank terms that are nought yet": (adapt("o_proj", "down_proj", zero=True), ADAPTER),
    "adapters that are switched off": (disabled, ADAPTER),
    "adapters that are merged in place": (merged_in_place, ADAPTER),
    "adapters that are merged and gone": (merged_and_unloaded, ""),
    "gains on an output layer": (gains("model.layers.1.self_attn.o_proj", 32), ADAPTER),
    "gains on an MLP's last layer": (gains("model.layers.1.mlp.down_proj", 32), ADAPTER),
    "gains on the unembedding": (gains("lm_head", 61), ADAPTER),
    "an adapter on an adapter": (two_deep, ADAPTER),
    "a bottleneck after an MLP": (bottleneck, f"{ADAPTER}|hook"),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_a_model_with_adapters_gives_the_merged_numbers_or_is_refused(name: str) -> None:
    change, words = ADAPTERS[name]
    model, fresh = tiny_model("llama"), tiny_model("llama")
    change(model)
    change(fresh)
    right_or_refused(lambda: measured(opened(model)), plain(fresh), words)


@pytest.mark.parametrize("name", ADAPTERS)
def test_the_circuit_of_all_edges_is_the_adapted_model_or_refused(name: str) -> None:
    change, words = ADAPTERS[name]
    model, fresh = tiny_model("llama"), tiny_model("llama")
    change(model)
    change(fresh)
    right_or_refused(
        lambda: whole_circuit(opened(model)), plain_logit_difference(fresh), words, within=1e-4
    )


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters_that_come_after_load_are_measured_or_refused(name: str) -> None:
    change, words = ADAPTERS[name]
    model, fresh = tiny_model("llama"), tiny_model("llama")
    subject = opened(model)
    measured(subject)
    change(model)
    change(fresh)
    right_or_refused(
        lambda: measured(subject), plain(fresh), words and f"{words}|changed|since|hook"
    )


def test_an_adapter_switched_off_after_load_is_the_base_model_or_refused() -> None:
    model = tiny_model("llama")
    adapt("o_proj", "down_proj")(model)

    def number() -> dict[str, float]:
        subject = opened(model)
        measured(subject)
        each(model, lambda lora: setattr(lora, "disable_adapters", True))
        return measured(subject)

    right_or_refused(number, plain(tiny_model("llama")), f"{ADAPTER}|changed|since")


def test_the_hand_made_adapter_is_the_merged_model() -> None:
    """The yardstick: forward with the low-rank terms is forward with them in the weights."""
    adapted, merged = tiny_model("llama"), tiny_model("llama")
    adapt("o_proj", "down_proj")(adapted)
    merged_and_unloaded(merged)
    for name, right in plain(merged).items():
        assert abs(plain(adapted)[name] - right) < 2e-5
    assert abs(plain(merged)["intact"] - plain(tiny_model("llama"))["intact"]) > 1e-3


def test_a_model_inside_an_adapter_librarys_own_is_right_or_refused() -> None:
    inner, fresh = tiny_model("llama"), tiny_model("llama")
    adapt("o_proj")(inner)
    adapt("o_proj")(fresh)
    right_or_refused(lambda: measured(opened(PeftModel(inner))), plain(fresh), f"{ADAPTER}|module")


def test_virtual_tokens_before_every_prompt_are_measured_or_refused() -> None:
    right = plain_loss(PromptTuned(tiny_model("llama")))
    assert abs(right["intact"] - plain_loss(tiny_model("llama"))["intact"]) > 1e-3
    right_or_refused(
        lambda: loss(opened(PromptTuned(tiny_model("llama")))),
        right,
        f"{ADAPTER}|prompt|PromptTuned|virtual|class|forward",
    )


def test_opening_an_adapted_model_leaves_its_adapters_as_they_were() -> None:
    """Merging is done in a copy, if at all."""
    model = tiny_model("llama")
    adapt("o_proj", "down_proj")(model)
    before = copy.deepcopy(model.state_dict())
    with suppress(UnexplainedError):
        opened(model)
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)

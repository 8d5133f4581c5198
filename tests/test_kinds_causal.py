"""Models that are not causal: padding is attended to and every position sees its target: refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from kinds import (
    measured,
    opened,
    plain,
    refused,
    right_or_refused,
    text_of,
)
from tiny import CONFIGS, tiny_model


def model_of(architecture: str, **settings: Any) -> Any:
    """The tiny model's weights under other settings."""
    kind, plain_settings = CONFIGS[architecture]
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model(kind, **plain_settings | settings), dtype=torch.float32
    )
    model.load_state_dict(tiny_model(architecture).state_dict())
    return model.eval()


CAUSAL = "causal|bidirection|future|later positions|both ways"


def gemma_both_ways() -> Any:
    return model_of("gemma3", use_bidirectional_attention=True)


def configured(architecture: str) -> Callable[[], Any]:
    """`is_causal = False` in the configuration: any decoder becomes an encoder in transformers 5."""

    def make() -> Any:
        model = model_of(architecture)
        model.config.is_causal = False
        return model

    return make


def by_module() -> Any:
    """Every attention says so itself: no mask is made for it under our attention."""
    model = model_of("llama")
    for layer in model.model.layers:
        layer.self_attn.is_causal = False
    return model


def one_by_module() -> Any:
    model = model_of("llama")
    model.model.layers[1].self_attn.is_causal = False
    return model


def looks_ahead() -> Any:
    """A hook that lets every position see the next one."""
    model = model_of("llama")
    model.model.layers[0].register_forward_hook(
        lambda module, args, out: (
            (out[0] + 0.5 * out[0].roll(-1, 1), *out[1:])
            if isinstance(out, tuple)
            else out + 0.5 * out.roll(-1, 1)
        )
    )
    return model


def means_over_positions() -> Any:
    """A norm that was exchanged for one over all positions, as batch norm does."""
    model = model_of("llama")
    norm = model.model.layers[1].post_attention_layernorm

    class Over(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.variance_epsilon = norm.weight, norm.variance_epsilon

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            whole: torch.Tensor = norm(x - x.mean(1, keepdim=True))
            return whole

    model.model.layers[1].post_attention_layernorm = Over()
    return model


NOT_CAUSAL: dict[str, tuple[Callable[[], Any], str]] = {
    "Gemma both ways": (gemma_both_ways, CAUSAL),
    "Llama by its configuration": (configured("llama"), CAUSAL),
    "Qwen by its configuration": (configured("qwen2"), CAUSAL),
    "Mistral by its configuration": (configured("mistral"), CAUSAL),
    "GPT-2 by its configuration": (configured("gpt2"), CAUSAL),
    "Llama by its modules": (by_module, CAUSAL),
    "Llama by one module": (one_by_module, CAUSAL),
    "a hook that looks ahead": (looks_ahead, f"{CAUSAL}|hook"),
    "a norm over positions": (means_over_positions, f"{CAUSAL}|norm|module"),
}


def sees_ahead(model: Any) -> bool:
    """Whether the last token moves what is predicted before it, under the attention that users have."""
    ids = torch.as_tensor(text_of(9).eval[0].tokens[None].astype("int64"))
    other = ids.clone()
    other[0, -1] = (other[0, -1] + 1) % 61
    with torch.no_grad():
        one, two = (model(input_ids=x, use_cache=False).logits[0, :-1] for x in (ids, other))
    return bool((one - two).abs().max() > 1e-4)


@pytest.mark.parametrize("name", NOT_CAUSAL)
def test_a_model_that_sees_what_it_is_to_predict_is_refused(name: str) -> None:
    make, words = NOT_CAUSAL[name]
    assert sees_ahead(make())
    refused(lambda: measured(opened(make())), words)


@pytest.mark.parametrize(
    "name", ["Llama by its configuration", "Llama by its modules", "a hook that looks ahead"]
)
def test_a_model_that_is_made_to_see_ahead_after_load_is_refused(name: str) -> None:
    _, words = NOT_CAUSAL[name]
    model = model_of("llama")
    subject = opened(model)
    measured(subject)
    if "hook" in name:
        model.model.layers[0].register_forward_hook(
            lambda module, args, out: out + 0.5 * out.roll(-1, 1)
        )
    elif "modules" in name:
        for layer in model.model.layers:
            layer.self_attn.is_causal = False
    else:
        model.config.is_causal = False
    refused(lambda: measured(subject), f"{words}|changed|since")


@pytest.mark.parametrize("architecture", list(CONFIGS))
def test_every_architecture_as_it_is_does_not_see_ahead(architecture: str) -> None:
    """And is not refused: windows and masks of all architectures are causal."""
    assert not sees_ahead(tiny_model(architecture))
    text = text_of(40, 9, 33, 7)
    right_or_refused(
        lambda: measured(opened(tiny_model(architecture)), text),
        plain(tiny_model(architecture), text),
        "",
    )

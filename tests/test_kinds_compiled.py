"""Compiled parts: the numbers of the same model uncompiled, or a refusal by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kinds import (
    PAIRS,
    eager,
    measured,
    opened,
    plain,
    plain_logit_difference,
    refused,
    right_or_refused,
    whole_circuit,
)
from tiny import tiny_model, tokens
from unexplained.circuits import attribute_edges
from unexplained.subject import Batch, Edit, Subject

COMPILED = "compile|OptimizedModule|_orig_mod|script|trace"


@pytest.fixture
def dynamo() -> Iterator[None]:
    """Compiled code is forgotten before and after."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


BACKEND = "eager"
"""Dynamo's capture, which is where hooks get lost, without the time that generating code takes."""


def every_layer_in_place(model: Any) -> None:
    for layer in model.model.layers:
        layer.compile(backend=BACKEND)


def one_in_place(path: str) -> Callable[[Any], None]:
    return lambda model: model.get_submodule(path).compile(backend=BACKEND)


def every_layer_wrapped(model: Any) -> None:
    for i, layer in enumerate(model.model.layers):
        model.model.layers[i] = torch.compile(layer, backend=BACKEND)


def one_wrapped(path: str) -> Callable[[Any], None]:
    return lambda model: model.set_submodule(
        path, torch.compile(model.get_submodule(path), backend=BACKEND)
    )


def compiled_forward(model: Any) -> None:
    """As many recipes do: the method is replaced."""
    model.forward = torch.compile(model.forward, backend=BACKEND)


def compiled_layer_forward(model: Any) -> None:
    layer = model.model.layers[1]
    layer.forward = torch.compile(layer.forward, backend=BACKEND)


def traced(model: Any) -> None:
    model.model.layers[1].mlp = torch.jit.trace(model.model.layers[1].mlp, torch.zeros(1, 3, 32))


PARTS = {
    "every layer in place": every_layer_in_place,
    "one layer in place": one_in_place("model.layers.1"),
    "one attention in place": one_in_place("model.layers.1.self_attn"),
    "one MLP in place": one_in_place("model.layers.1.mlp"),
    "the final norm in place": one_in_place("model.norm"),
    "the stack in place": one_in_place("model"),
    "the whole model in place": lambda model: model.compile(backend=BACKEND),
    "every layer wrapped": every_layer_wrapped,
    "one attention wrapped": one_wrapped("model.layers.1.self_attn"),
    "one MLP wrapped": one_wrapped("model.layers.1.mlp"),
    "one output layer wrapped": one_wrapped("model.layers.1.self_attn.o_proj"),
    "the whole model's forward": compiled_forward,
    "one layer's forward": compiled_layer_forward,
    "one MLP traced": traced,
}
FEW = ("one layer in place", "one MLP wrapped", "one layer's forward")
"""Each is compiled anew in every test, which takes a second where it is not refused."""


def called(model: Any) -> None:
    """Called once, so that code without our hooks is there to be used again."""
    with torch.no_grad():
        model(input_ids=tokens(), use_cache=False)


SITES = "L1.H2.z L1.mlp L1.attn L1.resid_pre L1.resid_post"


def edited(subject: Subject) -> dict[str, float]:
    """Mean final values under one edit each, after an intact pass of the same shape."""
    batch = Batch.of(tokens())
    found = {"intact": float(subject.run(batch).normed.abs().mean())}
    for site in subject.sites(SITES):
        edit = Edit(site, lambda local: torch.zeros_like(local.value))
        found[str(site)] = float(subject.run(batch, [edit]).normed.abs().mean())
    return found


ignore_tracing = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning",
    "ignore::torch.jit.TracerWarning",
    "ignore::UserWarning",
    "ignore::FutureWarning",
)


@ignore_tracing
@pytest.mark.usefixtures("dynamo")
@pytest.mark.parametrize("name", PARTS)
def test_a_model_with_compiled_parts_gives_the_same_numbers_or_is_refused(name: str) -> None:
    model = tiny_model("llama").eval()
    PARTS[name](model)
    right = edited(opened(tiny_model("llama")))
    right_or_refused(lambda: edited(opened(model)), right, COMPILED)


@ignore_tracing
@pytest.mark.usefixtures("dynamo")
@pytest.mark.parametrize("name", ["every layer in place", *FEW[1:]])
def test_a_model_with_compiled_parts_that_ran_gives_the_same_numbers_or_is_refused(
    name: str,
) -> None:
    model = tiny_model("llama").eval()
    PARTS[name](model)
    called(model)
    right = edited(opened(tiny_model("llama")))
    right_or_refused(lambda: edited(opened(model)), right, COMPILED)


@ignore_tracing
@pytest.mark.usefixtures("dynamo")
@pytest.mark.parametrize("name", FEW)
def test_parts_compiled_after_load_give_the_same_numbers_or_are_refused(name: str) -> None:
    model = tiny_model("llama")
    subject = opened(model)
    edited(subject)
    PARTS[name](model)
    right = edited(opened(tiny_model("llama")))
    right_or_refused(lambda: edited(subject), right, f"{COMPILED}|changed")


@ignore_tracing
@pytest.mark.usefixtures("dynamo")
@pytest.mark.parametrize("name", FEW)
def test_the_circuit_of_all_edges_is_the_compiled_model_or_refused(name: str) -> None:
    model = tiny_model("llama").eval()
    PARTS[name](model)
    called(model)
    right = plain_logit_difference(tiny_model("llama"))
    right_or_refused(lambda: whole_circuit(opened(model)), right, COMPILED, within=1e-4)


@ignore_tracing
@pytest.mark.usefixtures("dynamo")
@pytest.mark.parametrize("name", FEW)
def test_edges_of_a_compiled_model_are_those_of_the_model_or_refused(name: str) -> None:
    def scores(subject: Subject) -> dict[str, float]:
        found = attribute_edges(subject, PAIRS, method="eap").mean
        return {str(i): float(value) for i, value in enumerate(found)}

    model = tiny_model("llama").eval()
    PARTS[name](model)
    called(model)
    right = scores(opened(tiny_model("llama")))
    right_or_refused(lambda: scores(opened(model)), right, COMPILED, within=1e-4)


@ignore_tracing
@pytest.mark.usefixtures("dynamo")
def test_a_compiled_whole_model_is_right_or_refused() -> None:
    compiled = torch.compile(tiny_model("llama").eval(), backend=BACKEND)
    called(compiled)
    right_or_refused(lambda: measured(opened(compiled)), plain(tiny_model("llama")), COMPILED)


@ignore_tracing
@pytest.mark.usefixtures("dynamo")
def test_a_traced_whole_model_is_refused() -> None:
    model = eager(tiny_model("llama"))

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model, self.config = model, model.config

        def forward(self, ids: Tensor) -> Tensor:
            logits: Tensor = self.model(input_ids=ids, use_cache=False).logits
            return logits

    traced_model = torch.jit.trace(Plain(), tokens(), check_trace=False)
    refused(lambda: measured(opened(traced_model)), f"{COMPILED}|config|transformers|module")

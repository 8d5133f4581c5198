"""Half precision: it works where it can and says so, and refuses where single effects are asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import unexplained as ux
from kinds import PAIRS, TEXT, loss, measured, opened, plain, plain_loss, right_or_refused, text_of
from test_assay import make_text
from tiny import VOCABULARY, tiny_model
from unexplained.circuits import attribute_edges
from unexplained.opening import opening
from unexplained.study import INSTRUMENTS as REGISTERED
from unexplained.study import Run
from unexplained.subject import Subject
from unexplained.text import Text

WORDS = "half|bfloat16|float16"
HALVES = [torch.bfloat16, torch.float16]
ROUNDING = {torch.bfloat16: 0.1, torch.float16: 0.02}
"""Nats per token: 3 layers, 2^-8 or 2^-11 of values near 6 each time, some ten times."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for all tests here: choosing the product takes a third of a second."""
    monkeypatch.setenv("UNEXPLAINED_CACHE", str(cache))


def half(dtype: torch.dtype, architecture: str = "llama") -> Subject:
    return opened(tiny_model(architecture).to(dtype))


def repeats(subject: Subject) -> Text:
    rng = np.random.default_rng(0)
    rows = np.tile(rng.integers(0, VOCABULARY, (24, 12)), 2)
    return make_text("repeated", subject, rows[:12], rows[12:], 12)


INSTRUMENTS: dict[str, Callable[[Subject], Any]] = {
    "assay": lambda s: ux.assay(s, "L1.H2", repeats(s), twin=False, singles=0),
    "assay with a twin": lambda s: ux.assay(s, "L1.H2", repeats(s), singles=0),
    "sweep": lambda s: ux.sweep(s, "L1.H*", text_of(*[9] * 12), ablation="zero", pairs=0),
    "sweep by the mean": lambda s: ux.sweep(s, "L1.H*", text_of(*[9] * 12), pairs=0),
    "edges": lambda s: attribute_edges(s, PAIRS, method="eap"),
    "heads": lambda s: ux.head_scores(s, repeats(s)),
    "rewrite": lambda s: ux.rewrite(s, repeats(s), sites="L1.H*", draws=1),
}


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("name", INSTRUMENTS)
def test_every_instrument_works_with_a_note_or_refuses_half_precision_by_name(
    name: str, dtype: torch.dtype
) -> None:
    try:
        found = INSTRUMENTS[name](half(dtype))
    except ux.UnexplainedError as error:
        assert any(word in str(error) for word in WORDS.split("|")), f"refused, not for it: {error}"
        print(f"outcome: refused: {error}")
        return
    if hasattr(found, "notes") or hasattr(found, "model_dump_json"):
        assert "half precision" in found.model_dump_json()
    print("outcome: works")


@pytest.mark.parametrize("name", [one for one in REGISTERED.all() if REGISTERED.get(one).precise])
def test_what_says_that_it_has_to_be_precise_is_refused_before_and_after_loading(name: str) -> None:
    one = REGISTERED.get(name)
    with pytest.raises(ux.UnexplainedError, match="float32") as before, opening(dtype="bfloat16"):
        one.require({"text": "webmix"})
    assert str(before.value).startswith(one.precise)
    given = {parameter.name: parameter.default for parameter in one.parameters}
    with pytest.raises(ux.UnexplainedError, match="float32") as after:
        one.within(Run(half(torch.bfloat16), (), ux.Settings()), **given)
    assert str(after.value).startswith(one.precise)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gemma3", "gpt_neox"])
def test_losses_in_half_precision_are_near_those_in_float32(
    architecture: str, dtype: torch.dtype
) -> None:
    right = plain_loss(tiny_model(architecture).to(dtype).float())
    right_or_refused(lambda: loss(half(dtype, architecture)), right, WORDS, within=ROUNDING[dtype])


@pytest.mark.parametrize("dtype", HALVES)
def test_losses_in_half_precision_are_hugging_faces_own(dtype: torch.dtype) -> None:
    right = plain_loss(tiny_model("llama").to(dtype))
    right_or_refused(lambda: loss(half(dtype)), right, WORDS, within=ROUNDING[dtype] / 2)


@pytest.mark.parametrize("dtype", HALVES)
def test_the_note_of_half_precision_is_there(dtype: torch.dtype) -> None:
    try:
        subject = half(dtype)
    except ux.UnexplainedError as error:
        assert "half" in str(error)
        return
    assert any("half precision" in note for note in subject.notes)


def test_float64_is_right() -> None:
    fresh = tiny_model("llama").double()
    right_or_refused(lambda: measured(opened(tiny_model("llama").double())), plain(fresh), "")


def mixed(*paths: str) -> Callable[[], Any]:
    """A model of which some parts are in bfloat16."""

    def make() -> Any:
        model = tiny_model("llama")
        for path in paths:
            model.get_submodule(path).bfloat16()
        return model

    return make


def cast_before_head() -> Any:
    """A body in bfloat16 and an unembedding in float32, as training scripts leave it."""
    model = tiny_model("llama")
    model.model.bfloat16()
    model.lm_head.register_forward_pre_hook(lambda module, args: (args[0].float(),))
    return model


def norms_in_float32() -> Any:
    model = tiny_model("llama").bfloat16()
    for module in model.modules():
        if "Norm" in type(module).__name__:
            module.float()
    return model


MIXED = {
    "an MLP in bfloat16": mixed("model.layers.1.mlp"),
    "the unembedding in bfloat16": mixed("lm_head"),
    "the stack in bfloat16": mixed("model"),
    "an unembedding in float32 that casts": cast_before_head,
    "norms in float32": norms_in_float32,
}


@pytest.mark.parametrize("name", MIXED)
def test_mixed_precision_is_noted_or_refused_by_name(name: str) -> None:
    """The first parameter's type does not stand for all."""

    def number() -> dict[str, float]:
        subject = opened(MIXED[name]())
        found = loss(subject)
        assert any("half precision" in note for note in subject.notes), "no word of half precision"
        return found

    right = plain_loss(tiny_model("llama"))
    right_or_refused(number, right, f"{WORDS}|mixed|hook|type", within=0.2)


@pytest.mark.parametrize("name", ["an MLP in bfloat16", "the unembedding in bfloat16"])
def test_single_effects_under_mixed_precision_are_refused(name: str) -> None:
    with pytest.raises(ux.UnexplainedError, match=r"half|bfloat16|mixed|type"):
        ux.sweep(opened(MIXED[name]()), "L1.H*", text_of(*[9] * 12), ablation="zero", pairs=0)


def test_a_loss_that_float16_cannot_hold_is_refused_and_not_infinite() -> None:
    model = tiny_model("llama")
    with torch.no_grad():
        model.model.layers[1].mlp.down_proj.weight.mul_(3e4)
    with pytest.raises(ux.UnexplainedError, match=r"(NaN|infinite).*float32"):
        loss(opened(model.half()), TEXT)


def test_a_kind_of_number_may_be_named_and_a_wrong_name_is_refused_before_the_model_is_read() -> (
    None
):
    found = ux.load("rung-1", device="cpu", dtype="bfloat16").anatomy.model
    assert {weight.dtype for weight in found.parameters()} == {torch.bfloat16}
    with pytest.raises(ux.UnexplainedError, match=r"dtype='float61'.*Did you mean float16"):
        ux.load("rung-1", device="cpu", dtype="float61")

"""What an audit from outside found: each a number that changed in silence, or code that was asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers.models.llama.modeling_llama as modeling_llama
from torch.overrides import TorchFunctionMode

import unexplained as ux
from kinds import TEXT, loss, opened
from tiny import tiny_model, tiny_tokenizer
from unexplained.errors import ExplanationError, MeasurementError, SubjectError
from unexplained.evaluate import evaluate
from unexplained.explanations.carried import counted
from written import from_folder, write_folder


@pytest.mark.parametrize("name", ["_attn_implementation", "experts_implementation"])
@pytest.mark.parametrize("value", ["owner/kernels", "flash_attention_2"])
def test_a_configuration_that_names_code_of_a_hub_is_refused(
    name: str, value: str, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {name: value}))
    with pytest.raises(SubjectError, match=f"{name}.*{value}"):
        from_folder(folder)


def test_a_text_that_was_written_to_is_another_text(tmp_path: Path) -> None:
    subject = opened(tiny_model("llama"))
    text = TEXT.first(2)
    before = evaluate(subject, text, [], folder=tmp_path).sums("intact").per_token()
    kept = text.eval[0].tokens.copy()
    try:
        text.eval[0].tokens[:4] = 7
        again = evaluate(subject, text, [], folder=tmp_path).sums("intact").per_token()
        assert again == loss(subject, text)["intact"] != before
    finally:
        text.eval[0].tokens[:] = kept


def test_two_long_expressions_that_differ_at_their_end_are_two_explanations() -> None:
    def claim(expression: re.Pattern[str]):
        @ux.explanation(gives="pattern", reads=["tokens"])
        def one(view):
            """Looks back if it matches."""
            share = 1.0 if expression.match("a") else 0.0
            return share * ux.patterns.previous(view.tokens)

        return one

    long, other = (claim(re.compile("b" * 300 + end)) for end in ("|a", "|c"))
    assert long.source.fingerprint != other.source.fingerprint
    assert long.source.bits > claim(re.compile("b|a")).source.bits


@ux.explanation(gives="pattern", reads=["tokens"])
def helps_itself(view):
    """Reads more than it says."""
    view._reads = ("tokens", "pattern")
    return view.pattern


@ux.explanation(gives="pattern", reads=["tokens"])
def goes_around(view):
    """Asks behind the view."""
    return view._local.own("pattern")


@ux.explanation(gives="pattern", reads=["tokens"])
def undoes_the_check(view):
    """Changes what every view asks."""
    type(view)._declared = lambda self, name: None
    return view.pattern


@pytest.mark.parametrize("one", [helps_itself, goes_around, undoes_the_check])
def test_an_explanation_that_reaches_behind_its_view_is_refused(one: ux.Explanation) -> None:
    with pytest.raises(ExplanationError, match=r"_reads|_local|_declared"):
        counted(one)


@pytest.fixture
def doubled() -> Iterator[None]:
    class Doubles(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            found = function(*args, **(kwargs or {}))
            return found * 2 if function is torch.nn.functional.silu else found

    with Doubles():
        yield


def test_a_mode_of_torch_that_is_somebodys_own_is_refused(doubled: None) -> None:
    with pytest.raises(MeasurementError, match="inside a Doubles"):
        opened(tiny_model("llama"))


def test_what_is_no_model_and_a_device_without_values_are_refused() -> None:
    subject = opened(tiny_model("llama"))
    for strange in (subject, tiny_tokenizer(), 3, []):
        with pytest.raises(SubjectError, match="given as a"):
            ux.load(strange)  # type: ignore[arg-type]
    with pytest.raises(SubjectError, match="device 'meta'"):
        ux.load(tiny_model("llama"), tokenizer=tiny_tokenizer(), device="meta")
    model = tiny_model("llama")
    model.config.return_dict = False
    with pytest.raises(SubjectError, match="cannot be called"):
        opened(model)


@pytest.mark.parametrize(
    ("home", "name"),
    [
        (torch.nn.functional, "silu"),
        (modeling_llama, "apply_rotary_pos_emb"),
    ],
    ids=["silu", "apply_rotary_pos_emb"],
)
def test_a_function_that_somebody_put_in_the_place_of_one_that_a_model_calls_is_refused(
    home: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As libraries do that patch architectures: kept numbers would be those of before."""
    subject = opened(tiny_model("llama"))
    kept = getattr(home, name)
    monkeypatch.setattr(home, name, lambda *words, **more: kept(*words, **more))
    with pytest.raises(SubjectError, match=f"function {name}"):
        loss(subject)
    with pytest.raises(SubjectError, match=f"function {name}"):
        opened(tiny_model("llama"))

"""The float32 product: how it is chosen, and that fused attention keeps torch's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import unexplained as ux
from exact import TEXT
from kinds import measured, text_of
from tiny import tiny_subject, tokens
from unexplained.circuits import attribute_edges
from unexplained.errors import SubjectError
from unexplained.evaluate import Activations, observe
from unexplained.study import run
from unexplained.subject import Batch, Subject, precision
from unexplained.subject.attention import sdpa_attention_forward
from unexplained.subject.precision import ONEDNN, TORCH, Precision, choice

matmul = torch.backends.mkldnn.matmul


def test_faster_at_an_error_of_the_same_kind_is_taken() -> None:
    # Both sums are float32 in another order: measured on an AMD EPYC, K = 576.
    assert choice(1.37, 2.5e-7, 3.9e-7).setting == "oneDNN"


def test_what_rounds_to_bfloat16_is_not_taken_however_fast() -> None:
    assert choice(9.0, 2.5e-7, 1.7e-3).setting == "default"


def test_what_is_hardly_faster_is_not_taken() -> None:
    assert choice(1.1, 2.5e-7, 2.5e-7).setting == "default"


def test_rounding_to_bfloat16_is_an_error_far_beyond_the_bound() -> None:
    generator = torch.Generator().manual_seed(1)
    x, w = (torch.randn(size, 576, generator=generator) for size in (64, 32))
    exact = x.double() @ w.double().T
    rounded = x.bfloat16().double() @ w.bfloat16().double().T
    theirs = float((torch.nn.functional.linear(x, w).double() - exact).norm() / exact.norm())
    error = float((rounded - exact).norm() / exact.norm())
    assert choice(9.0, theirs, error).setting == "default"
    assert error > 1000 * theirs


def test_the_measured_decision_says_both_errors() -> None:
    found = precision.measure(64)
    assert found.setting in ("default", "oneDNN")
    assert "relative error" in found.why


def test_the_setting_is_put_back_also_after_an_error() -> None:
    before = matmul.fp32_precision
    with pytest.raises(ValueError, match="out"), Precision("oneDNN", "").applied():
        assert matmul.fp32_precision == ONEDNN
        raise ValueError("out")
    assert matmul.fp32_precision == before


def test_fused_attention_runs_on_torchs_own_product(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(*args, **kwargs):
        seen.append(matmul.fp32_precision)
        return sdpa_attention_forward(*args, **kwargs)

    subject = tiny_subject("llama")
    monkeypatch.setattr("unexplained.subject.attention.sdpa_attention_forward", spy)
    object.__setattr__(subject, "precision", Precision("oneDNN", "forced"))
    subject.run(Batch.of(tokens()))
    assert seen == [TORCH] * subject.shape.layers


def test_a_gradient_goes_back_through_attention_on_torchs_own_product() -> None:
    q, k = (torch.randn(1, 2, 5, 8, requires_grad=True) for _ in range(2))
    seen: dict[str, str] = {}
    with Precision("oneDNN", "forced").applied():
        attended = torch.nn.functional.scaled_dot_product_attention(q, k, k, is_causal=True)
        z = precision.fused_backward(attended)
        assert z.grad_fn is not None
        # Registered after the first ones, so run after them: inside, and outside again.
        z.grad_fn.register_prehook(lambda gradients: seen.update(inside=matmul.fp32_precision))
        z.grad_fn.register_hook(lambda found, given: seen.update(after=matmul.fp32_precision))
        z.sum().backward()
    assert seen == {"inside": TORCH, "after": ONEDNN}


@pytest.mark.parametrize("method", ["eap", "eap-ig-inputs", "eap-ig-activations"])
def test_edges_are_the_same_by_either_product(method) -> None:
    scores = []
    for setting in ("default", "oneDNN"):
        subject = tiny_subject("llama")
        object.__setattr__(subject, "precision", Precision(setting, "forced"))
        scores.append(attribute_edges(subject, TEXT, method=method, steps=3).mean)
    scale = abs(scores[0]).max()
    assert abs(scores[0] - scores[1]).max() < 1e-4 * scale


# --- the choice is a decision and not a coin ----------------------------------------------------------


def test_the_choice_can_be_set_and_is_then_nobody_elses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(precision, "decide", lambda *_: Precision("oneDNN", "timed"))
    monkeypatch.setenv(precision.VARIABLE, "default")
    found = precision.chosen("cpu", tmp_path / "products.json")
    assert (found.setting, found.fixed) == ("default", True)
    assert str(found) == "matrix products: default (asked for by UNEXPLAINED_PRODUCTS)"
    monkeypatch.delenv(precision.VARIABLE)
    assert precision.chosen("cpu", tmp_path / "products.json").setting == "oneDNN"


@pytest.mark.parametrize("asked", ["onednn", "bf16", " default", "1"])
def test_a_choice_that_is_none_is_refused_by_name(
    asked: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(precision.VARIABLE, asked)
    with pytest.raises(SubjectError, match=r"UNEXPLAINED_PRODUCTS=.*there is no such product"):
        precision.chosen("cpu", tmp_path / "products.json")


def test_what_would_round_to_bfloat16_is_refused_also_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(precision.VARIABLE, "oneDNN")
    monkeypatch.setattr(precision, "_tried", lambda times: (1.0, 2.5e-7, 0.2, 1.7e-3))
    with pytest.raises(SubjectError, match=r"relative error here is 1\.7e-03"):
        precision.chosen("cpu", tmp_path / "products.json")
    monkeypatch.setattr(precision, "_tried", lambda times: (1.0, 2.5e-7, 2.0, 3e-7))
    assert (
        precision.chosen("cpu", tmp_path / "products.json").setting == "oneDNN"
    )  # slower, but asked


def test_a_decision_of_which_a_word_was_changed_is_measured_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = tmp_path / "products.json"
    monkeypatch.setattr(precision, "processor", lambda: "here")
    monkeypatch.setattr(precision, "measure", lambda: Precision("oneDNN", "first"))
    assert precision.decide.__wrapped__("cpu", place).why == "first"
    monkeypatch.setattr(precision, "measure", lambda: Precision("oneDNN", "second"))
    assert precision.decide.__wrapped__("cpu", place).why == "first"
    for right, wrong in (("oneDNN", "default"), ("first", "frist")):
        whole = place.read_text()
        place.write_text(whole.replace(right, wrong))
        assert precision.decide.__wrapped__("cpu", place).why == "second"
        place.write_text(whole)


def kept_under(setting: str, folder: Path, **how: bool) -> dict[str, float]:
    subject = tiny_subject("llama")
    object.__setattr__(subject, "precision", Precision(setting, "played", **how))
    found = measured(subject, folder=folder)
    return found | {f"took {subject.precision.setting}": 0.0}


def test_who_goes_on_with_kept_work_takes_the_product_that_it_took(tmp_path: Path) -> None:
    """Whatever this machine's timing says today; what is asked for is done all the same."""
    first = kept_under("oneDNN", tmp_path)
    assert kept_under("default", tmp_path) == first
    assert len(list(tmp_path.glob("*/measured.json"))) == 1
    assert "took default" in kept_under("default", tmp_path, fixed=True)
    assert len(list(tmp_path.glob("*/measured.json"))) == 2
    # From now on there is work of both kinds, so each goes on with its own.
    assert "took default" in kept_under("default", tmp_path)
    assert "took oneDNN" in kept_under("oneDNN", tmp_path)


def test_work_that_other_code_kept_says_nothing_of_products(tmp_path: Path) -> None:
    """It is measured again anyway."""
    kept_under("oneDNN", tmp_path)
    (place,) = tmp_path.glob("*/measured.json")
    about = json.loads(place.read_text())
    place.write_text(json.dumps(about | {"code": "0" * 16}))
    assert "took default" in kept_under("default", tmp_path)


def test_a_sweep_fits_its_fills_by_the_product_that_kept_work_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else their low bits, and with them the names of kept units, would be others."""
    found, notes, units = [], [], []
    fitted = []

    def seen(subject: Subject, *others: Any, **more: Any) -> Activations:
        fitted.append(subject.precision.setting)
        return observe(subject, *others, **more)

    # Whether low bits differ depends on the processor; by which product they came about does not.
    monkeypatch.setattr(run, "observe", seen)
    for setting in ("oneDNN", "default"):
        subject = tiny_subject("llama")
        before = Precision(setting, "played")
        object.__setattr__(subject, "precision", before)
        object.__setattr__(subject, "notes", (str(before),))
        text = text_of(*[9] * 10)
        found.append(
            ux.sweep(subject, "L0.H*", text, folder=tmp_path, settings=ux.Settings(resamples=50))
        )
        notes.append(subject.notes)
        units.append({p: p.stat().st_mtime_ns for p in tmp_path.rglob("*.parquet")})
    assert units[0] == units[1] and units[0]
    assert set(fitted) == {"oneDNN"} and len(fitted) >= 2
    assert found[0].blocks[:-1] == found[1].blocks[:-1]
    assert notes[1] == (
        f"matrix products: oneDNN (as what is kept in {tmp_path.name} was measured)",
    )

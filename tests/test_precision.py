"""The float32 product: how it is chosen, and that fused attention keeps torch's own."""

from __future__ import annotations

import pytest
import torch

from exact import TEXT
from tiny import tiny_subject, tokens
from unexplained.circuits import attribute_edges
from unexplained.subject import Batch, precision
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

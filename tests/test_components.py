"""Every kind of component can be assayed from end to end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import unexplained as ux
from assayed import checks_of, of_row, rows_of
from test_assay import make_text
from tiny import VOCABULARY, tiny_subject
from unexplained.explanations import explanation
from unexplained.report import text_table


def claim(gives: str) -> Any:
    @explanation(gives=gives, reads=["tokens"], name="a table of tokens")
    def function(view: Any) -> Any:
        """A number for every token."""
        said = torch.sin(view.tokens * 1.3)
        shape = (*said.shape, *[1] * (view.blank.dim() - 2))
        return view.blank + said.view(shape)

    return function


SITES = {
    "L1.mlp": "value", "L1.N3": "value", "L1.attn": "value", "L1.resid_pre": "value",
    "L1.resid_mid": "value", "L1.resid_post": "value", "embed": "value", "final": "value",
    "L0.mlp L2.mlp": "value", "L1.H1": "z", "L1.H0": "q", "L1.H2": "k", "L1.H3": "v",
    "L2.H1": "out",
}  # fmt: skip


@pytest.mark.parametrize("where", SITES)
def test_a_component_of_any_kind_is_assayed_with_its_controls_and_fits(where: str) -> None:
    subject = tiny_subject("llama")
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, VOCABULARY, (10, 12)) for _ in range(2)]
    text = make_text("random", subject, rows[0], rows[1])
    one = claim(SITES[where])
    record = ux.assay(
        subject, where, text, explanations=[one, one.gated(), one.affine()],
        settings=ux.Settings(resamples=50), singles=0,
    )  # fmt: skip
    assert [check.holds for check in checks_of(record)[:2]] == [True, True]
    assert of_row(record, "the component itself", "against mean").value in (1.0, None)
    assert of_row(record, "the component itself", "increase").value == 0
    kinds = set(rows_of(record).values())
    assert {"ablation", "explanation", "fitted", "control", "twin"} <= kinds
    gate = of_row(record, "a table of tokens, gated", "loss").value
    assert gate is not None and np.isfinite(gate)
    assert "the component itself" in text_table(record, full=True)

"""The assay of where a gap lives, on rungs that ship."""

from __future__ import annotations

import dataclasses

import pytest

import unexplained as ux
from test_ladder import pydocs_like
from tiny import tiny_subject
from unexplained.errors import MeasurementError
from unexplained.record import GapRecord, load_record

SETTINGS = ux.Settings(resamples=200)


def rung(name: str) -> ux.Subject:
    return ux.load(name, device="cpu")


def test_in_their_own_order_the_gap_of_two_rungs_looks_more_concentrated(tmp_path) -> None:
    strong = rung("rung-3")
    record = ux.gap(
        strong, rung("rung-1"), pydocs_like(strong),
        chosen_by=(rung("rung-3-seed-1"), rung("rung-1-seed-1")), settings=SETTINGS,
    )  # fmt: skip
    honest, own = record.spread, record.flattered
    assert not honest.own and own.own
    assert own.effective.value < 0.7 * honest.effective.value
    assert own.carrying["0.5"].value < honest.carrying["0.5"].value
    # The same gap, whatever the order.
    assert own.gap == honest.gap
    gap = record.weak_loss.value - record.strong_loss.value
    assert honest.gap.value == pytest.approx(gap, rel=1e-4)
    others = {name: f"model {rung(name).fingerprint}" for name in (
        "rung-1", "rung-3-seed-1", "rung-1-seed-1")}  # fmt: skip
    assert record.others == others
    again = load_record(record.save(tmp_path / "gap.json"))
    assert isinstance(again, GapRecord) and again == record


def test_explanations_are_scored_on_the_crucial_tokens_and_on_the_rest() -> None:
    strong = rung("rung-3")
    text = pydocs_like(strong)
    text = ux.Text(**{**vars(text), "fit": text.eval})
    record = ux.gap(
        strong, rung("rung-1"), text, sites="L1.H0", share=0.1,
        chosen_by=(rung("rung-3-seed-1"), rung("rung-1-seed-1")), settings=SETTINGS,
    )  # fmt: skip
    (one,) = record.on_crucial
    assert (one.condition, one.ablation, one.weak) == ("strict induction", "mean", "rung-1")
    assert one.crucial.tokens + one.rest.tokens == record.tokens
    assert one.crucial.share == pytest.approx(0.1, abs=0.01)


def test_models_of_other_tokens_are_refused() -> None:
    strong = rung("rung-3")
    other = tiny_subject("llama")
    with pytest.raises(MeasurementError, match="tokenizers differ"):
        ux.gap(strong, other, pydocs_like(strong), chosen_by=(rung("rung-2"), rung("rung-1")))


def test_a_pair_that_shares_a_model_with_the_scored_one_may_not_choose() -> None:
    strong = rung("rung-3")
    with pytest.raises(MeasurementError, match="chance would choose"):
        ux.gap(strong, rung("rung-1"), pydocs_like(strong), chosen_by=(strong, rung("rung-2")))


def test_a_model_under_another_name_is_still_the_same_model() -> None:
    strong, weak = rung("rung-3"), rung("rung-1")
    copy = dataclasses.replace(rung("rung-3"), name="a copy")
    text = ux.text("repeats", strong, documents=8, fit_documents=8, block=24)
    with pytest.raises(MeasurementError, match="they are one model"):
        ux.gap(strong, weak, text, chosen_by=(copy, rung("rung-2")))

"""The assay of where a gap lives, on rungs that ship."""

from __future__ import annotations

import dataclasses

import pytest

import unexplained as ux
from test_ladder import pydocs_like
from tiny import tiny_subject
from unexplained.errors import MeasurementError
from unexplained.record import Record, load_record
from unexplained.record.blocks import Checks, Table
from unexplained.record.ids import walk

SETTINGS = ux.Settings(resamples=200)


def rung(name: str) -> ux.Subject:
    return ux.load(name, device="cpu")


def tables(record: Record) -> dict[str, Table]:
    return {f"{above}/{b.key}": b for above, b in walk(record.blocks) if isinstance(b, Table)}


def test_in_their_own_order_the_gap_of_two_rungs_looks_more_concentrated(tmp_path) -> None:
    strong = rung("rung-3")
    record = ux.gap(
        strong, rung("rung-1"), pydocs_like(strong),
        chosen_by=(rung("rung-3-seed-1"), rung("rung-1-seed-1")), seeds=False, settings=SETTINGS,
    )  # fmt: skip
    for quantity, least in (("effective", 0.7), ("carrying-0.5", 1.0)):
        honest, own = (record[f"orders/concentration/{quantity}/{by}"] for by in ("second", "own"))
        assert own.value < least * honest.value
    gap = record["facts/weak-loss/is"].value - record["facts/strong-loss/is"].value
    assert record["facts/gap/is"].value == pytest.approx(gap, rel=1e-4)
    others = {name: f"model {rung(name).fingerprint}" for name in (
        "rung-1", "rung-3-seed-1", "rung-1-seed-1")}  # fmt: skip
    assert record.others == others
    again = load_record(record.save(tmp_path / "gap.json"))
    assert isinstance(again, Record) and again == record


def test_explanations_are_scored_on_the_crucial_tokens_and_on_the_rest() -> None:
    strong = rung("rung-3")
    text = pydocs_like(strong)
    text = ux.Text(**{**vars(text), "fit": text.eval})
    record = ux.gap(
        strong, rung("rung-1"), text, sites="L1.H0", share=0.1,
        chosen_by=(rung("rung-3-seed-1"), rung("rung-1-seed-1")), seeds=False, settings=SETTINGS,
    )  # fmt: skip
    crucial, rest = tables(record)["crucial/explained"].rows
    assert (crucial.name, crucial.note) == ("strict induction", "crucial, against mean and rung-1")
    assert crucial.cells[0] + rest.cells[0] == text.predicted
    assert crucial.cells[1] == pytest.approx(0.1, abs=0.01)
    # What is claimed has its controls beside it, unasked.
    (controls,) = (block for block in record.blocks if isinstance(block, Checks))
    assert [check.name for check in controls.checks] == [
        "the component itself", "no explanation", "strict induction, shuffled",
    ]  # fmt: skip
    assert all(check.holds for check in controls.checks)


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

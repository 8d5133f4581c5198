"""Counterexamples: a planted second function surfaces, and what says all leaves nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

import unexplained as ux
from measured import LEAN
from test_soundness import cells
from unexplained.bars import hunted
from unexplained.bars.hunting import Hunted, HuntFindings, verdict
from unexplained.errors import MeasurementError, TextError
from unexplained.explanations.stand_in import StandIn
from unexplained.ledger import TOKEN_SCHEMA, Ledger
from unexplained.record import Number, Record
from unexplained.record.blocks import Tokens
from unexplained.record.ids import walk
from unexplained.report import render, text_table
from unexplained.testbeds.testbed import testbed as bed
from unexplained.testbeds.vocabulary import FOLLOWED

HALF = "testbed:half_induction"


@cache
def subject() -> ux.Subject:
    return ux.load(HALF, device="cpu")


@cache
def text() -> ux.Text:
    return ux.text(HALF, subject(), documents=16, fit_documents=16)


def hunt(claim: StandIn, *, twin: bool = False, sample: int = 3, top: float = 0.05) -> Record:
    record: Record = ux.hunt(
        subject(),
        "L1.H0",
        text(),
        claim=[claim],
        twin=twin,
        sample=sample,
        top=top,
        settings=LEAN,
        folder=None,
    )
    return record


@cache
def planted() -> Record:
    return hunt(ux.LIBRARY.get("strict_induction"), twin=True)


def number(record: Record, where: str) -> float:
    found = dict(record.numbers())[where].value
    assert found is not None, dict(record.numbers())[where].refused
    return found


def test_a_planted_second_function_surfaces() -> None:
    """The head adds to a token of class B its successor; strict induction says nothing of that."""
    record = planted()
    assert 0.3 < number(record, "sides/help/claim/explained") < 0.7
    assert number(record, "sides/help/elsewhere/explained") < 0.1
    # Half of what the head does is the rest, in all and where it is greatest.
    assert number(record, "sides/help/claim/everywhere") == pytest.approx(0.5, abs=0.02)
    (shown,) = [one for _, one in walk(record.blocks) if isinstance(one, Tokens)]
    assert len(shown.examples) == 3
    names = [subject().tokenizer.decode([i]) for i in FOLLOWED]
    for one in shown.examples:
        assert one.at and one.tokens[one.at - 1].text in names
        assert one.tokens[one.at].label == "first time"
    where = cells(record, "strata/recurrence")
    assert where["recurs, continuation repeats", "left"] == 0 != where["first time", "left"]
    assert where["first time", "left"] == where["first time", "chosen"]
    shares = [value.value for (_, column), value in where.items() if column == "share"]
    assert sum(shares) == pytest.approx(number(record, "sides/help/claim/left"))


def test_what_says_all_leaves_nothing_and_what_says_nothing_leaves_all() -> None:
    truth = hunt(bed("half_induction").truth)
    silent = hunt(ux.LIBRARY.get("previous_token"), top=0.045)
    assert "of the 4.5% of predictions" in silent.blocks[0].says  # type: ignore[union-attr]
    assert (
        number(truth, "sides/help/claim/left") == number(truth, "sides/help/claim/everywhere") == 0
    )
    assert not [one for _, one in walk(truth.blocks) if isinstance(one, Tokens)]
    assert number(silent, "sides/help/claim/explained") < 0.1
    carries = number(silent, "sides/help/claim/carries")
    assert number(silent, "sides/help/claim/left") == pytest.approx(carries, abs=0.02)


def test_a_model_that_learned_nothing_stands_beside_and_helps_little() -> None:
    found = dict(planted().numbers())
    mine, twins = (found[f"sides/help/{key}/total"].value or 0 for key in ("claim", "twin"))
    assert 0 < twins < mine / 10
    assert {row.name for row in planted().blocks[0].rows} >= {"helps: random weights"}  # type: ignore[union-attr]


def test_what_is_left_is_shown_in_context_and_marked() -> None:
    record = planted()
    told, page = text_table(record, full=True), render(record)
    (shown,) = [one for _, one in walk(record.blocks) if isinstance(one, Tokens)]
    for one in shown.examples:
        word = one.tokens[one.at or 0].text
        assert (
            f"⟦{word}⟧" in told and f"the model said {one.tokens[one.at or 0].intact_says}" in told
        )
    assert page.count(' at"') == len(shown.examples)


# The arithmetic


def ledger(**losses: np.ndarray) -> Ledger:
    """Losses by condition, (document, prediction)."""
    rows = [
        {
            "condition": name,
            "document": f"d{i:02}",
            "loss": row.tolist(),
            "predicted": [0] * len(row),
        }
        for name, every in losses.items()
        for i, row in enumerate(every)
    ]
    return Ledger(Ledger.empty().table, pa.Table.from_pylist(rows, TOKEN_SCHEMA))


def test_shares_are_those_of_a_loop_and_every_bar_is_the_other_halfs() -> None:
    rng = np.random.default_rng(0)
    intact = rng.normal(3, 1, (40, 20))
    gone, claim = intact + rng.normal(0.1, 1, (40, 20)), intact + rng.normal(0, 0.6, (40, 20))
    gone[:, 0] = intact[:, 0]  # what is neither helped nor harmed
    found = hunted(ledger(intact=intact, gone=gone, claim=claim), "claim", "gone", top=0.2,
                   keeps=0.5, settings=LEAN)  # fmt: skip
    for side, sign in (("help", 1), ("harm", -1)):
        gain, kept = (sign * (gone - one).astype(np.float32) for one in (intact, claim))
        total = missed = left = carried = held = 0.0
        chosen = explained = helped = 0
        for i in range(40):
            bar = np.quantile(np.concatenate([gain[j] for j in range(40) if (i - j) % 2]), 0.8)
            for mine, says in zip(gain[i], kept[i], strict=True):
                total, helped = total + max(mine, 0), helped + (mine > 1e-5)
                missed += max(mine, 0) * (says < mine / 2)
                if mine >= bar:
                    chosen, explained = chosen + 1, explained + (says >= mine / 2)
                    carried, left = carried + mine, left + mine * (says < mine / 2)
                    held += says
        got = found.sides[side]  # type: ignore[index]
        assert got.chosen == chosen
        assert got.explained.value == pytest.approx(explained / chosen)
        for mine, expected in ((got.total, total / 800), (got.carries, carried / total),
                               (got.left, left / total), (got.everywhere, missed / total),
                               (got.helped, helped / 800), (got.kept, held / carried)):  # fmt: skip
            assert mine.value == pytest.approx(expected, rel=1e-5)
    assert found.net.value == pytest.approx((gone - intact).mean(), rel=1e-4)
    assert found.net.value == pytest.approx(
        (found.sides["help"].total.value or 0) - (found.sides["harm"].total.value or 0), rel=1e-4
    )


def test_where_a_component_does_nothing_shares_are_refused() -> None:
    intact = np.random.default_rng(0).normal(3, 1, (12, 20))
    one = hunted(ledger(intact=intact, gone=intact, claim=intact), "claim", "gone", top=0.05,
                 keeps=0.5, settings=LEAN).sides["help"]  # fmt: skip
    assert one.chosen == 0 and one.left.refused and isinstance(one.explained, Number)
    assert one.explained.refused == "there are no tokens here"


def test_of_a_component_that_only_harms_the_harm_is_told() -> None:
    """That there is nothing to explain stood beside two nats of harm, all of which the claim explained."""
    rng = np.random.default_rng(0)
    gone = rng.normal(3, 1, (12, 20))
    harmed = gone + np.abs(rng.normal(1, 0.3, gone.shape))
    found = hunted(ledger(intact=harmed, gone=gone, claim=harmed), "claim", "gone", top=0.05,
                   keeps=0.5, settings=LEAN)  # fmt: skip
    claim = Hunted("claim", "the rule", "", "explanation", found)
    said = verdict(HuntFindings("L0.N0", (claim,), 0.05, 0.5))
    assert said.startswith("Of L0.N0 no prediction of this text is helped; it harms by 0.99 [")
    assert "harmed most the rule explains 100%" in said
    nothing = hunted(ledger(intact=gone, gone=gone, claim=gone), "claim", "gone", top=0.05,
                     keeps=0.5, settings=LEAN)  # fmt: skip
    silent = HuntFindings("L0.N0", (replace(claim, hunt=nothing),), 0.05, 0.5)
    assert "helped or harmed: there is nothing to explain" in verdict(silent)


def test_what_cannot_be_hunted_is_refused_before_anything_is_run() -> None:
    rule = ux.LIBRARY.get("strict_induction")
    for given, said in (({"top": 1.0}, "top=1"), ({"keeps": 0.0}, "keeps=0"),
                        ({"claim": [rule, rule]}, "2 claims")):  # fmt: skip
        with pytest.raises(MeasurementError, match=said):
            ux.hunt(subject(), "L1.H0", text(), folder=None, **given)
    with pytest.raises(TextError, match="3 documents"):
        ux.hunt(subject(), "L1.H0", ux.text(HALF, subject(), documents=3, fit_documents=8))
    pairs = ux.text("testbed:soft_induction", ux.load("testbed:soft_induction", device="cpu"))
    with pytest.raises(TextError, match="pairs of prompts"):
        ux.hunt(ux.load("testbed:soft_induction", device="cpu"), "L1.H0", pairs)

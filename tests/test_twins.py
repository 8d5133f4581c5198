"""The random-weight twin: beside every assay, sweep and circuit, measured as the model is."""

from __future__ import annotations

import numpy as np
import pytest

import unexplained as ux
from assayed import of_row, rows_of
from cells import cell, column, table
from swept import block, by_component, fact
from test_assay import make_text, subject_of
from unexplained.bars.cards import Card
from unexplained.circuits import Graph
from unexplained.circuits.orders import given_orders, without_thought
from unexplained.errors import MeasurementError
from unexplained.instruments import circuit
from unexplained.record import Header, Number, Record
from unexplained.record.bars import KeptAt, KeptCurve
from unexplained.report import render, text_table
from unexplained.study import Run, arms
from unexplained.study.twins import TWIN, TWIN_DOCUMENTS, few
from unexplained.subject import Subject
from unexplained.testbeds import prompts
from unexplained.testbeds.prompts import pairs_text
from unexplained.testbeds.texts import repeated
from unexplained.text import Text

SETTINGS = ux.Settings(resamples=200)


def swept(**asked: object) -> tuple[Subject, Text, Record]:
    subject, _ = subject_of("strict_induction")
    tokens = repeated(np.random.default_rng(5), 20, 12)
    text = make_text("copies", subject, tokens, tokens, second_copy=13)
    return subject, text, ux.sweep(subject, "L*.H*", text, settings=SETTINGS, **asked)  # type: ignore[arg-type]


def planted_pairs() -> tuple[Subject, Text]:
    text = pairs_text("slots", prompts.other_slot, orbits=12, fit_orbits=10)
    return subject_of("soft_induction")[0], text


@pytest.fixture(scope="module")
def circuits() -> tuple[Subject, Text, Record]:
    subject, text = planted_pairs()
    record = ux.circuit(
        subject, text, methods=("eap",), sizes=(0.1, 1.0), draws=2, settings=SETTINGS
    )
    return subject, text, record


@pytest.mark.parametrize("ablation", ["zero", "mean"])
def test_a_sweep_of_the_twin_is_that_of_a_model_with_its_weights(ablation: str) -> None:
    subject, text, record = swept(ablation=ablation)
    alone = ux.sweep(subject.twin(0), "L*.H*", few(text), ablation=ablation, settings=SETTINGS,
                     twin=False)  # fmt: skip
    twins = fact(record, "documents", "twin/facts")
    assert fact(alone, "documents") == twins == TWIN_DOCUMENTS
    change, beside = by_component(alone, "change"), by_component(record, "twin")
    assert change.keys() == beside.keys()
    for site, number in change.items():
        assert beside[site].value == pytest.approx(number.value, abs=2e-6)
    assert fact(record, "model", "twin/facts") == subject.twin(0).name != record.subject


def test_what_is_planted_is_not_in_the_twin() -> None:
    _, _, record = swept(ablation="zero")
    site, strongest = next(iter(by_component(record, "change").items()))
    there = by_component(record, "twin")[site]
    assert abs(there.value) < 0.05 * strongest.value


def numbers(record: Record) -> dict[str, Number]:
    """All of a record's own, without what is said of its twin."""
    return {where: number for where, number in record.numbers() if "twin" not in where}


def test_the_twin_can_be_left_out_and_changes_no_other_number() -> None:
    _, _, with_twin = swept(ablation="zero")
    _, _, without = swept(ablation="zero", twin=False)
    assert "random weights" not in without.to_json()
    assert numbers(without) == dict(without.numbers()) == numbers(with_twin)
    for name, there in (("q", "effects"), ("ranks", "effects"), ("p", "more")):
        one, other = (by_component(of, name, f"alone/{there}") for of in (without, with_twin))
        assert one == other


@pytest.mark.parametrize("method", ["control variates", "race"])
def test_a_cheaper_sweep_has_a_twin_too(method: str) -> None:
    _, _, record = swept(ablation="zero", method=method, sample=10)
    assert set(by_component(record, "measured").values()) != {None}
    # The twin's are all measured exactly, on all of its documents.
    assert all(number.value is not None for number in by_component(record, "twin").values())
    assert fact(record, "documents", "twin/facts") == TWIN_DOCUMENTS


def test_a_circuit_has_its_twin_with_its_own_logit_differences_and_no_orders_without_thought(
    circuits: tuple[Subject, Text, Record],
) -> None:
    subject, text, record = circuits
    orders = {
        key: [c.key for c in table(record, key).columns]
        for key in ("sizes/kept", "twin/sizes/kept")
    }
    assert list(orders.values()) == [["eap", "magnitude", "random"], ["eap"]]
    small = few(text)
    on = [cell(record, f"twin/facts/{key}/is") for key in ("pairs", "orbits")]
    assert on == [len(small.eval), len(small.units)]
    alone = ux.circuit(subject.twin(0), small, methods=("eap",), sizes=(0.1, 1.0), draws=2,
                       settings=SETTINGS, gated=False, twin=False)  # fmt: skip
    own, gap = alone["facts/gap/is"].value, record["twin/facts/gap/is"].value
    assert own == pytest.approx(gap, abs=1e-5)
    assert column(alone, "sizes/kept", "eap") == column(record, "twin/sizes/kept", "eap")
    assert abs(gap or 0) < 0.1 * abs(record["facts/gap/is"].value or 0)
    assert record.seconds + 0.1 > record.took[TWIN] > 0


def test_an_order_of_edges_that_claims_something_is_not_measured_without_random_ones() -> None:
    subject, text = planted_pairs()
    run, graph = Run(subject, (text,), SETTINGS), Graph.of(subject.shape, parallel=False)
    mine = given_orders({"mine": np.arange(graph.edges, dtype=float)}, graph, "signed")
    size, random = without_thought(np.arange(graph.edges, dtype=float), graph, 2, 0)
    with pytest.raises(MeasurementError, match=r"claim 'mine, 3 edges'.*without controls"):
        run.measure(*arms.circuits(run, graph, [*mine, size], [3]), needs="logit difference")
    claim, *beside = arms.circuits(run, graph, [*mine, size, random], [3])
    assert [one.name for one in claim.controls] == random.names(3)
    assert [one.card.role for one in (claim, *beside)] == ["explanation", *["baseline"] * 3]
    read = run.measure(claim, needs="logit difference")  # unasked they come along
    assert [card.name for card in read.cards] == [claim.name, *random.names(3)]


def test_orbits_of_pairs_stay_whole() -> None:
    _, text = planted_pairs()
    small = few(text)
    whole = {unit: sum(block.unit == unit for block in text.eval) for unit in small.units}
    assert all(sum(b.unit == unit for b in small.eval) == count for unit, count in whole.items())
    assert len(small.eval) <= TWIN_DOCUMENTS and len(small.fit) <= TWIN_DOCUMENTS


def shown(record: Header) -> str:
    return " ".join(text_table(record, full=True).split())


def test_a_sweep_prints_its_twin_its_cost_and_its_kind_of_method() -> None:
    _, _, record = swept(ablation="zero")
    said = block(record, "twin").blocks[0].words
    for words in (shown(record), render(record)):
        assert "The same with random weights" in words and "On 16 documents, each alone" in words
        assert said.replace("−", "-") in words.replace("−", "-")
        assert "internals" in words
    (took,) = record.took.values()
    assert f"of which {TWIN} {took:.1f} s" in render(record)


def test_a_circuit_prints_its_twin_and_its_kinds_of_methods(
    circuits: tuple[Subject, Text, Record],
) -> None:
    record = circuits[2]
    for words in (shown(record), render(record)):
        assert "The same with random weights" in words
        assert "black-box" in words and "internals" in words


def test_a_twin_of_which_every_share_is_refused_says_so() -> None:
    nothing = Number(value=None, refused="the denominator is nothing", unit="share")
    some = Number(value=0.1, unit="share")

    def said(*kept: Number) -> str:
        points = tuple(
            KeptAt(edges=i, share=0.1, logit_difference=some, kept=one)
            for i, one in enumerate(kept)
        )
        curve = KeptCurve(
            edges=9, points=points, area=None, distance=None, knee=None, knee_by_value=None
        )
        return circuit._verdict_of_twin([(Card(name="eap", role=""), curve)], "ioi")

    assert said(nothing, nothing) == "Nothing is there to be kept: every share was refused."
    assert (
        said(nothing, some) == "What circuits keep of ioi is refused: the denominator is nothing."
    )


def test_an_assay_states_what_its_twin_took_and_how_often_the_model_is_right() -> None:
    subject, _ = subject_of("strict_induction")
    tokens = repeated(np.random.default_rng(5), 16, 12)
    text = make_text("copies", subject, tokens, tokens, second_copy=13)
    record = ux.assay(subject, "L1.H0", text, settings=SETTINGS, singles=0)
    assert 0 < record.took[TWIN] < record.seconds + 0.1
    assert "twin" in rows_of(record).values()
    # Second route: how often the model is right, from its own logits.
    import torch

    ids = torch.from_numpy(np.stack([block.tokens for block in text.eval])).long()
    with torch.no_grad():
        says = subject.anatomy.model(ids, use_cache=False).logits[:, :-1].argmax(-1)
    right = (says == ids[:, 1:]).double().mean().item()
    found = record["text-1/size/right/is"]
    assert found.value == pytest.approx(right, abs=1e-9)
    assert of_row(record, "the component itself", "right") == found
    assert of_row(record, "the component itself", "agreement").value == 1
    # The planted head is what is right.
    assert (of_row(record, "no explanation", "right").value or 0) < right


def test_faithful_is_not_reliable() -> None:
    """A model that is wrong throughout, explained perfectly: agreement 1, right 0."""
    subject, _ = subject_of("empty")
    tokens = repeated(np.random.default_rng(5), 12, 12)
    text = make_text("copies", subject, tokens, tokens, second_copy=13)
    record = ux.assay(subject, "L1.H0", text, settings=SETTINGS, twin=False, singles=0)
    assert of_row(record, "the component itself", "agreement").value == 1
    assert (of_row(record, "the component itself", "right").value or 0) < 0.1
    assert not record.took

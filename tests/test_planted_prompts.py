"""Planted models on pairs of prompts: a preference that vanishes when balanced, and a circuit."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

import unexplained as ux
from cells import cell, column
from swept import told
from test_assay import subject_of
from test_planted_pairs import (
    SETTINGS,
    alone,
    graph_of,
    logit_differences_with,
    logit_differences_without,
    mean,
    swept,
    zeroed,
)
from unexplained.circuits import attribute_edges, edge_sizes
from unexplained.errors import SubjectError, TextError
from unexplained.evaluate import evaluate
from unexplained.study import Run
from unexplained.study.gate import gate
from unexplained.subject import Subject
from unexplained.testbeds import circuit, name_bias, planted, prompts, soft_induction
from unexplained.testbeds.prompts import pairs_text, text_of
from unexplained.text import Text

# A preference that passes for a behaviour.


@pytest.fixture(scope="module")
def named() -> tuple[Subject, Text]:
    return subject_of("name_bias")[0], pairs_text("names", prompts.two_slots, orbits=10)


def part_of(text: Text, **labels: str) -> Text:
    some = tuple(
        pair
        for pair in text.eval
        if all(pair.labels[partition] == label for partition, label in labels.items())  # type: ignore[attr-defined]
    )
    name = f"{text.name}, {labels}"
    return replace(text_of(name, [some], [text.fit]), name=name)  # type: ignore[list-item]


def test_single_pairs_have_the_derived_logit_differences_and_balanced_ones_their_mean(
    named: tuple[Subject, Text],
) -> None:
    subject, text = named
    ledger = evaluate(subject, text, [zeroed("none", "L1.H0")])
    for behaviour, name in ((1, "intact"), (0, "none")):
        for favourite, last in itertools.product((True, False), repeat=2):
            some = part_of(
                text,
                favourite="answer" if favourite else "wrong",
                order="answer last" if last else "answer first",
            )
            one = text_of("one pair", [some.eval[:1]])  # type: ignore[list-item]
            (found,) = evaluate(subject, one, [zeroed("none", "L1.H0")]).sums(name).logit_difference
            wanted = name_bias.derived_logit_difference(
                favourite=favourite, last=last, behaviour=behaviour
            )
            assert found == pytest.approx(wanted, abs=1e-3)
        # Without the behaviour one pair says 10, and another −2 with it.
        assert mean(ledger, name) == pytest.approx(8 * behaviour, abs=1e-4)


def test_the_bias_vanishes_when_balanced_and_shows_at_full_size_on_a_half(
    named: tuple[Subject, Text],
) -> None:
    _, text = named
    whole = swept("name_bias", text, ablation="zero", measure="logit difference", gated=False)
    expected = {"L0.H0": -8.0, "L1.H0": -8.0}
    for site, change in alone(whole).items():
        assert change == pytest.approx(expected.get(site, 0), abs=1e-3)
    assert told(whole) == set(expected)
    for favourite, sign in (("answer", -1), ("wrong", 1)):
        half = swept(
            "name_bias", part_of(text, favourite=favourite),
            ablation="zero", measure="logit difference", gated=False,
        )  # fmt: skip
        changes = alone(half)
        assert changes["L1.H2"] == pytest.approx(sign * 6, abs=1e-3)
        assert changes["L1.H3"] == pytest.approx(0, abs=1e-3)
        assert changes["L1.H0"] == pytest.approx(-8, abs=1e-3)


def test_patching_never_sees_a_constant_and_sees_recency_only_on_a_half(
    named: tuple[Subject, Text],
) -> None:
    _, text = named
    whole = alone(swept(
        "name_bias", text, ablation="patch", measure="logit difference", gated=False,
    ))  # fmt: skip
    assert whole["L1.H0"] == pytest.approx(-16, abs=1e-3)
    assert whole["L1.H2"] == pytest.approx(0, abs=1e-3)
    assert whole["L1.H3"] == pytest.approx(0, abs=1e-3)
    for order, sign in (("answer last", -1), ("answer first", 1)):
        half = swept(
            "name_bias", part_of(text, order=order),
            ablation="patch", measure="logit difference", gated=False,
        )  # fmt: skip
        changes = alone(half)
        assert changes["L1.H2"] == pytest.approx(0, abs=1e-3)
        assert changes["L1.H3"] == pytest.approx(sign * 8, abs=1e-3)


def test_the_gate_sees_that_a_bias_decides_in_one_role(named: tuple[Subject, Text]) -> None:
    """Logit differences are 8 ± 6 ± 4: of those with the favourite as the wrong word half are −2."""
    subject, text = named
    found = gate(Run(subject, (text,), SETTINGS))
    assert {role.says: role.accuracy.value for role in found.roles} == {
        "favourite answer": 1.0,
        "favourite wrong": 0.5,
    }
    assert found.accuracy.value == 0.75 and found.logit_difference.value == pytest.approx(
        8, abs=1e-3
    )
    assert not found.passed and found.fails == "not told from chance in favourite wrong"


def test_in_the_loss_a_bias_does_not_cancel(named: tuple[Subject, Text]) -> None:
    """A mean of losses is no mean of logit differences: balance buys nothing where the measure is curved."""
    subject, text = named
    ledger = evaluate(subject, text, [zeroed("unbiased", "L1.H2")])
    assert mean(ledger, "intact", "loss") - mean(ledger, "unbiased", "loss") > 0.4
    assert mean(ledger, "intact") == pytest.approx(mean(ledger, "unbiased"), abs=1e-4)


# A circuit.


@pytest.fixture(scope="module")
def crowd() -> tuple[Subject, Text]:
    return subject_of("soft_induction")[0], pairs_text("slots", prompts.other_slot, orbits=6)


def test_every_part_of_the_circuit_keeps_what_was_derived(crowd: tuple[Subject, Text]) -> None:
    subject, text = crowd
    edges = sorted(circuit("soft_induction"))
    sets = [list(some) for n in range(6) for some in itertools.combinations(edges, n)]
    found = logit_differences_with(subject, text, sets)
    expected = [soft_induction.derived_logit_difference(some) for some in sets]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    shares = [soft_induction.derived_kept(some) for some in sets]
    assert max(shares[:-1]) < 0.51
    assert shares[-1] == 1


def test_all_edges_outside_the_circuit_keep_nothing_and_its_logit_difference_is_the_models(
    crowd: tuple[Subject, Text],
) -> None:
    subject, text = crowd
    edges = list(circuit("soft_induction"))
    (rest,) = logit_differences_without(subject, text, [edges])
    (intact,) = logit_differences_without(subject, text, [[]])
    assert rest == pytest.approx(soft_induction.derived_logit_difference(()), abs=1e-3)
    assert intact == pytest.approx(soft_induction.derived_logit_difference(edges), abs=1e-3)
    corrupted = evaluate(subject, text.swapped(), [], measure="logit difference")
    assert mean(corrupted, "intact") == pytest.approx(
        soft_induction.derived_logit_difference(()), abs=1e-3
    )


def test_attribution_puts_the_circuit_first_with_the_derived_scores(
    crowd: tuple[Subject, Text],
) -> None:
    subject, text = crowd
    scores = attribute_edges(subject, text, method="eap")
    names = [scores.graph.name(edge) for edge in scores.ranking(by="absolute")]
    assert set(names[:5]) == circuit("soft_induction")
    for edge, score in enumerate(scores.mean):
        wanted = soft_induction.ATTRIBUTED.get(scores.graph.name(edge), 0.0)
        assert score == pytest.approx(wanted, abs=1e-3), scores.graph.name(edge)


def test_by_size_of_what_differs_the_crowd_comes_first(crowd: tuple[Subject, Text]) -> None:
    subject, text = crowd
    sizes, graph = edge_sizes(subject, text), graph_of(subject)
    order = [graph.name(edge) for edge in np.argsort(-sizes, kind="stable")]
    places = [order.index(edge) for edge in circuit("soft_induction")]
    assert min(places) > 5
    assert max(places) > 40


def test_the_curve_of_recovery_by_size_has_its_knee_at_the_circuit(
    crowd: tuple[Subject, Text],
) -> None:
    subject, _ = crowd
    # Orbits that all agree still leave room for one in as many that does not: six are too few.
    text = pairs_text("slots", prompts.other_slot, orbits=20, fit_orbits=4)
    sizes = [count / graph_of(subject).edges for count in (1, 2, 3, 4, 5, 20)]
    record = ux.circuit(subject, text, sizes=sizes, draws=1, settings=SETTINGS)
    for method in ("eap", "eap-ig-inputs"):
        kept = column(record, "sizes/kept", method)
        assert max(number.value or 0 for number in kept[:4]) < 0.51
        assert [number.value for number in kept[4:]] == pytest.approx([1, 1], abs=1e-3)
        assert cell(record, f"sizes/orders/{method}/knee") == 5
        assert (kept[4].low or 0) == pytest.approx(0.025 ** (1 / 20), abs=0.01)
    for baseline in ("magnitude", "random"):
        assert cell(record, f"sizes/orders/{baseline}/knee") == "none"


# The prompts.


MAKERS = {
    "one back": (prompts.one_back, 2),
    "two slots": (prompts.two_slots, 4),
    "other slot": (prompts.other_slot, 2),
}


@pytest.mark.parametrize("name", MAKERS)
def test_every_orbit_has_each_word_in_both_roles(name: str) -> None:
    maker, size = MAKERS[name]
    text = pairs_text(name, maker, orbits=20, fit_orbits=5)
    assert len(text.eval) == 20 * size and len(text.units) == 20
    assert len({pair.document for pair in (*text.eval, *text.fit)}) == 25 * size
    for unit in text.units:
        pairs = [pair for pair in text.eval if pair.unit == unit]
        answers = sorted(pair.answer for pair in pairs)  # type: ignore[attr-defined]
        assert answers == sorted(pair.wrong for pair in pairs)  # type: ignore[attr-defined]
        assert len(set(answers)) == 2
    assert not set(text.units) & {pair.unit for pair in text.fit}


class Drawn:
    """A generator that draws given words."""

    def __init__(self, *words: int) -> None:
        self.words = words

    def permutation(self, pool: list[int]) -> tuple[int, ...]:
        assert set(self.words) <= set(pool)
        return self.words


def test_an_orbit_is_the_same_whichever_role_is_drawn_first() -> None:
    one, two, other = (
        prompts.one_back(Drawn(*words))  # type: ignore[arg-type]
        for words in ((5, 6, 7, 8, 9), (5, 6, 7, 9, 8), (5, 6, 7, 8, 10))
    )
    assert one[0].orbit == one[1].orbit == two[0].orbit != other[0].orbit
    assert one[0].document == two[0].document or one[0].document == two[1].document


def test_a_seed_gives_the_same_text_and_another_seed_another() -> None:
    one, two = (pairs_text("names", prompts.two_slots, seed=seed) for seed in (1, 2))
    again = pairs_text("names", prompts.two_slots, seed=1)
    assert one.fingerprint == again.fingerprint != two.fingerprint


def test_more_orbits_than_there_are_are_refused() -> None:
    fixed = prompts.one_back(np.random.default_rng(0))
    with pytest.raises(TextError, match="no more than 1"):
        pairs_text("one", lambda rng: fixed, orbits=1, fit_orbits=1)


def test_a_circuit_is_stated_for_some_models_and_refused_for_others() -> None:
    for name in ("mediation", "soft_induction"):
        graph = graph_of(subject_of(name)[0])
        assert all(graph.find(edge) >= 0 for edge in circuit(name))
        assert planted(name).circuit == circuit(name)
    with pytest.raises(SubjectError, match="mediation, soft_induction"):
        circuit("empty")
    with pytest.raises(SubjectError, match="Did you mean"):
        circuit("soft-induction")

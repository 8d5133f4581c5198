"""Planted models of interactions, mediation, nuisances and a circuit: the engine finds what was derived.

`logits_of` is a second program of the five models, loops over a list of tokens, written from the
sentences in docs/planted-models.md without numpy, torch or constants of `unexplained.testbeds`.
"""

from __future__ import annotations

import doctest
import importlib
import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import unexplained as ux
from test_assay import make_text, subject_of
from unexplained.circuits import Graph, attribute_edges, edge_sizes
from unexplained.circuits.running import Circuits
from unexplained.errors import SubjectError, TextError
from unexplained.evaluate import Edited, evaluate
from unexplained.ledger import Ledger
from unexplained.record import Joint, SweepRecord
from unexplained.subject import Batch, Edit, Subject
from unexplained.testbeds import (
    cancelling,
    circuit,
    mediation,
    name_bias,
    planted,
    prompts,
    soft_induction,
    stand_ins,
)
from unexplained.testbeds.losses import SILENT
from unexplained.testbeds.prompts import pairs_text, text_of
from unexplained.testbeds.texts import interrupted, irregular, two_rules
from unexplained.text import Text

SETTINGS = ux.Settings(resamples=200)
NAMES = ("cancelling", "mediation", "name_bias", "soft_induction", "stand_ins")
LOGITS = {"soft_induction": 7e-4}
"""Logit · (|copied|² + |aside|²) / (2 · 1024²): of the crowd 8 · 13² / 2²¹, of others below 1e-4."""


def logits_of(name: str, tokens: list[int], t: int) -> list[float]:
    """Logits at a position, from the words in the documentation; BOS is left at 0."""
    row = [0.0] * 49
    follows = [s for s in range(1, t + 1) if tokens[s - 1] == tokens[t]]
    if name == "mediation":
        row[tokens[max(0, t - 1)]] += 5.0
    if name == "stand_ins":
        if tokens[t] > 24:
            row[tokens[t] - 24] += 8.0
        else:
            for s in follows:
                row[tokens[s]] += 16.0 / len(follows)
    if name == "name_bias":
        row[1] += 6.0
        row[tokens[max(0, t - 2)]] += 4.0
        for s in follows:
            row[tokens[s]] += 8.0 / len(follows)
    if name == "soft_induction":
        weights = [math.exp(4.0) if s in follows else 1.0 for s in range(t + 1)]
        for s in range(t + 1):
            row[tokens[s]] += 8.0 * weights[s] / sum(weights)
    row[0] = 0.0
    return row


@pytest.mark.parametrize("name", NAMES)
def test_the_logits_are_those_of_the_program(name: str) -> None:
    subject, _ = subject_of(name)
    tokens = irregular(np.random.default_rng(3), 4, 60)
    with torch.no_grad():
        found = subject.anatomy.model(torch.from_numpy(tokens)).logits[..., 1:].numpy()
    expected = np.array(
        [[logits_of(name, row, t)[1:] for t in range(len(row))] for row in tokens.tolist()]
    )
    np.testing.assert_allclose(found, expected, atol=LOGITS.get(name, 1e-4), rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_the_planted_heads_attend_by_their_rule(name: str) -> None:
    bed = planted(name)
    tokens = irregular(np.random.default_rng(4), 4, 60)
    bed.model.set_attn_implementation("eager")
    with torch.no_grad():
        patterns = bed.model(torch.from_numpy(tokens), output_attentions=True).attentions
    for site in bed.sites:
        found = patterns[site.layer][:, site.index].numpy()
        # Soft scores feel what is beside them in the stream, 4 · 6² / 2²¹ of themselves.
        np.testing.assert_allclose(found, bed.rule(tokens), atol=1e-4 / 3, rtol=0)


@pytest.mark.parametrize("name", [*NAMES, "prompts", "planted"])
def test_the_numbers_in_docstrings_are_computed(name: str) -> None:
    module = importlib.import_module(f"unexplained.testbeds.{name}")
    done = doctest.testmod(module)
    assert done.attempted > 0 and done.failed == 0


def zeroed(name: str, *sites: str, effect: str = "total") -> Edited:
    edits = tuple(Edit(ux.site(site), lambda x: torch.zeros_like(x.value)) for site in sites)
    return Edited(name, edits, f"zero {sites}", effect)  # type: ignore[arg-type]


def swept(name: str, text: Text, **options: object) -> SweepRecord:
    return ux.sweep(subject_of(name)[0], "L*.H*", text, settings=SETTINGS, **options)  # type: ignore[arg-type]


def couple(record: SweepRecord, *sites: str) -> Joint:
    (found,) = [joint for joint in record.pairs if set(joint.sites) == set(sites)]
    return found


def alone(record: SweepRecord) -> dict[str, float]:
    return {effect.site: effect.change.value or 0.0 for effect in record.effects}


# Heads that cancel, heads that stand in for each other.


@pytest.fixture(scope="module")
def cancelled() -> SweepRecord:
    subject, _ = subject_of("cancelling")
    tokens = interrupted(np.random.default_rng(5), 12, 11, 4)
    return swept("cancelling", make_text("interrupted", subject, tokens, tokens), ablation="zero")


def test_a_planted_cancelling_pair_costs_much_alone_and_nothing_together(
    cancelled: SweepRecord,
) -> None:
    raising, lowering = cancelling.derived_alone(11, 4)
    assert min(raising, lowering) > 0.4
    changes = alone(cancelled)
    assert changes.pop("L1.H0") == pytest.approx(raising, abs=1e-4)
    assert changes.pop("L1.H2") == pytest.approx(lowering, abs=1e-4)
    assert all(abs(change) < 1e-5 for change in changes.values())
    joint = cancelled.joints[0]
    assert set(joint.sites) == {"L1.H0", "L1.H2"}
    assert joint.together.value == pytest.approx(0, abs=1e-5)
    assert joint.summed.value == pytest.approx(raising + lowering, abs=1e-4)


def test_of_all_pairs_only_the_cancelling_one_interacts_and_it_does_below_0(
    cancelled: SweepRecord,
) -> None:
    found = couple(cancelled, "L1.H0", "L1.H2").interaction
    assert found.value == pytest.approx(cancelling.derived_interaction(11, 4), abs=1e-4)
    assert found.high is not None and found.high < -1
    for joint in cancelled.pairs:
        if set(joint.sites) == {"L0.H0", "L1.H0"} or set(joint.sites) == {"L0.H0", "L1.H2"}:
            # Without the previous token neither finds anything: the other's absence is nothing.
            continue
        if set(joint.sites) != {"L1.H0", "L1.H2"}:
            assert joint.interaction.value == pytest.approx(0, abs=1e-5)


def test_the_cancelling_model_is_silent_while_both_its_heads_write() -> None:
    subject, _ = subject_of("cancelling")
    tokens = interrupted(np.random.default_rng(6), 4, 11, 4)
    text = make_text("interrupted", subject, tokens, tokens)
    ledger = evaluate(subject, text, [zeroed("both", "L1.H0", "L1.H2")])
    for name in ("intact", "both"):
        sums = ledger.sums(name)
        np.testing.assert_allclose(sums.loss / sums.tokens, SILENT, atol=1e-5)


@pytest.fixture(scope="module")
def stood_in() -> SweepRecord:
    subject, _ = subject_of("stand_ins")
    tokens = two_rules(np.random.default_rng(7), 12, 4, 8)
    return swept("stand_ins", make_text("two rules", subject, tokens, tokens), ablation="zero")


def test_planted_duplicates_cost_little_alone_and_much_together(stood_in: SweepRecord) -> None:
    each, both = stand_ins.derived_alone(4, 8), stand_ins.derived_together(4, 8)
    assert both > 200 * each
    changes = alone(stood_in)
    assert changes["L1.H0"] == changes["L1.H2"] == pytest.approx(each, abs=1e-5)
    joint = couple(stood_in, "L1.H0", "L1.H2")
    assert joint.together.value == pytest.approx(both, abs=1e-5)
    assert joint.summed.value == pytest.approx(2 * each, abs=1e-5)
    assert joint.interaction.value == pytest.approx(stand_ins.derived_interaction(4, 8), abs=1e-5)
    assert joint.interaction.low is not None and joint.interaction.low > 1


def test_the_joint_effect_tells_duplicates_from_a_specialist(stood_in: SweepRecord) -> None:
    specialist = stand_ins.derived_specialist(4, 8)
    assert alone(stood_in)["L1.H3"] == pytest.approx(specialist, abs=1e-5)
    for twin in ("L1.H0", "L1.H2"):
        joint = couple(stood_in, twin, "L1.H3")
        assert joint.interaction.value == pytest.approx(0, abs=1e-5)
        # What both work through counts once: as they are two, a twin less than in its place.
        through = couple(stood_in, "L0.H0", twin)
        assert through.interaction.value == pytest.approx(-stand_ins.derived_alone(4, 8), abs=1e-5)
    assert couple(stood_in, "L0.H0", "L1.H3").interaction.value == pytest.approx(0, abs=1e-5)
    told = {effect.site for effect in stood_in.effects if stood_in.told(effect)}
    assert told == {"L0.H0", "L1.H0", "L1.H2", "L1.H3"}


# Direct and indirect effects.


@pytest.fixture(scope="module")
def mediated() -> tuple[Subject, Text]:
    return subject_of("mediation")[0], pairs_text("one back", prompts.one_back, orbits=10)


def mean(ledger: Ledger, name: str, column: str = "margin") -> float:
    sums = ledger.sums(name)
    return float(getattr(sums, column).sum() / sums.tokens.sum())


def patched(subject: Subject, text: Text, name: str, site: str, effect: str = "total") -> Edited:
    from unexplained.ablations import ABLATIONS, record_for

    sites = subject.sites(site)
    fill = ABLATIONS["patch"].fit(record_for(ABLATIONS["patch"], subject, text, sites), sites, 0)
    return replace(fill.condition(name), effect=effect)  # type: ignore[arg-type]


def test_total_direct_and_indirect_effect_are_the_derived_logits(
    mediated: tuple[Subject, Text],
) -> None:
    subject, text = mediated
    effects = ("total", "direct", "direct, norm frozen")
    zero = [zeroed(f"zero {e}", "L0.H0", effect=e) for e in effects]
    patch = [patched(subject, text, f"patch {e}", "L0.H0", e) for e in effects]
    ledger = evaluate(subject, text, [*zero, *patch])
    intact = mean(ledger, "intact")
    assert intact == pytest.approx(5, abs=1e-4)
    change = {c.name: mean(ledger, c.name) - intact for c in (*zero, *patch)}
    for kind, times in (("zero", 1), ("patch", 2)):
        assert change[f"{kind} total"] == pytest.approx(-5 * times, abs=1e-4)
        # The ballast keeps the norm's scale, so frozen and free are one.
        for effect in effects[1:]:
            assert change[f"{kind} {effect}"] == pytest.approx(-2 * times, abs=1e-4)
        indirect = change[f"{kind} total"] - change[f"{kind} direct"]
        through = mediation.derived_logit(["L1.H0", "L1.H2"])
        assert indirect == pytest.approx(-times * through, abs=1e-4)


def test_losses_of_effects_are_the_derived_ones_and_do_not_add_up(
    mediated: tuple[Subject, Text],
) -> None:
    subject, text = mediated
    # Layer 1 sees L0.H0 without its output and the final stream keeps that: the indirect effect.
    lost = tuple(
        Edit(ux.site(site), lambda x: torch.zeros_like(x.value)) for site in ("L1.H0", "L1.H2")
    )
    conditions = [
        zeroed("total", "L0.H0"),
        zeroed("direct", "L0.H0", effect="direct"),
        Edited("indirect", lost, "mediators"),
        patched(subject, text, "patched", "L0.H0", "direct"),
    ]
    ledger = evaluate(subject, text, conditions)
    logit, loss = mediation.derived_logit, mediation.derived_loss
    found = {name: mean(ledger, name, "loss") for name in ledger.conditions}
    assert found["intact"] == pytest.approx(loss(logit()), abs=1e-5)
    assert found["total"] == pytest.approx(loss(0), abs=1e-5)
    assert found["direct"] == pytest.approx(loss(logit(["L1.H0", "L1.H2"])), abs=1e-5)
    assert found["indirect"] == pytest.approx(loss(logit(["direct"])), abs=1e-5)
    assert found["patched"] == pytest.approx(loss(3, 2), abs=1e-5)
    change = {name: found[name] - found["intact"] for name in found}
    assert change["total"] - change["direct"] - change["indirect"] > 0.9


def test_every_set_of_paths_gives_the_derived_margin(mediated: tuple[Subject, Text]) -> None:
    subject, text = mediated
    edges = {"direct": "a0.h0->logits", "L1.H0": "a0.h0->a1.h0<v>", "L1.H2": "a0.h0->a1.h2<v>"}
    sets = [paths for count in range(4) for paths in itertools.combinations(mediation.PATHS, count)]
    found = margins_without(subject, text, [[edges[path] for path in paths] for paths in sets])
    expected = [mediation.derived_margin(paths) for paths in sets]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert len({round(value, 3) for value in expected}) == 8


def test_attribution_to_the_edges_of_a_linear_model_is_exact(
    mediated: tuple[Subject, Text],
) -> None:
    subject, text = mediated
    scores = attribute_edges(subject, text, method="eap")
    changes = {path: mediation.derived_margin([path]) - 5 for path in mediation.PATHS}
    expected = {
        "input->a0.h0<v>": mediation.derived_margin(mediation.PATHS) - 5,
        "a0.h0->logits": changes["direct"],
        "a0.h0->a1.h0<v>": changes["L1.H0"],
        "a1.h0->logits": changes["L1.H0"],
        "a0.h0->a1.h2<v>": changes["L1.H2"],
        "a1.h2->logits": changes["L1.H2"],
    }
    assert expected.keys() == circuit("mediation")
    for edge, score in enumerate(scores.mean):
        wanted = expected.get(scores.graph.name(edge), 0.0)
        assert score == pytest.approx(wanted, abs=1e-3), scores.graph.name(edge)


def graph_of(subject: Subject) -> Graph:
    return Graph.of(subject.shape, parallel=subject.anatomy.parallel)


def measured_circuits(subject: Subject, text: Text, kept: list[np.ndarray]) -> list[float]:
    circuits = Circuits(subject, graph_of(subject))
    conditions = {e.tobytes(): circuits.condition(str(i), e) for i, e in enumerate(kept)}
    ledger = evaluate(subject, text, list(conditions.values()), measure="margin")
    return [mean(ledger, conditions[edges.tobytes()].name) for edges in kept]


def margins_with(subject: Subject, text: Text, sets: list[list[str]]) -> list[float]:
    graph = graph_of(subject)
    every = np.array([graph.name(edge) for edge in range(graph.edges)])
    return measured_circuits(subject, text, [np.isin(every, edges) for edges in sets])


def margins_without(subject: Subject, text: Text, sets: list[list[str]]) -> list[float]:
    graph = graph_of(subject)
    every = np.array([graph.name(edge) for edge in range(graph.edges)])
    return measured_circuits(subject, text, [~np.isin(every, edges) for edges in sets])


# A preference that passes for a behaviour.


@pytest.fixture(scope="module")
def named() -> tuple[Subject, Text]:
    return subject_of("name_bias")[0], pairs_text("names", prompts.two_slots, orbits=10)


def part_of(text: Text, **labels: str) -> Text:
    some = tuple(
        pair
        for pair in text.eval
        if all(pair.labels[family] == label for family, label in labels.items())  # type: ignore[attr-defined]
    )
    name = f"{text.name}, {labels}"
    return replace(text_of(name, [some], [text.fit]), name=name)  # type: ignore[list-item]


def test_single_pairs_have_the_derived_margins_and_balanced_ones_their_mean(
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
            (found,) = evaluate(subject, one, [zeroed("none", "L1.H0")]).sums(name).margin
            wanted = name_bias.derived_margin(favourite=favourite, last=last, behaviour=behaviour)
            assert found == pytest.approx(wanted, abs=1e-3)
        # Without the behaviour one pair says 10, and another −2 with it.
        assert mean(ledger, name) == pytest.approx(8 * behaviour, abs=1e-4)


def test_the_bias_vanishes_when_balanced_and_shows_at_full_size_on_a_half(
    named: tuple[Subject, Text],
) -> None:
    _, text = named
    whole = swept("name_bias", text, ablation="zero", measure="logit difference")
    expected = {"L0.H0": -8.0, "L1.H0": -8.0}
    for site, change in alone(whole).items():
        assert change == pytest.approx(expected.get(site, 0), abs=1e-3)
    assert {e.site for e in whole.effects if whole.told(e)} == set(expected)
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
    whole = alone(swept("name_bias", text, ablation="patch", measure="logit difference"))
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


def test_in_the_loss_a_bias_does_not_cancel(named: tuple[Subject, Text]) -> None:
    """A mean of losses is no mean of margins: balance buys nothing where the measure is curved."""
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
    found = margins_with(subject, text, sets)
    expected = [soft_induction.derived_margin(some) for some in sets]
    np.testing.assert_allclose(found, expected, atol=1e-3)
    shares = [soft_induction.derived_kept(some) for some in sets]
    assert max(shares[:-1]) < 0.51
    assert shares[-1] == 1


def test_all_edges_outside_the_circuit_keep_nothing_and_its_margin_is_the_models(
    crowd: tuple[Subject, Text],
) -> None:
    subject, text = crowd
    edges = list(circuit("soft_induction"))
    (rest,) = margins_without(subject, text, [edges])
    (intact,) = margins_without(subject, text, [[]])
    assert rest == pytest.approx(soft_induction.derived_margin(()), abs=1e-3)
    assert intact == pytest.approx(soft_induction.derived_margin(edges), abs=1e-3)
    corrupted = evaluate(subject, text.swapped(), [], measure="margin")
    assert mean(corrupted, "intact") == pytest.approx(soft_induction.derived_margin(()), abs=1e-3)


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
    assert max(places) > 40
    assert order[0].split("->")[0] in ("a0.h1", "a0.h2")


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


def test_an_orbit_is_the_same_whichever_role_is_drawn_first_and_a_seed_gives_the_same_text() -> (
    None
):
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


def test_a_whole_pass_of_a_subject_is_that_of_the_checkpoint() -> None:
    """The engine that measures the effects is not what the models were built with."""
    for name in NAMES:
        subject, _ = subject_of(name)
        pair = prompts.two_slots(np.random.default_rng(1))[0]
        tokens = torch.tensor(pair.tokens[None].astype(np.int64))
        with torch.no_grad():
            wanted = planted(name).model(tokens).logits
        found = subject.logits(subject.run(Batch.of(tokens)).normed)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)

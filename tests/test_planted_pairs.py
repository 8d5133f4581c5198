"""Planted models of interactions, mediation, nuisances and a circuit: the engine finds what was derived.

`logits_of` is a second program of the five models, loops over a list of tokens, written from the
sentences in docs/planted-models.md without numpy, torch or constants of `unexplained.testbeds`.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

import unexplained as ux
from swept import Joint, by_component, couples, strongest, told
from test_assay import make_text, subject_of
from unexplained.ablations import ABLATIONS, record_for
from unexplained.circuits import Graph, attribute_edges
from unexplained.circuits.running import Circuits
from unexplained.evaluate import Edited, evaluate
from unexplained.ledger import Ledger
from unexplained.record import Record
from unexplained.sites import Site
from unexplained.subject import Batch, Edit, Subject
from unexplained.testbeds import (
    cancelling,
    circuit,
    mediation,
    planted,
    prompts,
    stand_ins,
)
from unexplained.testbeds.losses import SILENT
from unexplained.testbeds.prompts import pairs_text
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


def where(site: str) -> Site:
    layer, head = site.removeprefix("L").split(".H")
    return Site(int(layer), "H", int(head))


def zeroed(name: str, *sites: str, effect: str = "total") -> Edited:
    edits = tuple(Edit(where(site), lambda x: torch.zeros_like(x.value)) for site in sites)
    return Edited(name, edits, f"zero {sites}", effect)  # type: ignore[arg-type]


def swept(name: str, text: Text, **options: object) -> Record:
    return ux.sweep(subject_of(name)[0], "L*.H*", text, settings=SETTINGS, **options)  # type: ignore[arg-type]


def couple(record: Record, *sites: str) -> Joint:
    return couples(record)[frozenset(sites)]


def alone(record: Record) -> dict[str, float]:
    return {site: change.value for site, change in by_component(record, "change").items()}


# Heads that cancel, heads that stand in for each other.


@pytest.fixture(scope="module")
def cancelled() -> Record:
    subject, _ = subject_of("cancelling")
    tokens = interrupted(np.random.default_rng(5), 12, 11, 4)
    return swept("cancelling", make_text("interrupted", subject, tokens, tokens), ablation="zero")


def test_a_planted_cancelling_pair_costs_much_alone_and_nothing_together(
    cancelled: Record,
) -> None:
    raising, lowering = cancelling.derived_alone(11, 4)
    assert min(raising, lowering) > 0.4
    changes = alone(cancelled)
    assert changes.pop("L1.H0") == pytest.approx(raising, abs=1e-4)
    assert changes.pop("L1.H2") == pytest.approx(lowering, abs=1e-4)
    assert all(abs(change) < 1e-5 for change in changes.values())
    sites, joint = strongest(cancelled, 2)
    assert sites == {"L1.H0", "L1.H2"}
    assert joint.together.value == pytest.approx(0, abs=1e-5)
    assert joint.summed.value == pytest.approx(raising + lowering, abs=1e-4)


def test_the_cancelling_pair_interacts_below_0_as_do_heads_in_a_row_and_no_others(
    cancelled: Record,
) -> None:
    found = couple(cancelled, "L1.H0", "L1.H2").interaction
    assert found.high is not None and found.high < -1
    raising, lowering = cancelling.derived_alone(11, 4)
    expected = {
        frozenset({"L1.H0", "L1.H2"}): cancelling.derived_interaction(11, 4),
        # Without the previous token neither writes anything, and the other's absence is nothing.
        frozenset({"L0.H0", "L1.H0"}): -raising,
        frozenset({"L0.H0", "L1.H2"}): -lowering,
    }
    for sites, joint in couples(cancelled).items():
        wanted = expected.get(sites, 0.0)
        assert joint.interaction.value == pytest.approx(wanted, abs=1e-4), sites


def test_the_cancelling_model_is_silent_while_both_its_heads_write() -> None:
    subject, _ = subject_of("cancelling")
    tokens = interrupted(np.random.default_rng(6), 4, 11, 4)
    text = make_text("interrupted", subject, tokens, tokens)
    ledger = evaluate(subject, text, [zeroed("both", "L1.H0", "L1.H2")])
    for name in ("intact", "both"):
        sums = ledger.sums(name)
        np.testing.assert_allclose(sums.loss / sums.tokens, SILENT, atol=1e-5)


@pytest.fixture(scope="module")
def stood_in() -> Record:
    subject, _ = subject_of("stand_ins")
    tokens = two_rules(np.random.default_rng(7), 12, 4, 8)
    return swept("stand_ins", make_text("two rules", subject, tokens, tokens), ablation="zero")


def test_planted_duplicates_cost_little_alone_and_much_together(stood_in: Record) -> None:
    each, both = stand_ins.derived_alone(4, 8), stand_ins.derived_together(4, 8)
    assert both > 200 * each
    changes = alone(stood_in)
    assert changes["L1.H0"] == changes["L1.H2"] == pytest.approx(each, abs=1e-5)
    joint = couple(stood_in, "L1.H0", "L1.H2")
    assert joint.together.value == pytest.approx(both, abs=1e-5)
    assert joint.summed.value == pytest.approx(2 * each, abs=1e-5)
    assert joint.interaction.value == pytest.approx(stand_ins.derived_interaction(4, 8), abs=1e-5)
    assert joint.interaction.low is not None and joint.interaction.low > 1


def test_the_joint_effect_tells_duplicates_from_a_specialist(stood_in: Record) -> None:
    specialist = stand_ins.derived_specialist(4, 8)
    assert alone(stood_in)["L1.H3"] == pytest.approx(specialist, abs=1e-5)
    for twin in ("L1.H0", "L1.H2"):
        joint = couple(stood_in, twin, "L1.H3")
        assert joint.interaction.value == pytest.approx(0, abs=1e-5)
        # What both work through counts once: as they are two, a twin less than in its place.
        through = couple(stood_in, "L0.H0", twin)
        assert through.interaction.value == pytest.approx(-stand_ins.derived_alone(4, 8), abs=1e-5)
    assert couple(stood_in, "L0.H0", "L1.H3").interaction.value == pytest.approx(0, abs=1e-5)
    assert told(stood_in) == {"L0.H0", "L1.H0", "L1.H2", "L1.H3"}


# Direct and indirect effects.


@pytest.fixture(scope="module")
def mediated() -> tuple[Subject, Text]:
    return subject_of("mediation")[0], pairs_text("one back", prompts.one_back, orbits=10)


def mean(ledger: Ledger, name: str, column: str = "logit_difference") -> float:
    sums = ledger.sums(name)
    return float(getattr(sums, column).sum() / sums.tokens.sum())


def patched(subject: Subject, text: Text, name: str, site: str, effect: str = "total") -> Edited:
    sites, patch = subject.sites(site), ABLATIONS.get("patch")
    fill = patch.fit(record_for(patch, subject, text, sites), sites, 0)
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
        Edit(where(site), lambda x: torch.zeros_like(x.value)) for site in ("L1.H0", "L1.H2")
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
    assert change["total"] - change["direct"] - change["indirect"] > 0.94


def test_every_set_of_paths_gives_the_derived_logit_difference(
    mediated: tuple[Subject, Text],
) -> None:
    subject, text = mediated
    edges = {"direct": "a0.h0->logits", "L1.H0": "a0.h0->a1.h0<v>", "L1.H2": "a0.h0->a1.h2<v>"}
    sets = [paths for count in range(4) for paths in itertools.combinations(mediation.PATHS, count)]
    found = logit_differences_without(
        subject, text, [[edges[path] for path in paths] for paths in sets]
    )
    expected = [mediation.derived_logit_difference(paths) for paths in sets]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert len({round(value, 3) for value in expected}) == 8


def test_attribution_to_the_edges_of_a_linear_model_is_exact(
    mediated: tuple[Subject, Text],
) -> None:
    subject, text = mediated
    scores = attribute_edges(subject, text, method="eap")
    changes = {path: mediation.derived_logit_difference([path]) - 5 for path in mediation.PATHS}
    expected = {
        "input->a0.h0<v>": mediation.derived_logit_difference(mediation.PATHS) - 5,
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
    ledger = evaluate(subject, text, list(conditions.values()), measure="logit difference")
    return [mean(ledger, conditions[edges.tobytes()].name) for edges in kept]


def logit_differences_with(subject: Subject, text: Text, sets: list[list[str]]) -> list[float]:
    graph = graph_of(subject)
    every = np.array([graph.name(edge) for edge in range(graph.edges)])
    return measured_circuits(subject, text, [np.isin(every, edges) for edges in sets])


def logit_differences_without(subject: Subject, text: Text, sets: list[list[str]]) -> list[float]:
    graph = graph_of(subject)
    every = np.array([graph.name(edge) for edge in range(graph.edges)])
    return measured_circuits(subject, text, [~np.isin(every, edges) for edges in sets])


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

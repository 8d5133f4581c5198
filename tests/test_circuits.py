"""Circuits of edges, on tiny models of every architecture: the ends are the model, the middle a slow sum."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from test_planner import PAIRS, TEXT, text_of
from tiny import VARIED_ADDITIVE, tiny_subject
from unexplained.circuits.graph import CircuitError, Graph
from unexplained.circuits.running import Circuits
from unexplained.evaluate import evaluate
from unexplained.subject import Subject


@pytest.fixture(params=VARIED_ADDITIVE)
def subject(request: pytest.FixtureRequest) -> Subject:
    return tiny_subject(request.param)


def graph_of(subject: Subject) -> Graph:
    return Graph.of(subject.shape, parallel=subject.anatomy.parallel)


def logit_differences(subject: Subject, *edges: np.ndarray) -> list[np.ndarray]:
    circuits = Circuits(subject, graph_of(subject))
    conditions = [circuits.condition(str(i), some) for i, some in enumerate(edges)]
    ledger = evaluate(subject, TEXT, conditions, measure="logit difference", batch_tokens=40)
    return [ledger.sums(condition.name).logit_difference for condition in conditions]


def test_with_all_edges_it_is_the_clean_model_and_with_none_the_corrupted_one(
    subject: Subject,
) -> None:
    count = graph_of(subject).edges
    every, none = logit_differences(subject, np.ones(count, bool), np.zeros(count, bool))
    clean = evaluate(subject, TEXT, [], measure="logit difference").sums("intact").logit_difference
    corrupted = (
        evaluate(subject, TEXT.swapped(), [], measure="logit difference")
        .sums("intact")
        .logit_difference
    )
    np.testing.assert_allclose(every, clean, atol=2e-4)
    np.testing.assert_allclose(none, corrupted, atol=2e-4)
    assert np.abs(clean - corrupted).max() > 0.1


@pytest.mark.parametrize("name", ["llama", "gpt_neox, sequential"])
def test_a_random_circuit_is_the_slow_sum_over_destinations(name: str) -> None:
    """Second route: one destination at a time, its input written down as a sum, no batching."""
    subject = tiny_subject(name)
    graph = graph_of(subject)
    edges = np.random.default_rng(0).random(graph.edges) < 0.5
    (found,) = logit_differences(subject, edges)
    slow = [slow_logit_difference(subject, graph, edges, one) for one in PAIRS]
    np.testing.assert_allclose(found, np.array(slow).reshape(3, 2).sum(-1), atol=2e-4)


def test_circuits_made_once_are_measured_on_other_prompts_of_the_same_documents_too() -> None:
    """Role-swapped prompts have the documents of the others; changed weights have their prompts."""
    subject = tiny_subject("llama")
    half = np.random.default_rng(0).random(graph_of(subject).edges) < 0.5
    circuits = Circuits(subject, graph_of(subject))

    def logit_difference(circuits: Circuits, text) -> float:
        condition = circuits.condition("half", half)
        return (
            evaluate(subject, text, [condition], measure="logit difference")
            .sums("half")
            .per_token("logit_difference")
        )

    def anew(text) -> float:
        return logit_difference(Circuits(subject, graph_of(subject)), text)

    assert logit_difference(circuits, TEXT) == anew(TEXT)
    assert logit_difference(circuits, TEXT.swapped()) == anew(TEXT.swapped()) != anew(TEXT)
    before = logit_difference(circuits, TEXT)
    with torch.no_grad():
        subject.anatomy.neuron_output(0).weight.mul_(1.5)
    assert logit_difference(circuits, TEXT) == anew(TEXT) != before


def slow_logit_difference(subject: Subject, graph: Graph, edges: np.ndarray, one) -> float:
    """Each source's output is found by a whole pass of the model with its inputs put in its way.

    A destination's input is set by replacing the stream before its layer's attention or MLP; what
    other parts of that pass do is thrown away.
    """
    from unexplained.sites import Site
    from unexplained.subject import Batch, Edit

    def batch(ids):
        return Batch.of(torch.tensor(ids[None].astype(np.int64)))

    def sites(layer):
        return [Site(layer, "H", h, v) for h in range(graph.heads) for v in ("q", "k", "v", "out")]

    keep = [Site(-1, "embed")]
    for layer in range(graph.layers):
        keep += [
            *sites(layer),
            Site(layer, "mlp"),
            Site(layer, "resid_pre"),
            Site(layer, "resid_mid"),
        ]
    old = subject.run(batch(one.corrupted), keep=keep)
    clean = subject.run(batch(one.tokens), keep=keep)
    now = {"input": clean.values[Site(-1, "embed")]}
    was = {name: old.values[_out(graph, name)] for name in graph.sources}

    def read(destination: str, stream: torch.Tensor) -> torch.Tensor:
        for name in now:
            edge = graph.numbers.get(f"{name}->{destination}")
            if edge is not None and edges[edge]:
                stream = stream + now[name] - was[name]
        return stream

    def run(edits, keep):
        return subject.run(batch(one.corrupted), edits, keep=keep).values

    def put(site, value):
        return Edit(site, lambda local: value)

    for layer in range(graph.layers):
        stream = old.values[Site(layer, "resid_pre")]
        new = {}
        for head in range(graph.heads):
            parts = []
            for part in "qkv":
                site = Site(layer, "H", head, part)
                own = read(f"a{layer}.h{head}<{part}>", stream)
                value = run([put(Site(layer, "resid_pre"), own)], [site])[site]
                parts.append(put(site, value))
            out = Site(layer, "H", head, "out")
            new[f"a{layer}.h{head}"] = run(parts, [out])[out]
        now |= new
        own = read(f"m{layer}", old.values[Site(layer, "resid_mid")])
        site = Site(layer, "mlp")
        now[f"m{layer}"] = run([put(Site(layer, "resid_mid"), own)], [site])[site]
    last = Site(graph.layers - 1, "resid_post")
    final = subject.run(batch(one.corrupted), [put(last, read("logits", old.stream))])
    logits = subject.logits(final.normed)[0, -1]
    return float(logits[one.answer] - logits[one.wrong])


def _out(graph: Graph, name: str):
    site = graph.site(name)
    return site.at("out") if site.part == "H" else site


def test_one_edge_more_changes_what_is_after_it(subject: Subject) -> None:
    graph = graph_of(subject)
    none, one = np.zeros(graph.edges, bool), np.zeros(graph.edges, bool)
    one[graph.find("input->logits")] = True
    before, after = logit_differences(subject, none, one)
    assert np.abs(before - after).max() < 1e-5  # both prompts end in the same token
    one[:] = True
    one[graph.find("m1->logits")] = False
    every, without = logit_differences(subject, np.ones(graph.edges, bool), one)
    assert np.abs(every - without).max() > 1e-3


def test_circuits_that_cannot_be_are_refused() -> None:
    subject = tiny_subject("llama")
    circuits = Circuits(subject, graph_of(subject))
    with pytest.raises(CircuitError, match="one truth value for each edge"):
        circuits.condition("short", np.ones(3, bool))
    gemma = tiny_subject("gemma3")
    with pytest.raises(CircuitError, match="post-norms"):
        Circuits(gemma, graph_of(gemma)).condition("x", np.ones(graph_of(gemma).edges, bool))


def test_a_batch_of_prompts_with_several_beginnings_is_the_prompts_alone() -> None:
    subject = tiny_subject("llama")
    graph = graph_of(subject)
    edges = np.random.default_rng(1).random(graph.edges) < 0.3
    circuits = Circuits(subject, graph)
    together = evaluate(subject, TEXT, [circuits.condition("c", edges)], measure="logit difference")
    alone = [
        evaluate(subject, text_of(one), [circuits.condition("c", edges)], measure="logit difference")
        .sums("c").logit_difference[0]
        for one in PAIRS
    ]  # fmt: skip
    np.testing.assert_allclose(
        together.sums("c").logit_difference, np.array(alone).reshape(3, 2).sum(-1), atol=2e-4
    )

"""Edge attribution against finite differences, a split forward pass written out, and theorems."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from exact import PAIRS, TEXT, batches, double_subject, logit_difference, pair, swapped, text_of
from tiny import VARIED_ADDITIVE, tiny_subject, tiny_tokenizer, tokens
from unexplained.circuits import (
    CircuitError,
    EdgeScores,
    Graph,
    MibGraph,
    attribute_edges,
    attribute_nodes,
    edge_sizes,
    load_mib,
    require_scores,
    save_mib,
)
from unexplained.circuits.methods import EdgeMethod
from unexplained.circuits.orders import given_orders as _given
from unexplained.errors import MeasurementError
from unexplained.sites import Shape, Site
from unexplained.subject import Batch, Edit, Resume, Subject, load
from unexplained.text import Block, Pair


@pytest.fixture(params=VARIED_ADDITIVE)
def subject(request: pytest.FixtureRequest) -> Subject:
    return double_subject(request.param)


# --- the graph -------------------------------------------------------------------------------


def test_a_model_of_30_layers_and_9_heads_has_123211_edges() -> None:
    shape = Shape(30, 9, 3, 64, 576, 1536, 49152)
    graph = Graph.of(shape, parallel=False)
    assert (len(graph.sources), len(graph.destinations), graph.edges) == (301, 841, 123_211)
    # 30 layers: 27 readers of all before, an MLP that reads 9 heads more, and the logits read all.
    before = [1 + 10 * layer for layer in range(30)]
    assert sum(28 * n + 9 for n in before) + 301 == graph.edges


def test_edges_of_two_layers_listed_by_hand() -> None:
    graph = Graph(layers=2, heads=1, width=8)
    into = {"a0.h0<q>": 1, "a0.h0<k>": 1, "a0.h0<v>": 1, "m0": 2, "a1.h0<q>": 3, "a1.h0<k>": 3}
    into |= {"a1.h0<v>": 3, "m1": 4, "logits": 5}
    names = [graph.name(edge) for edge in range(graph.edges)]
    assert {d: sum(name.endswith(f"->{d}") for name in names) for d in into} == into
    assert sum(into.values()) == len(names) == len(set(names))
    assert [graph.find(name) for name in names] == list(range(len(names)))
    assert "a0.h0->m0" in names
    side_by_side = Graph(layers=2, heads=1, width=8, parallel=True)
    assert set(names) - set(side_by_side.numbers) == {"a0.h0->m0", "a1.h0->m1"}


def test_an_edge_that_is_not_there_is_an_error_that_says_what_is() -> None:
    graph = Graph(layers=2, heads=1, width=8)
    for name, says in (("a1.h0->m0", "before"), ("a0.h1->m1", "a0.h0"), ("m0->m3", "m1")):
        with pytest.raises(CircuitError, match=says):
            graph.find(name)
    assert [graph.site(name) for name in ("input", "a1.h0", "m1")] == [
        Site(-1, "embed"), Site(1, "H", 0), Site(1, "mlp")
    ]  # fmt: skip


# --- by finite differences -------------------------------------------------------------------


def moved(subject: Subject, one: Pair, source: str) -> Tensor:
    """What a source writes in the corrupted prompt less what it writes in the clean one."""
    graph = Graph.of(subject.shape, parallel=subject.anatomy.parallel)
    site = graph.site(source)
    site = site.at("out") if site.part == "H" else site
    clean, corrupted = (subject.run(batch, keep=[site]).values[site] for batch in batches(one))
    return corrupted - clean


def nudged(subject: Subject, one: Pair, destination: str, nudge: Tensor) -> float:
    """The logit difference where one destination alone reads a stream with something added to it."""
    batch, _ = batches(one)
    intact = subject.run(batch, keep_streams=range(subject.shape.layers))
    if destination == "logits":
        stream = intact.stream + nudge
        return logit_difference(
            subject, subject.run(batch, resume=Resume(3, stream, _arguments(intact))).normed, one
        )
    layer = int(destination[1:].split(".")[0])
    start = intact.resume(layer)
    pushed = Resume(layer, start.stream + nudge, start.arguments)
    if destination.startswith("m") and not subject.anatomy.parallel:
        site = Site(layer, "mlp")
        push = Edit(Site(layer, "resid_mid"), lambda local: local.value + nudge)
        new = subject.run(batch, [push], keep=[site], resume=start).values[site]
    elif destination.startswith("m"):
        site = Site(layer, "mlp")
        new = subject.run(batch, keep=[site], resume=pushed).values[site]
    else:
        head, part = destination.split(".h")[1][:-1].split("<")
        site = Site(layer, "H", int(head), part)
        new = subject.run(batch, keep=[site], resume=pushed).values[site]
    return logit_difference(
        subject, subject.run(batch, [Edit(site, lambda local: new)]).normed, one
    )


def _arguments(done):
    return done.resume(3).arguments


def test_scores_are_finite_differences_of_every_kind_of_edge(subject: Subject) -> None:
    one = PAIRS[1]
    scores = attribute_edges(subject, text_of(one))
    edges = ["input->a0.h1<q>", "input->a1.h2<k>", "input->a2.h3<v>", "input->m0", "input->logits"]
    edges += ["a0.h3->a1.h0<q>", "a0.h2->a2.h1<k>", "a1.h1->a2.h2<v>", "a0.h1->m1", "a2.h0->logits"]
    edges += [
        "m0->a1.h3<q>",
        "m1->a2.h0<k>",
        "m0->a2.h3<k>",
        "m0->a1.h1<v>",
        "m1->m2",
        "m2->logits",
    ]
    if not subject.anatomy.parallel:
        edges += ["a0.h2->m0", "a2.h3->m2"]
    step = 1e-4
    for name in edges:
        source, destination = name.split("->")
        nudge = moved(subject, one, source) * step
        up, down = (nudged(subject, one, destination, way * nudge) for way in (1, -1))
        got = scores.mean[scores.graph.find(name)]
        assert got == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-9), name
        assert abs(got) > 1e-6, name


# --- by a forward pass in which every destination has an input of its own --------------------


def rotate(x: Tensor, theta: float) -> Tensor:
    """Rotary embedding of (batch, position, head, size), halves paired."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[1])[:, None] * theta ** (-torch.arange(half) / half)
    cos, sin = angle.double().cos()[:, None], angle.double().sin()[:, None]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def split_forward(
    subject: Subject, batch: Batch
) -> tuple[dict[str, Tensor], dict[str, Tensor], Tensor]:
    """A tiny Llama in plain torch: what each source writes, what each destination reads, logits."""
    model, shape = subject.anatomy.model, subject.shape
    size, group = shape.head_size, shape.heads // shape.key_heads
    wrote = {"input": model.model.embed_tokens.weight[batch.tokens]}
    reads: dict[str, Tensor] = {}

    def read(name: str) -> Tensor:
        reads[name] = torch.stack(list(wrote.values())).sum(0).requires_grad_()
        reads[name].retain_grad()
        return reads[name]

    def normed(x: Tensor, norm) -> Tensor:
        return x / (x.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon).sqrt() * norm.weight

    theta = model.config.rope_parameters["rope_theta"]
    for n, layer in enumerate(model.model.layers):
        att, new = layer.self_attn, {}
        for h in range(shape.heads):
            g = h // group
            rows = {"q": (att.q_proj, h), "k": (att.k_proj, g), "v": (att.v_proj, g)}
            q, k, v = (
                normed(read(f"a{n}.h{h}<{p}>"), layer.input_layernorm)
                @ m.weight[i * size : (i + 1) * size].T
                for p, (m, i) in rows.items()
            )
            q, k = rotate(q[:, :, None], theta)[:, :, 0], rotate(k[:, :, None], theta)[:, :, 0]
            scores = q @ k.transpose(1, 2) / size**0.5
            later = torch.ones_like(scores).triu(1).bool()
            scores = scores.masked_fill(later, -torch.inf)
            new[f"a{n}.h{h}"] = (
                scores.softmax(-1) @ v @ att.o_proj.weight[:, h * size : (h + 1) * size].T
            )
        wrote |= new
        x = normed(read(f"m{n}"), layer.post_attention_layernorm)
        mlp = layer.mlp
        hidden = torch.nn.functional.silu(x @ mlp.gate_proj.weight.T) * (x @ mlp.up_proj.weight.T)
        wrote[f"m{n}"] = hidden @ mlp.down_proj.weight.T
    logits = normed(read("logits"), model.model.norm) @ model.lm_head.weight.T
    return wrote, reads, logits


def test_all_edges_of_a_llama_are_those_of_a_split_forward_pass() -> None:
    subject = double_subject("llama")
    got = attribute_edges(subject, TEXT, batch_pairs=2)
    expected = np.zeros(got.graph.edges)
    for one in PAIRS:
        clean, corrupted = batches(one)
        wrote, reads, logits = split_forward(subject, clean)
        theirs, _, _ = split_forward(subject, corrupted)
        assert torch.allclose(logits, subject.logits(subject.run(clean).normed), atol=1e-5)
        (logits[0, -1, one.answer] - logits[0, -1, one.wrong]).backward()
        for edge in range(got.graph.edges):
            source, destination = got.graph.name(edge).split("->")
            apart = (theirs[source] - wrote[source]).detach()
            expected[edge] += float((apart * reads[destination].grad).sum()) / len(PAIRS)
    # Hugging Face's rotary tables are float32, so positions are turned by angles right to 1e-7.
    assert np.abs(got.mean - expected).max() < 1e-5 * np.abs(expected).max()
    assert np.abs(expected).min() > 0


# --- theorems --------------------------------------------------------------------------------


def node_total(subject: Subject, one: Pair, source: str) -> float:
    """The derivative of the logit difference as a source's output goes towards the corrupted prompt's."""
    apart, step = moved(subject, one, source), 1e-4
    site = Graph.of(subject.shape, parallel=False).site(source)
    site = site.at("out") if site.part == "H" else site
    batch, _ = batches(one)
    ends = [
        subject.run(batch, [Edit(site, lambda local, w=way: local.value + w * step * apart)]).normed
        for way in (1, -1)
    ]
    return (logit_difference(subject, ends[0], one) - logit_difference(subject, ends[1], one)) / (
        2 * step
    )


def test_the_edges_out_of_a_source_add_up_to_its_node(subject: Subject) -> None:
    one = PAIRS[0]
    scores = attribute_edges(subject, text_of(one))
    totals = np.nansum(scores.graph.matrix(scores.mean), axis=1)
    for source in ("input", "a0.h1", "a1.h3", "m0", "m1", "a2.h2", "m2"):
        total = totals[scores.graph.sources.index(source)]
        assert total == pytest.approx(node_total(subject, one, source), rel=1e-5, abs=1e-9), source


def patched(subject: Subject, one: Pair, site: Site) -> float:
    """The change of the logit difference when the corrupted prompt's value is put at a site."""
    clean, corrupted = batches(one)
    value = subject.run(corrupted, keep=[site]).values[site]
    new = subject.run(clean, [Edit(site, lambda local: value)]).normed
    return logit_difference(subject, new, one) - logit_difference(
        subject, subject.run(clean).normed, one
    )


def errors_of(
    subject: Subject, method: EdgeMethod, one: Pair, groups: dict[str, Site]
) -> np.ndarray:
    """Sums of the edges out of groups of sources less the exact effects, at 50 and 200 steps."""
    found = []
    for steps in (50, 200):
        scores = attribute_edges(subject, text_of(one), method=method, steps=steps)
        totals = np.nansum(scores.graph.matrix(scores.mean), axis=1)
        sums = [
            sum(t for s, t in zip(scores.graph.sources, totals, strict=True) if s.startswith(group))
            for group in groups
        ]
        found.append(
            [s - patched(subject, one, g) for s, g in zip(sums, groups.values(), strict=True)]
        )
    return np.array(found)


def require_a_riemann_sum(coarse: np.ndarray, fine: np.ndarray) -> None:
    """Four times the steps, a quarter of the error: c/n, which two sums determine and take away."""
    assert (np.abs(fine) < np.abs(coarse) / 3).all(), (coarse, fine)
    assert np.abs((4 * fine - coarse) / 3).max() < 5e-3, (coarse, fine)  # effects are of order 1


SMOOTH = [name for name in VARIED_ADDITIVE if name not in ("mixtral", "opt")]
"""Not where a router jumps or a ReLU bends: there four times the steps are no quarter of the error."""


@pytest.mark.parametrize("subject", SMOOTH, indirect=True)
def test_integrated_over_inputs_the_edges_out_of_the_embedding_add_up_to_the_whole_change(
    subject: Subject,
) -> None:
    coarse, fine = errors_of(subject, "eap-ig-inputs", PAIRS[0], {"input": Site(-1, "embed")})
    require_a_riemann_sum(coarse, fine)


@pytest.mark.parametrize("subject", SMOOTH, indirect=True)
def test_integrated_over_activations_the_edges_out_of_a_group_add_up_to_exchanging_it(
    subject: Subject,
) -> None:
    groups = {"input": Site(-1, "embed"), "a0.": Site(0, "attn"), "m0": Site(0, "mlp")}
    groups |= {"a1.": Site(1, "attn"), "m2": Site(2, "mlp"), "a2.": Site(2, "attn")}
    coarse, fine = errors_of(subject, "eap-ig-activations", PAIRS[0], groups)
    require_a_riemann_sum(coarse, fine)


def test_one_step_is_the_clean_prompt(subject: Subject) -> None:
    plain = attribute_edges(subject, TEXT)
    for method in ("eap-ig-inputs", "eap-ig-activations"):
        one = attribute_edges(subject, TEXT, method=method, steps=1)
        np.testing.assert_allclose(one.mean, plain.mean, rtol=1e-8, atol=1e-10)


# --- batches, prefixes, errors ---------------------------------------------------------------


@pytest.mark.parametrize("method", ["eap", "eap-ig-inputs", "eap-ig-activations"])
def test_one_pair_at_a_time_is_all_at_once(subject: Subject, method: EdgeMethod) -> None:
    """Alone, a pair's whole prefix is left out; together only what all share, here nothing."""
    one = attribute_edges(subject, TEXT, method=method, steps=3, batch_pairs=1)
    whole = attribute_edges(subject, TEXT, method=method, steps=3, batch_pairs=5)
    np.testing.assert_allclose(one.mean, whole.mean, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(one.error, whole.error, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("method", ["eap", "eap-ig-inputs", "eap-ig-activations"])
def test_of_a_pair_and_its_role_swap_every_prompt_is_run_once(
    method: EdgeMethod, subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside them a pair without a swap: alone, every corrupted prompt has a pass of its own."""
    one, other = pair(2, 8, 0), pair(5, 8, 2)
    text = text_of(one, swapped(other), swapped(one), pair(0, 8, 3), other)
    alone = attribute_edges(subject, text, method=method, steps=3, batch_pairs=1)
    ran = []
    run = Subject.run

    def counted(self: Subject, batch: Batch, *args, **kwargs):
        ran.append(len(batch.tokens))
        return run(self, batch, *args, **kwargs)

    monkeypatch.setattr(Subject, "run", counted)
    whole = attribute_edges(subject, text, method=method, steps=3, batch_pairs=5)
    assert whole.mean == pytest.approx(alone.mean, rel=1e-9, abs=1e-12)
    # What has no swap, and for the activations the clean prompts without tapes.
    assert ran == ([1, 5] if method == "eap-ig-activations" else [1])


@pytest.mark.parametrize("method", ["eap", "eap-ig-inputs", "eap-ig-activations"])
def test_how_the_work_is_cut_changes_nothing(
    method: EdgeMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers in one product, steps on one tape, rows of logits at once."""
    for name in ("llama", "gpt_neox"):
        subject = double_subject(name)
        with monkeypatch.context() as patch:
            whole = attribute_edges(subject, TEXT, method=method, steps=3, measure="loss")
            patch.setattr("unexplained.circuits.edge_passes.TOGETHER", 2)
            patch.setattr("unexplained.circuits.edge_passes.TAPE_TOKENS", 60)
            patch.setattr("unexplained.circuits.measures.ROWS", 2)
            cut = attribute_edges(subject, TEXT, method=method, steps=3, measure="loss")
        np.testing.assert_allclose(cut.mean, whole.mean, rtol=1e-8, atol=1e-12)


def test_errors_are_those_of_means_over_orbits() -> None:
    subject = tiny_subject("gpt2")
    singles = [attribute_edges(subject, text_of(one)).mean for one in PAIRS]
    whole = attribute_edges(subject, TEXT)
    np.testing.assert_allclose(whole.mean, np.mean(singles, 0), atol=1e-5)
    sums = np.array([singles[0] + singles[1], singles[2] + singles[3], singles[4]])
    centred = sums - np.array([2, 2, 1])[:, None] * np.mean(singles, 0)
    expected = np.sqrt((centred**2).sum(0) * 3 / 2) / 5
    np.testing.assert_allclose(whole.error, expected, atol=1e-5)
    assert (whole.pairs, whole.orbits) == (5, 3)
    assert np.isnan(attribute_edges(subject, text_of(*PAIRS[:2])).error).all()


def test_rankings_say_by_what() -> None:
    graph = Graph(layers=1, heads=1, width=4)
    mean = np.arange(graph.edges) - 3.0
    scores = EdgeScores(graph, mean, np.full(graph.edges, 0.4), 8, 4, "eap", "logit difference")
    assert scores.ranking(by="signed")[0] == 0  # corrupting it lowers the logit difference most
    assert scores.ranking(by="absolute")[0] == np.argmax(np.abs(mean))
    # Two standard errors of a difference are 2 √2 · 0.4 = 1.13: the next one down.
    assert scores.unsettled(2, by="signed") == 1
    loss = EdgeScores(graph, mean, mean, 8, 4, "eap", "loss")
    assert loss.ranking(by="signed")[0] == graph.edges - 1


def test_the_loss_and_the_divergence_have_gradients_too() -> None:
    subject, one = double_subject("llama"), PAIRS[0]
    loss = attribute_edges(subject, text_of(one), measure="loss")
    total = np.nansum(loss.graph.matrix(loss.mean), axis=1)[0]
    clean, corrupted = batches(one)
    stream = subject.run(clean, keep_streams=[0]).resume(0)
    apart = subject.run(corrupted, keep_streams=[0]).resume(0).stream - stream.stream
    ends = []
    for way in (1, -1):
        resume = Resume(0, stream.stream + way * 1e-4 * apart, stream.arguments)
        normed = subject.run(clean, resume=resume).normed
        ends.append(float(-subject.logits(normed[0, -1]).log_softmax(-1)[one.answer]))
    assert total == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-5)
    kl = attribute_edges(subject, text_of(one), measure="kl", method="eap-ig-inputs", steps=200)
    got = np.nansum(kl.graph.matrix(kl.mean), axis=1)[0]
    p, q = (
        subject.logits(subject.run(b).normed[0, -1]).log_softmax(-1) for b in (clean, corrupted)
    )
    assert got == pytest.approx(float((p.exp() * (p - q)).sum()), rel=0.05)


def test_what_has_no_edges_is_refused_and_says_why() -> None:
    with pytest.raises(CircuitError, match="post-norms"):
        attribute_edges(tiny_subject("gemma3"), TEXT)
    with pytest.raises(CircuitError, match="gradient there is zero"):
        attribute_edges(tiny_subject("llama"), TEXT, measure="kl")
    block = Block("d", "x", tokens(1)[0].numpy().astype(np.int32))
    with pytest.raises(CircuitError, match="running text"):
        attribute_edges(tiny_subject("llama"), text_of(block))
    with pytest.raises(CircuitError, match="0 steps"):
        attribute_edges(tiny_subject("llama"), TEXT, method="eap-ig-inputs", steps=0)


def test_progress_counts_batches() -> None:
    seen: list[tuple[int, int]] = []
    attribute_edges(
        tiny_subject("llama"),
        TEXT,
        batch_pairs=2,
        progress=lambda done, of: seen.append((done, of)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_measuring_leaves_the_model_as_it_was() -> None:
    subject = tiny_subject("llama")
    model = subject.anatomy.model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits = subject.run(Batch.of(tokens())).normed
    attribute_edges(subject, TEXT)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.equal(subject.run(Batch.of(tokens())).normed, logits)


# --- MIB -------------------------------------------------------------------------------------


def test_a_graph_file_comes_back_bit_for_bit(tmp_path: Path) -> None:
    graph, rng = Graph(layers=2, heads=3, width=12), np.random.default_rng(0)
    scores = rng.normal(size=graph.edges) * 10.0 ** rng.integers(-30, 30, graph.edges)
    chosen = rng.random(graph.edges) < 0.2
    nodes = np.where(rng.random(len(graph.sources)) < 0.5, np.nan, rng.normal(size=9))
    first = save_mib(tmp_path / "a.json", graph, scores, chosen, source_scores=nodes)
    got = load_mib(first, graph)
    assert got.scores.tobytes() == scores.tobytes()
    assert (got.in_graph == chosen).all()
    np.testing.assert_array_equal(got.source_scores, nodes)
    second = save_mib(
        tmp_path / "b.json", graph, got.scores, got.in_graph,
        sources_in_graph=got.sources_in_graph, source_scores=got.source_scores,
    )  # fmt: skip
    assert first.read_bytes() == second.read_bytes()


BY_HAND = """{"cfg": {"n_layers": 1, "n_heads": 1, "parallel_attn_mlp": false, "d_model": 4},
 "nodes": {"input": {"in_graph": true}, "a0.h0": {"in_graph": false, "score": NaN},
           "m0": {"in_graph": true, "score": -0.25}, "logits": {"in_graph": true}},
 "edges": {"input->a0.h0<q>": {"score": 1.0, "in_graph": false},
           "input->a0.h0<k>": {"score": 2.0, "in_graph": false},
           "input->a0.h0<v>": {"score": 3.0, "in_graph": false},
           "input->m0": {"score": 4.5, "in_graph": true},
           "a0.h0->m0": {"score": -5.0, "in_graph": false},
           "input->logits": {"score": 6.0, "in_graph": false},
           "a0.h0->logits": {"score": 7, "in_graph": false},
           "m0->logits": {"score": 8.0, "in_graph": true}}}"""


def test_a_small_graph_file_written_by_hand_is_read(tmp_path: Path) -> None:
    graph = Graph(layers=1, heads=1, width=4)
    (tmp_path / "mib.json").write_text(BY_HAND)
    got = load_mib(tmp_path / "mib.json", graph)
    by_name = {graph.name(edge): got.scores[edge] for edge in range(graph.edges)}
    assert by_name["input->m0"] == 4.5
    assert by_name["a0.h0->m0"] == -5
    assert by_name["a0.h0->logits"] == 7
    assert [graph.name(e) for e in np.flatnonzero(got.in_graph)] == ["input->m0", "m0->logits"]
    assert got.sources_in_graph.tolist() == [True, False, True]
    np.testing.assert_array_equal(got.source_scores, [np.nan, np.nan, -0.25])


def test_what_mibs_own_loader_takes_is_read(tmp_path: Path) -> None:
    graph = Graph(layers=1, heads=1, width=4)
    path, whole = tmp_path / "mib.json", json.loads(BY_HAND)

    def read(edges: object, nodes: object) -> MibGraph:
        path.write_text(json.dumps({"cfg": whole["cfg"], "nodes": nodes, "edges": edges}))
        return load_mib(path, graph)

    # A circuit alone: its edges, 0 and 1 for false and true, no scores, no nodes.
    some = {"input->m0": {"in_graph": 1}, "m0->logits": {"in_graph": True},
            "input->logits": {"in_graph": 0}}  # fmt: skip
    got = read(some, {})
    assert [graph.name(e) for e in np.flatnonzero(got.in_graph)] == ["input->m0", "m0->logits"]
    assert np.isnan(got.scores).all()
    # Nodes are those that its edges come from: the embedding and the MLP.
    assert got.sources_in_graph.tolist() == [True, False, True]
    with pytest.raises(CircuitError, match="no edge has a score"):
        require_scores(path, got)
    # Scores for some: the others count 0, as MIB's loader has them.
    got = read(some | {"a0.h0->m0": {"in_graph": 0.0, "score": -3}}, whole["nodes"])
    assert sorted(require_scores(path, got)) == [-3.0, *[0.0] * (graph.edges - 1)]
    # An order given from elsewhere may have holes; those come last.
    (order,) = _given({"file": got.scores}, graph, "signed")
    assert graph.name(int(order.orders[0][0])) == "a0.h0->m0"
    assert not read({}, {}).in_graph.any()


def test_graph_files_that_do_not_fit_are_refused_and_say_why(tmp_path: Path) -> None:
    graph = Graph(layers=1, heads=1, width=4)
    path = tmp_path / "mib.json"

    def refused(says: str, **changes: object) -> None:
        path.write_text(json.dumps(json.loads(BY_HAND) | changes))
        with pytest.raises(CircuitError, match=says):
            load_mib(path, graph)

    cfg, edges = json.loads(BY_HAND)["cfg"], json.loads(BY_HAND)["edges"]
    refused("n_heads is 12, the model's 1; d_model is 768, the model's 4",
            cfg=cfg | {"n_heads": 12, "d_model": 768})  # fmt: skip
    refused("m0->a0.h0<q>", edges=edges | {"m0->a0.h0<q>": {"score": 1.0, "in_graph": True}})
    refused("in_graph", edges=edges | {"input->m0": {"score": 0.0}})
    for odd in (2, "1", 0.5, None):
        refused("in_graph is", edges=edges | {"input->m0": {"score": 0.0, "in_graph": odd}})
    refused("NaN", edges=edges | {"input->m0": {"score": float("nan"), "in_graph": True}})
    refused(
        "neurons", nodes=json.loads(BY_HAND)["nodes"] | {"m0": {"in_graph": True, "neurons": []}}
    )
    refused("not laid out", nodes=None)
    path.write_text("{")
    with pytest.raises(CircuitError, match="it is not JSON"):
        load_mib(path, graph)
    with pytest.raises(CircuitError, match="Pickled"):
        load_mib(tmp_path / "graph.pt", graph)
    with pytest.raises(CircuitError, match="8 edges"):
        save_mib(path, graph, np.zeros(3))


def test_a_parallel_models_graph_is_another() -> None:
    shape = tiny_subject("gpt_neox").shape
    assert Graph.of(shape, parallel=False).edges - Graph.of(shape, parallel=True).edges == 12


def test_pairs_that_begin_alike_up_to_the_last_position_are_fine() -> None:
    """Only the last token differs: one position runs, and it alone reads anything new."""
    base = pair(0, 8, 3)
    corrupted = base.tokens.copy()
    corrupted[-1] = (corrupted[-1] + 1) % 61
    one = Pair(
        "last", "made up", base.tokens, corrupted=corrupted, answer=base.answer, wrong=base.wrong,
        orbit="o", labels={},
    )  # fmt: skip
    subject = double_subject("qwen3")
    scores = attribute_edges(subject, text_of(one))
    totals = np.nansum(scores.graph.matrix(scores.mean), axis=1)
    assert totals[1] == pytest.approx(node_total(subject, one, "a0.h0"), rel=1e-5)


def test_sizes_of_what_sources_change_are_those_of_kept_outputs(subject: Subject) -> None:
    """The second route: every source's own output, a pair at a time, without padding."""
    shape, graph = subject.shape, Graph.of(subject.shape, parallel=subject.anatomy.parallel)
    sites = [Site(-1, "embed")]
    for layer in range(shape.layers):
        sites += [Site(layer, "H", head, "out") for head in range(shape.heads)]
        sites.append(Site(layer, "mlp"))
    squares, count = np.zeros(len(sites)), 0
    for block in TEXT.eval:
        assert isinstance(block, Pair)
        runs = [
            subject.run(Batch.of(torch.tensor(row)[None]), keep=sites).values
            for row in (block.tokens, block.corrupted)
        ]
        moved = [runs[1][site] - runs[0][site] for site in sites]
        squares += [float(one.pow(2).mean(-1).sum()) for one in moved]
        count += len(block.tokens)
    found = edge_sizes(subject, TEXT)
    np.testing.assert_allclose(found, np.sqrt(squares / count)[graph.ends[:, 0]], rtol=1e-6)


def test_half_precision_is_refused_where_its_rounding_is_of_the_size_of_effects() -> None:
    model = tiny_subject("llama").anatomy.model.bfloat16()
    subject = load(model, tokenizer=tiny_tokenizer(), device="cpu")
    assert any("half precision" in note for note in subject.notes)
    assert not any("half precision" in note for note in tiny_subject("llama").notes)
    with pytest.raises(MeasurementError, match=r"Scores of edges of .* in bfloat16"):
        attribute_edges(subject, TEXT)
    with pytest.raises(MeasurementError, match=r"Attribution to nodes of .* in bfloat16"):
        attribute_nodes(subject, TEXT, {})

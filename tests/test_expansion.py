"""Paths add up to the logits and are the engine's direct effects; planted induction is found in its term."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import unexplained as ux
from cells import cell, table
from measured import LEAN
from test_assay import make_text
from tiny import VOCABULARY, tiny_model, tiny_tokenizer
from unexplained.circuits import expansion
from unexplained.circuits.composition import composition, matrices, rotations
from unexplained.circuits.expansion import BIASES, chains, name_of, require_paths, terms
from unexplained.circuits.graph import CircuitError
from unexplained.circuits.kept_paths import StreamPart
from unexplained.circuits.looking import Looks, looks
from unexplained.circuits.score_terms import preferences
from unexplained.explanations import patterns
from unexplained.instruments.paths import _terms
from unexplained.record.keys import step
from unexplained.sites import Site
from unexplained.study import INSTRUMENTS
from unexplained.subject import Batch, Edit, Subject, load
from unexplained.text import Text


@cache
def attention_only(name: str, layers: int = 2, **settings: int) -> Subject:
    """A tiny random model whose MLPs write nothing; its biases are not zero."""
    model: Any = tiny_model(name, num_hidden_layers=layers, **settings)
    with torch.no_grad():
        for part, weight in model.named_parameters():
            if any(last in part for last in ("mlp.down_proj", "mlp.c_proj", "mlp.dense_4h_to_h")):
                weight.zero_()
    return load(model, tokenizer=tiny_tokenizer(), device="cpu")


def words(subject: Subject, documents: int = 5, length: int = 9) -> Text:
    rows = np.random.default_rng(1).integers(0, VOCABULARY, (2, documents, length))
    return make_text("words", subject, *rows)


@pytest.mark.parametrize("name", ["llama", "gpt2", "granite", "gpt_neox"])
def test_paths_add_up_to_hugging_faces_logits_and_end_in_the_engines_direct_effects(
    name: str,
) -> None:
    """With grouped keys, layer norms, biases, multipliers and parallel blocks."""
    subject = attention_only(name)
    text = words(subject)
    found = terms(subject, text, batch_tokens=20)
    assert found.error < 1e-5 * max(1.0, found.logit)
    names = list(map(name_of, chains(2, 4)))
    assert found.names == (*names, BIASES)
    model: Any = subject.anatomy.model
    weight = model.get_output_embeddings().weight.detach().double()
    divisor = getattr(model.config, "logits_scaling", 1.0)
    for block, right in zip(text.eval, found.right, strict=True):
        rows = torch.tensor(block.tokens[None].astype(np.int64))
        targets = rows[0, 1:]
        with torch.no_grad():
            logits = model(rows, use_cache=False).logits[0, :-1].double()
        above = logits.gather(1, targets[:, None])[:, 0] - logits.mean(1)
        np.testing.assert_allclose(right.sum(1), above, atol=2e-4)
        if name in ("llama", "granite"):  # without biases all that a head writes is in its paths
            silent = Edit(Site(1, "H", 2), lambda local: local.value * 0)
            done = subject.run(Batch.of(rows), direct=[[silent]])
            less = subject.anatomy.frozen_norm(done.stream, done.direct[0].added).detach()
            moved = (done.normed - less)[0, :-1].double()
            direct = (moved * (weight[targets] - weight.mean(0))).sum(-1) / divisor
            through = [i for i, one in enumerate(names) if one.endswith("L1.H2")]
            assert len(through) == 5
            np.testing.assert_allclose(right[:, through].sum(1), direct, atol=2e-4)


def test_a_path_left_out_costs_what_it_costs_by_hand() -> None:
    """A pair of heads taken out of the logits, by Hugging Face's weights and one loop over positions."""
    subject = attention_only("llama")
    model: Any = subject.anatomy.model
    text = words(subject, documents=1)
    found = terms(subject, text)
    rows = torch.tensor(text.eval[0].tokens[None].astype(np.int64))
    sites = [Site(0, "H", 1, "pattern"), Site(1, "H", 2, "pattern")]
    done = subject.run(Batch.of(rows), keep=sites, keep_streams=[1])
    first, second = (done.values[site][0].double() for site in sites)
    layers, size, eps = model.model.layers, 8, model.config.rms_norm_eps

    def normed(part: torch.Tensor, of: torch.Tensor, norm: Any) -> torch.Tensor:
        factor = (of.double().square().mean(-1, keepdim=True) + eps).rsqrt()
        return part * factor * norm.weight.detach().double()

    def through(
        part: torch.Tensor, of: torch.Tensor, layer: int, head: int, pattern: torch.Tensor
    ) -> torch.Tensor:
        attention = layers[layer].self_attn
        key = head // 2
        value = attention.v_proj.weight.detach().double()[key * size : (key + 1) * size]
        out = attention.o_proj.weight.detach().double()[:, head * size : (head + 1) * size]
        values = normed(part, of, layers[layer].input_layernorm) @ value.T
        return (
            torch.stack([sum(p * v for p, v in zip(row, values, strict=True)) for row in pattern])
            @ out.T
        )

    embedded = model.model.embed_tokens(rows)[0].detach().double()
    part = through(embedded, embedded, 0, 1, first)
    part = through(part, done.resume(1).stream[0], 1, 2, second)
    term = normed(part, done.stream[0], model.model.norm) @ model.lm_head.weight.detach().double().T
    with torch.no_grad():
        logits = model(rows, use_cache=False).logits[0].double()
    loss, less = (
        torch.nn.functional.cross_entropy(one[:-1], rows[0, 1:], reduction="none")
        for one in (logits, logits - term)
    )
    at = found.names.index("L0.H1 → L1.H2")
    np.testing.assert_allclose(found.without[0][:, at], less - loss, atol=2e-4)


def test_terms_of_scores_add_up_to_the_heads_own_preference() -> None:
    """Which is told from its pattern: a softmax loses no difference of scores."""
    subject = attention_only("gpt_neox")
    rows = np.random.default_rng(2).integers(0, 6, (2, 3, 12))
    text = make_text("few words", subject, *rows)
    site = Site(1, "H", 1)
    parts = {"token": StreamPart(((),)), "biases": StreamPart((), True)}
    parts |= {f"{head}": StreamPart(((Site(0, "H", head),),)) for head in range(4)}
    found = preferences(subject, text, [site], parts, parts)
    batch = Batch.of(torch.tensor(np.stack([block.tokens for block in text.eval]).astype(np.int64)))
    scores = subject.run(batch, keep=[site.at("pattern")]).values[site.at("pattern")].double().log()
    targets = patterns.after_earlier_occurrence(batch.tokens)
    expected = torch.zeros(3, dtype=torch.float64)
    for row in range(3):
        for at in range(12):
            there = targets[row, at]
            others = ~there & (torch.arange(12) <= at)
            if there.any():
                expected[row] += scores[row, at, there].mean() - scores[row, at, others].mean()
    np.testing.assert_allclose(found.sums[:, 0].sum((1, 2)), expected, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(found.positions, targets.any(-1).sum(-1))


def test_planted_induction_is_its_term_and_not_a_term_through_another_head() -> None:
    subject = ux.load("testbed:strict_induction")
    text = ux.text("testbed:strict_induction", subject, documents=32, fit_documents=16)
    there = looks(subject, text)
    assert str(there.previous) == "L0.H0" and there.before[there.previous] > 0.99
    record = INSTRUMENTS.get("paths")(subject, text, settings=LEAN, folder=None)
    kept = {
        key: cell(record, f"kept/shares/L1.H0/{key}")
        for key in ("strict", "without", "wrong", "values")
    }
    assert kept["values"].value == pytest.approx(1, abs=1e-6)
    assert kept["strict"].value > 0.9
    assert abs(kept["without"].value) < 0.05
    # A head that writes nothing leaves attention even, over the right tokens too.
    assert 0 < kept["wrong"].value < 0.2
    keys = {
        key: cell(record, f"weights/previous/L1.H0/{key}")
        for key in ("k", "drawn", "match", "copy")
    }
    assert keys["k"] > 2 > keys["drawn"]
    assert min(keys["match"], keys["copy"]) >= 48 / 49  # the start token is matched by no head
    assert cell(record, "scores/terms/token × L0.H0/score").value == pytest.approx(240, rel=1e-3)
    assert "no head here" not in str(record)


def test_random_matrices_of_the_same_spectrum_read_one_in_width() -> None:
    """E‖AQΣ‖² = ‖A‖² ‖Σ‖² / width for a rotation Q drawn evenly; what is read whole scores 1."""
    draw = torch.Generator().manual_seed(0)
    read, written = (torch.randn(2, 32, 32, generator=draw)).unbind()
    written = written[:, :6] @ written[:6]
    found = composition(read, written, rotations(32, 6, 0))
    assert found.random == pytest.approx(32**-0.5, rel=0.02)
    assert found.score == pytest.approx(
        float((written @ read).norm() / (written.norm() * read.norm())), rel=1e-5
    )
    one = torch.zeros(32, 32)
    one[3, 3] = 2.0
    assert composition(one, one, rotations(32, 6, 0)).score == pytest.approx(1)


def test_matrices_read_off_the_model_are_its_weights_turned() -> None:
    subject = attention_only("llama")
    found = matrices(subject, 1, [0, 3])
    attention: Any = subject.anatomy.layers[1]
    gain = attention.input_layernorm.weight.detach()
    query = gain[:, None] * attention.self_attn.q_proj.weight.detach()[8:16].T
    key = gain[:, None] * attention.self_attn.k_proj.weight.detach()[:8].T
    # At no distance the rotations cancel; at any distance they leave lengths as they are.
    torch.testing.assert_close(
        found.query[1] @ found.key[1, 0].T, query @ key.T, atol=1e-4, rtol=1e-4
    )
    torch.testing.assert_close(found.key[1, 1].norm(dim=1), key.norm(dim=1), atol=1e-4, rtol=1e-4)
    value = attention.self_attn.v_proj.weight.detach()[:8]
    out = gain[:, None] * value.T @ attention.self_attn.o_proj.weight.detach()[:, 8:16].T
    torch.testing.assert_close(found.output[1], out, atol=1e-4, rtol=1e-4)


def test_a_head_that_looks_at_itself_and_before_is_one_part_of_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No path is counted twice: parts add up to the head's own preference, as its pattern has it."""
    subject = attention_only("llama")
    rows = np.random.default_rng(2).integers(0, 6, (2, 6, 12))
    text = make_text("few words", subject, *rows)
    heads = [Site(layer, "H", head) for layer in range(2) for head in range(4)]
    own = {site: 0.6 if site.index < 2 else 0.1 for site in heads}
    before = {site: 0.3 if site.index == 0 else 0.1 for site in heads}
    there = Looks(own, before)
    assert there.previous == heads[0] and there.rewriting == (heads[1],) and not there.is_previous
    monkeypatch.setattr("unexplained.circuits.looking.looks", lambda *a, **k: there)
    record = INSTRUMENTS.get("paths")(subject, text, settings=LEAN, folder=None)
    (title,) = (block.title for block in record.blocks if getattr(block, "key", "") == "scores")
    site = Site(1, "H", int(title.split("H")[1].split()[0]))
    batch = Batch.of(torch.tensor(np.stack([block.tokens for block in text.eval]).astype(np.int64)))
    scores = subject.run(batch, keep=[site.at("pattern")]).values[site.at("pattern")].double().log()
    targets = patterns.after_earlier_occurrence(batch.tokens)
    others = torch.ones_like(targets).tril() & ~targets
    there_is = targets.any(-1)
    each = [
        (torch.where(some, scores, 0.0).sum(-1) / some.sum(-1).clamp(min=1))[there_is]
        for some in (targets, others)
    ]
    expected = float((each[0] - each[1]).mean())
    assert cell(record, "scores/terms/all/score").value == pytest.approx(
        expected, rel=1e-3, abs=1e-4
    )


def test_weights_and_terms_of_the_record_are_those_of_plain_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Matches by distance, tokens as embedded and as a head rewrites them; copies; every path's two numbers."""
    subject = attention_only("llama")
    text = words(subject, documents=6)
    heads = [Site(layer, "H", head) for layer in range(2) for head in range(4)]
    there = Looks(
        {s: 0.6 if s.index == 1 else 0.1 for s in heads}, {s: 0.9 / (1 + s.index) for s in heads}
    )
    monkeypatch.setattr("unexplained.circuits.looking.looks", lambda *a, **k: there)
    record = INSTRUMENTS.get("paths")(subject, text, settings=LEAN, folder=None)

    first, then = (matrices(subject, layer, [1, 8]) for layer in range(2))
    model: Any = subject.anatomy.model
    embedded = model.model.embed_tokens.weight.detach().double()
    eps = model.config.rms_norm_eps
    normed = embedded * (embedded.square().mean(-1, keepdim=True) + eps).rsqrt()
    previous, rewritten = (normed @ first.output[head].double() for head in (0, 1))
    unembedded = model.lm_head.weight.detach().double() * model.model.norm.weight.detach().double()

    def share(scores: torch.Tensor) -> float:
        return float(np.mean([int(row.argmax()) == i for i, row in enumerate(scores)]))

    found, expected = [], []
    for head in range(4):
        query = then.query[head].double()
        keys = [previous @ then.key[head, i].double() for i in range(2)]
        moved = then.output[head].double()
        token = embedded + rewritten
        at = "weights/previous/L1.H" + str(head)
        expected += [share(token @ query @ keys[1].T), share(embedded @ query @ keys[1].T),
                     share(token @ moved @ unembedded.T), share(embedded @ moved @ unembedded.T),
                     share(token @ query @ keys[0].T)]  # fmt: skip
        found += [
            cell(record, f"{at}/{key}") for key in ("match", "match-strict", "copy", "copy-strict")
        ]
        found.append(cell(record, f"weights/distance/L1.H{head}/d1"))
        assert cell(record, f"weights/distance/L1.H{head}/d8") == found[-5]
        scores = query @ then.key[head, 1].double().T
        turned = rotations(subject.shape.width, subject.shape.head_size, LEAN.seed)
        made = composition(scores.T, first.output[0], turned)
        assert cell(record, f"{at}/k") == pytest.approx(made.times, rel=1e-4)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert len(set(expected)) > 3  # they are not all nothing
    every = terms(subject, text)
    for i, name in enumerate(every.names):
        for key, of in (("right", every.right), ("without", every.without)):
            home = (
                "first"
                if step(name) in {r.key for r in table(record, "paths/first").rows}
                else "rest"
            )
            mean = np.concatenate([rows[:, i] for rows in of]).mean()
            assert cell(record, f"paths/{home}/{step(name)}/{key}").value == pytest.approx(
                mean, abs=1e-9
            )


def test_what_each_column_keeps_is_what_its_heading_says() -> None:
    """Query × key, value, and whether all but their product: with a head that rewrites tokens."""
    heads = [Site(layer, "H", head) for layer in range(2) for head in range(3)]
    there = Looks(
        {s: 0.6 if s.index == 1 else 0.1 for s in heads}, {s: 0.9 / (1 + s.index) for s in heads}
    )
    made, wrong = _terms(there)
    assert {one.name: str(one) for one in (*made, wrong)} == {
        "the induction term": "direct × L0.H0, direct, False",
        "the term, tokens rewritten": "direct + L0.H1 × L0.H0, direct + L0.H1, False",
        "the same with biases": "direct + L0.H1 + biases × L0.H0 + biases, direct + L0.H1, False",
        "its scores alone": "direct + L0.H1 × L0.H0, all, False",
        "its values alone": "all × all, direct + L0.H1, False",
        "all scores but the term": "direct + L0.H1 × L0.H0, all, True",
        "through another head": "direct + L0.H1 × L0.H2, direct + L0.H1, False",
    }


def test_terms_that_do_not_add_up_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = load(tiny_model("llama"), tokenizer=tiny_tokenizer(), device="cpu")
    monkeypatch.setattr(expansion, "_is_silent", lambda anatomy, layer: True)
    with pytest.raises(CircuitError, match="does something that is no chain of heads"):
        terms(subject, words(subject, documents=1))


def test_what_is_no_sum_of_paths_is_refused_by_name() -> None:
    with pytest.raises(CircuitError, match="its MLPs write something, the first in layer 0"):
        require_paths(load(tiny_model("llama"), tokenizer=tiny_tokenizer(), device="cpu"))
    with pytest.raises(CircuitError, match="one layer"):
        require_paths(attention_only("llama", 1), least=2)
    with pytest.raises(CircuitError, match="625"):
        require_paths(attention_only("llama", 4))
    lone = attention_only("llama", num_attention_heads=1, num_key_value_heads=1)
    require_paths(lone)
    with pytest.raises(CircuitError, match="one head"):
        require_paths(lone, least=2)

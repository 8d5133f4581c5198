"""Copy suppression: the definition is that of plain hooks and loops; what suppresses is told from what does not."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import unexplained as ux
from measured import LEAN, record_of
from test_assay import make_text
from test_soundness import cells
from tiny import VOCABULARY, tiny_model, tiny_subject
from unexplained.ablations.position_mean import means_by_position, reaching
from unexplained.bars.scales import NO_LADDER
from unexplained.bars.suppression import KEYS, OnPath, Suppression
from unexplained.errors import MeasurementError, SiteError, TextError
from unexplained.evaluate import Edited, copying, evaluate, observe
from unexplained.evaluate.copying import KEPT, stand_in
from unexplained.evaluate.suppression import CONDITIONS, DirectPath, _DirectPath, direct_path
from unexplained.record import Number, Record
from unexplained.record.blocks import Answer, Checks, Prose
from unexplained.record.ids import walk
from unexplained.record.keys import step
from unexplained.shares import in_percent
from unexplained.sites import Site
from unexplained.study import INSTRUMENTS
from unexplained.subject import Subject
from unexplained.testbeds.texts import text_of
from unexplained.testbeds.vocabulary import WORDS, make_tokenizer
from unexplained.testbeds.weights import (
    _IDENTITY,
    DISTANT_SINK,
    MATCH,
    START,
    Head,
    _root,
    assemble,
    at_distance,
    match,
    move,
    scaled,
    sink,
)
from unexplained.text import Text

HEADS = "L0.H1 L1.H2 L2.H3"
FUNCTION = (3, 17)
"""Tokens that are no sources under QK, in these tests."""


def words(subject: Subject, documents: int = 5, length: int = 24, fit: int = 9) -> Text:
    draw = np.random.default_rng(1)
    fitted, scored = (draw.integers(0, VOCABULARY // 3, (n, length)) for n in (fit, documents))
    return make_text("words", subject, fitted, scored)


def of(subject: Subject, text: Text, heads: str = HEADS, predictions: int = 99) -> DirectPath:
    sites = subject.sites(heads)
    seen = observe(subject, text, [site.at("z") for site in sites])
    length = max(len(block.tokens) for block in text.eval)
    means = torch.stack([reaching(*means_by_position(seen, s.at("z")), length) for s in sites])
    return direct_path(subject, text, sites, means, predictions=predictions, seed=0)


def by_loops(name: str, text: Text, layer: int, head: int) -> np.ndarray:
    """Sums of KL by document and condition, by Hugging Face's own pass and loops over pairs."""
    subject, model = tiny_subject(name), tiny_model(name)
    model.set_attn_implementation("eager")
    architecture, width, size = subject.anatomy.architecture, 32, 8
    block = model.get_submodule(f"{architecture.layers}.{layer}")
    norm: Any = model.get_submodule(architecture.final_norm)
    seen: dict[str, torch.Tensor] = {}

    def run(tokens: np.ndarray) -> tuple[torch.Tensor, ...]:
        """Logits, stream before the layer, final stream, pattern, z, v (all of one document)."""
        output = block.get_submodule(architecture.head_output)
        handles = [
            block.register_forward_pre_hook(lambda m, args: seen.update(before=args[0][0])),
            norm.register_forward_pre_hook(lambda m, args: seen.update(final=args[0][0])),
            output.register_forward_pre_hook(lambda m, args: seen.update(z=args[0][0])),
        ]
        names = architecture.projections
        last = block.get_submodule(names[2])
        handles.append(last.register_forward_hook(lambda m, args, out: seen.update(v=out[0])))
        with torch.no_grad():
            done = model(
                torch.tensor(tokens[None].astype(np.int64)), use_cache=False, output_attentions=True
            )
        for handle in handles:
            handle.remove()
        v = seen["v"]
        if architecture.fused:  # GPT-2: queries, keys and values side by side
            v = v[:, 2 * width + head * size : 2 * width + (head + 1) * size]
        else:
            v = v[:, head // 2 * size : (head // 2 + 1) * size]
        z = seen["z"][:, head * size : (head + 1) * size]
        pattern = done.attentions[layer][0, head]
        return done.logits[0], seen["before"], seen["final"], pattern, z, v

    weight = block.get_submodule(architecture.head_output).weight.detach()
    w_o = (weight if architecture.transposed else weight.T)[
        head * size : (head + 1) * size
    ].double()
    unembedding = (model.get_output_embeddings().weight * norm.weight).detach().double()
    unembedding = unembedding - unembedding.mean(0)
    if architecture.norm == "layer":
        unembedding = unembedding - unembedding.mean(-1, keepdim=True)
    fit = torch.stack([run(block.tokens)[4] for block in text.fit]).double()
    mean = fit.mean(0) @ w_o  # by position
    found = []
    for document in text.eval:
        logits, before, final, pattern, z, v = (one.double() for one in run(document.tokens))
        final = final - final.mean(-1, keepdim=True) if architecture.norm == "layer" else final
        scale = (final.square().mean(-1) + 1e-5).rsqrt()
        tokens = document.tokens.tolist()
        sums = [0.0] * len(CONDITIONS)
        for d in range(len(tokens) - 1):
            before_head = z[d] @ w_o
            for c, condition in enumerate(CONDITIONS):
                shift = (101 if VOCABULARY > 202 else VOCABULARY // 2) * ("other" in condition)
                aim = [unembedding[(t + shift) % VOCABULARY] for t in tokens]
                distinct = []
                for s in range(d + 1):
                    if tokens[s] not in [tokens[i] for i in distinct]:
                        distinct.append(s)
                of = len(distinct) if "of distinct" in condition else d + 1
                allowed = [s for s in distinct if tokens[s] not in FUNCTION]
                allowed.sort(key=lambda s: -float(before[d] @ aim[s]))
                kept = {tokens[s] for s in allowed[: math.ceil(0.05 * of)]}
                new = torch.zeros(width).double()
                for s in range(d + 1):
                    moved, average = pattern[d, s] * (v[s] @ w_o), pattern[d, s] * mean[d]
                    stays = condition == "OV" or (condition != "mean" and tokens[s] in kept)
                    if stays and not condition.startswith("QK"):
                        unit = aim[s] / aim[s].norm()
                        moved = average + min(float((moved - average) @ unit), 0.0) * unit
                    new = new + (moved if stays else average)
                changed = logits[d] + scale[d] * unembedding @ (new - before_head)
                p, q = logits[d].log_softmax(-1), changed.log_softmax(-1)
                sums[c] += float((p.exp() * (p - q)).sum())
        found.append(sums)
    return np.array(found)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_the_definition_is_that_of_loops_over_pairs(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Grouped keys and RMS norms; tied unembedding, biases and layer norms. By document, to 1e-5."""
    subject = tiny_subject(name)
    monkeypatch.setattr(copying, "FUNCTION", frozenset(f"t{i}" for i in FUNCTION))
    text = words(subject, documents=2)
    found = of(subject, text, "L1.H2")
    expected = by_loops(name, text, 1, 2)
    np.testing.assert_allclose(found.kl[0], expected, rtol=2e-5, atol=1e-5)
    assert (expected > 1e-3).all()


def test_in_the_heads_place_it_does_on_the_direct_path_what_the_definition_says() -> None:
    """The stand-in through the engine and the whole unembedding, against the small parts of `direct_path`."""
    subject = tiny_subject("llama")
    text, site = words(subject, documents=2), subject.sites("L1.H2")[0]
    seen = observe(subject, text, [site.at("z")])
    means = reaching(*means_by_position(seen, site.at("z")), 24)
    found = of(subject, text, "L1.H2")
    edits = {name: stand_in(subject, site, means, KEPT.get(name)) for name in CONDITIONS}
    made = [Edited(n, (e,), n, effect="direct, norm frozen") for n, e in edits.items()]
    ledger = evaluate(subject, text, made)
    for i, name in enumerate(CONDITIONS):
        np.testing.assert_allclose(ledger.sums(name).kl, found.kl[0, :, i], rtol=1e-4, atol=1e-5)


def test_of_predictions_that_are_drawn_each_counts_as_among_all() -> None:
    """Five of a document's 23: the sum of just those rows of all, whichever they are."""
    subject = tiny_subject("llama")
    text, site = words(subject, documents=3), subject.sites("L1.H2")[0]
    seen = observe(subject, text, [site.at("z")])
    means = reaching(*means_by_position(seen, site.at("z")), 24)[None]
    every, few = (
        _DirectPath(subject=subject, text=text, part="eval", batch_tokens=2048, heads=(site,),
                    means=means, predictions=count, seed=3)
        for count in (23, 5)
    )  # fmt: skip
    each = every.arrays(0)["kl"][0].reshape(3, 23, len(CONDITIONS))
    found = direct_path(subject, text, [site], means, predictions=5, seed=3)
    assert found.predictions.tolist() == [5.0] * 3
    for i, block in enumerate(every.plans[0].blocks):
        at = few.drawn(block)
        assert len(set(at)) == 5 and at == sorted(at)
        np.testing.assert_allclose(found.kl[0, i], each[i, at].sum(0), rtol=1e-5, atol=1e-8)


def looking() -> Head:
    """Looks for the token that `copied` predicts."""
    head = match("token", ())
    for token in range(1, WORDS + 1):
        head.query[_IDENTITY[token], START["copied"] + token] = _root(MATCH)
        head.key[_IDENTITY[token], START["token"] + token] = _root(MATCH)
    return head


SUPPRESSOR, SHIFTER, LOWERER = "L1.H0", "L1.H1", "L1.H2"


@cache
def planted() -> tuple[Subject, Text]:
    """Layer 0 predicts the token five back; of three heads after it one finds that token and lowers it.

    One raises another token than it attends to; one lowers the token two back, which nobody predicts.
    """

    def back(distance: int) -> Head:
        return at_distance(distance) + sink(DISTANT_SINK)

    heads = {
        Site(0, "H", 0): back(5) + move("token", "copied"),
        Site(1, "H", 0): looking() + sink() + scaled(move("token", "copied"), -1.0),
        Site(1, "H", 1): back(3) + move("token", "copied", lambda token: token % WORDS + 1),
        Site(1, "H", 2): back(2) + scaled(move("token", "copied"), -1.0),
    }
    subject = ux.load(assemble(heads), tokenizer=make_tokenizer(), device="cpu")
    draw = np.random.default_rng(0)
    rows = np.stack([draw.permutation(WORDS)[:19] + 1 for _ in range(36)])
    rows = np.concatenate([np.zeros((36, 1), dtype=rows.dtype), rows], axis=1)
    return subject, text_of("words", rows[:24], rows[24:])


@cache
def measured() -> Record:
    subject, text = planted()
    heads = f"{SUPPRESSOR} {SHIFTER} {LOWERER}"
    return ux.suppression(subject, heads, text, best=1, predictions=19, settings=LEAN)


def test_the_record_scores_on_the_documents_that_did_not_choose() -> None:
    subject, text = planted()
    choosing, scoring = text.halves()
    found = of(subject, scoring, SUPPRESSOR)
    damage = cells(measured(), "definition/heads")[step(SUPPRESSOR), "damage"]
    assert isinstance(damage, Number)
    assert damage.value == pytest.approx(found.kl[0, :, 0].sum() / found.predictions.sum())
    other = of(subject, choosing, SUPPRESSOR)
    assert damage.value != pytest.approx(other.kl[0, :, 0].sum() / other.predictions.sum())


def test_parts_of_the_best_head_are_named_as_they_were_kept() -> None:
    """Each row of the record against the stand-in of that name, through `evaluate`."""
    subject, text = planted()
    site, (_, scoring) = subject.sites(SUPPRESSOR)[0], text.halves()
    means = reaching(*means_by_position(observe(subject, text, [site.at("z")]), site.at("z")), 20)
    names = ("mean", *KEYS.values())
    edits = {name: stand_in(subject, site, means, KEPT.get(name)) for name in names}
    ledger = evaluate(subject, scoring, [Edited(n, (e,), n) for n, e in edits.items()])
    kl = {name: ledger.sums(name).kl.sum() for name in names}
    rows = cells(measured(), "best/parts")
    for key, name in KEYS.items():
        number = rows[key, "kl"]
        assert isinstance(number, Number)
        assert number.value == pytest.approx(1 - kl[name] / kl["mean"], abs=1e-6)


def test_each_effect_of_the_best_head_is_measured_as_it_is_named() -> None:
    """Nats by plain sums of the same stand-in; the first line is the definition by another route."""
    subject, text = planted()
    site, (_, scoring) = subject.sites(SUPPRESSOR)[0], text.halves()
    means = reaching(*means_by_position(observe(subject, text, [site.at("z")]), site.at("z")), 20)
    effects = ("direct, norm frozen", "direct", "total, norms frozen", "total")
    made = [
        Edited(f"{kept} {effect}", (stand_in(subject, site, means, KEPT.get(kept)),), kept, effect=effect)
        for kept in ("mean", "both") for effect in effects
    ]  # fmt: skip
    ledger = evaluate(subject, scoring, made)
    rows = cells(measured(), "best/effects")
    for effect in effects:
        mean, both = (ledger.sums(f"{kept} {effect}") for kept in ("mean", "both"))
        key = effect.replace(", ", "-").replace(" ", "-")
        worth = mean.per_token() - ledger.sums("intact").per_token()
        saved = mean.per_token() - both.per_token()
        kl = 1 - both.kl.sum() / mean.kl.sum()
        for column, value in (
            ("kl", kl),
            ("worth", worth),
            ("saved", saved),
            ("loss", saved / worth),
        ):
            number = rows[key, column]
            assert isinstance(number, Number)
            assert number.value == pytest.approx(value, abs=1e-6), (effect, column)
    theirs, ours = (
        cells(measured(), "definition/heads")[step(SUPPRESSOR), "both"],
        rows["direct-norm-frozen", "kl"],
    )
    assert isinstance(theirs, Number) and isinstance(ours, Number)
    assert theirs.value == pytest.approx(ours.value, abs=1e-4)


def test_a_planted_suppressor_scores_near_one_and_other_heads_near_nothing() -> None:
    record = measured()
    definition, total = cells(record, "definition/heads"), cells(record, "total/heads")

    def share(table: Any, head: str, column: str) -> float:
        number = table[step(head), column]
        assert isinstance(number, Number) and number.value is not None, number
        return number.value

    assert share(definition, SUPPRESSOR, "both") > 0.95
    assert share(total, SUPPRESSOR, "loss") > 0.9
    assert share(definition, SHIFTER, "ov") < 0.05 and share(definition, SHIFTER, "both") < 0.05
    assert share(definition, LOWERER, "ov") > 0.9  # it lowers what it attends to …
    assert share(definition, LOWERER, "both") < 0.2  # … and that is not what is predicted
    assert record.verdict.startswith(f"Copy suppression is at its best at {SUPPRESSOR} of 3 heads")
    assert "by the same rule with other tokens, " in record.verdict
    assert "not told from its control" not in record.verdict
    checks = [
        one for _, block in walk(record.blocks) if isinstance(block, Checks) for one in block.checks
    ]
    assert len(checks) == 2 and all(one.holds and one.applies for one in checks)


def test_the_best_heads_are_chosen_on_documents_that_do_not_score_them() -> None:
    """A head that is perfect on the documents that score, and nothing on those that choose."""
    kl = np.ones((3, 20, 2))
    kl[0, 10:, 1] = 0.0
    kl[1, :, 1] = 0.5
    kl[2] = 3.0  # costs most, and nothing of it is explained
    path = OnPath(("L0.H0", "L0.H1", "L0.H2"), ("mean", "both"), kl, np.full(20, 4.0), LEAN)
    assert path.on(np.arange(20) < 10).chosen(1, 1) == (("L0.H1",), ("L0.H2",))
    assert path.on(np.arange(20) >= 10).explained("L0.H1").value == pytest.approx(0.5)


def made(both: float, other: float, in_loss: float = 0.8) -> Suppression:
    """One head: 1 nat of its mean, of which so much is explained; in loss other tokens recover half."""
    draw = np.random.default_rng(0).normal(0, 0.02, (20, 3))
    kl = np.abs(np.array([1.0, 1 - both, 1 - other]) + draw)[None]
    path = OnPath(("L0.H0",), ("mean", "both", KEYS["other"]), kl, np.ones(20), LEAN)

    def about(value: float) -> Number:
        return Number(value=value, low=value - 0.1, high=value + 0.1)

    known = {"both": in_loss, KEYS["other"]: 0.5}
    read: Any = SimpleNamespace(
        card=lambda name: SimpleNamespace(effects={"total": name}),
        recovered=lambda name, against: about(known[name]),
        regained=lambda before, after, against: about(known[after] - known[before]),
        increase=lambda name: about(0.2),
    )
    kept = {"L0.H0": {name: name for name in known}}
    return Suppression("a model", path, path, ("L0.H0",), (), read, {"L0.H0": "mean"}, kept)


def test_a_share_that_is_not_told_from_its_control_is_not_said_to_be_copy_suppression() -> None:
    """On the direct path and in the model, each beside the same rule with other tokens."""
    told, alike = made(0.6, 0.2).verdict(), made(0.3, 0.3).verdict()
    assert told.startswith("Copy suppression is at its best at L0.H0 of one head")
    assert told.count("with other tokens, ") == 2 and "not told" not in told
    assert alike.startswith("L0.H0, the only head asked for, is not told from its control")
    assert "with other tokens, " in alike
    assert "is not told to be a copy suppressor" in made(-0.3, -0.6).verdict()
    assert ", which is not told from its control; with" in made(0.6, 0.2, in_loss=0.55).verdict()


def test_of_all_heads_it_is_said_how_many_are_told_from_their_controls() -> None:
    """One head was looked at, the one that was chosen, and all 270 were said to be none."""
    one = made(0.3, 0.3)
    names = ("L0.H0", *(f"L0.H{i}" for i in range(1, 9)))
    better = made(0.6, 0.2).path.kl
    kl = np.concatenate(
        [one.path.kl, *[better if i in (3, 5) else one.path.kl for i in range(1, 9)]]
    )
    path = replace(one.path, heads=names, kl=kl)
    said = replace(one, path=path).verdict()
    assert said.startswith("L0.H0, chosen among 9 heads on other documents, is not told")
    assert said.endswith("Of the 8 other heads 2 explain more than their controls for certain, corrected for so many (L0.H3, L0.H5).")  # fmt: skip
    nobody = replace(one, path=replace(path, kl=np.concatenate([one.path.kl] * 9))).verdict()
    assert "Of the 8 other heads none explain" in nobody


def test_the_answer_counts_its_heads_and_the_facts_say_how_long_a_context_is() -> None:
    record = measured()
    (answer,) = (block for block in record.blocks if isinstance(block, Answer))
    assert answer.says.startswith("The best head, by nats explained")
    facts = cells(record, "facts")
    assert facts["context", "is"] == 20
    for key, column in (("median", "both"), ("twin", "twin")):
        shares = [
            n.value
            for (_, c), n in cells(record, "every/all").items()
            if c == column and n.value is not None
        ]
        assert facts[key, "is"] == (in_percent(float(np.median(shares))) if shares else "none")


def test_words_of_the_authors_list_are_found_in_a_vocabulary_where_they_are_one_token() -> None:
    assert {" the", " at", "Now", ".", "\n", " my"} <= copying.FUNCTION
    assert not {" London", "the dog", "at"} & copying.FUNCTION
    subject = tiny_subject("llama")
    assert not copying.function_tokens(
        subject
    ).any()  # its unknown words are t0, which is none of them


def test_what_the_definition_does_not_suit_is_refused() -> None:
    run = INSTRUMENTS.get("suppression")
    capped, subject = tiny_subject("gemma2"), tiny_subject("llama")
    with pytest.raises(MeasurementError, match="passes a norm before it is added"):
        run(capped, "L1.H2", words(capped, 12), settings=LEAN)
    with pytest.raises(TextError, match="half of them choose"):
        run(subject, "L1.H2", words(subject, 9), settings=LEAN)
    with pytest.raises(SiteError, match="no head"):
        run(subject, "L1.mlp", words(subject, 12), settings=LEAN)


def test_the_best_head_is_placed_in_training_compute_where_a_family_places_its_model() -> None:
    """The ladder beside a rung; by name why not, beside a model with other tokens."""
    found = dict(record_of("suppression").numbers())
    (name,) = {key.split("/")[2] for key in found if key.startswith("compute/conditions/copy suppression") and key.count(",") == 0}  # fmt: skip
    best = record_of("suppression").blocks[0].rows[0].name  # type: ignore[union-attr]
    assert name == step(f"copy suppression at {best}")
    loss, mean = (
        found[f"compute/conditions/{one}/loss"].value for one in (name, step(f"mean at {best}"))
    )
    rows = cells(record_of("suppression"), "best/effects")
    saved = rows["total", "saved"]
    assert isinstance(saved, Number) and mean - loss == pytest.approx(saved.value, abs=1e-6)
    said = [one.words for _, one in walk(measured().blocks) if isinstance(one, Prose)]
    assert NO_LADDER in said and not any(
        key.startswith("compute") for key, _ in measured().numbers()
    )

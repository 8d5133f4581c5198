"""A label: what it is scored by, by a second route; and neurons written by hand, each found to be what it is."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import unexplained as ux
from labelled import (
    GATED,
    OURS,
    X,
    broad,
    duplicates,
    gated,
    narrow,
    neighbours,
    ours,
    plain,
    vague,
    words,
    written,
)
from measured import LEAN
from test_soundness import cells as table
from unexplained.bars import detection as d
from unexplained.bars.labelled import TokensMeasured
from unexplained.errors import ExplanationError, MeasurementError, SiteError, TextError
from unexplained.evaluate import observe
from unexplained.evaluate.moments import correlations
from unexplained.explanations.files import find_explanation
from unexplained.explanations.labels import said_of
from unexplained.intervals import of_estimate
from unexplained.record import Record
from unexplained.report import text_table
from unexplained.settings import Settings
from unexplained.testbeds.vocabulary import make_tokenizer


def made_up(documents: int = 8, tokens: int = 9, seed: int = 0) -> tuple[np.ndarray, d.Labelled]:
    draw = np.random.default_rng(seed)
    yes = draw.random((documents, tokens)) < 0.3
    values = np.round(draw.normal(size=yes.shape) + yes, 1)  # with ties
    unit = np.repeat(np.arange(documents), tokens)
    return values.ravel(), d.Labelled(unit, yes.ravel(), documents)


def by_pairs(values: np.ndarray, yes: np.ndarray) -> float:
    apart = values[yes][:, None] - values[~yes][None, :]
    return float(((apart > 0) + (apart == 0) / 2).mean())


def test_auroc_is_the_share_of_pairs_and_its_interval_leaves_documents_out() -> None:
    values, text = made_up()
    found = d.auroc(values, text, LEAN)
    assert found.value == pytest.approx(by_pairs(values, text.yes), abs=1e-12)
    without = [by_pairs(values[here], text.yes[here]) for unit in range(8) for here in [text.unit != unit]]  # fmt: skip
    falls = np.asarray(found.value) - np.array(without)
    ends = of_estimate(found.value, falls, np.full(8, 9.0), LEAN.level,
                       documents=len(set(text.unit[text.yes])))  # fmt: skip
    assert (found.low, found.high) == pytest.approx((ends[0], min(ends[1], 1.0)))


def test_of_fewer_than_five_documents_with_the_label_there_is_no_score() -> None:
    """An AUROC of one document of a broad text was printed beside that of eight."""
    values, text = made_up()
    few = replace(text, yes=text.yes & (text.unit < 4))
    assert "too few documents" in d.auroc(values, few, LEAN).refused
    assert d.recall(values > 0, few, LEAN).refused
    hits = (values > 0, text)
    found = d.precision(values > 0, few, 0.01, LEAN, hits=hits)
    assert found.value is not None and d.precision(values > 0, few, 0.01, LEAN).refused


def test_the_interval_of_an_auroc_holds_in_as_many_texts_as_it_says() -> None:
    """Documents differ in how well they are told: two normals at a distance drawn by document."""
    draw, held, many = np.random.default_rng(5), 0, 200
    unit, yes = np.repeat(np.arange(20), 10), np.tile(np.arange(10) < 3, 20)
    text = d.Labelled(unit, yes, 20)
    # Of a pair from two documents the distance is one document's own; of one document alike.
    truth = float(np.mean([by_pairs(*sample(draw, 400)) for _ in range(20)]))
    for _ in range(many):
        values, _ = sample(draw, 20)
        found = d.auroc(values, text, Settings())
        assert found.low is not None and found.high is not None
        held += found.low <= truth <= found.high
    assert 0.90 * many <= held


def sample(draw: np.random.Generator, documents: int) -> tuple[np.ndarray, np.ndarray]:
    yes = np.tile(np.arange(10) < 3, documents)
    apart = np.repeat(1 + draw.normal(size=documents), 10)
    return draw.normal(size=10 * documents) + apart * yes, yes


def test_precision_is_bayes_rule_at_the_stated_prevalence() -> None:
    values, text = made_up(documents=40)
    fires = values > 0.5
    hit, alarm = fires[text.yes].mean(), fires[~text.yes].mean()
    found = d.precision(fires, text, 0.01, LEAN)
    assert found.value == pytest.approx(0.01 * hit / (0.01 * hit + 0.99 * alarm))
    own = float(text.yes.mean())
    assert d.precision(fires, text, own, LEAN).value == pytest.approx(text.yes[fires].mean())
    assert found.low is not None and found.high is not None
    assert found.low < found.value < found.high  # type: ignore[operator]
    assert d.precision(fires & False, text, 0.01, LEAN).refused
    assert d.recall(fires, text, LEAN).value == pytest.approx(hit)
    assert d.alarms(fires, text, LEAN).value == pytest.approx(alarm)


def test_the_threshold_is_the_one_with_the_greatest_f1() -> None:
    for sign in (1, -1):
        values, text = made_up(documents=20, seed=3)
        found = d.fitted(sign * values, text, 0.1)
        assert found.sign == sign

        def f1(fires: np.ndarray, text: d.Labelled = text) -> float:
            hit, alarm = 0.1 * fires[text.yes].mean(), 0.9 * fires[~text.yes].mean()
            return float(2 * hit / (hit + alarm + 0.1))

        every = [f1(values > bar) for bar in np.unique(values) - 0.05]
        assert f1(found.fires(sign * values)) == pytest.approx(max(every))


def test_every_neurons_correlation_is_that_of_its_activations() -> None:
    subject = gated()
    said = said_of(ours, subject, narrow(), "fit")
    found = correlations(subject, narrow(), said.yes)
    sites = subject.sites("L0.N0-3")
    read = observe(subject, narrow(), sites)
    yes = np.concatenate([said.yes[name] for name in read.documents]).astype(float)
    for site in sites[:3]:
        values = read.flat(site).double().numpy()
        assert found[0, site.index] == pytest.approx(np.corrcoef(values, yes)[0, 1], abs=1e-9)
    assert found.shape == (2, 8) and found[0, 3] == 0  # a dead one goes with nothing


# Neurons written by hand


def cells(record: Record) -> dict[str, Any]:
    return dict(record.numbers())


def measured(subject: ux.Subject, sites: str, **how: Any) -> Record:
    given = {"label": [ours], "settings": LEAN, "folder": None, "alike": 0, **how}
    return ux.label(subject, sites, (narrow(), broad()), **given)


@cache
def of_gated() -> Record:
    return measured(gated(), "L0.N0 L0.N1 L0.N2", near=[neighbours])


def test_a_detector_of_the_label_whose_value_is_something_else_is_told_from_the_label_itself() -> (
    None
):
    found = cells(of_gated())
    for site in ("L0.N0", "L0.N1"):
        assert found[f"scores/scores/{site}/0-auroc"].value == 1
        assert found[f"scores/scores/{site}/1-precision"].value == 1
    # The label is all of N1: what is left of it is nothing, to the last bit but rounding.
    assert found["effects/alone/L0.N1/recovered"].value == pytest.approx(1, abs=1e-5)
    assert found["effects/alone/L0.N0/recovered"].high < 0.75
    assert found["effects/parts/label/recovered"].high < 0.3
    assert found["effects/parts/residual/recovered"].low > 0.7
    assert found["effects/parts/yes/recovered"].value == pytest.approx(1, abs=1e-4)
    assert found["effects/parts/no/recovered"].value == pytest.approx(
        found["effects/parts/label/recovered"].value, abs=1e-4
    )
    assert found["scores/variance/L0.N1/0-explained"].value == pytest.approx(1)
    assert found["scores/variance/L0.N0/0-within"].low > 0.1


def test_of_the_label_itself_only_the_rest_is_mean_ablation() -> None:
    found = cells(measured(gated(), "L0.N1"))
    assert found["effects/parts/label/recovered"].value == pytest.approx(1, abs=1e-5)
    assert found["effects/parts/residual/recovered"].value == pytest.approx(0, abs=1e-5)
    assert found["effects/references/mean outside the label/no"].value == pytest.approx(0, abs=1e-6)
    assert abs(found["effects/references/mean/no"].value) > 1e-4
    assert found["effects/references-1/mean of narrow/damage"].value != (
        found["effects/references-1/mean/damage"].value
    )


def test_a_label_that_holds_on_the_narrow_text_alone_drops_on_the_broad_one() -> None:
    record = of_gated()
    found = cells(record)
    here, there = (found[f"scores/scores/L0.N2/{i}-precision"] for i in (0, 1))
    assert here.value == 1 and there.high < here.low
    assert "Worse on broad: L0.N2." in record.verdict
    rows = {row.name: row.note for row in record.blocks[0].rows}  # type: ignore[union-attr]
    assert "Precision" in rows["L0.N2"] and not rows["L0.N0"] and not rows["L0.N1"]


def test_duplicates_are_told_from_a_specialist() -> None:
    """The duplicates are found: nobody named them."""
    found = cells(measured(duplicates(), "L0.N2", alike=4))
    unique = {site: found[f"alike/units/L0.{site}/unique"].value for site in ("N0", "N1", "N2")}
    last = {site: found[f"alike/units/L0.{site}/last"].value for site in ("N0", "N1")}
    assert unique["N2"] > 0.3 and max(unique["N0"], unique["N1"]) < 0.2 * unique["N2"]
    assert unique["N0"] == pytest.approx(unique["N1"])
    assert min(last.values()) > 3 * max(unique["N0"], unique["N1"])
    assert "alike/units/L0.N3/unique" not in found  # it is dead, and under no label


def test_a_dead_neuron_is_said_to_be_dead() -> None:
    """It had an AUROC with an interval, was active everywhere, and its cost had "too few documents"."""
    record = measured(gated(), "L0.N3")
    found = cells(record)
    for number in (0, 1):
        assert found[f"scores/scores/L0.N3/{number}-auroc"].refused == "it is 0 at every token here"
        assert "never active" in found[f"scores/scores/L0.N3/{number}-precision"].refused
        assert found[f"scores/scores/L0.N3/{number}-recall"].value == 0
    assert "'ours' is refused: it is 0 at every token here." in record.verdict
    assert "Ablating it costs nothing on narrow." in record.verdict
    assert "few documents" not in record.verdict


def test_where_no_neuron_goes_with_the_label_it_is_said() -> None:
    """Attention-only models keep neurons that are 0 everywhere: it was an IndexError."""
    dead = plain(GATED)
    with torch.no_grad():
        for layer in dead.model.layers:
            layer.mlp.up_proj.weight.zero_()
    subject = ux.load(dead, tokenizer=make_tokenizer(), device="cpu", name="dead")
    with pytest.raises(MeasurementError, match="none varies with it on the fit part of narrow"):
        measured(subject, "")


@ux.explanation(gives="value", reads=["tokens"])
def how_much(view: ux.View) -> Tensor:
    """What N0 is: 1 on the first half of our words, 3 on the second."""
    ours, second = (view.tokens >= 1) & (view.tokens <= 16), view.tokens > 8
    return ours * (1.0 + 2.0 * second)


def test_a_label_that_says_how_much_is_scored_by_how_much() -> None:
    """By yes and no it explained two thirds of a neuron that it gives exactly, and its substitution all."""
    found = cells(measured(gated(), "L0.N0", label=[how_much]))
    yes_and_no = cells(of_gated())
    assert found["scores/variance/L0.N0/0-explained"].value == pytest.approx(1, abs=1e-6)
    assert found["scores/variance/L0.N0/0-within"].value == pytest.approx(0, abs=1e-6)
    assert found["effects/parts/label/recovered"].value == pytest.approx(1, abs=1e-4)
    assert yes_and_no["scores/variance/L0.N0/0-explained"].value < 0.9


def test_where_a_label_misses_a_part_of_its_kind_the_neuron_is_scored_by_the_kind_as_well() -> None:
    """A label that is late made the neuron look imprecise: all of its false alarms were the label's own misses."""
    draw = np.random.default_rng(0)
    domain = np.repeat(["ours", "others"], 60)
    yes = (domain == "ours") & (draw.random(120) < 0.7)
    values = (domain == "ours").astype(float)
    on = TokensMeasured(
        "text", d.Labelled(np.repeat(np.arange(12), 10), yes, 12), {"L0.N0": values}, domain, {}
    )
    assert on.home == "ours"
    detector = d.Detector(1, 0.5, 0.5, 1.0, 0.0, 0.0, 1.0)
    fires = detector.fires(values)
    by_label = d.precision(fires, on.tokens, 0.01, Settings()).value
    by_kind = d.precision(fires, on.by_kind, 0.01, Settings()).value
    assert by_label < 0.05 and by_kind == 1
    assert replace(on, domain=np.full(120, "one")).home == ""
    late = d.Labelled(on.tokens.unit, yes & (draw.random(120) < 0.5), 12)
    assert replace(on, tokens=late).home == ""  # it says yes to less than half of any kind


def test_what_is_refused_on_the_broad_text_and_of_which_neurons_the_label_is_told_is_said() -> None:
    said = of_gated().verdict
    assert "Set off by near misses for certain: L0.N2." in said
    assert "is told of L0.N1" in said
    silent = words("silent", 7, ours=0.0, others=0.5)
    record = ux.label(gated(), "L0.N0 L0.N1", (narrow(), silent), label=[ours], settings=LEAN, folder=None, alike=0)  # fmt: skip
    assert "On silent that is refused: the label says yes to no token here." in record.verdict
    assert "precision there is of the recall on narrow" in record.blocks[0].says  # type: ignore[union-attr]


def test_tokens_of_the_label_are_no_near_misses_and_of_none_nothing_is_told() -> None:
    """N0 and N1 are silent on neighbours; a near label that holds the label's own words sets them off there alone."""
    said = measured(gated(), "L0.N0 L0.N1", near=[vague]).verdict
    assert "Set off by near misses for certain: none." in said
    on = {"label": [ours], "settings": LEAN, "folder": None, "alike": 0}
    alone = ux.label(gated(), "L0.N0 L0.N2", narrow(), near=[neighbours], **on)
    assert "Set off by" not in alone.verdict
    assert "What 'neighbours' sets off is not told: no text has a token of it" in alone.verdict
    row = cells(alone)["misses/kinds-0/label neighbours/L0.N2"]
    assert row.refused == "there are no such tokens here"


def test_a_neuron_that_is_lower_on_the_label_is_said_to_be() -> None:
    subject = written([({OURS: -1.0}, {X: 8.0}), *GATED[:2]])
    record = measured(subject, "L0.N0 L0.N2")
    assert cells(record)["scores/scores/L0.N0/0-auroc"].value == 1
    assert (
        "Lower where the label says yes, and counted as active when low: L0.N0." in record.verdict
    )
    assert "L0.N0 (lower on the label)" in text_table(record, columns=100, full=True)
    assert "N0 (lower on the label)" not in text_table(of_gated(), columns=100, full=True)


def test_two_texts_of_one_name_are_refused() -> None:
    """The mean of one stood in for that of the other, without a word."""
    again = replace(broad(), name="narrow")
    with pytest.raises(TextError, match="2 of them are called narrow"):
        ux.label(gated(), "L0.N0", (narrow(), again), label=[ours], folder=None)


def test_a_vague_label_agrees_less_on_near_misses_than_an_exact_one() -> None:
    exact = cells(of_gated())
    loose = cells(measured(gated(), "L0.N1", label=[vague], near=[neighbours]))
    where = "misses/kinds-1/label neighbours/{}"
    assert (
        exact[where.format("L0.N1-agrees")].value == 1 and exact[where.format("label")].value == 0
    )
    assert (
        loose[where.format("L0.N1-agrees")].value == 0 and loose[where.format("label")].value == 1
    )
    assert exact[where.format("L0.N2")].value == 1  # the neuron that holds on the narrow text alone


def test_where_no_neuron_is_named_those_that_go_with_the_label_most_are_taken_and_a_twin_is_beside() -> (
    None
):
    record = measured(gated(), "", top=2, prevalence=0.015)
    assert "Precision at 1.5%" in record.blocks[0].columns[0].heading  # type: ignore[union-attr]
    found = cells(record)
    assert {"scores/scores/L0.N1/0-auroc", "scores/scores/L0.N2/0-auroc"} <= found.keys()
    assert found["scores/twin/1/0-auroc"].value < 0.9
    assert found["effects/parts/twin-ablated/cost"].value < 0.1


@ux.explanation(gives="value", reads=["tokens"])
def ours_or_first(view: ux.View) -> Tensor:
    """The token is one of ours, or the document's first, which nothing is scored on."""
    return view.tokens <= 16


def test_where_random_weights_have_nothing_to_show_there_is_no_row() -> None:
    """The few documents of the twin may all be without the label."""
    text = narrow()
    other = [replace(block, tokens=np.where((block.tokens > 0) & (block.tokens < 17), 30, block.tokens)) for block in text.fit[:16]]  # fmt: skip
    few = replace(text, fit=(*other, *text.fit[16:]))
    for label in (ours, ours_or_first):
        record = ux.label(gated(), "L0.N1", few, label=[label], settings=LEAN, folder=None, alike=0)
        found = cells(record)
        assert "effects/parts/label/recovered" in found
        assert not any("twin" in name for name in found)


# By hand, with plain hooks on Hugging Face's own model


@cache
def by_hand() -> dict[str, Any]:
    """Losses of every prediction of the narrow text, by what stands in the place of the three neurons."""
    fit, rows, of_broad = (torch.tensor(np.stack([b.tokens for b in some]).astype(int))
                            for some in (narrow().fit, narrow().eval, broad().fit))  # fmt: skip
    model, seen = plain(GATED), []

    def losses(some: Tensor, change: Any = lambda x: x) -> Tensor:
        def hook(module: Any, given: tuple[Tensor]) -> tuple[Tensor]:
            seen[:] = [given[0].double()]
            return (change(given[0].double()).float(),)

        handle = model.model.layers[0].mlp.down_proj.register_forward_pre_hook(hook)
        with torch.no_grad():
            logits = model(some, use_cache=False).logits.double()
        handle.remove()
        return -logits[:, :-1].log_softmax(-1).gather(-1, some[:, 1:, None])[..., 0]

    def yes(some: Tensor) -> Tensor:
        return (some >= 1) & (some <= 16)

    def put(value: Any, *which: int) -> Any:
        at = torch.isin(torch.arange(8), torch.tensor(which or (0, 1, 2)))
        return lambda x: torch.where(at, value(x), x)

    losses(of_broad)
    elsewhere = seen[0].mean((0, 1))
    losses(fit)
    mean, on_yes, on_no = seen[0].mean((0, 1)), seen[0][yes(fit)].mean(0), seen[0][~yes(fit)].mean(0)  # fmt: skip
    # Detectors leave first tokens out.
    values, told = seen[0][:, 1:], yes(fit[:, 1:])
    middle, on_label, outside = values.mean((0, 1)), values[told].mean(0), values[~told].mean(0)
    here = yes(rows)[..., None]
    said = torch.where(here, on_yes, on_no)
    changes = {
        "label": put(lambda x: said), "residual": put(lambda x: mean + x - said),
        "yes": put(lambda x: torch.where(here, x, said)), "no": put(lambda x: torch.where(here, said, x)),
        "ablated": put(lambda x: mean), "zero": put(torch.zeros_like), "mean of broad": put(lambda x: elsewhere),
        "mean outside the label": put(lambda x: outside),
        **{f"L0.N{i}": put(lambda x: mean, i) for i in range(3)},
        **{f"without L0.N{i}": put(lambda x: mean, *({0, 1, 2} - {i})) for i in range(3)},
        **{f"label at L0.N{i}": put(lambda x: said, i) for i in range(3)},
    }  # fmt: skip
    intact = losses(rows)
    values, told = seen[0][:, 1:], here[:, 1:]
    off = (values - torch.where(told, on_label, outside)) ** 2
    whole = ((values - middle) ** 2).sum((0, 1))
    shares = {"explained": 1 - off.sum((0, 1)) / whole,
              "within": (((values - on_label) ** 2) * told).sum((0, 1)) / whole}  # fmt: skip
    costs = {name: losses(rows, one) - intact for name, one in changes.items()}
    return costs | shares | {"where": yes(rows[:, :-1])}


def test_what_the_label_carries_is_what_plain_hooks_give() -> None:
    found, hand = cells(of_gated()), by_hand()
    where = hand["where"]

    def same(name: str, value: Any) -> None:
        assert found[name].value == pytest.approx(float(value), rel=2e-4, abs=2e-5), name

    cost = {
        name: hand[name].mean() for name in hand if name not in ("where", "explained", "within")
    }
    for key in ("ablated", "label", "residual", "yes", "no"):
        same(f"effects/parts/{key}/cost", cost[key])
        same(f"effects/parts/{key}/yes", hand[key][where].mean())
        same(f"effects/parts/{key}/no", hand[key][~where].mean())
        if key != "ablated":
            same(f"effects/parts/{key}/recovered", 1 - cost[key] / cost["ablated"])
            part = hand[key][where].sum() / hand["ablated"][where].sum()
            same(f"effects/parts/{key}/recovered-yes", 1 - part)
    for key in ("zero", "mean of broad", "mean outside the label"):
        same(f"effects/references/{key}/damage", cost[key])
        same(f"effects/references/{key}/recovered", 1 - cost["label"] / cost[key])
    for i in range(3):
        site = f"L0.N{i}"
        same(f"effects/alone/{site}/damage", cost[site])
        same(f"effects/alone/{site}/recovered", 1 - cost[f"label at {site}"] / cost[site])
        same(f"alike/units/{site}/unique", cost[site])
        same(f"alike/units/{site}/share", cost[site] / cost["ablated"])
        same(f"alike/units/{site}/last", cost["ablated"] - cost[f"without {site}"])
        for key in ("explained", "within"):
            same(f"scores/variance/{site}/0-{key}", hand[key][i])
    same("alike/together/joint/is", cost["ablated"])
    same("alike/together/unique/is", sum(cost[f"L0.N{i}"] for i in range(3)) / cost["ablated"])


def test_kinds_are_counted_token_by_token() -> None:
    found = cells(of_gated())
    rows = np.stack([block.tokens for block in broad().eval])[:, 1:]
    near = (rows >= 17) & (rows <= 24)
    counts = table(of_gated(), "misses/kinds-1")
    assert counts["label neighbours", "tokens"] == near.sum()
    (kind,) = {block.domain for block in broad().eval}
    mine = (rows >= 1) & (rows <= 16)
    assert counts[kind, "tokens"] == rows.size
    assert found[f"misses/kinds-1/{kind}/label"].value == pytest.approx(mine.mean())
    assert found[f"misses/kinds-1/{kind}/L0.N2"].value == pytest.approx((mine | near).mean())
    assert found[f"misses/kinds-1/{kind}/L0.N2-agrees"].value == pytest.approx(1 - near.mean())
    assert found["facts/yes-1/is"].value == pytest.approx(mine.mean())


# What is refused


@ux.explanation(gives="value", reads=["tokens"])
def everything(view: ux.View) -> Tensor:
    """Every token."""
    return view.blank + 1


@ux.explanation(gives="value", reads=["tokens"])
def never(view: ux.View) -> Tensor:
    """The token is one that there is none of."""
    return view.tokens > 10_000


@ux.explanation(gives="value", reads=["tokens"])
def raising(view: ux.View) -> Tensor:
    """Nothing that can be computed."""
    raise ZeroDivisionError("oh")


@ux.explanation(gives="value", reads=["tokens"])
def flat(view: ux.View) -> Tensor:
    """A number for every document, not for every token."""
    return view.tokens[:, 0] > 0


@ux.explanation(gives="value", reads=["tokens"])
def seeing(view: ux.View) -> Tensor:
    """The next token is one of ours."""
    return (view.tokens.roll(-1, 1) <= 16) & (view.tokens.roll(-1, 1) >= 1)


@ux.explanation(gives="value", reads=["tokens"])
def beginning(view: ux.View) -> Tensor:
    """The first token of the document, which nothing is scored on."""
    return view.tokens == 0


@ux.explanation(gives="value", reads=["tokens"])
def endless(view: ux.View) -> Tensor:
    """No number."""
    return view.blank / 0


@ux.explanation(gives="value", reads=["tokens"])
def listed(view: ux.View) -> Tensor:
    """A list."""
    return view.tokens.tolist()  # type: ignore[no-any-return]


@ux.explanation(gives="value", reads=["value"])
def itself(view: ux.View) -> Tensor:
    """It is active."""
    return view.value > 0


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (everything, "yes to every of its"),
        (never, "yes to none of its"),
        (raising, "ZeroDivisionError: oh"),
        (flat, "returned shape"),
        (seeing, "later"),
        (itself, "reads value"),
        (beginning, "yes to none of its"),
        (endless, "NaN"),
        (listed, "a list, not a tensor"),
    ],
    ids=lambda x: getattr(x, "name", ""),
)
def test_labels_that_say_nothing_are_refused(label: ux.Explanation, said: str) -> None:
    with pytest.raises(ExplanationError, match=said) as caught:
        measured(gated(), "L0.N1", label=[label])
    assert caught.value.do, "what to do about it"
    assert "L0.N0" not in str(caught.value), "a neuron that nobody asked about"


def test_what_cannot_be_labelled_is_refused_before_anything_is_run() -> None:
    for sites, how, kind, said in (
        ("L0.H0", {}, SiteError, "it is no neuron"),
        ("L0.N0-1 L0.N2-7 L1.N0", {}, MeasurementError, "at most 8"),
        ("L0.N0", {"label": None}, ExplanationError, "none was given"),
        ("L0.N0", {"label": [ours, vague]}, ExplanationError, "one is measured at a time"),
        ("L0.N0", {"prevalence": 0.0}, MeasurementError, "between 0 and 1"),
        ("L0.N0", {"near": [ours]}, ExplanationError, "given twice"),
    ):
        with pytest.raises(kind, match=said):
            measured(gated(), sites, **how)


def test_a_broad_text_that_has_the_narrow_ones_documents_is_refused() -> None:
    both = replace(broad(), eval=(*broad().eval, narrow().eval[0]))
    with pytest.raises(TextError, match="they share 1 documents"):
        ux.label(gated(), "L0.N0", (narrow(), both), label=[ours])


def test_a_file_may_make_labels_of_the_text_of_every_token(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import torch\nimport unexplained as ux\n\n"
        "def for_vocabulary(words):\n"
        "    known = torch.tensor([i for i, word in enumerate(words) if word == 't3'])\n\n"
        "    @ux.explanation(gives='value', reads=['tokens'])\n"
        "    def third(view):\n"
        "        '''The third word.'''\n"
        "        return torch.isin(view.tokens, known)\n\n"
        "    return [third]\n",
        encoding="utf-8",
    )
    (found,) = find_explanation(f"{path}:third", words=gated().words)
    said = said_of(found, gated(), broad(), "eval")
    for block in broad().eval:
        assert np.array_equal(said.yes[block.document], block.tokens == 3)
    assert torch.equal(
        torch.tensor([w == "t3" for w in gated().words]).nonzero(), torch.tensor([[3]])
    )

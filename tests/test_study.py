"""Runs, arms and readings: what is measured under which card, and what a claim brings with it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import unexplained as ux
from test_assay import subject_of, texts_of
from test_gap import ledger_of
from unexplained.ablations import value_site
from unexplained.bars.cards import Card, Must
from unexplained.bars.reading import Reading
from unexplained.errors import MeasurementError
from unexplained.explanations import LIBRARY
from unexplained.record import Number
from unexplained.study import Run, arms
from unexplained.study.arm import Arm, arm
from unexplained.study.arms.chosen import ELSEWHERE, ITSELF, NOTHING
from unexplained.study.choosing import choose
from unexplained.study.heads import by_document

LEAN = ux.Settings(resamples=100)


@pytest.fixture(scope="module")
def run() -> Run:
    """A planted model of which strict induction is the whole truth, on repeated tokens."""
    subject, _ = subject_of("strict_induction")
    return Run(subject, (texts_of(subject)[0],), LEAN)


def reading(losses: dict[str, list[float]], *cards: Card) -> Reading:
    """A hand-made reading: for each condition its loss per token, one document each."""
    tokens = [1] * len(next(iter(losses.values())))
    return Reading(ledger_of(losses, tokens), cards, LEAN, "made up")


def control(must: Must, name: str = "c") -> Card:
    return Card(name=name, role="control", effects={"total": name}, of="claim", must=must)


# What a claim brings


def test_a_claim_is_measured_with_its_controls_unasked(run: Run) -> None:
    sites = run.subject.sites("L1.H0")
    (claim,) = arms.claims(run, sites, [LIBRARY.get("strict_induction")])
    read = run.measure(arms.ablation(run, "mean", sites), claim)
    assert [card.name for card in read.of("control")] == [
        "the component itself", "no explanation", "strict induction, moved",
    ]  # fmt: skip
    assert [check.holds for check in read.checks()] == [True, True, True]
    assert read.recovered(claim.name, "mean").value == pytest.approx(1.0, abs=0.02)
    assert read.recovered("the component itself", "mean").value == 1.0
    assert read.recovered("no explanation", "mean").value == 0.0


def test_an_ablation_claims_nothing_and_brings_nothing(run: Run) -> None:
    read = run.measure(arms.ablation(run, "mean", run.subject.sites("L1.H0")))
    assert [card.role for card in read.cards] == ["ablation"] and not list(read.checks())


def test_controls_of_two_claims_of_one_component_are_measured_once(run: Run) -> None:
    sites = run.subject.sites("L1.H0")
    two = arms.claims(run, sites, [LIBRARY.get("strict_induction"), LIBRARY.get("previous_token")])
    read = run.measure(arms.ablation(run, "mean", sites), *two)
    names = [card.name for card in read.cards]
    assert len(names) == len(set(names)) and names.count("no explanation") == 1


def test_a_claim_without_controls_is_refused_unless_it_belongs_to_one_that_has_them(
    run: Run,
) -> None:
    fresh = Run(run.subject, run.texts, LEAN)
    sites = fresh.subject.sites("L1.H0")
    rules = [LIBRARY.get("strict_induction"), LIBRARY.get("previous_token")]
    (bare,) = arms.claims(fresh, sites, rules[:1], controls=())
    by_hand = arm(bare.conditions["total"], role="explanation")
    for one in (bare, by_hand, bare.called("alone"), replace(bare, card=fitted(bare))):
        with pytest.raises(MeasurementError, match=r"claim '.*without controls"):
            fresh.measure(one)
    mean = arms.ablation(fresh, "mean", sites)
    read = fresh.measure(mean, *arms.claims(fresh, sites, rules, controls=["strict induction"]))
    assert [card.of for card in read.of("explanation")] == ["", "strict induction"]
    fresh.measure(bare.called("alone"))
    for other in (fresh.of(fresh.subject.twin(0)), fresh.on(replace(fresh.text, name="other"))):
        with pytest.raises(MeasurementError, match="claim 'alone'"):
            other.measure(bare.called("alone"))
    assert [check.holds for check in fresh.checks] == [True, True, True]


def fitted(one: Arm) -> Card:
    return one.card.model_copy(update={"role": "fitted"})


def test_what_was_chosen_brings_the_controls_of_all_components_together(run: Run) -> None:
    sites = run.subject.sites("L0.H0 L1.H0 L1.mlp")
    rules = [
        LIBRARY.get(name).with_rest("first") for name in ("strict_induction", "previous_token")
    ]
    chosen = choose(run, sites, rules)
    assert set(chosen.ends) == {site for site in sites if site.part == "H"}
    whole, fill = arms.replaced(run, chosen, ("all", "means"), sites)
    part, _ = arms.replaced(run, chosen, ("some", "some means"), sites[:1], of="all")
    read = run.measure(whole, fill, part)
    assert [c.name for c in read.of("control")] == [ITSELF, NOTHING, ELSEWHERE]
    assert not part.controls
    assert all(check.holds and check.applies for check in read.checks())
    itself, nothing, elsewhere = (read.recovered(c.name, "means") for c in read.of("control"))
    assert (itself.value, nothing.value) == (1.0, 0.0)
    assert (elsewhere.high or 1.0) < (read.recovered("all", "means").low or 0.0)
    only = arms.replaced(run, chosen, ("mlp", "its mean"), sites[2:])
    assert [one.card.role for one in only] == ["ablation", "ablation"]
    short, _ = arms.replaced(run, replace(chosen, reach=3), ("all", "means"), sites)
    must = short.controls[-1].card.must
    assert must and must.gives == "cannot tell" and "as long as these" in must.expected


def test_two_arms_that_differ_may_not_have_one_name(run: Run) -> None:
    one, other = (arms.ablation(run, name, run.subject.sites("L1.H0")) for name in ("mean", "zero"))
    twice = arm(other.conditions["total"], name=one.name, role="ablation")
    with pytest.raises(MeasurementError, match="two that differ"):
        run.measure(one, twice)


def test_the_fit_part_is_read_once_for_all_that_is_fitted_to_it(run: Run) -> None:
    said: list[str] = []
    fresh = Run(run.subject, run.texts, LEAN, say=lambda what, done, total: said.append(what))
    sites = fresh.subject.sites("L1.H0")
    arms.claims(fresh, sites, [LIBRARY.get("strict_induction")])
    arms.ablation(fresh, "mean", sites)
    arms.ablation(fresh, "resample", sites)
    batches = [what for what in said if what.startswith("reading the fit part")]
    values = list(map(value_site, sites))
    assert fresh.observe(values) is fresh.observe(values)
    assert batches and [w for w in said if w.startswith("reading the fit part")] == batches


# What a control has to give


def test_a_control_that_is_to_be_the_same_fails_where_one_document_differs() -> None:
    same = Must(gives="the same", of="intact", expected="the same")
    exact = {"intact": [1.0, 2.0, 3.0, 2.0, 1.0], "c": [1.0, 2.0, 3.0, 2.0, 1.0]}
    off = exact | {"c": [1.0, 2.0, 3.001, 2.0, 1.0]}
    for losses, tolerance, holds in ((exact, 0.0, True), (off, 0.0, False), (off, 0.01, True)):
        must = same.model_copy(update={"tolerance": tolerance})
        (check,) = reading(losses, control(must)).checks()
        assert check.holds == holds


def test_a_control_that_recovers_something_fails_and_one_within_noise_does_not() -> None:
    rng = np.random.default_rng(0)
    intact = rng.uniform(2, 3, 12)
    gone = intact + rng.uniform(0.9, 1.1, 12)
    nothing = Must(gives="nothing", of="mean", expected="nothing")
    for found, holds in ((gone - 0.5, False), (gone + rng.normal(0, 0.02, 12), True)):
        losses = {"intact": intact, "mean": gone, "c": found}
        (check,) = reading({k: list(v) for k, v in losses.items()}, control(nothing)).checks()
        assert check.applies and check.holds == holds


def test_a_control_holds_that_for_certain_recovers_under_a_tenth_of_its_claim() -> None:
    rng = np.random.default_rng(0)
    intact = rng.uniform(2, 3, 48)
    gone = intact + rng.uniform(0.9, 1.1, 48)
    nothing = Must(gives="nothing", of="mean", expected="nothing")
    claim = Card(name="claim", role="explanation", effects={"total": "claim"})
    for recovers, claimed, holds in ((0.04, 0.5, True), (0.04, 0.3, False), (0.04, 0.0, False)):
        noise = rng.normal(0, 0.002, (2, 48))
        losses = {"intact": intact, "mean": gone, "c": gone - recovers + noise[0],
                  "claim": gone - claimed + noise[1]}  # fmt: skip
        made = reading({k: list(v) for k, v in losses.items()}, control(nothing), claim)
        (check,) = made.checks()
        assert check.applies and check.found.low > 0 and check.holds == holds


def test_a_control_that_is_refused_has_not_held() -> None:
    nothing = Must(gives="nothing", of="mean", expected="nothing")
    # Nothing to divide by, and too few documents for an interval.
    for intact, gone in (([1.0] * 12, [1.0] * 12), ([1.0, 2.0], [2.0, 3.0])):
        losses = {"intact": intact, "mean": gone, "c": intact}
        (check,) = reading(losses, control(nothing)).checks()
        assert check.found.low is None
        assert not check.applies and "cannot be told here" in check.expected


def test_a_control_that_is_another_condition_is_exact_and_so_is_what_it_recovers() -> None:
    rng = np.random.default_rng(0)
    intact = list(rng.uniform(2, 3, 12))
    losses = {"intact": intact, "mean": [one + 1 for one in intact]}
    for of, unit in (("intact", "nats per token"), ("mean", "share")):
        must = Must(gives="the same", of=of, expected="the same")
        (check,) = reading(losses | {"c": losses[of]}, control(must)).checks()
        assert check.holds and check.found == Number(value=0.0, low=0.0, high=0.0, unit=unit)


def test_a_control_that_cannot_tell_says_so_and_is_no_pass() -> None:
    none = Must(gives="cannot tell", of="mean", expected="no control of this kind")
    (check,) = reading({"intact": [1.0] * 5, "c": [1.0] * 5}, control(none)).checks()
    assert not check.applies and check.found.refused == "no control of this kind"


# Kept


def test_a_reading_is_read_again_without_torch_and_gives_the_same_numbers(
    run: Run, tmp_path: Path
) -> None:
    sites = run.subject.sites("L1.H0")
    claims = arms.claims(run, sites, [LIBRARY.get("strict_induction")])
    read = run.measure(arms.ablation(run, "mean", sites), *claims)
    read.save(tmp_path / "reading")
    again = Reading.load(tmp_path / "reading")
    assert again.cards == read.cards and again.settings == read.settings
    assert again.recovered("strict induction", "mean") == read.recovered("strict induction", "mean")
    code = (
        "import sys; from pathlib import Path; from unexplained.bars.reading import Reading;"
        f"r = Reading.load(Path({str(tmp_path / 'reading')!r}));"
        "print(r.recovered('strict induction', 'mean').value); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) == read.recovered("strict induction", "mean").value


def test_an_arm_that_was_not_measured_is_named_with_near_ones() -> None:
    read = reading({"intact": [1.0], "mean": [2.0]}, Card(name="mean", role="ablation"))
    with pytest.raises(MeasurementError, match="Did you mean mean"):
        read.card("meen")


def test_what_is_no_reading_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(MeasurementError, match="lacks text"):
        Reading.load(tmp_path / "x")


def test_a_run_on_several_texts_has_no_one_text(run: Run) -> None:
    other = replace(run.text, name="another")
    two = Run(run.subject, (run.text, other), LEAN)
    assert [one.text for one in two.each_text()] == [run.text, other]
    with pytest.raises(MeasurementError, match="it is on 2"):
        _ = two.text
    with pytest.raises(MeasurementError, match="none of its own"):
        _ = Run(None, (run.text,), LEAN).subject


def test_where_heads_look_by_document_is_where_they_look_in_it_alone() -> None:
    subject = ux.load("rung-2", device="cpu")
    text = ux.text("repeats", subject, documents=3, fit_documents=4, block=24)
    heads = [site for name in ("L1.H0", "L0.H1") for site in subject.sites(name)]
    rules = ("induction", "previous_token")
    found = by_document(Run(subject, (text,), LEAN), heads, rules)
    for i, block in enumerate(text.eval):
        scores = ux.head_scores(subject, ux.Text(**{**vars(text), "eval": (block,)}))
        alone = {one.site: one for one in scores}
        for j, head in enumerate(heads):
            for rule in rules:
                there = getattr(alone[str(head)], rule)
                assert found[rule][j, i] == pytest.approx(there, rel=1e-5)

"""Sweeps that cost less than exact ones, against exact ones on models whose heads are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import unexplained as ux
from test_assay import make_text, subject_of
from test_sweep import GAIN, SETTINGS
from unexplained.assays.sweep import _verdict
from unexplained.assays.sweep import sweep as measure_sweep
from unexplained.bars.measures import measure_of
from unexplained.errors import MeasurementError, TextError
from unexplained.record import Effect, Number, SweepRecord
from unexplained.testbeds.texts import repeated


def swept(method: str, documents: int = 24, **options: object) -> SweepRecord:
    subject, _ = subject_of("strict_induction")
    tokens = repeated(np.random.default_rng(5), documents, 12)
    text = make_text("copies", subject, tokens, tokens, second_copy=13)
    return measure_sweep(
        subject, "L*.H*", text, ablation="zero", method=method, settings=SETTINGS, **options
    )


def test_a_race_measures_survivors_on_fresh_documents_and_says_what_it_may_have_missed() -> None:
    exact, race = swept("exact"), swept("race", sample=8, keep=2)
    assert race.estimation is not None and race.estimation.method == "race"
    fresh = {e.site for e in race.effects if e.measured == "fresh documents"}
    assert {"L0.H0", "L1.H0"} <= fresh
    for one, other in zip(race.effects, exact.effects, strict=True):
        expected = GAIN if one.site in ("L0.H0", "L1.H0") else 0
        assert one.change.value == pytest.approx(expected, abs=1e-3)
        assert one.change.value == pytest.approx(other.change.value, abs=1e-4)
    assert {e.site for e in race.effects if race.told(e)} == {"L0.H0", "L1.H0"}
    # All six rejected are checked on fresh documents, none reaches the bar: none was missed.
    assert race.estimation.missed is not None
    assert (race.estimation.missed.value, race.estimation.missed.high) == (0, 0)
    assert "0 of them reach the bar" in race.estimation.says
    assert race.estimation.exact == 8 * 8 + 16 * 8 and race.estimation.whole == 24 * 8


def test_a_component_that_nobody_checked_keeps_what_the_race_saw_and_no_p_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unexplained.assays.estimates.CHECKED", 2)
    race = swept("race", sample=8, keep=2)
    alone = [e for e in race.effects if e.measured == "chosen on"]
    assert len(alone) == 4 and all(e.p is None and e.q is None for e in alone)
    assert race.estimation is not None and race.estimation.missed is not None
    assert race.estimation.missed.high is not None and race.estimation.missed.high > 0.5
    assert race.estimation.exact == 8 * 8 + 16 * 4
    assert race.tested == len(race.effects) - len(alone)
    assert f"of {race.tested} components ({len(alone)} more lost the race)" in race.verdict


def test_the_verdict_of_a_race_names_no_effect_that_only_the_choosing_documents_saw() -> None:
    def effect(site: str, change: float, q: float | None) -> Effect:
        number = Number(value=change, low=change, high=change, unit="nats per token")
        measured = "fresh documents" if q is not None else "chosen on"
        return Effect(site=site, change=number, p=q, q=q, measured=measured)

    job = SimpleNamespace(
        text=SimpleNamespace(name="made up"),
        ablation="mean",
        measure=measure_of("loss", pairs=False),
    )
    said = _verdict([effect("L0.H0", 0.1, 0.01), effect("L0.H1", 0.9, None)], job)
    assert "1 of 1 components (1 more lost the race)" in said
    assert "largest effect measured is that of L0.H0," in said


def test_control_variates_give_the_exact_effects_within_their_intervals() -> None:
    exact, cheap = swept("exact"), swept("control variates", sample=12)
    assert cheap.estimation is not None and cheap.estimation.exact == 12 * 8
    for one, other in zip(cheap.effects, exact.effects, strict=True):
        assert one.measured == "control variate"
        assert one.change.value == pytest.approx(other.change.value, abs=1e-3)
    assert {e.site for e in cheap.effects if cheap.told(e)} == {"L0.H0", "L1.H0"}
    assert (cheap.chosen_on, cheap.reported_on) == (6, 6)


def test_attribution_is_matched_to_its_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attribution that is right for every document leaves nothing to chance."""
    from unexplained.assays import estimates
    from unexplained.bars.effects import changes

    subject, _ = subject_of("half_induction")
    rng = np.random.default_rng(3)
    from unexplained.testbeds.texts import irregular

    tokens = irregular(rng, 30, 24)
    text = make_text("irregular", subject, tokens, tokens)
    exact = measure_sweep(subject, "L1.H*", text, ablation="zero", settings=SETTINGS)

    def right(job, sites, units):
        ledger = job.measured(job.text, [(site,) for site in sites], "all")
        return changes(ledger, sites, job.measure).sums

    monkeypatch.setattr(estimates, "_attributed", right)
    cheap = measure_sweep(
        subject, "L1.H*", text, ablation="zero", method="control variates", sample=10,
        settings=SETTINGS,
    )  # fmt: skip
    first, other = cheap.effects[0], exact.effects[0]
    assert first.gain is not None and first.gain > 2
    assert first.change.value == pytest.approx(other.change.value, rel=0.02)


def test_samples_that_leave_nothing_and_measures_without_a_gradient_are_refused() -> None:
    for method, sample in (("race", 3), ("race", 22), ("control variates", 9)):
        with pytest.raises(TextError, match=r"A sample of \d+ of 24"):
            swept(method, sample=sample)
    with pytest.raises(MeasurementError, match="needs a measure with a gradient"):
        swept("control variates", sample=12, measure="accuracy")


def test_half_precision_is_refused_with_the_reason() -> None:
    from tiny import tiny_model, tiny_tokenizer

    subject = ux.load(tiny_model("llama").bfloat16(), tokenizer=tiny_tokenizer(), device="cpu")
    subject_32, _ = subject_of("empty")
    tokens = repeated(np.random.default_rng(5), 12, 12)
    text = make_text("copies", subject_32, tokens, tokens)
    with pytest.raises(MeasurementError, match=r"in bfloat16.*0\.004 nats"):
        measure_sweep(subject, "L*.H*", text)


def test_attribution_is_in_the_order_of_the_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    from unexplained.assays import estimates
    from unexplained.circuits import NodeScores

    subject, _ = subject_of("strict_induction")
    tokens = repeated(np.random.default_rng(5), 24, 12)
    text = make_text("copies", subject, tokens, tokens, second_copy=13)
    asked: list[np.ndarray] = []

    def attributed(subject, text, fills, **options):
        # A document's number is its place in the text, in every component's column.
        numbers = np.arange(float(len(text.units)))
        return NodeScores(
            tuple(fills), text.units, np.tile(numbers[:, None], len(fills)), "atp", "loss"
        )

    def controlled(job, found, approx, tokens, chosen):
        asked.append(approx)
        return ()

    monkeypatch.setattr(estimates, "attribute_nodes", attributed)
    monkeypatch.setattr(estimates, "_controlled", controlled)
    with pytest.raises(ValueError):  # no effects, no verdict
        measure_sweep(subject, "L1.H*", text, ablation="zero", method="control variates", sample=12,
                 settings=SETTINGS)  # fmt: skip
    expected = [text.units.index(unit) for unit in sorted(text.units)]
    assert expected != sorted(expected)
    for row in asked[0]:
        assert row.tolist() == expected


def test_the_strongest_of_a_race_are_chosen_by_it() -> None:
    race = swept("race", sample=8, keep=2)
    assert set(race.joints[0].sites) == {"L0.H0", "L1.H0"}


def test_the_p_value_of_an_estimate_counts_below_its_floor_as_rounding() -> None:
    from unexplained.assays.estimates import _p
    from unexplained.estimators import Estimate
    from unexplained.record import Number

    def found(value: float | None, p: float | None) -> Estimate:
        number = Number(value=value, refused="" if value else "no tokens")
        return Estimate(number, 0.0, None, None, 12, 40, p=p)

    assert _p(found(0.3, 0.02), 0.0) == 0.02
    assert _p(found(0.3, 0.02), 0.4) == 1
    assert _p(found(0.3, None), 0.0) == _p(found(None, 0.02), 0.0) == 1

"""Sweeps that cost less than exact ones, against exact ones on models whose heads are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import unexplained as ux
from swept import by_component, fact, strongest, told
from test_assay import make_text, subject_of
from test_sweep import GAIN, SETTINGS
from unexplained.bars import Effect
from unexplained.bars.measures import measure_of
from unexplained.errors import MeasurementError, TextError
from unexplained.instruments.sweep import _verdict
from unexplained.record import Number, Record
from unexplained.study import sweeping
from unexplained.testbeds.texts import irregular, repeated


def swept(method: str, documents: int = 24, **options: object) -> Record:
    subject, _ = subject_of("strict_induction")
    tokens = repeated(np.random.default_rng(5), documents, 12)
    text = make_text("copies", subject, tokens, tokens, second_copy=13)
    return ux.sweep(
        subject, "L*.H*", text, ablation="zero", method=method, settings=SETTINGS, **options
    )


def test_a_race_measures_survivors_on_fresh_documents_and_says_what_it_may_have_missed() -> None:
    exact, race = swept("exact"), swept("race", sample=8, keep=2)
    assert fact(race, "method", "estimation/facts") == "race"
    measured = by_component(race, "measured")
    fresh = {site for site, on in measured.items() if on == "documents that did not choose"}
    assert {"L0.H0", "L1.H0"} <= fresh
    changes = by_component(exact, "change")
    for site, change in by_component(race, "change").items():
        expected = GAIN if site in ("L0.H0", "L1.H0") else 0
        assert change.value == pytest.approx(expected, abs=1e-3)
        assert change.value == pytest.approx(changes[site].value, abs=1e-4)
    assert told(race) == {"L0.H0", "L1.H0"}
    # All six rejected are checked on fresh documents, none reaches the bar: none was missed.
    missed = race["estimation/facts/missed/is"]
    assert (missed.value, missed.high) == (0, 0)
    assert "0 of them reach the bar" in race.to_json()
    assert fact(race, "exact", "estimation/facts") == 8 * 8 + 16 * 8
    assert fact(race, "whole", "estimation/facts") == 24 * 8


def test_a_component_that_nobody_checked_keeps_what_the_race_saw_and_no_p_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("unexplained.study.sweeping.CHECKED", 2)
    race = swept("race", sample=8, keep=2)
    measured, q, p = (
        by_component(race, "measured"), by_component(race, "q"), by_component(race, "p", "alone/more"),
    )  # fmt: skip
    alone = [site for site, on in measured.items() if on == "only where a race chose"]
    assert len(alone) == 4 and all(p[site] is None and q[site] is None for site in alone)
    missed = race["estimation/facts/missed/is"]
    assert missed.high is not None and missed.high > 0.5
    assert fact(race, "exact", "estimation/facts") == 8 * 8 + 16 * 4
    tested = sum(one is not None for one in q.values())
    assert tested == len(q) - len(alone)
    assert f"of {tested} components ({len(alone)} more lost the race)" in race.verdict


def test_the_verdict_of_a_race_names_no_effect_that_only_the_choosing_documents_saw() -> None:
    def effect(site: str, change: float, q: float | None) -> Effect:
        number = Number(value=change, low=change, high=change, unit="nats per token")
        measured = "fresh documents" if q is not None else "chosen on"
        return Effect(site, number, p=q, q=q, measured=measured)

    asked = SimpleNamespace(
        text=SimpleNamespace(name="made up"),
        ablation="mean",
        measure=measure_of("loss", pairs=False),
    )
    said = _verdict([effect("L0.H0", 0.1, 0.01), effect("L0.H1", 0.9, None)], asked)
    assert "1 of 1 components (1 more lost the race)" in said
    assert "largest effect measured is that of L0.H0," in said


def test_control_variates_give_the_exact_effects_within_their_intervals() -> None:
    exact, cheap = swept("exact"), swept("control variates", sample=12)
    assert fact(cheap, "exact", "estimation/facts") == 12 * 8
    changes = by_component(exact, "change")
    for site, change in by_component(cheap, "change").items():
        assert change.value == pytest.approx(changes[site].value, abs=1e-3)
    assert set(by_component(cheap, "measured").values()) == {
        "some documents, the rest by attribution"
    }
    assert told(cheap) == {"L0.H0", "L1.H0"}
    assert "Chosen on 6 documents, measured on the other 6." in cheap.to_json()


def test_attribution_is_matched_to_its_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """An attribution that is right for every document leaves nothing to chance."""
    subject, _ = subject_of("half_induction")
    rng = np.random.default_rng(3)
    tokens = irregular(rng, 30, 24)
    text = make_text("irregular", subject, tokens, tokens)
    exact = ux.sweep(subject, "L1.H*", text, ablation="zero", settings=SETTINGS)

    def right(sweep, units):
        return sweep.changes(sweep.alone(sweep.text, "on all")).sums

    monkeypatch.setattr(sweeping, "attributed", right)
    cheap = ux.sweep(
        subject, "L1.H*", text, ablation="zero", method="control variates", sample=10,
        settings=SETTINGS,
    )  # fmt: skip
    assert by_component(cheap, "gain", "alone/more")["L1.H0"] > 2
    first, other = (by_component(one, "change")["L1.H0"] for one in (cheap, exact))
    assert first.value == pytest.approx(other.value, rel=0.02)


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
        ux.sweep(subject, "L*.H*", text)


def test_attribution_is_in_the_order_of_the_documents(monkeypatch: pytest.MonkeyPatch) -> None:
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

    def controlled(found, approx, tokens, chosen, settings):
        asked.append(approx)
        return ()

    monkeypatch.setattr(sweeping, "attribute_nodes", attributed)
    monkeypatch.setattr(sweeping, "controlled", controlled)
    with pytest.raises(ValueError):  # no effects, no verdict
        ux.sweep(subject, "L1.H*", text, ablation="zero", method="control variates", sample=12,
                 settings=SETTINGS)  # fmt: skip
    expected = [text.units.index(unit) for unit in sorted(text.units)]
    assert expected != sorted(expected)
    for row in asked[0]:
        assert row.tolist() == expected


def test_the_strongest_of_a_race_are_chosen_by_it() -> None:
    race = swept("race", sample=8, keep=2)
    assert strongest(race, 2)[0] == {"L0.H0", "L1.H0"}


def test_the_p_value_of_an_estimate_counts_below_its_floor_as_rounding() -> None:
    from unexplained.bars.effects import p_of
    from unexplained.estimators import Estimate

    def found(value: float | None, p: float | None) -> Estimate:
        number = Number(value=value, refused="" if value else "no tokens")
        return Estimate(number, 0.0, None, None, 12, 40, p=p)

    assert p_of(found(0.3, 0.02), 0.0) == 0.02
    assert p_of(found(0.3, 0.02), 0.4) == 1
    assert p_of(found(0.3, None), 0.0) == p_of(found(None, 0.02), 0.0) == 1

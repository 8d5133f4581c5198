"""Bars that weaker models set: by hand, by the identity that they must obey, and on planted ladders."""

import math
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import settings as quick
from hypothesis import strategies as st

from unexplained import bars
from unexplained.errors import MeasurementError
from unexplained.ledger import ALL, SCHEMA, TOKEN_SCHEMA, Ledger
from unexplained.record.bars import Bars
from unexplained.stats import Settings, difference_per_token

PLAIN = Settings()
LEAN = Settings(resamples=100)
LATE = ("position", "late")


def ledger_of(losses, tokens, *, stratum=ALL) -> Ledger:
    """One row per condition and document: sums of losses in nats."""
    rows = [
        (name, f"d{i:02d}", *stratum, int(tokens[i]), float(sums[i]), 0.0, 0, *[None] * 4)
        for name, sums in losses.items()
        for i in range(len(tokens))
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    return Ledger(pa.table(columns, schema=SCHEMA), TOKEN_SCHEMA.empty_table())


def many(losses, tokens, times=8):
    """The same documents several times: point values stay, and there are enough for a ratio."""
    return ledger_of({name: times * sums for name, sums in losses.items()}, times * tokens)


# Six documents of different lengths. Totals over 300 tokens: see `TOTAL`.
TOKENS = [10, 20, 30, 60, 80, 100]
BY_HAND = many(
    {
        "intact": [20, 40, 60, 120, 160, 200],
        "rule": [35, 45, 70, 140, 165, 205],
        "rung": [20, 50, 80, 150, 190, 230],
        "mean": [60, 90, 150, 300, 400, 400],
    },
    TOKENS,
)
TOTAL = {"intact": 600, "rule": 660, "rung": 720, "mean": 1400}


def test_scores_of_six_documents_by_hand():
    f = bars.recovered_from(BY_HAND, "rule", "mean", settings=PLAIN)
    r = bars.weak_share(BY_HAND, "rung", "mean", settings=PLAIN)
    g = bars.gap_score(BY_HAND, "rule", "rung", settings=PLAIN)
    assert f.value == 740 / 800
    assert r.value == 680 / 800
    # 60 / 120 of the totals; the first document alone would divide by 0.
    assert g.value == 0.5
    assert g.low < 0.5 < g.high
    assert (g.unit, r.unit) == ("share", "share")
    assert f == bars.recovered(BY_HAND, "rule", "mean", settings=PLAIN)


def test_uniform_is_a_baseline_without_a_condition():
    uniform = bars.Uniform(1000)
    guess = 300 * math.log(1000)
    f = bars.recovered_from(BY_HAND, "rule", uniform, settings=PLAIN)
    assert f.value == pytest.approx((guess - 660) / (guess - 600), rel=1e-12)
    r = bars.weak_share(BY_HAND, "rung", uniform, settings=PLAIN)
    assert r.value == pytest.approx((guess - 720) / (guess - 600), rel=1e-12)
    damage = bars.damage_from(BY_HAND, uniform, settings=PLAIN)
    assert damage.value == pytest.approx(math.log(1000) - 2, rel=1e-12)
    measured = many(
        {
            "intact": [20, 40, 60, 120, 160, 200],
            "rule": [35, 45, 70, 140, 165, 205],
            "uniform": [count * math.log(1000) for count in TOKENS],
        },
        TOKENS,
    )
    as_condition = bars.recovered_from(measured, "rule", "uniform", settings=PLAIN)
    for field in ("value", "low", "high"):
        assert getattr(f, field) == pytest.approx(getattr(as_condition, field), rel=1e-12)


def test_a_model_worse_than_guessing_is_refused_by_its_own_name():
    found = bars.recovered_from(BY_HAND, "rule", bars.Uniform(2), settings=PLAIN)
    assert found.value is None
    assert "(gap to 'uniform')" in found.refused
    assert "does worse than guessing" in found.refused


whole_nats = st.lists(st.integers(0, 400), min_size=6, max_size=6)


@given(full=whole_nats, better=whole_nats, worse=whole_nats, subs=st.lists(whole_nats, min_size=3))
@quick(max_examples=60, deadline=None)
def test_the_gap_score_is_f_on_another_scale_and_ranks_alike(full, better, worse, subs):
    # Whole nats, so that sums are exact and only three divisions round.
    weak = [a + b + 40 for a, b in zip(full, better, strict=True)]
    base = [a + b - 100 for a, b in zip(weak, worse, strict=True)]
    columns = {"intact": full, "weak": weak, "base": base}
    columns |= {f"sub {i}": losses for i, losses in enumerate(subs)}
    ledger = many(columns, TOKENS)
    r = bars.weak_share(ledger, "weak", "base", settings=LEAN)
    assume(r.value is not None)
    found = []
    for i, losses in enumerate(subs):
        f = bars.recovered_from(ledger, f"sub {i}", "base", settings=LEAN).value
        g = bars.gap_score(ledger, f"sub {i}", "weak", settings=LEAN).value
        assume(g is not None)
        # (f − r) = g (1 − r), each with at most half a unit in the last place of rounding.
        room = 2 * np.finfo(float).eps * (abs(f) + abs(r.value) + abs(g) * (2 + abs(r.value)))
        assert abs((f - r.value) - g * (1 - r.value)) <= room
        assert g == float(Fraction(sum(weak) - sum(losses), sum(weak) - sum(full)))
        assert bars.rescaled(f, r.value) == pytest.approx(g, rel=1e-9, abs=1e-9)
        assert bars.needed(g, r.value) == pytest.approx(f, rel=1e-9, abs=1e-9)
        found.append((sum(losses), f, g))
    for one in found:
        for other in found:
            if one[0] < other[0]:
                assert one[1] > other[1]
                assert one[2] > other[2]


def test_the_identity_fails_where_the_baselines_differ():
    """What the identity rests on: without it the test above could not fail."""
    f = bars.recovered_from(BY_HAND, "rule", bars.Uniform(1000), settings=PLAIN).value
    r = bars.weak_share(BY_HAND, "rung", "mean", settings=PLAIN).value
    assert abs(bars.rescaled(f, r) - 0.5) > 0.1


def test_the_interval_of_a_gap_score_is_its_own_and_not_that_of_f_rescaled():
    # The rung's gap varies by document, so r is uncertain, and f's interval knows nothing of it.
    tokens = [100] * 40
    ledger = ledger_of(
        {
            "intact": [200] * 40,
            "rule": [204] * 40,
            "rung": [200 + x for x in (4, 6, 12, 8, 5, 11, 7, 3)] * 5,
            "mean": [300] * 40,
        },
        tokens,
    )
    f = bars.recovered_from(ledger, "rule", "mean", settings=PLAIN)
    r = bars.weak_share(ledger, "rung", "mean", settings=PLAIN)
    # What 40 documents that agree may all lack is 1 − 0.025^(1/40) = 9%, and nothing else.
    assert (
        f.high - f.value == pytest.approx(f.value - f.low) == pytest.approx(1 - 0.025 ** (1 / 40))
    )
    g = bars.gap_score(ledger, "rule", "rung", settings=PLAIN)
    assert g.value == pytest.approx(bars.rescaled(f.value, r.value)) == pytest.approx(24 / 56)
    assert g.high - g.low > 0.1


def ladder(*, documents=60, seed=0, noise=0.02) -> Ledger:
    """An intact model at 3 nats, four rungs above it, tables, ablations; noise per document."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(100, 500, documents)
    common = rng.normal(0, 0.4, documents)
    levels = {
        "intact": 3.0, "mean": 4.0, "zero": 7.0, "bigram": 5.5, "unigram": 7.2,
        "rung 1": 4.2, "rung 2": 3.6, "rung 3": 3.3, "rung 4": 3.1, "rule": 3.45,
    }  # fmt: skip
    losses = {
        name: tokens * (level + common + rng.normal(0, noise, documents))
        for name, level in levels.items()
    }
    losses["copy of rung 3"] = losses["rung 3"].copy()
    return ledger_of(losses, tokens)


RUNGS = ["rung 2", "rung 1", "rung 4", "rung 3"]


@pytest.mark.parametrize("base", ["mean", "zero", "bigram", "unigram", bars.Uniform(4096)])
def test_a_weaker_model_offered_as_explanation_lands_exactly_on_r(base):
    measured = ladder()
    r = bars.weak_share(measured, "rung 3", base, settings=PLAIN)
    assert bars.recovered_from(measured, "copy of rung 3", base, settings=PLAIN) == r
    score = bars.gap_score(measured, "copy of rung 3", "rung 3", settings=PLAIN)
    assert score.value == 0 and 0 < score.high == -score.low < 0.1  # a copy is another condition
    itself = bars.gap_score(measured, "rung 3", "rung 3", settings=PLAIN)
    assert (itself.value, itself.low, itself.high) == (0.0, 0.0, 0.0)
    perfect = bars.gap_score(measured, "intact", "rung 3", settings=PLAIN)
    assert (perfect.value, perfect.low, perfect.high) == (1.0, 1.0, 1.0)
    there = bars.ties_at(measured, r.value, base, RUNGS, settings=PLAIN)
    assert there.place == "ties with rung 3"
    (tie,) = [one for one in there.comparisons if one.rung == "rung 3"]
    assert tie.difference.value == pytest.approx(0, abs=1e-12)


def test_the_weaker_models_share_depends_on_the_baseline():
    shares = [
        bars.weak_share(ladder(), "rung 4", base, settings=PLAIN).value
        for base in ("mean", "bigram", "unigram")
    ]
    # 0.9 / 1.0, 2.4 / 2.5, 4.1 / 4.2
    assert shares == pytest.approx([0.9, 0.96, 0.976], abs=0.01)


def test_a_condition_is_placed_between_rungs_on_one_above_all_and_below_all():
    measured = ladder()
    found = bars.ties_with(measured, "rule", RUNGS, settings=PLAIN)
    assert found.place == "between rung 2 and rung 3"
    assert [one.rung for one in found.comparisons] == ["rung 1", "rung 2", "rung 3", "rung 4"]
    assert found.rungs("beats") == ("rung 1", "rung 2")
    assert found.rungs("loses") == ("rung 3", "rung 4")
    assert found.comparisons[1].difference.value == pytest.approx(-0.15, abs=0.02)
    same = bars.ties_with(measured, "copy of rung 3", RUNGS, settings=PLAIN)
    assert same.place == "ties with rung 3"
    assert same.comparisons[2].difference.value == 0
    assert same.comparisons[2].difference.low is None
    assert bars.ties_with(measured, "intact", RUNGS, settings=PLAIN).place == "above all"
    assert bars.ties_with(measured, "zero", RUNGS, settings=PLAIN).place == "below all"


def test_two_rungs_that_noise_hides_both_tie():
    # Differences of ±0.15 and ±0.75 nats, swinging by 0.4 from document to document: with twelve
    # documents the standard error is 0.12, and the interval at 98.75% three of them each way.
    swing = 40 * (-1.0) ** np.arange(12)
    above = {"rung 1": 75, "rung 2": 15, "rung 3": -15, "rung 4": -75}
    losses = {name: 300 + swing + more for name, more in above.items()}
    losses["rule"] = np.full(12, 300.0)
    found = bars.ties_with(ledger_of(losses, [100] * 12), "rule", RUNGS, settings=PLAIN)
    assert found.rungs("ties") == ("rung 2", "rung 3")
    assert found.place == "ties with rung 2 and rung 3"
    assert (found.rungs("beats"), found.rungs("loses")) == (("rung 1",), ("rung 4",))


def test_intervals_are_adjusted_for_the_number_of_rungs():
    measured = ladder()
    found = bars.ties_with(measured, "rule", RUNGS, settings=PLAIN)
    assert (found.level, found.each) == (0.95, 1 - 0.05 / 4)
    sums = {name: measured.sums(name) for name in ("rule", "rung 1")}
    by_hand = difference_per_token(
        sums["rule"].loss, sums["rung 1"].loss, sums["rule"].tokens,
        settings=Settings(level=0.9875),
    )  # fmt: skip
    assert found.comparisons[0].difference == by_hand
    # A single rung needs no adjustment, and many rungs more resamples than were asked for.
    assert bars.ties_with(measured, "rule", ["rung 1"], settings=PLAIN).each == 0.95
    wide = bars.ties_with(measured, "rule", RUNGS, settings=Settings(level=0.99, resamples=200))
    assert wide.each == pytest.approx(0.9975)


def test_with_all_rungs_equal_in_truth_one_text_in_twenty_tells_one_from_the_rest():
    rng = np.random.default_rng(8)
    names, tokens = [f"rung {i}" for i in range(8)], np.full(40, 100)
    wrong = {"adjusted": 0, "each alone": 0}
    for _ in range(150):
        losses = {name: 300 + rng.normal(0, 5, 40) for name in ("rule", *names)}
        losses["rule"][:] = 300  # so that the comparisons are independent, the hardest case
        text = ledger_of(losses, tokens)
        together = bars.ties_with(text, "rule", names, settings=LEAN)
        wrong["adjusted"] += len(together.rungs("ties")) < 8
        alone = [bars.ties_with(text, "rule", [name], settings=LEAN) for name in names]
        wrong["each alone"] += any(one.rungs("ties") == () for one in alone)
    # Expected 7.5 and 50 of 150; standard deviations 2.7 and 5.8.
    assert wrong["adjusted"] <= 16
    assert wrong["each alone"] >= 33


def test_a_difference_of_rounding_is_a_tie_however_regular():
    losses = {
        "rule": [300.0] * 6,
        "rung": [300.0 + 1e-5] * 6,
        "other": [300.0 + 1e-2 * i for i in range(1, 7)],
    }
    found = bars.ties_with(ledger_of(losses, [100] * 6), "rule", ["rung", "other"], settings=PLAIN)
    assert found.rungs("ties") == ("rung",)
    assert found.rungs("beats") == ("other",)


def test_with_too_few_documents_only_an_identity_is_a_tie():
    losses = {"rule": [30, 31], "copy": [30, 31], "rung": [40, 41]}
    few = ledger_of(losses, [10, 10])
    assert bars.ties_with(few, "rule", ["rung"], settings=PLAIN).place == (
        "not placed: there is no interval"
    )
    both = bars.ties_with(few, "rule", ["copy", "rung"], settings=PLAIN)
    assert both.rungs("ties") == ("copy",)
    assert both.rungs("unknown") == ("rung",)


def test_a_gap_within_noise_or_the_wrong_way_round_is_refused_by_name():
    rng = np.random.default_rng(2)
    whole, noise = rng.normal(300, 20, 40), rng.normal(0, 1, 40)
    ledger = ledger_of(
        {
            "intact": whole,
            "rule": whole + 1,
            "as good": whole + noise - noise.mean() + 0.05,
            "better": whole - 5,
        },
        np.full(40, 100),
    )
    noisy = bars.gap_score(ledger, "rule", "as good", settings=PLAIN)
    assert noisy.value is None
    assert noisy.refused.startswith("the denominator (gap to 'as good') is 0.0005 [−0.00")
    assert noisy.tokens_needed > 4000
    turned = bars.gap_score(ledger, "rule", "better", settings=PLAIN)
    assert turned.value is None
    assert "no gap to keep" in turned.refused


def test_all_bars_of_a_condition_are_the_numbers_asked_one_by_one():
    measured, uniform = ladder(), bars.Uniform(4096)
    bases = [uniform, "unigram", "bigram", "mean", "zero"]
    (found,) = bars.bars_of(measured, ["rule"], bases, RUNGS, settings=PLAIN)
    assert [one.baseline for one in found.baselines] == [str(base) for base in bases]
    for base, one in zip(bases, found.baselines, strict=True):
        assert one.recovered == bars.recovered_from(measured, "rule", base, settings=PLAIN)
        assert one.damage == bars.damage_from(measured, base, settings=PLAIN)
        assert one.distances == bars.distances(one.recovered)
        assert one.nines == bars.nines(one.recovered)
    assert [one.rung for one in found.rungs] == ["rung 1", "rung 2", "rung 3", "rung 4"]
    for one in found.rungs:
        assert one.score == bars.gap_score(measured, "rule", one.rung, settings=PLAIN)
        assert one.gap == bars.increase(measured, one.rung, settings=PLAIN)
        assert list(one.share) == [str(base) for base in bases]
        for base in bases:
            assert one.share[str(base)] == bars.weak_share(measured, one.rung, base, settings=PLAIN)
            f = bars.recovered_from(measured, "rule", base, settings=PLAIN).value
            assert bars.rescaled(f, one.share[str(base)].value) == pytest.approx(one.score.value)
    assert found.place == bars.ties_with(measured, "rule", RUNGS, settings=PLAIN)
    assert found.tokens == measured.sums("rule").tokens.sum()
    assert Bars.model_validate_json(found.model_dump_json()) == found
    assert "pass" not in found.model_dump_json()


def test_a_bigram_table_and_a_small_model_are_high_on_the_zero_bar_and_low_on_the_gap_bar():
    for name, place in (("bigram", "below all"), ("rung 1", "ties with rung 1")):
        (found,) = bars.bars_of(ladder(), [name], ["zero", "unigram"], RUNGS, settings=PLAIN)
        assert found.place.place == place
        assert found.baselines[0].recovered.value > 0.35
        assert all(one.score.value <= 0 for one in found.rungs)
        assert found.rungs[-1].score.high < 0


def test_without_rungs_there_is_no_place_and_a_stratum_is_read_alone():
    late = ledger_of(
        {"intact": [20] * 6, "mean": [40] * 6, "rule": [25] * 6}, [10] * 6, stratum=LATE
    )
    both = Ledger.concat(
        [late, ledger_of({n: [90] * 6 for n in ("intact", "mean", "rule")}, [30] * 6)]
    )
    (found,) = bars.bars_of(both, ["rule"], ["mean"], stratum=LATE, settings=PLAIN)
    assert (found.place, found.rungs) == (None, ())
    assert (found.partition, found.label, found.tokens) == (*LATE, 60)
    assert found.baselines[0].recovered.value == 0.75
    assert found.loss.value == 2.5


def test_what_was_not_measured_or_makes_no_sense_is_an_error_that_says_what_to_do():
    measured = ladder()
    with pytest.raises(MeasurementError, match="Did you mean rung"):
        bars.ties_with(measured, "rule", ["rumg 3"], settings=PLAIN)
    with pytest.raises(MeasurementError, match=r"no rung was given\. Name at least one rung"):
        bars.ties_with(measured, "rule", [], settings=PLAIN)
    with pytest.raises(MeasurementError, match="'rung 1' is there twice"):
        bars.ties_at(measured, 0.5, "mean", ["rung 1", "rung 1"], settings=PLAIN)
    with pytest.raises(MeasurementError, match="no baseline was given"):
        bars.bars_of(measured, ["rule"], [], RUNGS, settings=PLAIN)
    with pytest.raises(MeasurementError, match="'uniform' is there twice"):
        twice = [bars.Uniform(10), bars.Uniform(11)]
        bars.bars_of(measured, ["rule"], twice, RUNGS, settings=PLAIN)
    with pytest.raises(MeasurementError, match="uniform baseline over 1 tokens"):
        bars.Uniform(1)
    with pytest.raises(MeasurementError, match="leaves no gap"):
        bars.rescaled(0.9, 1.0)

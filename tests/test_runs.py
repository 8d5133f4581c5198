"""A gap over several pairs of runs: by hand, by a slow second route, and on simulated runs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

import unexplained as ux
from sample_gap import sample_gap
from test_concentration import kept
from test_ladder import pydocs_like
from test_report import words_of
from unexplained.bars import concentration, over_pairs
from unexplained.bars.runs import _at_least_one
from unexplained.errors import MeasurementError
from unexplained.ladder.family import shipped_beside
from unexplained.ledger import Ledger
from unexplained.record import Number, Record, load_record
from unexplained.record.bars import OverRuns
from unexplained.report import render, text_table
from unexplained.stats import Settings

LEAN = Settings(resamples=400)
PAIRS = [("s0", "w0"), ("s1", "w1"), ("s2", "w2")]


def ledger_of(gaps: np.ndarray, base: float = 3.0) -> Ledger:
    """Of every pair the gaps of all tokens, (pair, document, token)."""
    losses = {}
    for i, one in enumerate(gaps):
        # Runs of their own: the strong models' losses differ as well, by next to nothing.
        losses[f"s{i}"] = [np.full(row.size, base + i / 1e4) for row in one]
        losses[f"w{i}"] = [base + i / 1e4 + row for row in one]
    return kept(losses)


def test_over_pairs_by_hand_and_by_a_slow_second_route() -> None:
    rng = np.random.default_rng(0)
    gaps = rng.integers(-2, 9, (3, 40, 4)).astype(float)
    found = over_pairs(ledger_of(gaps), PAIRS, settings=LEAN)
    flat = gaps.reshape(3, -1)
    assert found.gap.value == pytest.approx(flat.mean())
    assert found.worse.value == pytest.approx((flat < 0).mean())
    top = bottom = 0.0
    for i, j in itertools.combinations(range(3), 2):
        top += float((flat[i] * flat[j]).mean()) / 3
        bottom += float(flat[i].mean() * flat[j].mean()) / 3
    assert found.factor.value == pytest.approx(top / bottom)
    assert found.effective.value == pytest.approx(bottom / top)
    assert found.pairs == tuple(PAIRS)


def test_with_pairs_of_one_gap_the_factor_is_that_of_two_of_them() -> None:
    rng = np.random.default_rng(1)
    gaps = np.repeat(rng.exponential(0.3, (1, 20, 30)), 3, axis=0)
    ledger = ledger_of(gaps)
    found = over_pairs(ledger, PAIRS, settings=LEAN)
    one = concentration(ledger, "s0", "w0", chosen_by=("s1", "w1"), settings=LEAN)
    # Runs that do not differ add nothing to the interval over documents.
    assert (found.gap.value, found.gap.low, found.gap.high) == pytest.approx(
        (one.gap.value, one.gap.low, one.gap.high), rel=0.01
    )
    # That of one pair's factor is a jackknife of its logarithm, that over pairs draws documents.
    assert found.factor.value == pytest.approx(one.factor.value, rel=1e-6)
    assert one.factor.low < found.factor.value < one.factor.high


def test_how_runs_are_paired_makes_no_interval_shorter_than_the_runs_scatter() -> None:
    """Three runs of each model that scatter by 0.3, paired so that their differences are all alike."""
    rng = np.random.default_rng(5)
    shared = rng.normal(0, 0.02, (20, 30))
    strong = {f"s{i}": [row + 3 + 0.3 * i for row in shared] for i in range(3)}
    weak = {f"w{i}": [row + 4 + 0.3 * i for row in shared] for i in range(3)}
    read = kept(strong | weak)
    alike = over_pairs(read, PAIRS, settings=LEAN).gap
    crossed = over_pairs(read, [("s0", "w2"), ("s1", "w0"), ("s2", "w1")], settings=LEAN).gap
    apart = 2 * 0.3**2 / 3  # by hand: the variances 0.09 of both means, over three runs each
    assert alike.value == pytest.approx(1.0) and crossed.value == pytest.approx(1.0)
    half = stats.t.ppf(0.975, 2) * apart**0.5
    # Longer for 20 documents, as every interval here.
    assert half < alike.high - alike.value < 1.5 * half
    assert crossed.high - crossed.low >= alike.high - alike.low


def test_the_interval_over_runs_holds_the_mean_of_runs_and_that_of_one_pair_does_not() -> None:
    rng, worlds = np.random.default_rng(2), 120
    held = alone = factor = 0
    # Each token has a gap of its own, drawn by documents and tokens; each pair is shifted by its seed.
    for world in range(worlds):
        settings = Settings(resamples=200, seed=world)
        truth = 0.3 * rng.exponential(1.0, (24, 20))
        shift = 0.06 * rng.normal(size=(3, 1, 1))
        gaps = truth + shift + 0.2 * rng.normal(size=(3, 24, 20))
        ledger = ledger_of(gaps)
        found = over_pairs(ledger, PAIRS, settings=settings)
        held += found.gap.low <= 0.3 <= found.gap.high
        one = concentration(ledger, "s0", "w0", chosen_by=("s1", "w1"), settings=settings)
        alone += one.gap.low <= 0.3 <= one.gap.high
        # E[d²]/E[d]² of an exponential gap, without the runs' own noise.
        factor += (found.factor.low or 0.0) <= 2.0 <= (found.factor.high or np.inf)
    assert held / worlds > 0.93 and factor / worlds > 0.93
    assert alone / worlds < 0.6


def test_a_gap_within_noise_of_one_pair_is_no_gap_to_spread() -> None:
    rng = np.random.default_rng(3)
    gaps = rng.exponential(0.3, (3, 12, 10))
    gaps[1] = rng.normal(size=(12, 10))
    found = over_pairs(ledger_of(gaps), PAIRS, settings=LEAN)
    assert found.gap.value is not None
    assert found.factor.value is None and "gap from 's1' to 'w1'" in found.factor.refused
    assert found.effective.value is None


def test_too_few_pairs_and_a_run_in_two_are_refused_and_few_documents_have_no_interval() -> None:
    ledger = ledger_of(np.ones((3, 3, 4)) + np.arange(4))
    with pytest.raises(MeasurementError, match="it takes 3"):
        over_pairs(ledger, PAIRS[:2], settings=LEAN)
    with pytest.raises(MeasurementError, match="'w0'"):
        over_pairs(ledger, [*PAIRS[:2], ("s2", "w0")], settings=LEAN)
    found = over_pairs(ledger, PAIRS, settings=LEAN)
    assert found.gap.value == 2.5 and found.gap.low is None


def rung(name: str) -> ux.Subject:
    return ux.load(name, device="cpu")


def test_other_runs_of_two_rungs_are_measured_and_named(tmp_path) -> None:
    strong, weak = rung("rung-3"), rung("rung-1")
    pairs = [
        tuple(map(rung, two))
        for two in shipped_beside(rung("rung-1")).other_runs("rung-3", "rung-1")
    ]
    assert [tuple(m.name for m in two) for two in pairs] == [
        ("rung-3-seed-1", "rung-1-seed-1"), ("rung-3-seed-2", "rung-1-seed-2")]  # fmt: skip
    text = pydocs_like(strong)
    record = ux.gap(strong, weak, text, chosen_by=pairs[0], runs=pairs, settings=LEAN)
    assert set(record.others) == {m.name for two in [(weak,), *pairs] for m in two}
    over, alone = record["runs/gap/is"], record["facts/gap/is"]
    assert over.high - over.low > alone.high - alone.low
    assert "over 3 pairs of runs" in record.verdict and "other seeds counted" in record.verdict
    again = load_record(record.save(tmp_path / "gap.json"))
    assert isinstance(again, Record) and again == record
    lone = ux.gap(strong, weak, text, chosen_by=pairs[0], seeds=False, settings=LEAN)
    assert "runs/gap/is" not in dict(lone.numbers())
    assert "other seeds would move it is not known" in lone.verdict
    with pytest.raises(MeasurementError, match="how runs scatter"):
        ux.gap(strong, weak, text, chosen_by=pairs[0], runs=pairs[:1])
    with pytest.raises(MeasurementError, match="given twice"):
        ux.gap(strong, weak, text, chosen_by=pairs[0], runs=[pairs[1], (strong, rung("rung-2"))])


def test_rungs_with_one_run_have_no_others() -> None:
    known = shipped_beside(rung("rung-1"))
    assert known.other_runs("rung-6", "rung-4") == [] == known.other_runs("nobody", "rung-4")
    assert known.other_runs("rung-4-seed-1", "rung-3") == [
        ("rung-4", "rung-3-seed-1"), ("rung-4-seed-2", "rung-3-seed-2")]  # fmt: skip


def test_the_page_says_what_other_seeds_would_have_changed() -> None:
    assert "other seeds of training would move it is not known" in words_of(render(sample_gap()))
    number = Number(value=0.31, low=0.18, high=0.46, unit="nats per token")
    share = Number(value=0.3, low=0.21, high=0.48, unit="share")
    no = Number(value=None, unit="share", refused="within noise of zero")
    runs = OverRuns(pairs=(("a", "b"), ("c", "d")), gap=number, worse=share, factor=number,
                    effective=share)  # fmt: skip
    record = sample_gap(runs)
    text = words_of(render(record))
    assert "Over 2 pairs of runs" in text and "Effective share 30% [21%, 48%]" in text
    assert "c and d" in text and "c and d" in text_table(record, full=True)
    refused = sample_gap(runs.model_copy(update={"effective": no}))
    assert "within noise of zero" in words_of(render(refused))


@pytest.mark.parametrize("documents", [8, 16])
def test_over_pairs_of_documents_with_long_tails_intervals_hold_and_are_not_below_one(
    documents: int,
) -> None:
    rng, worlds = np.random.default_rng(7), 60
    held = printed = 0
    for world in range(worlds):
        effect = rng.lognormal(-0.5, 1.0, (documents, 1))
        gap = 0.3 * effect * rng.exponential(1.0, (documents, 20))
        gaps = gap + 0.2 * rng.normal(size=(3, documents, 20))
        found = over_pairs(ledger_of(gaps), PAIRS, settings=Settings(resamples=200, seed=world))
        if found.factor.value is None:
            continue
        printed += 1
        assert found.factor.value >= found.factor.low >= 1
        # E[μ²]/E[μ]²: 2 of the exponential, e of the lognormal.
        held += found.factor.low <= 2 * np.e <= (found.factor.high or np.inf)
    assert printed > 40 and held / printed > 0.9


def test_a_factor_over_pairs_that_is_below_one_by_chance_is_one_and_one_told_below_is_refused() -> (
    None
):
    number = Number(value=0.9, low=0.0, high=56_736.0, unit="times")
    found = _at_least_one(number)
    assert (found.value, found.low, found.high) == (1.0, 1.0, 56_736.0)
    below = _at_least_one(number.model_copy(update={"high": 0.95}))
    assert below.value is None and "do not go together" in below.refused


def test_the_share_over_pairs_stays_within_none_and_all_where_it_is_made() -> None:
    rng = np.random.default_rng(8)
    gaps = rng.exponential(0.3, (3, 12, 10)) + 0.001
    gaps[0, :, :2] *= -1
    worse = over_pairs(ledger_of(gaps), PAIRS, settings=LEAN).worse
    assert 0 <= worse.low < worse.value < worse.high <= 1

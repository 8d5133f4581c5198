"""Training runs as a source of variation: seeds in the interval, and no conclusion one reverses."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import unexplained as ux
from drawing import table_of, words_in
from test_gap import ledger_of
from test_ladder import pydocs_like
from unexplained.bars.slope import _over_documents, slope_of
from unexplained.errors import MeasurementError
from unexplained.estimators import (
    Slope,
    jackknifed,
    laid_out,
    over_runs,
    scatter_of,
    seeds,
    slope_over,
)
from unexplained.explanations import LIBRARY
from unexplained.instruments.sizes import Size, _rests, _verdict, _which_way
from unexplained.ladder.catalogue import catalogue
from unexplained.record import Record, load_record
from unexplained.stats import Settings
from unexplained.subject import Subject
from unexplained.text import Text

MANY = Settings(resamples=40_000)
DOCUMENTS = np.full(1000, 10)

SHIPPED = {
    1: (0.307, 0.317, 0.194),
    2: (0.308, 0.182, 0.258),
    3: (0.224, 0.283, 0.376),
    4: (0.246, 0.446, 0.387),
    5: (0.247,),
    6: (0.105,),
}
"""Fractions recovered by rung and seed: `unexplained sizes`, 96 documents of webmix."""


def still(values: object) -> np.ndarray:
    """Draws in which documents do not matter."""
    return np.repeat(np.asarray(values, dtype=float)[:, None], MANY.resamples, axis=1)


def test_without_documents_the_slope_has_the_textbooks_t_interval() -> None:
    x = [0.0, 0.0, 1.0, 1.0, 2.0, 3.0]
    y = [0.50, 0.54, 0.45, 0.40, 0.42, 0.33]
    found = slope_over(x, y, still(y), DOCUMENTS, settings=MANY)
    book = stats.linregress(x, y)
    reach = stats.t.ppf(0.975, len(x) - 2) * book.stderr
    assert not found.bent and found.freedom == 4
    assert found.number.value == pytest.approx(book.slope)
    assert found.number.low == pytest.approx(book.slope - reach, rel=0.02)
    assert found.number.high == pytest.approx(book.slope + reach, rel=0.1, abs=0.002)


def test_sizes_that_seeds_do_not_explain_scatter_by_their_own_distance_from_the_line() -> None:
    x = [0.0, 0.0, 0.0, 1.0, 1.0, 2.0, 3.0]
    y = [0.50, 0.501, 0.499, 0.80, 0.801, 0.30, 0.60]
    found = slope_over(x, y, still(y), DOCUMENTS, settings=MANY)
    book = stats.linregress([0.0, 1.0, 2.0, 3.0], [0.50, 0.8005, 0.30, 0.60])
    reach = stats.t.ppf(0.975, 2) * book.stderr
    assert found.bent and found.freedom == 2
    assert found.number.value == pytest.approx(book.slope)
    assert found.number.low == pytest.approx(book.slope - reach, rel=0.05)


def test_what_moves_all_runs_alike_leaves_the_slope_alone_and_documents_count_besides() -> None:
    rng = np.random.default_rng(3)
    x, y = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0], [0.5, 0.52, 0.4, 0.42, 0.3, 0.32]
    alike = still(y) + rng.normal(size=MANY.resamples)
    one = slope_over(x, y, still(y), DOCUMENTS, settings=MANY).number
    two = slope_over(x, y, alike, DOCUMENTS, settings=MANY).number
    assert (two.low, two.high) == pytest.approx((one.low, one.high), abs=1e-12)
    apart = still(y) + 0.05 * rng.normal(size=(6, MANY.resamples))
    three = slope_over(x, y, apart, DOCUMENTS, settings=MANY).number
    assert three.high - three.low > 1.3 * (one.high - one.low)


def test_two_sizes_with_a_run_each_have_no_scatter_and_an_interval_of_documents_alone() -> None:
    found = slope_over([0.0, 1.0], [0.4, 0.3], still([0.4, 0.3]), DOCUMENTS, settings=MANY)
    assert (found.freedom, found.seeds.deviation) == (0, None)
    assert found.number.value == pytest.approx(-0.1)
    # Documents that do not move it either are no proof that others would not.
    assert found.number.low is found.number.high is None
    moved = still([0.4, 0.3]) + 0.01 * np.random.default_rng(0).normal(size=(2, MANY.resamples))
    some = slope_over([0.0, 1.0], [0.4, 0.3], moved, DOCUMENTS, settings=MANY).number
    assert some.high - some.low == pytest.approx(2 * 1.96 * 0.01 * math.sqrt(2), rel=0.03)
    with pytest.raises(MeasurementError, match="one run of each"):
        over_runs(1.0, still([1.0])[0], 1.0, 0, DOCUMENTS, settings=MANY)


def test_the_scatter_is_pooled_within_sizes_by_hand() -> None:
    found = scatter_of([np.array([1.0, 3.0]), np.array([10.0, 10.0, 13.0]), np.array([7.0])])
    # About 2: 1 + 1; about 11: 1 + 1 + 4; by 1 + 2 degrees of freedom.
    assert (found.squares, found.freedom) == (8.0, 3)
    assert found.deviation == pytest.approx(math.sqrt(8 / 3))


def test_leaving_one_run_out_is_the_standard_error_of_a_mean_and_of_pairs_by_hand() -> None:
    runs = np.array([1.0, 2.0, 4.0, 8.0])
    error, freedom = jackknifed([float(np.delete(runs, i).mean()) for i in range(4)])
    assert error == pytest.approx(stats.sem(runs)) and freedom == 3
    # Products of two runs at a time: without 0 it is 2·4, without 1 1·4, without 2 1·2 (three runs).
    error, _ = jackknifed([8.0, 4.0, 2.0])
    assert error == pytest.approx(math.sqrt(2 / 3 * sum((v - 14 / 3) ** 2 for v in (8, 4, 2))))
    with pytest.raises(MeasurementError, match="two runs"):
        jackknifed([1.0])


def test_a_number_over_runs_is_a_t_interval_and_a_draw_that_is_refused_takes_the_end() -> None:
    found = over_runs(5.0, still([5.0])[0], 2.0, 2, DOCUMENTS, settings=MANY)
    reach = 2 * stats.t.ppf(1 - ux.stats.tail(DOCUMENTS, 0.95), 2)
    assert (found.low, found.high) == pytest.approx((5 - reach, 5 + reach), rel=1e-9)
    some = still([5.0])[0]
    some[: MANY.resamples // 10] = np.nan
    found = over_runs(5.0, some, 0.1, 2, DOCUMENTS, settings=MANY)
    assert (found.value, found.low, found.high) == (5.0, None, None)


def test_the_ends_over_three_runs_are_the_convolutions_whatever_the_seed_and_mirror() -> None:
    rng = np.random.default_rng(0)
    draws = 0.3 + 0.02 * rng.normal(size=2000) ** 3
    found = over_runs(0.3, draws, 0.05, 2, DOCUMENTS, settings=MANY)
    other = over_runs(0.3, draws, 0.05, 2, DOCUMENTS, settings=Settings(seed=9))
    turned = over_runs(-0.3, -draws, 0.05, 2, DOCUMENTS, settings=MANY)
    assert other == found
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-9)
    # By a second route: a million draws of both together.
    both = rng.choice(draws, 1_000_000) + 0.05 * rng.standard_t(2, 1_000_000)
    ends = np.quantile(both, [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx(tuple(ends), abs=0.003)


def test_a_swap_of_strong_and_weak_mirrors_what_runs_would_change() -> None:
    # Of refused draws half the tail's worth: each end moves outward, and still mirrors.
    draws = np.linspace(-1, 1, 2001)
    lost = np.where(np.arange(2001) % 100 == 0, np.nan, draws)
    one = over_runs(0.0, lost, 0.1, 2, DOCUMENTS, settings=MANY)
    two = over_runs(0.0, -lost, 0.1, 2, DOCUMENTS, settings=MANY)
    whole = over_runs(0.0, draws, 0.1, 2, DOCUMENTS, settings=MANY)
    assert (two.low, two.high) == pytest.approx((-one.high, -one.low), abs=1e-9)
    assert one.high > whole.high + 0.005


@pytest.mark.parametrize("counts", [(3, 3, 3, 3, 1, 1), (2, 2, 1), (1, 1, 1, 1)])
def test_the_interval_holds_the_slope_of_simulated_ladders(counts: tuple[int, ...]) -> None:
    rng, worlds, documents, truth = np.random.default_rng(0), 300, 48, -0.05
    x = np.repeat(np.arange(len(counts), dtype=float), counts)
    held = alone = 0
    for world in range(worlds):
        settings = Settings(resamples=200, seed=world)
        run = truth * x + 0.05 * rng.normal(size=x.size)
        each = (
            run[:, None] + 0.1 * rng.normal(size=(x.size, documents)) + rng.normal(size=documents)
        )
        times = rng.multinomial(documents, np.full(documents, 1 / documents), settings.resamples)
        draws = each @ times.T / documents
        found = slope_over(x, each.mean(1), draws, np.ones(documents), settings=settings)
        held += found.number.low <= truth <= found.number.high
        narrow = over_runs(found.number.value, seeds._slope_of(x, np.ones(x.size)) @ draws, 0.0, 1,
                           np.ones(documents), settings=settings)  # fmt: skip
        alone += narrow.low <= truth <= narrow.high
    assert held / worlds > 0.93
    # An interval over documents alone is about models as they are: it does not hold it.
    assert alone / worlds < 0.8


def subset(of: tuple[int, ...], last: int = 4) -> Slope:
    """The slope over the shipped rungs up to one, from some of their seeds."""
    runs = [one for one in catalogue().rungs() if one.rung <= last and one.seed in of]
    x = [math.log10(one.compute) for one in runs]
    y = [SHIPPED[one.rung][one.seed] for one in runs]
    return slope_over(x, y, still(y), DOCUMENTS, settings=MANY)


def way(found: Slope, left: list[str] = []) -> int:  # noqa: B006
    """−1 harder, 1 easier, 0 not told: as the verdict says it."""
    one = Size("r", 1.0, 1, 0, damage=found.number, recovered=found.number)
    said = _verdict(found, [one], left)
    return ("easier with size," in said) - ("harder with size," in said)


def test_no_two_sets_of_seeds_of_the_shipped_rungs_give_opposite_conclusions() -> None:
    sets = [c for n in (1, 2, 3) for c in itertools.combinations(range(3), n)]
    found = {one: subset(one) for one in sets}
    # What was concluded before, by intervals over documents alone: both ways.
    slopes = {one: f.number.value for one, f in found.items()}
    assert slopes[0,] < -0.05 and slopes[1,] > 0.09 and slopes[2,] > 0.14
    assert all(way(found[one]) == 0 for one in sets if len(one) == 1)
    assert {way(f) for f in found.values()} != {-1, 0, 1}
    whole = subset((0, 1, 2), 6)
    assert way(whole) == 0 and whole.seeds.freedom == 8
    assert whole.seeds.deviation == pytest.approx(0.0793, abs=0.001)


def test_one_run_of_each_size_makes_no_claim_however_narrow_its_interval() -> None:
    moved = still([0.3, 0.2, 0.1]) + 1e-4 * np.random.default_rng(0).normal(
        size=(3, MANY.resamples)
    )
    found = slope_over([0.0, 1.0, 2.0], [0.3, 0.2, 0.1], moved, DOCUMENTS, settings=MANY)
    assert found.number.high < 0 and way(found) == 0
    said = _verdict(found, [])
    assert "how much another seed would move it is not known" in said


@pytest.fixture(scope="module")
def rungs() -> dict[str, Subject]:
    return {name: ux.load(name, device="cpu") for name in catalogue().with_seeds(
        ["rung-1", "rung-2", "rung-3"])}  # fmt: skip


def measured(models: dict[str, Subject], text: Text, folder: Path) -> Record:
    known = catalogue()
    return ux.sizes(
        {one: known.named(name).compute for name, one in models.items()}, text,
        explanations=[LIBRARY.get("previous_token")], settings=Settings(resamples=200),
        folder=folder,
    )  # fmt: skip


def test_the_shipped_rungs_with_their_seeds_are_measured_and_one_seed_alone_claims_nothing(
    rungs: dict[str, Subject], tmp_path: Path
) -> None:
    text = pydocs_like(rungs["rung-1"], blocks=3)
    text = ux.Text(**{**vars(text), "fit": text.eval})
    assert len(rungs) == 9
    whole = measured(rungs, text, tmp_path / "kept")
    found = table_of(whole, "recovered")
    assert len(found) == 9 and "9 runs of 3 sizes" in whole.verdict
    (scatter,) = re.findall(r"runs of one size scatter by (\S+)\)", whole.verdict)
    assert float(scatter) > 0
    alone = [
        measured(
            {n: m for n, m in rungs.items() if catalogue().named(n).seed == seed},
            text,
            tmp_path / "kept",
        )
        for seed in range(3)
    ]
    for one in alone:
        assert "is not known" in one.verdict and "it does not say whether" in one.verdict
        assert "Every size has one run" in words_in(one, "sizes")
        assert len(table_of(one, "recovered")) == 3
    # The slope is that of the runs' fractions, by another route.
    x = [math.log10(row.cells[0]) for row in found.values()]
    y = [whole[f"sizes/recovered/{name}/recovered"].value for name in found]
    if "further off a straight line" not in words_in(whole, "sizes"):
        slope = whole["sizes/slope/slope/is"].value
        assert slope == pytest.approx(stats.linregress(x, y).slope, abs=1e-9)
    assert load_record(whole.save(tmp_path / "sizes.json")) == whole


def test_one_model_under_two_names_is_no_second_run(rungs: dict[str, Subject]) -> None:
    again = dataclasses.replace(ux.load("rung-1", device="cpu"), name="a copy")
    models = [rungs["rung-1"], again, rungs["rung-2"], rungs["rung-3"]]
    text = ux.text("repeats", again, documents=8, fit_documents=8, block=24)
    with pytest.raises(MeasurementError, match="one model"):
        ux.sizes(dict(zip(models, (1e9, 1e9, 1e10, 1e11), strict=True)), text)


def test_a_rung_stands_for_its_runs_and_a_seed_for_itself() -> None:
    known = catalogue()
    assert known.with_seeds(["rung-5", "rung-2"]) == [
        "rung-5", "rung-2", "rung-2-seed-1", "rung-2-seed-2"]  # fmt: skip
    assert known.with_seeds(["rung-2-seed-1", "attention-2"]) == ["rung-2-seed-1", "attention-2"]
    assert known.with_seeds(["rung-2", "rung-2-seed-1"]).count("rung-2-seed-1") == 1


def test_no_two_subsets_of_the_shipped_runs_give_opposite_conclusions() -> None:
    """Whatever somebody chooses to leave out, with documents that do not matter at all."""
    runs = [(one, SHIPPED[one.rung][one.seed]) for one in catalogue().rungs()]
    lean = Settings(resamples=200)
    said: dict[bool, set[int]] = {True: set(), False: set()}
    for count in range(3, len(runs) + 1):
        for some in itertools.combinations(runs, count):
            if len({one.rung for one, _ in some}) < 3:
                continue
            x, y = [math.log10(one.compute) for one, _ in some], [value for _, value in some]
            draws = np.repeat(np.array(y)[:, None], 2, axis=1)
            found = slope_over(x, y, draws, DOCUMENTS, settings=lean)
            number = found.number
            if number.low is None or number.high is None or number.low <= 0 <= number.high:
                continue
            left = catalogue().left_out([one.name for one, _ in some])
            said[True].add(way(found, left))
            said[False].add(way(found))
    assert said[True] <= {0}
    assert said[False] >= {-1, 1}, "the check could not fail"


def test_runs_that_ship_and_were_left_out_take_the_claim_and_are_named() -> None:
    known = catalogue()
    some = ["rung-4-seed-1", "rung-4-seed-2", "rung-5", "rung-6"]
    assert known.left_out(some) == ["rung-4"]
    assert known.left_out([*some, "rung-4"]) == [] == known.left_out(["gpt2", "attention-2"])
    assert known.left_out(["rung-1"]) == ["rung-1-seed-1", "rung-1-seed-2"]
    x, y = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0], [0.50, 0.51, 0.40, 0.41, 0.30, 0.31]
    found = slope_over(x, y, still(y), DOCUMENTS, settings=MANY)
    assert way(found) == -1 and way(found, ["rung-4"]) == 0
    assert "left out (rung-4)" in _verdict(found, [], ["rung-4"])
    said = _which_way(found, ["rung-4"])
    assert "Runs of these sizes were left out: rung-4." in said and "less is" not in said


def test_a_distribution_over_documents_keeps_its_interval_and_runs_take_nothing_from_it() -> None:
    few = np.full(12, 10)
    draws = laid_out(0.5, 0.4, 1.1, few, level=0.95)
    alone = over_runs(0.5, draws, 0.0, 1, few, settings=MANY)
    assert (alone.low, alone.high) == pytest.approx((0.4, 1.1), abs=0.01)
    for error in (1e-6, 0.01, 0.1):
        both = over_runs(0.5, draws, error, 2, few, settings=MANY)
        assert both.low <= alone.low and both.high >= alone.high
    one_sided = laid_out(0.5, -math.inf, 1.1, few, level=0.95)
    found = over_runs(0.5, one_sided, 0.01, 2, few, settings=MANY)
    assert found.low is None and found.high > 1.09


def test_the_slope_of_few_documents_with_tails_holds_the_truth_beside_runs() -> None:
    """Ratios of lognormal damages, explained worse where they are large, the more so by size."""
    rng, weights = np.random.default_rng(5), np.array([-0.5, 0.0, 0.5])

    def drawn(documents: int) -> tuple[np.ndarray, np.ndarray]:
        base = rng.lognormal(-0.125, 0.5, documents)
        bottom = base * rng.lognormal(-0.03, 0.25, (3, documents))
        steps = np.arange(1, 4)[:, None] / 3
        return bottom * (0.9 - 0.6 * steps * np.minimum(bottom / 3, 1)), bottom

    top, bottom = drawn(1_000_000)
    truth = float(weights @ (top.sum(1) / bottom.sum(1)))
    for documents in (8, 16):
        held = 0
        for _ in range(300):
            top, bottom = drawn(documents)
            low, high = _over_documents(weights, top.sum(1) / bottom.sum(1), top, bottom,
                                        np.full(documents, 50), 0.95)  # fmt: skip
            held += low <= truth <= high
        assert held / 300 >= 0.93, documents


def test_with_a_refused_slope_nothing_is_said_of_how_many_runs_a_size_has() -> None:
    rows = {"rule": [14.0] * 8, "mean": [30.0, -8.0] * 4, "intact": [10.0] * 8}
    one = (ledger_of(rows, [10] * 8), "rule", "mean")
    found = slope_of(
        [one] * 6, [10.0, 10.0, 100.0, 100.0, 1e3, 1e3], settings=Settings(resamples=50)
    )
    assert found.number.value is None
    assert "one run" not in _rests(found)


@pytest.mark.parametrize("error", [1e-3, 1e-8, 1e-13, 1e-17, 1e-300])
@pytest.mark.parametrize("value", [0.0, 5.0, -3e6])
def test_an_end_is_found_however_small_the_scatter_is_beside_the_value(
    error: float, value: float
) -> None:
    """As the scatter of runs goes to nothing, the interval is that of documents alone."""
    tokens = np.full(30, 10)
    draws = laid_out(value, value - 1, value + 2, tokens, level=0.95)
    found = over_runs(value, draws, error, 2, tokens, settings=Settings())
    assert found.low == pytest.approx(value - 1, abs=0.01 + 3 * error)
    assert found.high == pytest.approx(value + 2, abs=0.01 + 3 * error)

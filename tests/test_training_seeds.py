"""Seeds of training: places and shares of the shipped rungs, and of simulated ones whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import combinations, count, pairwise, permutations, product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student

import unexplained as ux
from test_gap import ledger_of
from unexplained.bars import bars_of, over_pairs, ties_at, ties_with
from unexplained.bars.accuracy import UNKNOWN, Accuracies
from unexplained.bars.rungs import Seeds
from unexplained.estimators.seeds import Scatter, scatter_of
from unexplained.evaluate import evaluate
from unexplained.ladder.catalogue import Trained, catalogue
from unexplained.ladder.family import shipped_beside, weaker_models
from unexplained.ladder.own import share_between_rungs, share_of_run
from unexplained.ladder.scale import ROOM, at_most_all
from unexplained.ladder.scatter import moved_runs, scatter_among, seeds_of
from unexplained.ledger import Ledger
from unexplained.record import Number
from unexplained.stats import SHARE, Settings, difference_per_token
from unexplained.text import Block, Text
from unexplained.text.document import part
from unexplained.text.tokens import Encoder

SETTINGS = Settings(resamples=1000)
DECIDED = {"beats", "loses"}


def own_pages(subject: ux.Subject) -> Text:
    """The package's own pages as a text of the eval part, two stretches of each."""
    pages = sorted((Path(ux.__file__).parent).rglob("*.py"))
    ids = Encoder(subject).encode([page.read_text(encoding="utf-8")[:4000] for page in pages])
    names = (name for name in map(str, count()) if part(name) == "eval")
    pieces = [one[at : at + 128] for one in ids for at in (0, 256) if len(one) >= at + 128]
    blocks = tuple(
        Block(name, "code", piece) for name, piece in zip(names, pieces[:160], strict=False)
    )
    return Text("pages", blocks, (), lambda: iter(()), "p", 128, 2048, "f", (), {})


@lru_cache(maxsize=1)
def shipped() -> Ledger:
    """Every rung with every seed, and an attention-only model, on the same documents."""
    subject = ux.load("attention-2", device="cpu")
    text = own_pages(subject)
    kept = [one.name for runs in by_rung().values() for one in runs]
    return evaluate(subject, text, list(weaker_models(subject, text)), keep_tokens=kept)


def by_rung() -> dict[int, list[Trained]]:
    """The rungs that ship with several seeds."""
    found: dict[int, list[Trained]] = {}
    for one in catalogue().rungs():
        if one.rung <= 4:
            found.setdefault(one.rung, []).append(one)
    return found


def alone(seed: int, scatter: Scatter) -> dict[str, Seeds]:
    """By rung of several seeds: what is known where this run of it is the only one."""
    return {
        f"rung {one.rung}": Seeds({one.name: (one.name,)}, scatter)
        for one in catalogue().rungs()
        if one.seed == seed and one.rung <= 4
    }


def standings(ledger: Ledger, condition: str, seed: int, scatter: Scatter) -> dict[str, str]:
    found = {}
    for rung, seeds in alone(seed, scatter).items():
        (name,) = seeds.runs
        place = ties_with(ledger, condition, [name], seeds=seeds, settings=SETTINGS)
        found[rung] = place.comparisons[0].standing
    return found


def test_no_two_seeds_of_the_shipped_rungs_give_opposite_certain_conclusions() -> None:
    ledger = shipped()
    known = seeds_of(ledger, shipped_beside(ux.load("attention-2", device="cpu")))
    assert known is not None and known.scatter.freedom == 8
    opposite_before = 0
    rung_of = {one.name: f"rung {one.rung}" for one in catalogue().rungs()}
    between: dict[tuple[str, str], set[str]] = {}
    for condition in ledger.conditions:
        # As users have it, and as it was before training runs counted: this run and no other.
        for scatter, counts in ((known.scatter, True), (Scatter(0.0, 1), False)):
            found = [standings(ledger, condition, seed, scatter) for seed in range(3)]
            for rung in found[0]:
                said = {one[rung] for one in found}
                if counts:
                    assert not said >= DECIDED, (condition, rung, said)
                    between.setdefault((rung_of.get(condition, condition), rung), set()).update(
                        said
                    )
                opposite_before += not counts and said >= DECIDED
    assert opposite_before > 0, "the check could not fail"
    # Whichever of its seeds each of two rungs is; two runs of one rung are two models.
    for (mine, other), said in between.items():
        assert mine == other or not said >= DECIDED, (mine, other, said)


def exclude(numbers: list[Number]) -> int:
    """How many pairs of numbers have intervals that have nothing in common."""
    known = [one for one in numbers if one.low is not None and one.high is not None]
    return sum(a.high < b.low or b.high < a.low for a, b in combinations(known, 2))


def test_the_gap_of_two_shipped_rungs_is_the_same_whichever_of_their_seeds_are_paired() -> None:
    """All 6 ways to pair three runs of each with three of the next: of one pair by itself it is not."""
    alone = 0
    for weak, strong in pairwise(by_rung().values()):
        names = [[one.name for one in some] for some in (strong, weak)]
        found = [
            over_pairs(shipped(), list(zip(names[0], other, strict=True)), settings=SETTINGS)
            for other in permutations(names[1])
        ]
        for what in ("gap", "worse", "factor", "effective"):
            numbers = [getattr(one, what) for one in found]
            assert not any(one.refused for one in numbers)
            for one, other in permutations(numbers, 2):
                assert one.low <= other.value <= one.high, (strong, weak, what)
        loss = {one: shipped().sums(one) for some in names for one in some}
        alone += exclude([
            difference_per_token(loss[b].loss, loss[a].loss, loss[a].tokens, settings=SETTINGS)
            for a, b in product(*names)
        ])  # fmt: skip
    assert alone > 0, "the check could not fail"


def test_by_accuracy_no_two_seeds_of_the_shipped_rungs_exclude_each_other() -> None:
    right = Accuracies(shipped(), SETTINGS)
    rungs: dict[str, list[str]] = {}
    for one in catalogue().rungs():
        if one.rung <= 4:
            rungs.setdefault(f"rung-{one.rung}", []).append(one.name)
    known, scores, rises = right.scatter(rungs), {}, {}
    assert known.freedom == 8
    # As users have it, and as it was before training runs counted.
    for scatter in (known, UNKNOWN):
        scores[scatter] = sum(
            exclude([right.gap_score(condition, [run], scatter) for run in runs])
            for runs in rungs.values()
            for condition in ("intact", "rung-5", "rung-6", *rungs)
            if condition not in runs
        )
        found = []
        for least, greatest in product(range(3), repeat=2):
            seeds = (least, 0, 0, greatest)
            names = [runs[s] for runs, s in zip(rungs.values(), seeds, strict=True)]
            ladder = replace(right._rungs(names, {}), scatter=scatter)
            found.append(right._largest(ladder, names)[0])
        rises[scatter] = exclude(found)
    assert (scores[known], rises[known]) == (0, 0)
    assert scores[UNKNOWN] > 0 and rises[UNKNOWN] > 0, "the check could not fail"
    # Several runs are one rung: the mean of their accuracies, no less wide than the runs are.
    share, where = right.largest_rise(list(rungs), rungs)
    assert share.high - share.low > 0.2 and where.startswith("rung-4 and the model, or one of")


def test_a_gap_score_by_accuracy_within_what_runs_scatter_by_is_refused() -> None:
    right = Accuracies(shipped(), SETTINGS)
    found = right.gap_score("rung-6", ["rung-4"], Scatter(0.2**2, 1))
    assert "within what other runs of it scatter by" in found.refused


def test_shares_between_the_shipped_rungs_by_different_seeds_do_not_exclude_each_other() -> None:
    ledger = shipped()
    rungs = [one for one in catalogue().rungs() if one.rung <= 4]
    loss = {one.name: ledger.sums(one.name).per_token() for one in rungs}
    scatter, said = scatter_among(rungs, loss)
    assert "8 degrees of freedom" in said
    compute = np.array([one.compute for one in rungs if not one.seed])
    mean = [np.mean([loss[o.name] for o in rungs if o.rung == rung]) for rung in (2, 3)]
    explained, model = (float(one) for one in mean)
    found = []
    for seeds in product(range(3), repeat=4):  # any seed of each rung
        losses = np.array([loss[by_rung()[k][seed].name] for k, seed in enumerate(seeds, 1)])
        assert (np.diff(losses) < 0).all()
        draws = losses[:, None] * np.exp(moved_runs(scatter, [1] * 4, SETTINGS))
        same = np.ones(SETTINGS.resamples)
        found.append(
            share_between_rungs(
                compute, losses, draws, (explained, explained * same), (model, model * same),
                settings=SETTINGS, room=ROOM * scatter.deviation,
            )
        )  # fmt: skip
    for one in found:
        assert all(one.low < other.value < one.high for other in found)


# By hand and by theorem


def three_rungs(noise: float = 0.0, documents: int = 12) -> Ledger:
    rng = np.random.default_rng(3)
    tokens = np.full(documents, 100)
    means = {"intact": 3.0, "rule": 3.56, "weak": 3.5, "weak 2": 3.6, "weak 3": 3.7, "strong": 3.2}
    return ledger_of(
        {
            name: tokens * (mean + noise * rng.standard_normal(documents))
            for name, mean in means.items()
        },
        tokens,
    )


RUNS = Seeds({"weak": ("weak", "weak 2", "weak 3")}, Scatter(2 * 0.02**2, 2), "by hand")


def test_a_rung_of_several_seeds_is_their_mean_and_its_interval_the_t_interval() -> None:
    """With documents that do not vary: L ± t · L σ / √3, of 2 degrees of freedom."""
    found = ties_with(three_rungs(), "rule", ["weak"], seeds=RUNS,
                      settings=replace(SETTINGS, resamples=20_000))  # fmt: skip
    (one,) = found.comparisons
    assert one.runs == 3 and found.scatter == "by hand"
    assert one.difference.value == pytest.approx(3.56 - 3.6)
    # `ends` moves the tail for 12 documents (expanded percentiles), whatever it is that varies.
    tail = norm.cdf((12 / 11) ** 0.5 * student.ppf(0.025, 11))
    half = -student.ppf(tail, 2) * 3.6 * 0.02 / 3**0.5
    for end in (one.difference.low, one.difference.high):
        assert abs(end - one.difference.value) == pytest.approx(half, rel=0.2)
    assert one.standing == "ties"
    # The first run alone, taken as it is, is beaten for certain no more than the last one beats it.
    alone = ties_with(three_rungs(0.01), "rule", ["weak"], settings=SETTINGS).comparisons[0]
    last = ties_with(three_rungs(0.01), "rule", ["weak 3"], settings=SETTINGS).comparisons[0]
    assert (alone.standing, last.standing) == ("loses", "beats") and alone.runs == 1


def test_a_weaker_model_of_which_no_runs_are_known_is_taken_as_it_is() -> None:
    ledger = three_rungs(0.01)
    for seeds in (None, Seeds({}, RUNS.scatter), RUNS):
        found = ties_with(ledger, "rule", ["strong"], seeds=seeds, settings=SETTINGS)
        assert found == ties_with(ledger, "rule", ["strong"], settings=SETTINGS)
        assert found.scatter == "" and found.comparisons[0].runs == 1


def test_all_bars_and_the_calculator_count_runs_alike() -> None:
    ledger = three_rungs(0.01)
    (found,) = bars_of(
        ledger, ["rule"], ["weak 3"], ["weak", "strong"], seeds=RUNS, settings=SETTINGS
    )
    assert found.place == ties_with(
        ledger, "rule", ["weak", "strong"], seeds=RUNS, settings=SETTINGS
    )
    at = ties_at(ledger, 0.2, "weak 3", ["weak"], seeds=RUNS, settings=SETTINGS).comparisons[0]
    assert at.difference.value == pytest.approx(
        ledger.sums("weak 3").per_token() * 0.8 + ledger.sums("intact").per_token() * 0.2
        - np.mean([ledger.sums(name).per_token() for name in RUNS.runs["weak"]])
    )  # fmt: skip
    assert at.difference.high - at.difference.value > 0.1


def test_other_runs_move_by_t_draws_each_rung_by_its_own_number() -> None:
    scatter = scatter_of([np.array([0.0, 0.02, 0.04]), np.array([1.0])])
    assert (scatter.freedom, scatter.deviation) == (2, pytest.approx(0.02))
    moved = moved_runs(scatter, [1, 4], Settings(resamples=40_000))
    for row, runs in zip(moved, (1, 4), strict=True):
        wanted = student.ppf(0.9, 2) * 0.02 / runs**0.5
        assert np.quantile(row, 0.9) == pytest.approx(wanted, rel=0.05)
    # One σ for all in a draw: sizes go together, directions do not.
    assert abs(np.corrcoef(np.sign(moved))[0, 1]) < 0.02
    assert np.corrcoef(np.log(np.abs(moved)))[0, 1] > 0.1
    assert not moved_runs(Scatter(0.0, 0), [1, 1], SETTINGS).any()


def test_without_seeds_on_this_text_the_scatter_is_that_of_the_kept_back_documents() -> None:
    first = [one for one in catalogue().rungs() if not one.seed]
    scatter, said = scatter_among(first, {one.name: 4.0 for one in first})
    by_hand = [
        np.log([o.held_out for o in catalogue().rungs() if o.rung == rung]) for rung in range(1, 7)
    ]
    assert scatter.squares == pytest.approx(sum(((x - x.mean()) ** 2).sum() for x in by_hand))
    assert scatter.freedom == 8 and "kept-back documents" in said


def test_a_model_that_is_the_last_rung_has_a_share_though_other_runs_were_worse() -> None:
    """Its own loss lies beyond the last rung in half of the draws; the last stretch goes on there."""
    compute, losses = 3.0 ** np.arange(4.0), np.exp(-0.08 * np.log(3) * np.arange(4.0))
    scatter = Scatter(8 * 0.008**2, 8)
    draws = losses[:, None] * np.exp(moved_runs(scatter, [1] * 4, SETTINGS))
    same = np.ones(SETTINGS.resamples)
    asked = ((losses[1], losses[1] * same), (losses[3], losses[3] * same))
    found = share_between_rungs(compute, losses, draws, *asked, settings=SETTINGS,
                                room=ROOM * scatter.deviation)  # fmt: skip
    assert found.value == pytest.approx(1 / 9)
    # Two independent rungs: ln share ± t · √2 σ / α, and a little for what is next to them.
    half = student.ppf(0.975, 8) * 2**0.5 * 0.008 / 0.08
    assert np.log(found.high / found.low) / 2 == pytest.approx(half, rel=0.35)
    bare = share_between_rungs(compute, losses, draws, *asked, settings=SETTINGS)
    assert bare.low == 0.0


def test_a_share_of_a_run_counts_other_runs_and_the_model_itself_is_all_of_it() -> None:
    shares, losses = [0.1, 0.3, 1.0], np.array([4.0, 3.6, 3.2])
    scatter = Scatter(8 * 0.008**2, 8)
    moved = moved_runs(scatter, [1, 1, 1], SETTINGS)
    moved[-1] = 0.0  # the model itself
    draws = losses[:, None] * np.exp(moved)
    same = np.ones(SETTINGS.resamples)
    one = share_of_run(shares, list(losses), draws, 3.4, 3.4 * same, settings=SETTINGS)
    fixed = share_of_run(shares, list(losses), losses[:, None] * np.exp(0 * moved), 3.4, 3.4 * same,
                         settings=SETTINGS)  # fmt: skip
    assert one.value == fixed.value and fixed.low == fixed.high == fixed.value
    assert one.low < 0.9 * one.value and one.high > 1.05 * one.value


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ((0.4, 0.2, 0.7), (0.4, 0.2, 0.7)),
        ((0.9, 0.7, 1.3), (0.9, 0.7, 1.0)),
        ((0.9, 0.7, None), (0.9, 0.7, 1.0)),
        ((1.2, 0.9, 1.5), (1.0, 0.9, 1.0)),
        ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
        ((0.5, None, None), (0.5, None, None)),
    ],
)
def test_no_share_of_compute_is_above_all_of_it(given: tuple, written: tuple) -> None:
    value, low, high = given
    found = at_most_all(Number(value=value, low=low, high=high, unit=SHARE))
    assert (found.value, found.low, found.high) == written


def test_a_better_model_than_the_model_has_no_share_and_says_why() -> None:
    for low, high in ((1.2, 1.9), (None, None), (1.2, None)):
        found = at_most_all(Number(value=1.5, low=low, high=high, unit=SHARE))
        assert found.value is None and "better than the model itself" in found.refused

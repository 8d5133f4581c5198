"""The largest of several rises was chosen: its interval is that of the largest, whichever it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import t as student

from unexplained.bars import on_task
from unexplained.bars.accuracy import Accuracies
from unexplained.estimators import Scatter
from unexplained.instruments.tasks import _said
from unexplained.ledger import ALL, SCHEMA, Ledger
from unexplained.record import Number
from unexplained.stats import Settings, fraction

SETTINGS = Settings()
TOKENS = 40


def right_ledger(right: dict[str, np.ndarray], tokens: np.ndarray) -> Ledger:
    """Of every condition, how many of its tokens are right in each document."""
    rows = [
        (name, f"{i:03d}", *ALL, int(n), 3.0 * n, 0.0, 0, int(count), *[None] * 3)
        for name, counts in right.items()
        for i, (count, n) in enumerate(zip(counts, tokens, strict=True))
    ]
    table = pa.table([list(column) for column in zip(*rows, strict=True)], schema=SCHEMA)
    return Ledger(table, Ledger.empty().tokens)


def ledger_of(right: dict[str, np.ndarray]) -> Ledger:
    """The same with `TOKENS` tokens in each."""
    return right_ledger(right, np.full(len(next(iter(right.values()))), TOKENS))


def largest_rise(right: dict[str, np.ndarray]) -> tuple[Number, str]:
    """Of all rungs up to the model."""
    return Accuracies(ledger_of(right), SETTINGS).largest_rise(list(right)[:-1])


def drawn(rng: np.random.Generator, rises: list[float], documents: int) -> dict[str, np.ndarray]:
    shift, hard = rng.normal(0, 0.05, documents), rng.random((documents, TOKENS))
    edges = 0.1 + np.cumsum([0.0, *rises])
    names = [*(f"rung {i}" for i in range(len(rises))), "intact"]
    right = [(hard < edge + shift[:, None]).sum(1) for edge in edges]
    return dict(zip(names, right, strict=True))


def test_its_ends_are_the_greatest_ends_of_all_rises_together_and_it_is_no_less_than_the_mean():
    right = drawn(np.random.default_rng(0), [0.1, 0.2, 0.15], 30)
    found, at = largest_rise(right)
    columns = np.stack(list(right.values())).astype(float)
    each = Settings(level=1 - 0.05 / 3)  # three intervals that hold together
    steps = [
        fraction(
            rise,
            columns[-1] - columns[0],
            np.full(30, 40),
            what="rise",
            settings=each,
            unit="share",
        )
        for rise in np.diff(columns, axis=0)
    ]
    assert found.value == max(step.value for step in steps)
    assert found.low == max(1 / 3, *(step.low for step in steps))
    assert found.high == max(step.high for step in steps)
    alone = fraction(
        np.diff(columns, axis=0)[1], columns[-1] - columns[0], np.full(30, 40), what="rise",
        settings=SETTINGS,
    )  # fmt: skip
    assert found.high - found.low > alone.high - max(alone.low, 1 / 3)
    assert at.startswith("rung 1 and rung 2")


def test_what_is_kept_of_a_task_is_counted_from_the_ablations_accuracy() -> None:
    some = np.arange(20) % 4
    right = {"ablated": 10 + some, "kept": 25 + some % 2, "intact": 30 + some}
    found = Accuracies(ledger_of(right), SETTINGS).recovered("kept", "ablated")
    least, mine, whole = (column.sum() for column in right.values())
    assert found.value == pytest.approx((mine - least) / (whole - least))


def test_where_it_is_is_said_with_how_many_others_could_be_it():
    rng = np.random.default_rng(1)
    _, clear = largest_rise(drawn(rng, [0.02, 0.5, 0.02], 40))
    assert clear == "rung 1 and rung 2"
    _, level = largest_rise(drawn(rng, [0.1, 0.1, 0.1], 40))
    assert level.endswith(", or one of 2 others")


def test_the_interval_of_the_largest_holds_it_and_that_of_one_rise_does_not():
    rng, rises, held, alone = np.random.default_rng(2), [0.05] * 6, 0, 0
    for _ in range(150):
        right = drawn(rng, rises, 24)
        found, _ = largest_rise(right)
        held += found.low <= 1 / 6 <= found.high
        steps = np.diff(np.stack(list(right.values())).astype(float), axis=0)
        one = fraction(steps[steps.sum(1).argmax()], steps.sum(0), np.full(24, 40), what="rise",
                       settings=SETTINGS)  # fmt: skip
        alone += one.low <= 1 / 6 <= one.high
    assert held >= 139  # 142.5 expected at the least, standard deviation 2.7
    assert alone < held


@pytest.mark.parametrize("documents", [4, 5])
def test_of_too_few_documents_no_share_of_a_task_is_given(documents):
    right = drawn(np.random.default_rng(3), [0.1, 0.2, 0.15], documents)
    names = [f"{kind}, 1 components" for kind in ("explained", "ablated")]
    ledger = ledger_of(right | {names[0]: right["rung 2"], names[1]: right["rung 1"]})
    found = on_task(ledger, {1: (names[0], names[1])}, list(right)[:-1], ["rung 0"], name="task",
                    settings=SETTINGS)  # fmt: skip
    shares = [found.accuracy, found.ablated, *(share for _, share in found.weaker.values())]
    shares += [found.rise, found.by_accuracy, found.last.accuracy, found.last.kept]
    if documents < 5:
        assert all(share.value is None and "too few documents" in share.refused for share in shares)
        assert "how often it is right is refused: too few documents" in _said(found, "rung 0")
    else:
        assert found.accuracy.value is not None and found.accuracy.low is not None


def other_runs_by_hand(
    share: Callable[[np.ndarray], float],
    rates: np.ndarray,
    runs: int,
    scatter: Scatter,
    level: float,
) -> float:
    """How far a share of accuracies lies from other runs of all rungs but the model, by differences."""
    step = 1e-6
    slopes = [(share(rates + step * one) - share(rates - step * one)) / (2 * step)
              for one in np.eye(len(rates))[:-1]]  # fmt: skip
    error = (scatter.deviation or 0.0) * math.hypot(*slopes) / math.sqrt(runs)
    return error * float(student.ppf(1 - (1 - level) / 2, scatter.freedom))


@pytest.mark.parametrize("at", [0, 1])
def test_other_runs_move_a_rise_as_far_as_they_move_the_accuracies_that_it_is_made_of(at: int):
    """Documents all but agree, so that runs alone make the interval."""
    whole = np.random.default_rng(0).integers(0, 2, 400)
    counts = {0: [8, 26, 36], 1: [8, 16, 36]}[at]
    right = {name: many + whole for name, many in zip(("a", "b", "intact"), counts, strict=True)}
    asked = Accuracies(right_ledger(right, np.full(400, 400)), SETTINGS)
    scatter = Scatter(2 * 0.004**2, 2)
    ladder = replace(asked._rungs(["a", "b"], {}), scatter=scatter)
    found, _ = asked._largest(ladder, ["a", "b"])
    rates = np.array([column.sum() / 400**2 for column in right.values()])
    assert found.value == pytest.approx((rates[at + 1] - rates[at]) / (rates[-1] - rates[0]))
    far = other_runs_by_hand(
        lambda a: (a[at + 1] - a[at]) / (a[-1] - a[0]), rates, 1, scatter, 1 - 0.05 / 2
    )
    assert found.high - found.value == pytest.approx(far, rel=0.02)


@pytest.mark.parametrize("runs", [1, 2])
def test_other_runs_of_the_weaker_model_move_what_is_kept_of_a_gap(runs: int):
    whole = np.random.default_rng(0).integers(0, 2, 400)
    weak = {f"weak {i}": 80 + whole for i in range(runs)}
    right = {**weak, "kept": 100 + whole, "intact": 130 + whole}
    asked = Accuracies(right_ledger(right, np.full(400, 400)), SETTINGS)
    scatter = Scatter(2 * 0.004**2, 2)
    found = asked.gap_score("kept", list(weak), scatter)
    rates = np.array([right[name].sum() / 400**2 for name in ("weak 0", "kept", "intact")])
    assert found.value == pytest.approx((rates[1] - rates[0]) / (rates[2] - rates[0]))
    slope = other_runs_by_hand(
        lambda a: (rates[1] - a[0]) / (a[1] - a[0]), rates[[0, 2]], runs, scatter, 0.95
    )
    assert found.high - found.value == pytest.approx(slope, rel=0.02)


@pytest.mark.parametrize(("scatter", "others"), [(0.025, 1), (0.018, 0)])
def test_a_rung_between_two_rises_moves_both_at_once(scatter: float, others: int):
    """Their difference has it twice: √5 of a run's scatter, and not √2 or √3."""
    whole = np.random.default_rng(0).integers(0, 2, 400)
    right = {name: many + whole for name, many in (("a", 8), ("b", 138), ("intact", 188))}
    asked = Accuracies(right_ledger(right, np.full(400, 400)), SETTINGS)
    ladder = replace(asked._rungs(["a", "b"], {}), scatter=Scatter(2 * scatter**2, 2))
    assert asked._not_smaller(ladder, 0) == others

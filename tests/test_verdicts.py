"""Laws that every verdict keeps, whatever was measured, refused or has no interval.

No number that is refused, no measured number without its interval, nothing that is not said in
words; and claims among many are corrected for their number.
"""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as quick
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from changed import each_number
from sample_gap import spread as spread_of
from sample_record import counted_text, repeats_text
from sample_tasks import measured
from test_gap import ledger_of
from test_largest_rise import right_ledger
from unexplained.bars.accuracy import Accuracies
from unexplained.bars.cards import Card
from unexplained.bars.effects import Effect, holm
from unexplained.bars.factors import _sentence
from unexplained.bars.kept import knee as knee_of
from unexplained.bars.measures import measure_of
from unexplained.bars.reading import Reading
from unexplained.bars.tasks import OnTask, among_narrow
from unexplained.errors import MeasurementError
from unexplained.estimators import Scatter, Slope
from unexplained.instruments import circuit, family, gap, rewrite, sizes, sweep, tasks
from unexplained.instruments._assay_rows import REFERENCE, ArmRow
from unexplained.instruments._assay_words import _held, cruxes_of, verdict_of
from unexplained.record import Number
from unexplained.record.bars import Concentration, KeptAt, KeptCurve, OverRuns
from unexplained.record.blocks import Check
from unexplained.record.compute import LeftOutRung
from unexplained.shares import percent
from unexplained.stats import Settings
from unexplained.study.gate import Gate, PairRole, fewest_orbits, require_behaviour

WHY = "the denominator (x) is 0.1 [−0.1, 0.3] nats per token, within noise of zero"


@st.composite
def numbers(draw: st.DrawFn, unit: str = "share") -> Number:
    """A number as there are: with an interval, with one that has no end, alone, or refused."""
    kind = draw(st.sampled_from(["whole", "whole", "whole", "alone", "refused", "low", "high"]))
    if kind == "refused":
        return Number(value=None, unit=unit, refused=WHY)
    value = draw(st.floats(-12, 12).map(lambda x: round(x, 3) + 0.0))
    below, above = (draw(st.floats(0, 5).map(lambda x: round(x, 3))) for _ in range(2))
    low = None if kind in ("alone", "low") else value - below
    high = None if kind in ("alone", "high") else value + above
    return Number(value=value, low=low, high=high, unit=unit)


def with_numbers(data: Any, rng: np.random.Generator) -> Any:
    """What was dumped of a record, with every number in it drawn anew."""
    if isinstance(data, dict) and {"value", "low", "high", "refused"} <= set(data):
        return drawn(rng, data["unit"])
    if isinstance(data, Number):
        return Number(**drawn(rng, data.unit))
    if is_dataclass(data) and not isinstance(data, type):
        held = {field.name: getattr(data, field.name) for field in fields(data)}
        return type(data)(**with_numbers(held, rng))
    if isinstance(data, dict):
        return {key: with_numbers(one, rng) for key, one in data.items()}
    if isinstance(data, list | tuple):
        return type(data)(with_numbers(one, rng) for one in data)
    return data


def drawn(rng: np.random.Generator, unit: str) -> dict[str, Any]:
    """A number of one of the kinds, without hypothesis: records have hundreds."""
    kind = rng.choice(["whole", "whole", "whole", "alone", "refused", "low", "high"])
    value, below, above = rng.normal(0, 3), *rng.exponential(1, 2)
    if kind == "refused":
        return Number(value=None, unit=unit, refused=WHY).model_dump()
    low = None if kind in ("alone", "low") else value - below
    high = None if kind in ("alone", "high") else value + above
    return Number(value=value, low=low, high=high, unit=unit).model_dump()


BARE = re.compile(
    r"(?<![\d.,])\d[\d,]*(?:\.\d+)?%(?! \[\])|(?<![\d.,])\d+(?:\.\d+)? (?:nats|bits per|logits)"
)
"""A measured share or mean that no interval follows, where intervals are written []."""
STATED = re.compile(r"keeps? 80%|rate of 5%")
"""Bars that were set beforehand."""


def lawful(said: str) -> None:
    """Assert what holds of any verdict."""
    assert (said.strip() and said[0].isupper()) or said[0] in "“0123456789"
    assert said.endswith(".") and not said.endswith("..")
    for word in ("None", "nan", "inf", "Number("):
        assert word not in re.sub(r"infer|information|inform", "", said), said
    # What is refused says why, and no number stands in its place.
    for found in re.finditer("refused", said):
        assert re.match(r"refused: \w", said[found.start() :]), said
    # What is written of a refused number is its own sentence.
    told = STATED.sub("", said.replace(WHY, "noise"))
    outside = re.sub(r"[\[(][−∞\d][^\])]*, [^\])]*[\])]", "[]", told)
    assert not BARE.search(outside), said


def whole(value: float, low: float, high: float, unit: str = "share") -> Number:
    return Number(value=value, low=low, high=high, unit=unit)


@pytest.mark.parametrize("seed", range(40))
def test_the_verdict_of_an_assay_is_lawful(seed: int) -> None:
    rng = np.random.default_rng(seed)
    texts = [
        each_number(one, lambda number: Number.model_validate(drawn(rng, number.unit)))
        for one in (counted_text(), repeats_text())
    ]
    lawful(verdict_of(texts, ["L0.H0", "L0.H1"]))
    for crux in (crux for text in texts for crux in cruxes_of(text)):
        lawful(crux.bearing[:1].upper() + crux.bearing[1:] + ".")


@pytest.mark.parametrize(
    ("low", "high", "holds", "said"),
    [
        (-0.1, 0.1, True, "holds: recovers nothing"),
        (-1.2, -1.1, True, "holds: recovers nothing"),
        (-65.0, 18.0, True, "too noisy to tell"),
        (0.003, 0.009, True, "holds: under a tenth of the claim's"),
        (0.2, 0.3, False, "FAILED: it recovers something"),
    ],
)
def test_a_control_is_said_to_hold_where_it_cannot_recover_much(
    low: float, high: float, holds: bool, said: str
) -> None:
    found = Number(value=(low + high) / 2, low=low, high=high, unit="share")
    check = Check(name="c", text="t", expected="nothing", found=found, holds=holds)
    assert _held("c", [replace(counted_text(), checks=(check,))]) == said


@pytest.mark.parametrize(("high", "worse"), [(-3.0, True), (0.1, False)])
def test_a_claim_that_is_for_certain_below_the_ablation_is_said_to_be(
    high: float, worse: bool
) -> None:
    text = counted_text()
    found = Number(value=-5.6, low=-11.0, high=high, unit="share")

    def changed(row: ArmRow) -> ArmRow:
        recovered = {**row.numbers.recovered, REFERENCE: found}
        return row._replace(numbers=replace(row.numbers, recovered=recovered))

    low = replace(text, rows=tuple(map(changed, text.rows)))
    assert ("(worse than the ablation)" in verdict_of([low], ["L0.H0"])) == worse


@given(st.data())
@quick(max_examples=60, deadline=None)
def test_the_verdict_of_a_gap_is_lawful(data: st.DataObject) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    spread = Concentration.model_validate(with_numbers(spread_of().model_dump(), rng))
    one, two, three, four = (data.draw(numbers()) for _ in range(4))
    runs = OverRuns(pairs=(("a", "b"),) * 3, gap=one, worse=two, factor=three, effective=four)
    for over in (None, runs):
        lawful(gap._verdict(spread, over, "Strong", "weak"))


@given(st.data(), st.sampled_from(["", "rung-2"]))
@quick(max_examples=60, deadline=None)
def test_the_verdict_of_tasks_is_lawful(data: st.DataObject, reference: str) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    found = [
        replace(
            with_numbers(one, rng), name=f"task {i}",
            better=data.draw(st.sampled_from([None, 0.001, 0.2, 1.0])),
        )
        for i, one in enumerate(measured())
    ]  # fmt: skip
    some = found[: data.draw(st.integers(1, len(found)))]
    lawful(tasks._verdict(some, reference, ("rung-2", "rung-2-seed-1"), 0.95))


@given(numbers(), st.sampled_from([Scatter(0.0, 0), Scatter(0.02, 4)]), st.booleans())
@quick(max_examples=60, deadline=None)
def test_the_verdict_of_sizes_is_lawful(number: Number, seeds: Scatter, bent: bool) -> None:
    point = sizes.Size("r", 1.0, 1, 0, damage=number, recovered=number)
    said = sizes._verdict(Slope(number, seeds, 2, bent), [point])
    lawful(said)
    told = number.low is not None and number.high is not None and not number.low <= 0 <= number.high
    if "harder with size," in said or "easier with size," in said:
        assert seeds.freedom and (told or (number.low or 0) > 0 or (number.high or 0) < 0)


@given(st.data())
@quick(max_examples=60, deadline=None)
def test_the_verdict_of_a_circuit_is_lawful_and_its_knee_holds_beyond(data: st.DataObject) -> None:
    sizes_ = (1, 10, 100, 1000)
    kept = [data.draw(numbers()) for _ in sizes_]
    points = tuple(
        KeptAt(edges=n, share=n / 1000, logit_difference=k, kept=k)
        for n, k in zip(sizes_, kept, strict=True)
    )
    knee = knee_of([(p.edges, p.kept.low) for p in points], 1000, 0.8)
    curve = KeptCurve(
        edges=1000, points=points, area=None, distance=None, knee=knee, knee_by_value=None
    )
    said = circuit._verdict([(Card(name="eap", role=""), curve)], "ioi")
    lawful(said)
    if knee is not None:
        assert all(p.kept.low >= 0.8 for p in points[:-1] if p.edges >= knee)


@given(st.lists(st.tuples(numbers(unit="nats per token"), st.sampled_from([None, 0.01, 0.5])),
                min_size=1, max_size=4))  # fmt: skip
@quick(max_examples=60, deadline=None)
def test_the_verdict_of_a_sweep_is_lawful(found: list[tuple[Number, float | None]]) -> None:
    asked = SimpleNamespace(text=SimpleNamespace(name="made up"), ablation="mean",
                            measure=measure_of("loss", pairs=False))  # fmt: skip
    effects = [
        Effect(site=f"L0.H{i}", change=change, p=q, q=q, ranks=None)
        for i, (change, q) in enumerate(found)
    ]
    lawful(sweep._verdict(effects, asked))


@given(st.data())
@quick(max_examples=60, deadline=None)
def test_the_verdict_of_a_family_is_lawful_and_an_open_interval_is_no_test(
    data: st.DataObject,
) -> None:
    def left() -> LeftOutRung:
        one, two, three = (data.draw(numbers(unit="FLOPs")) for _ in range(3))
        return LeftOutRung(
            rung="r", loss=one, predicted=two, compute=1.0, equals=three, outside=False
        )

    lefts = [left() for _ in range(data.draw(st.integers(0, 4)))]
    scale = SimpleNamespace(law=data.draw(st.sampled_from([None, object()])), left=lefts)
    known = [SimpleNamespace(name=name, bits_per_byte=data.draw(numbers(unit="bits per byte")))
             for name in ("Small", "large")]  # fmt: skip
    said = family._verdict(known, scale)
    lawful(said)
    both = sum(one.equals.low is not None and one.equals.high is not None for one in lefts)
    if "left out" in said:
        assert f"give {both} an interval" in said and both


def test_an_interval_without_an_end_is_no_test_of_a_law() -> None:
    loss = whole(1.0, 0.9, 1.1, "bits per byte")
    equals = (whole(1.1, 0.8, 1.4), whole(3.0, 2.0, 4.0), Number(value=2.0, low=0.5),
              Number(value=2.0), Number(value=None, refused=WHY))  # fmt: skip
    lefts = [LeftOutRung(rung="r", loss=loss, predicted=loss, compute=1.0, equals=one, outside=False)
             for one in equals]  # fmt: skip
    known = [SimpleNamespace(name=name, bits_per_byte=loss) for name in ("small", "large")]
    said = family._verdict(known, SimpleNamespace(law=object(), left=lefts))
    assert "of 5 rungs left out in turn the others give 2 an interval with two ends" in said
    assert said.endswith("which holds the rung's own compute in 1.")


@given(st.lists(numbers(), min_size=4, max_size=4))
@quick(max_examples=60, deadline=None)
def test_the_sentence_of_where_against_how_much_is_lawful(four: list[Number]) -> None:
    lawful(_sentence(*four, "mean"))


@pytest.mark.parametrize("documents", [1, 4, 12])
@pytest.mark.parametrize("place", [None, "ties with rung-1 and rung-2", "below all",
                                   "not placed: there is no interval"])  # fmt: skip
def test_the_verdict_of_a_rewriting_is_lawful(documents: int, place: str | None) -> None:
    rng = np.random.default_rng(0)
    rows = {name: list(10 * (at + rng.random(documents))) for name, at in
            (("intact", 2.0), ("explained: all", 4.0), ("bigram", 4.1), ("trigram", 3.9))}  # fmt: skip
    read = Reading(ledger_of(rows, [10] * documents), (), Settings(resamples=200), "made up")
    said = rewrite._verdict(read, "explained: all", place, 3)
    lawful(said)
    assert "ties" not in said
    if documents < 5:
        assert "is refused: too few documents for an interval (" in said
    else:
        # Every number stands with its interval.
        assert len(re.findall(r"\d\.\d{2} \[", said)) == 2


def test_a_rewriting_is_held_against_the_bigram_table_by_their_paired_difference() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(3, 1, 20)

    def said(by: np.ndarray) -> str:
        rows = {
            "intact": 10 * base,
            "explained: all": 10 * (base + 1 + by),
            "bigram": 10 * (base + 1),
            "trigram": 10 * (base - 5),
        }
        ledger = ledger_of({k: list(v) for k, v in rows.items()}, [10] * 20)
        read = Reading(ledger, (), Settings(resamples=400), "made up")
        found = rewrite._verdict(read, "explained: all", None, 3)
        return found.partition("; ")[2]

    both = "its loss is for certain higher than that of a bigram and of a trigram table."
    other = "its loss is for certain higher than that of a trigram table."
    assert both == said(np.full(20, 0.1) + rng.normal(0, 0.01, 20))
    assert f"its loss is for certain lower than that of a bigram table; {other}" == said(
        np.full(20, -0.1) + rng.normal(0, 0.01, 20)
    )
    # Better by the values alone, and within noise.
    noise = rng.normal(0, 0.5, 20)
    assert f"its loss is within noise of that of a bigram table; {other}" == said(
        noise - noise.mean() - 0.01
    )


# What is claimed among many


def test_holms_correction_by_hand_and_no_false_finding_among_twelve() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.9, 0.8]) == [1.0, 1.0]
    rng, found = np.random.default_rng(0), 0
    for _ in range(400):
        scores = rng.normal(size=(12, 2, 20))
        p = [ttest_rel(a, b).pvalue / 2 if a.mean() > b.mean() else 1.0 for a, b in scores]
        found += min(holm(p)) < 0.025
    assert found / 400 < 0.05


def with_p(*p: float | None) -> list[OnTask]:
    """The full distribution and narrow tasks with these p-values."""
    names = ["all", *(f"t{i}" for i in range(len(p)))]
    one = measured()[0]
    return among_narrow(
        [replace(one, name=name, better=q) for name, q in zip(names, (None, *p), strict=True)]
    )


def test_one_of_twelve_that_is_told_without_a_correction_alone_is_not_named() -> None:
    said = tasks._verdict(with_p(0.02, *[0.6] * 11), "rung-2", ("rung-2",), 0.95)
    assert (
        "Corrected for 12 narrow tasks (Holm), it is right more often than rung-2 on none" in said
    )
    found = with_p(0.001, *[0.6] * 11)
    assert found[1].better == pytest.approx(0.012)
    assert "on t0." in tasks._verdict(found, "rung-2", ("rung-2",), 0.95)
    assert "right more often" not in tasks._verdict(with_p(None), "rung-2", ("rung-2",), 0.95)


def test_a_task_is_won_against_every_run_of_the_reference_or_not_at_all() -> None:
    rng = np.random.default_rng(2)
    tokens = np.full(20, 100)
    right = rng.binomial(100, 0.5, 20).astype(float)
    rows = {"explained": right, "one": right - 5 - rng.integers(0, 4, 20),
            "two": right + rng.integers(-9, 10, 20)}  # fmt: skip
    found = Accuracies(right_ledger(rows, tokens), Settings())
    alone = found.not_better("explained", ["one"])
    assert alone is not None and alone < 1e-6
    assert alone == pytest.approx(ttest_rel(rows["explained"], rows["one"],
                                            alternative="greater").pvalue, rel=1e-6)  # fmt: skip
    both = found.not_better("explained", ["one", "two"])
    assert both is not None and both == found.not_better("explained", ["two"]) > 0.02
    assert found.not_better("explained", []) is None


# Too few


def role(orbits: int, accuracy: Number) -> PairRole:
    return PairRole("way up", orbits, accuracy, orbits, fewest_orbits(0.95))


def test_all_of_five_pairs_right_tell_nothing_and_it_is_said_how_many_it_takes() -> None:
    all_right = whole(1.0, 1.0, 1.0)
    # 2⁻⁵ is more than the 2.5% of one end, 2⁻⁶ is less.
    assert [fewest_orbits(level) for level in (0.5, 0.9, 0.95, 0.99)] == [2, 5, 6, 8]
    five, six = role(5, all_right), role(6, all_right)
    assert not five.passed and six.passed
    found = Gate(all_right, all_right, (six, five))
    assert not found.passed
    assert found.fails == "too few pairs to tell from chance (5 in a role; it takes 6)"
    text = SimpleNamespace(name="ioi", predicted=11)
    with pytest.raises(MeasurementError, match=r"too few pairs.*12 prompts or more"):
        require_behaviour(found, SimpleNamespace(name="m"), text)
    assert Gate(all_right, all_right, (six, six)).fails == ""
    assert role(6, whole(0.7, 0.4, 1.0)).passed is False


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (Number(value=0.471, unit="share"), "(refused: too few documents for an interval)"),
        (Number(value=None, refused=WHY), f"(refused: {WHY})"),
        (Number(value=0.25, low=-0.34, high=0.52), "25% [−34%, 52%]"),
        (Number(value=0.25, low=0.1), "25% [10%, ∞)"),
        (Number(value=0.25, high=0.5), "25% (−∞, 50%]"),
    ],
)
def test_a_share_stands_with_its_interval_or_not_at_all(number: Number, said: str) -> None:
    assert percent(number) == said


def test_a_tie_is_said_to_be_untold() -> None:
    assert rewrite._standing("ties with rung-1") == "it cannot be told apart from rung-1"
    assert rewrite._standing("between a and b") == "it is between a and b"


def test_a_gap_that_all_tokens_may_carry_evenly_is_not_said_to_be_concentrated() -> None:
    from unexplained.instruments.gap import _carried

    said = {
        low: _carried(Number(value=0.24, low=low, high=1.0, unit="share")) for low in (0.0, 0.04)
    }
    assert "not told to be spread in any way" in said[0.0]
    assert said[0.04] == (
        "is not told from one that all tokens carry evenly: as if 24% [4%, 100%] of them carried it"
    )
    told = _carried(Number(value=0.24, low=0.04, high=0.9, unit="share"))
    assert told.startswith("is as concentrated as if 24%")

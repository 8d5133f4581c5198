"""The 98–99% calculator: what share of the loss must be explained to keep a model's compute.

"Less than 98% explained takes GPT-4 to GPT-3.5" is a statement about three choices that are seldom
named: the curve, the baseline that stands for nothing explained, and the two models' compute.
Explaining a fraction f of the loss between baseline B and model L(C₁) leaves B − f (B − L(C₁)).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from unexplained.curves.draws import AnyCurve, Draws
from unexplained.curves.fit import FittedCurve
from unexplained.curves.place import NO_ERROR, Laws, joined, laws_of, out_of_range
from unexplained.errors import CurveError
from unexplained.record import Number
from unexplained.stats import NATS, SHARE, Settings

GPT_4 = 2.1e25
"""FLOPs, Epoch's estimate."""
GPT_35 = 2.578e24
"""FLOPs: Epoch's record of 2022-03-15, taken to be GPT-3.5; that assignment is a guess."""

FRACTIONS = (0.999, 0.99, 0.98, 0.95, 0.90, 0.80)


@dataclass(frozen=True)
class Baseline:
    """The loss that counts as nothing explained."""

    name: str
    loss: float
    unit: str = NATS
    source: str = ""


BASELINES = {
    baseline.name: baseline
    for baseline in (
        Baseline("uniform", 10.83, source="ln 50,257: GPT-2 BPE knowing nothing"),
        Baseline("unigram", 7.66, source="GPT-2 BPE, one corpus by nanoGPT users, unnamed"),
        Baseline("bigram", 5.5, source="a round figure; the Pile's is 5.59 in NeoX tokens"),
        Baseline("pile unigram", 7.92, source="2.89 bits per byte, EleutherAI, NeoX tokens"),
        Baseline("pile bigram", 5.59, source="2.04 bits per byte, the same; likely in-sample"),
    )
}
"""Named baselines, in nats per token. Using one with a curve of other tokens is an approximation
that everybody makes."""


@dataclass(frozen=True)
class CalculatorRow:
    """What one curve and one baseline say."""

    curve: str
    baseline: str
    apart: Number
    """L(weak) − L(strong), in the curve's unit."""
    needed: Number
    """f*: the fraction explained that leaves exactly the weaker model's loss."""
    left: Mapping[float, Number] = field(default_factory=dict)
    """For each fraction explained, the share of the strong model's compute that its loss is worth."""
    extrapolated: bool = False
    """Whether one of the two models lies beyond what the curve was fitted on: then `apart` and
    `needed` are extrapolated."""
    left_extrapolated: Mapping[float, bool] = field(default_factory=dict)
    """For each fraction, whether `left` is: the strong model or what is left of its compute."""
    note: str = ""


def fraction_needed(
    curve: AnyCurve | FittedCurve,
    baseline: Baseline,
    *,
    strong: float = GPT_4,
    weak: float = GPT_35,
    settings: Settings | None = None,
) -> Number:
    """Give f* = (B − L(weak)) / (B − L(strong)): explain less, and the strong model is the weak one.

    Refused where the baseline is not above the weaker model's loss: there is no such fraction. It
    is not checked that the curve was fitted so far; `table` says so. It misleads in that
    the models need be neither on the frontier nor of the curve's text.

    Args:
        curve: A published curve gives no interval, a fitted one that of its draws.
        baseline: B, in the curve's unit.
        strong: FLOPs of the better model.
        weak: FLOPs of the worse one.
        settings: For a published curve.

    Raises:
        CurveError: The units differ, or `strong` is not above `weak`, or one is not positive.

    >>> from unexplained.curves import BASELINES, CURVES
    >>> round(fraction_needed(CURVES["cerebras"], BASELINES["unigram"]).value, 3)
    0.983
    """
    laws = _checked(curve, baseline, strong, weak, settings)
    low, high = laws.curve.loss(weak), laws.curve.loss(strong)
    if baseline.loss <= high:  # nor then above the weaker one's: one reason is enough
        return _refused(laws, baseline, "stronger", high)
    if baseline.loss <= low:
        return _refused(laws, baseline, "weaker", low)
    value = (baseline.loss - low) / (baseline.loss - high)

    def needed(draws: Draws) -> np.ndarray:
        top, bottom = baseline.loss - draws.losses(weak), baseline.loss - draws.losses(strong)
        # A draw that puts the weaker model above the baseline leaves nothing to be explained.
        return np.asarray(np.divide(top, bottom, out=np.full(top.shape, -np.inf), where=bottom > 0))

    return _number(laws, value, needed, SHARE, beyond=_beyond(laws, weak, strong))


def compute_left(
    curve: AnyCurve | FittedCurve,
    baseline: Baseline,
    fraction: float,
    *,
    strong: float = GPT_4,
    settings: Settings | None = None,
) -> Number:
    """Give C*(B − f (B − L(strong))) / strong: the share of compute left when f is explained.

    Refused where the baseline is not above the strong model's loss, or where f is so far above 1
    that the loss would be at or below the floor.

    Args:
        curve: See `fraction_needed`.
        baseline: B, in the curve's unit.
        fraction: f, a share: 1 is everything.
        strong: FLOPs of the model.
        settings: For a published curve.

    Raises:
        CurveError: The units differ, or f or `strong` is not positive and finite.

    >>> from unexplained.curves import BASELINES, CURVES
    >>> round(compute_left(CURVES["cerebras"], BASELINES["unigram"], 0.99).value, 2)
    0.27
    """
    laws = _checked(curve, baseline, strong, None, settings)
    if not 0 < fraction < np.inf:
        raise CurveError(f"The compute left at a fraction of {fraction}", "it is not above 0")
    whole = laws.curve.loss(strong)
    if baseline.loss <= whole:
        return _refused(laws, baseline, "stronger", whole)
    loss = baseline.loss - fraction * (baseline.loss - whole)
    if loss <= laws.curve.floor:
        found = f"a loss of {loss:.4g} is at or below the floor of {laws.curve.name!r}"
        return Number(value=None, unit=SHARE, refused=found)
    compute = laws.curve.compute(loss)

    def left(draws: Draws) -> np.ndarray:
        losses = baseline.loss - fraction * (baseline.loss - draws.losses(strong))
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(draws.log_compute(losses) - np.log(strong)))

    return _number(laws, compute / strong, left, SHARE, beyond=_beyond(laws, compute, strong))


def table(
    curves: Sequence[AnyCurve | FittedCurve],
    baselines: Sequence[Baseline],
    *,
    strong: float = GPT_4,
    weak: float = GPT_35,
    fractions: Sequence[float] = FRACTIONS,
    settings: Settings | None = None,
) -> tuple[CalculatorRow, ...]:
    """Give f* and the compute left for every curve and baseline, what is extrapolated marked.

    Args:
        curves: Curves, fitted or published.
        baselines: What an explanation is measured against, with its loss.
        strong: Training compute of the explained model (FLOPs).
        weak: Training compute of the weaker model (FLOPs).
        fractions: Shares recovered, of which the compute left is given.
        settings: Level and seed of intervals.

    Raises:
        CurveError: See `fraction_needed` and `compute_left`.
    """
    rows = []
    for curve in curves:
        for baseline in baselines:
            laws = _checked(curve, baseline, strong, weak, settings)
            rows.append(_row(laws, baseline, strong, weak, fractions, curve))
    return tuple(rows)


def _row(
    laws: Laws,
    baseline: Baseline,
    strong: float,
    weak: float,
    fractions: Sequence[float],
    curve: AnyCurve | FittedCurve,
) -> CalculatorRow:
    settings = laws.settings
    beyond = [out_of_range(laws.curve, compute) for compute in (weak, strong)]
    left = {
        fraction: compute_left(curve, baseline, fraction, strong=strong, settings=settings)
        for fraction in fractions
    }
    return CalculatorRow(
        curve=laws.curve.name,
        baseline=baseline.name,
        apart=_number(
            laws,
            laws.curve.loss(weak) - laws.curve.loss(strong),
            lambda draws: draws.losses(weak) - draws.losses(strong),
            laws.curve.unit,
            beyond=_beyond(laws, weak, strong),
        ),
        needed=fraction_needed(curve, baseline, strong=strong, weak=weak, settings=settings),
        left=left,
        extrapolated=any(found for found, _ in beyond),
        left_extrapolated={
            fraction: number.value is not None and _beyond(laws, number.value * strong, strong)
            for fraction, number in left.items()
        },
        note=joined(*dict.fromkeys(note for _, note in beyond), NO_ERROR if laws.certain else ""),
    )


def _beyond(laws: Laws, *computes: float) -> bool:
    """Whether one of these lies beyond what the curve was fitted on."""
    return any(out_of_range(laws.curve, compute)[0] for compute in computes)


def _checked(
    curve: AnyCurve | FittedCurve,
    baseline: Baseline,
    strong: float,
    weak: float | None,
    settings: Settings | None,
) -> Laws:
    laws = laws_of(curve, settings)
    asked = f"What {baseline.name!r} leaves on the curve {laws.curve.name!r}"
    if baseline.unit != laws.curve.unit:
        found = f"the baseline is in {baseline.unit!r} and the curve in {laws.curve.unit!r}"
        raise CurveError(asked, found, "Use `bits_per_byte`.")
    if not np.isfinite(baseline.loss):
        raise CurveError(asked, f"the baseline is {baseline.loss}")
    if weak is not None and not weak < strong:
        found = f"the weaker model has {weak:.3g} FLOPs and the stronger {strong:.3g}"
        raise CurveError(asked, found, "Give the larger one as `strong`.")
    return laws


def _refused(laws: Laws, baseline: Baseline, which: str, loss: float) -> Number:
    found = (
        f"the baseline {baseline.name!r} of {baseline.loss:.4g} {baseline.unit} is not above "
        f"the {which} model's {loss:.4g} on {laws.curve.name!r}"
    )
    return Number(value=None, unit=SHARE, refused=found)


def _number(
    laws: Laws,
    value: float,
    of: Callable[[Draws], np.ndarray],
    unit: str,
    *,
    beyond: bool,
) -> Number:
    if laws.certain:
        return Number(value=value, unit=unit)
    low, high = laws.ends(of, value, beyond=beyond)
    low_end = None if np.isinf(low) else low
    return Number(value=value, low=low_end, high=None if np.isinf(high) else high, unit=unit)

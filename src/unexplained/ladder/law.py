"""The law through measured rungs, whoever trained them: fitted, written down, each rung left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from unexplained.curves import FittedCurve, Point, fit_curve, leave_one_out, loss_at
from unexplained.curves.place import percentile_ends
from unexplained.errors import CurveError
from unexplained.ladder.measured import Measured
from unexplained.record import Number
from unexplained.record.compute import CurvePoint, FittedLaw, Left
from unexplained.stats import NATS, Settings

LINE = 25
"""Points at which the curve is kept for drawing."""


class Rung(Protocol):
    """A trained model on a ladder; those of one rung differ by nothing but their seed."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def rung(self) -> int:
        """Its place in the series."""

    @property
    def seed(self) -> int:
        """Which of the rung's runs."""

    @property
    def compute(self) -> float:
        """FLOPs of training."""


def fit_rungs(
    rungs: Sequence[Rung],
    names: Mapping[str, str],
    measured: Measured,
    settings: Settings,
    *,
    name: str = "ladder",
    unit: str = NATS,
) -> FittedCurve:
    """Fit the law, every draw of it to a resample of the documents.

    Args:
        rungs: The models.
        names: Under which condition each was measured.
        measured: Their losses.
        settings: Level, resamples and seed.
        name: What to call the curve.
        unit: Of the losses.

    Raises:
        CurveError: As for `fit_curve`.
    """
    points = _points(rungs, names, measured, unit)
    shifts = {
        str(rung): np.mean(
            [
                np.log(measured.draws[names[one.name]] / measured.values[names[one.name]])
                for one in rungs
                if one.rung == rung
            ],
            axis=0,
        )
        for rung in {one.rung for one in rungs}
    }
    return fit_curve(points, settings, name=name, shifts=shifts)


def _points(
    rungs: Sequence[Rung], names: Mapping[str, str], measured: Measured, unit: str
) -> list[Point]:
    return [
        Point(one.compute, measured.values[names[one.name]], str(one.rung), one.seed, unit)
        for one in rungs
    ]


def law_of(fitted: FittedCurve) -> FittedLaw:
    """The law as a record keeps it."""
    curve = fitted.curve
    assert curve.fitted is not None
    least, greatest = curve.fitted
    line = []
    for compute in np.geomspace(least, greatest, LINE):
        there = loss_at(fitted, float(compute), extrapolate=True).loss
        value = curve.loss(float(compute))
        low, high = (value if end is None else end for end in (there.low, there.high))
        line.append(CurvePoint(compute=float(compute), loss=value, low=low, high=high))
    return FittedLaw(
        floor=_parameter(fitted, 0, curve.floor, curve.unit),
        exponent=_parameter(fitted, 2, curve.exponent, ""),
        scale=math.log(curve.scale),
        least=least,
        greatest=greatest,
        noise=curve.spread,
        line=tuple(line),
    )


def _parameter(fitted: FittedCurve, column: int, value: float, unit: str) -> Number:
    if not len(fitted.draws):
        return Number(value=value, unit=unit)
    low, high = percentile_ends(fitted.draws[:, column], value, fitted.settings.level)
    return Number(value=value, low=low, high=high, unit=unit)


def left_out(
    rungs: Sequence[Rung],
    names: Mapping[str, str],
    measured: Measured,
    settings: Settings,
    *,
    unit: str = NATS,
) -> tuple[Left, ...]:
    """Every rung against the law through the others; none where they are too few."""
    try:
        found = leave_one_out(_points(rungs, names, measured, unit), settings)
    except CurveError:
        return ()
    return tuple(
        Left(
            rung=f"rung {one.rung}",
            loss=Number(value=one.loss, unit=one.predicted.unit),
            predicted=one.predicted,
            compute=one.compute,
            equals=one.placed.compute,
            outside=one.extrapolated,
        )
        for one in found
    )

"""The law through measured rungs, whoever trained them: fitted, written down, each rung left out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import numpy as np

from unexplained.curves import (
    Bend,
    Curve,
    FittedCurve,
    Shift,
    TrainedPoint,
    fit_curve,
    leave_one_out,
    loss_at,
)
from unexplained.curves.draws import AnyCurve, Form
from unexplained.curves.place import percentile_ends
from unexplained.errors import CurveError
from unexplained.ladder.measured import Measured
from unexplained.record import Number
from unexplained.record.compute import CurvePoint, FittedBend, FittedLaw, LeftOutRung
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
) -> list[TrainedPoint]:
    return [
        TrainedPoint(one.compute, measured.values[names[one.name]], str(one.rung), one.seed, unit)
        for one in rungs
    ]


def law_of(
    fitted: FittedCurve,
) -> tuple[FittedLaw, FittedBend | None, Literal["law", "bend"]]:
    """The law, the better of the two curves that bend, and which was chosen, as a record has them."""
    law = fitted.only("law")
    floor, scale, exponent = (
        _parameter(law, column, value, unit) for column, value, unit in _numbers_of_law(law.curve)
    )
    least, greatest = law.curve.fitted or (0.0, 0.0)
    kept = FittedLaw(
        floor=floor,
        exponent=exponent,
        scale=math.log(scale.value or 1.0),
        least=least,
        greatest=greatest,
        noise=law.chosen.noise,
        line=_line(fitted if fitted.form == "law" else law),
        left_out=law.chosen.left_out,
    )
    if fitted.bending is None:
        return kept, None, "law"
    form: Literal["law", "bend"] = "bend" if fitted.form != "law" else "law"
    return kept, _bend_of(fitted, fitted.bending), form


def _numbers_of_law(curve: AnyCurve) -> list[tuple[int, float, str]]:
    assert isinstance(curve, Curve)
    return [(0, curve.floor, curve.unit), (1, curve.scale, ""), (2, curve.exponent, "")]


def _bend_of(fitted: FittedCurve, form: Form) -> FittedBend:
    alone = fitted.only(form)
    curve = alone.curve
    assert isinstance(curve, Bend | Shift)
    third = curve.curvature if isinstance(curve, Bend) else curve.start
    # Draws have C₀ in units of the middle.
    times, unit = (1.0, "") if isinstance(curve, Bend) else (curve.middle, "FLOPs")
    return FittedBend(
        form="bend" if isinstance(curve, Bend) else "shift",
        middle=curve.middle,
        log_loss=curve.log_loss,
        exponent=_parameter(alone, 1, curve.exponent, ""),
        bends=_parameter(alone, 2, third, unit, times=times),
        noise=alone.chosen.noise,
        line=_line(fitted if fitted.form == form else alone),
        left_out=alone.chosen.left_out,
    )


def _line(fitted: FittedCurve) -> tuple[CurvePoint, ...]:
    least, greatest = fitted.curve.fitted or (0.0, 0.0)
    line = []
    for compute in np.geomspace(least, greatest, LINE):
        there = loss_at(fitted, float(compute), extrapolate=True).loss
        value = fitted.curve.loss(float(compute))
        low, high = (value if end is None else end for end in (there.low, there.high))
        line.append(CurvePoint(compute=float(compute), loss=value, low=low, high=high))
    return tuple(line)


def _parameter(
    fitted: FittedCurve, column: int, value: float, unit: str, *, times: float = 1.0
) -> Number:
    table = fitted.chosen.draws.table
    if not len(table):
        return Number(value=value, unit=unit)
    low, high = percentile_ends(times * table[:, column], value, fitted.settings.level)
    return Number(value=value, low=low, high=high, unit=unit)


def left_out(
    rungs: Sequence[Rung],
    names: Mapping[str, str],
    measured: Measured,
    settings: Settings,
    *,
    unit: str = NATS,
) -> tuple[LeftOutRung, ...]:
    """Every rung against the law through the others; none where they are too few."""
    try:
        found = leave_one_out(_points(rungs, names, measured, unit), settings)
    except CurveError:
        return ()
    return tuple(
        LeftOutRung(
            rung=f"rung {one.rung}",
            loss=Number(value=one.loss, unit=one.predicted.unit),
            predicted=one.predicted,
            compute=one.compute,
            equals=one.placed.compute,
            outside=one.extrapolated,
        )
        for one in found
    )

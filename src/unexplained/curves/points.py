"""A ladder's points, gathered by rung and checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from unexplained.errors import CurveError
from unexplained.stats import NATS

FEWEST_RUNGS = 3
"""E, A and α are three numbers: fewer rungs do not settle a curve."""


@dataclass(frozen=True)
class TrainedPoint:
    """One trained model: its compute in FLOPs and its loss in `unit` on the one text of all."""

    compute: float
    loss: float
    rung: str
    """Models of one rung differ by nothing but `seed`."""
    seed: int = 0
    unit: str = NATS


@dataclass(frozen=True)
class Ladder:
    """Points gathered by rung, in order of compute."""

    rungs: tuple[str, ...]
    compute: np.ndarray
    log_loss: np.ndarray
    """Mean over seeds of the log losses."""
    seeds: np.ndarray
    within: float
    """Sum of squares of log losses about their rung's mean."""
    unit: str

    @property
    def within_freedom(self) -> int:
        """Seeds beyond the first of each rung."""
        return int(self.seeds.sum()) - len(self.rungs)


def gathered(points: Sequence[TrainedPoint]) -> Ladder:
    """Points by rung, checked; see `fit_curve` for what is refused."""
    asked = f"A curve through {len(points)} points"
    for point in points:
        for what, number in (("compute", point.compute), ("loss", point.loss)):
            if not (math.isfinite(number) and number > 0):
                found = f"the {what} of rung {point.rung!r}, seed {point.seed}, is {number}"
                raise CurveError(asked, found, "Both are positive; measure it again.")
    units = sorted({point.unit for point in points})
    if len(units) > 1:
        raise CurveError(asked, f"units differ: {', '.join(units)}", "Use `bits_per_byte`.")
    by_rung: dict[str, list[TrainedPoint]] = {}
    for point in points:
        by_rung.setdefault(point.rung, []).append(point)
    for rung, those in by_rung.items():
        if len({point.compute for point in those}) > 1:
            found = f"rung {rung!r} has several computes"
            raise CurveError(asked, found, "Models of a rung differ by their seed alone.")
        if len({point.seed for point in those}) < len(those):
            raise CurveError(asked, f"rung {rung!r} has a seed twice", "Give each model once.")
    ordered = sorted(by_rung, key=lambda rung: by_rung[rung][0].compute)
    logs = [np.log([point.loss for point in by_rung[rung]]) for rung in ordered]
    return Ladder(
        rungs=tuple(ordered),
        compute=np.array([by_rung[rung][0].compute for rung in ordered]),
        log_loss=np.array([log.mean() for log in logs]),
        seeds=np.array([log.size for log in logs]),
        within=float(sum(((log - log.mean()) ** 2).sum() for log in logs)),
        unit=units[0] if units else NATS,
    )


def require_falling(ladder: Ladder) -> None:
    """Refuse a ladder whose losses do not fall, or of too few rungs; see `fit_curve`."""
    asked = f"A curve through the rungs {', '.join(ladder.rungs) or '(none)'}"
    for at, (low, high) in enumerate(pairwise(ladder.rungs)):
        if ladder.compute[at] == ladder.compute[at + 1]:
            found = f"rungs {low!r} and {high!r} have the same compute"
            raise CurveError(asked, found, "Give them one name, or leave the worse one out.")
        before, after = np.exp(ladder.log_loss[at : at + 2])
        if after >= before:
            found = (
                f"the loss does not fall from rung {low!r} ({before:.4g}) to {high!r} ({after:.4g})"
            )
            raise CurveError(asked, found, "Train the larger one better, or leave one of them out.")
    if len(ladder.rungs) < FEWEST_RUNGS:
        found = f"that is {len(ladder.rungs)} of at least {FEWEST_RUNGS}"
        raise CurveError(asked, found, "E, A and α are three numbers; four rungs give an interval.")

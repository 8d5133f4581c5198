"""A curve fitted to a ladder of a few trained models, with what so few can say of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import fdtrc

from unexplained.curves.curve import Curve
from unexplained.curves.solve import solve
from unexplained.errors import CurveError
from unexplained.stats import NATS, Settings

FEWEST_RUNGS = 3
"""E, A and α are three numbers: fewer rungs do not settle a curve."""

POOLED_ABOVE = 0.25
"""Seeds and residuals are pooled into one spread unless an F test finds the rungs further off the
curve than seeds explain, at this p. A lenient level, as usual for such tests (Bozivich, Bancroft
and Hartley, Ann. Math. Statist. 27, 1956): a spread that is too small is the worse mistake."""


@dataclass(frozen=True)
class Point:
    """One trained model: its compute in FLOPs and its loss in `unit` on the one text of all."""

    compute: float
    loss: float
    rung: str
    """Models of one rung differ by nothing but `seed`."""
    seed: int = 0
    unit: str = NATS


@dataclass(frozen=True, eq=False)
class FittedCurve:
    """A fitted curve and bootstrap draws of it; see `fit_curve` for how far to trust them."""

    curve: Curve
    draws: np.ndarray
    """(resample, 3): E, A, α. No rows where there is nothing to tell the spread from."""
    noise_draws: np.ndarray
    """(resample,): the standard deviation of log losses that each draw was made with."""
    noise: float | None
    """Standard deviation of one run's log loss around the curve, as estimated."""
    run_to_run: float | None
    """The same between seeds of a rung; None without rungs of several seeds."""
    misfit: float | None
    """Root mean square of the rungs' log residuals, for degrees of freedom; None with 3 rungs.
    Well above `run_to_run` / √seeds it says that this is not the law of these models."""
    pooled: bool
    """Whether seeds and residuals make one spread (`POOLED_ABOVE`)."""
    freedom: int
    """Degrees of freedom that `noise` rests on."""
    rungs: tuple[str, ...]
    """By compute."""
    settings: Settings


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


def fit_curve(
    points: Sequence[Point],
    settings: Settings,
    *,
    name: str = "fitted",
    shifts: Mapping[str, np.ndarray] | None = None,
) -> FittedCurve:
    """Fit L = E + A·C^(−α) to a ladder by least squares on log losses, with bootstrap draws.

    The fit looks at the whole range of α (`solve`); E ≥ 0, A > 0 and 0.001 ≤ α ≤ 2. Each draw
    takes a spread σ² = (sum of squares) / χ², adds normal noise of that size to the *fitted* log
    losses (over √seeds for rungs of several) and fits again. Drawing σ too is the t correction:
    for a linear law the percentiles of such draws are exactly the t intervals. Sum of squares and
    degrees of freedom are those of residuals and seeds together (rungs − 3 and seeds − rungs), or
    of the residuals alone where they are too large for the seeds (`POOLED_ABOVE`).

    Measured on planted curves (`benchmarks/curve_coverage.py`; four laws, 5 to 8 rungs over 2 to 3
    decades, 0.3% and 1% from run to run, 100 ladders each): 95% intervals held the loss between
    rungs, and the compute of a loss, in 94.6% (24 worlds with one seed each, 91% to 97%), the share
    of compute in 95.0%, the loss a decade beyond in 94.7%. With seeds 96.4%; with rungs off the
    curve by 0.5% and seeds apart by 0.3%, 92.8%. In two worlds where these held 97% and 91%, the
    estimated σ taken for the true one held 84% and 83%, residuals with random signs 81% and 78%,
    and rungs drawn with replacement 78% and 86%.

    With three rungs and one seed each there is a curve through the points and no draws; three
    rungs with more seeds have the seeds' spread and no check of the law. The three numbers of the
    curve are each far less certain than its height inside the range: quote losses and compute, not
    E or α. It misleads when rungs share what is not noise (a worse recipe for the larger ones), and
    most when the law is used beyond its rungs.

    Args:
        points: One per trained model; at least three rungs, whose mean loss falls with compute.
        settings: Level, resamples and seed.
        name: What to call the curve.
        shifts: For each rung, in every resample of the text's documents, its log loss there minus
            that on all of them. Each draw of the curve is then fitted to that resample, and put
            to draws of a loss on the same ones it is paired with them: that a text is easy or
            hard moves both alike.

    Raises:
        CurveError: A loss or a compute is not positive and finite; units differ; one rung has two
            computes or two rungs have the same; there are fewer than three rungs; a rung does not
            have a lower loss than the one before.

    >>> points = [Point(c, 1.5 + 400 * c**-0.15, str(c)) for c in (1e18, 1e19, 1e20, 1e21)]
    >>> round(fit_curve(points, Settings(resamples=100)).curve.floor, 4)
    1.5
    """
    ladder = gathered(points)
    _require_falling(ladder)
    weights, squares, freedom, pooled = _spread(ladder)
    logs = np.log(ladder.compute)
    found = solve(ladder.log_loss[None], logs, weights)
    noise = math.sqrt(squares / freedom) if freedom else None
    curve = Curve(
        name=name,
        floor=float(found.floor[0]),
        scale=math.exp(float(found.log_scale[0])),
        exponent=float(found.alpha[0]),
        fitted=(float(ladder.compute[0]), float(ladder.compute[-1])),
        unit=ladder.unit,
        spread=noise or 0.0,
        says=f"{len(ladder.rungs)} rungs, {int(ladder.seeds.sum())} models.",
    )
    fitted = np.log(curve.floor + np.exp(found.log_scale[0] - curve.exponent * logs))
    moved = fitted
    if shifts is not None:
        moved = fitted + np.stack([shifts[rung] for rung in ladder.rungs], axis=1)
    draws, noises = _drawn(moved, logs, weights, squares, freedom, settings)
    # With one degree of freedom a few in a thousand draws are so far off that no curve is found.
    draws[~np.isfinite(draws).all(1)] = (curve.floor, curve.scale, curve.exponent)
    draws.flags.writeable = noises.flags.writeable = False
    spare = len(ladder.rungs) - FEWEST_RUNGS
    return FittedCurve(
        curve=curve,
        draws=draws,
        noise_draws=noises,
        noise=noise,
        run_to_run=(
            math.sqrt(ladder.within / ladder.within_freedom) if ladder.within_freedom else None
        ),
        misfit=math.sqrt(((ladder.log_loss - fitted) ** 2).sum() / spare) if spare else None,
        pooled=pooled,
        freedom=freedom,
        rungs=ladder.rungs,
        settings=settings,
    )


def gathered(points: Sequence[Point]) -> Ladder:
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
    by_rung: dict[str, list[Point]] = {}
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


def _require_falling(ladder: Ladder) -> None:
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


def _spread(ladder: Ladder) -> tuple[np.ndarray, float, int, bool]:
    """Weights of the rungs, sum of squares, its degrees of freedom, and whether it is pooled."""
    spare, extra = len(ladder.rungs) - FEWEST_RUNGS, ladder.within_freedom
    logs, single = np.log(ladder.compute), np.ones(len(ladder.rungs))
    by_seed = ladder.seeds.astype(float)
    between = float(solve(ladder.log_loss[None], logs, by_seed).error[0])
    if spare and extra:
        within = ladder.within / extra
        excess = between / spare / within if within else math.inf
        if fdtrc(spare, extra, excess) < POOLED_ABOVE:
            alone = float(solve(ladder.log_loss[None], logs, single).error[0])
            return single, alone, spare, False
    return by_seed, between + ladder.within, spare + extra, True


def _drawn(
    fitted: np.ndarray,
    logs: np.ndarray,
    weights: np.ndarray,
    squares: float,
    freedom: int,
    settings: Settings,
) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap draws of (E, A, α), and the spread that each was made with.

    `fitted` are log losses, one per rung, or (resample, rung).
    """
    if not freedom:
        return np.empty((0, 3)), np.empty(0)
    rng = np.random.default_rng(settings.seed)
    noises = np.sqrt(squares / rng.chisquare(freedom, settings.resamples))
    normal = rng.standard_normal((settings.resamples, logs.size))
    found = solve(fitted + noises[:, None] * normal / np.sqrt(weights), logs, weights, steps=20)
    return np.stack([found.floor, np.exp(found.log_scale), found.alpha], axis=1), noises

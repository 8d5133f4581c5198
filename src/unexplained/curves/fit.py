"""A curve fitted to a ladder of a few trained models, with what so few can say of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import fdtrc

from unexplained.curves.bend import Bend, middle_of, solve_bend
from unexplained.curves.choice import bent, left_out_errors
from unexplained.curves.curve import Curve
from unexplained.curves.draws import BendDraws, Draws, LawDraws, MixedDraws
from unexplained.curves.points import FEWEST_RUNGS, Ladder, Point, gathered, require_falling
from unexplained.curves.solve import solve
from unexplained.errors import CurveError
from unexplained.stats import Settings

Form = Literal["law", "bend"]
"""L = E + A·C^(−α), or ln L quadratic in ln C."""

POOLED_ABOVE = 0.25
"""Seeds and residuals are pooled into one spread unless an F test finds the rungs further off the
curve than seeds explain, at this p. A lenient level, as usual for such tests (Bozivich, Bancroft
and Hartley, Ann. Math. Statist. 27, 1956): a spread that is too small is the worse mistake."""


@dataclass(frozen=True, eq=False)
class FittedForm:
    """One form fitted to a ladder, and bootstrap draws of it."""

    curve: Curve | Bend
    draws: Draws
    """One per resample; none where there is nothing to tell the spread from."""
    noise_draws: np.ndarray
    """(resample,): the standard deviation of log losses that each draw was made with."""
    noise: float | None
    """Standard deviation of one run's log loss around the curve, as estimated."""
    misfit: float | None
    """Root mean square of the rungs' log residuals, for degrees of freedom; None with 3 rungs.
    Well above `run_to_run` / √seeds it says that this is not the form of these models."""
    pooled: bool
    """Whether seeds and residuals make one spread (`POOLED_ABOVE`)."""
    freedom: int
    """Degrees of freedom that `noise` rests on."""
    left_out: float | None
    """Root mean square log error of each rung foretold from the others; None with 3 rungs."""
    sets: np.ndarray
    """(resample, rung): the log losses that the draws were fitted to."""


@dataclass(frozen=True, eq=False)
class FittedCurve:
    """A fitted curve and bootstrap draws of it; see `fit_curve` for how far to trust them."""

    law: FittedForm
    bend: FittedForm | None
    """None with 3 rungs, which any curve of three numbers goes through, and where it does not fall."""
    form: Form
    """Which of the two foretells the rungs better."""
    draws: Draws
    """Each of the form that its own data chose."""
    run_to_run: float | None
    """Standard deviation of log losses between seeds of a rung; None without rungs of several."""
    rungs: tuple[str, ...]
    """By compute."""
    settings: Settings

    @property
    def chosen(self) -> FittedForm:
        """The fit of the form that was chosen."""
        return self.bend if self.form == "bend" and self.bend is not None else self.law

    @property
    def curve(self) -> Curve | Bend:
        """The curve that was chosen."""
        return self.chosen.curve

    @property
    def noise(self) -> float | None:
        """Of the form that was chosen."""
        return self.chosen.noise

    @property
    def both(self) -> tuple[Draws, ...]:
        """Draws of each form apart: what is said beyond the rungs holds by either."""
        return tuple(one.draws for one in (self.law, self.bend) if one is not None)

    def only(self, form: Form) -> FittedCurve | None:
        """The same by one form alone, its choice taken for granted; None where there is no bend."""
        if form == "law":
            return replace(self, bend=None, form="law", draws=self.law.draws)
        if self.bend is None:
            return None
        return replace(self, form="bend", draws=self.bend.draws)


def fit_curve(
    points: Sequence[Point],
    settings: Settings,
    *,
    name: str = "fitted",
    shifts: Mapping[str, np.ndarray] | None = None,
) -> FittedCurve:
    """Fit a law with a floor and a bend to a ladder by least squares on log losses, and choose.

    The law is L = E + A·C^(−α), E ≥ 0, A > 0 and 0.001 ≤ α ≤ 2, over the whole range of α
    (`solve`); the bend is ln L quadratic in ln C. Both have three numbers; whichever foretells each
    rung from the others with the smaller error is taken (`choice`). Each draw takes a spread
    σ² = (sum of squares) / χ², adds normal noise of that size to the *fitted* log losses of the
    chosen form (over √seeds for rungs of several), and fits and chooses again, so that its doubt about
    the form is in the draws. Drawing σ too is the t correction: for the bend, which is linear, the
    percentiles of its own draws are exactly the t intervals. Sum of squares and degrees of freedom are
    those of residuals and seeds together (rungs − 3 and seeds − rungs), or of the residuals alone
    where they are too large for the seeds (`POOLED_ABOVE`).

    How often such intervals hold the truth on planted ladders, straight and bent, is measured in
    `benchmarks/curve_coverage.py` and told in docs/statistics.md. What lies beyond the rungs
    is given by `place`, from the draws of either form.

    With three rungs and one seed each there is a law through the points and no draws; three
    rungs with more seeds have the seeds' spread and no check of the law. The three numbers of either
    form are each far less certain than its height inside the range: quote losses and compute, not
    E, α or c. It misleads when rungs share what is not noise (a worse recipe for the larger ones), and
    most when it is used beyond its rungs.

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
    require_falling(ladder)
    moved = 0.0 if shifts is None else np.stack([shifts[r] for r in ladder.rungs], axis=1)
    logs, seeds = np.log(ladder.compute), ladder.seeds.astype(float)
    errors: tuple[float | None, float | None] = (None, None)
    if len(ladder.rungs) > FEWEST_RUNGS:
        by_law, by_bend = left_out_errors(ladder.log_loss[None], logs, seeds)
        errors = float(by_law[0]), float(by_bend[0])
    law = _law(ladder, name, moved, errors[0], settings)
    bend = None if errors[1] is None else _bend(ladder, name, moved, errors[1], settings)
    form: Form = "law"
    draws = law.draws
    if bend is not None and bend.left_out is not None and law.left_out is not None:
        form = "bend" if bend.left_out < law.left_out else "law"
        assert isinstance(law.curve, Curve)
        draws = _chosen_again(bend if form == "bend" else law, law.curve, logs, seeds)
    extra = ladder.within_freedom
    return FittedCurve(
        law=law,
        bend=bend,
        form=form,
        draws=draws,
        run_to_run=math.sqrt(ladder.within / extra) if extra else None,
        rungs=ladder.rungs,
        settings=settings,
    )


def _law(
    ladder: Ladder,
    name: str,
    moved: np.ndarray | float,
    left_out: float | None,
    settings: Settings,
) -> FittedForm:
    """The law, and draws of it."""
    logs = np.log(ladder.compute)
    weights, squares, freedom, pooled = _spread(
        ladder, lambda weights: float(solve(ladder.log_loss[None], logs, weights).error[0])
    )
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
        says=_says(ladder),
    )
    fitted = np.log(curve.floor + np.exp(found.log_scale[0] - curve.exponent * logs))
    sets, noises = _sets(fitted + moved, weights, squares, freedom, settings, stream=())
    table = law_draws(sets, logs, weights, curve)
    return FittedForm(
        curve, table, _frozen(noises), noise, _misfit(ladder, fitted), pooled, freedom, left_out,
        sets,
    )  # fmt: skip


def _bend(
    ladder: Ladder, name: str, moved: np.ndarray | float, left_out: float, settings: Settings
) -> FittedForm | None:
    """The bend, and draws of it; None where it does not fall over the whole range."""
    logs = np.log(ladder.compute)
    weights, squares, freedom, pooled = _spread(
        ladder, lambda weights: float(solve_bend(ladder.log_loss[None], logs, weights)[1][0])
    )
    level, alpha, curvature = solve_bend(ladder.log_loss[None], logs, weights)[0][0]
    middle = middle_of(logs, weights)
    noise = math.sqrt(squares / freedom) if freedom else None
    try:
        curve = Bend(
            name=name,
            middle=math.exp(middle),
            log_loss=float(level),
            exponent=float(alpha),
            curvature=float(curvature),
            fitted=(float(ladder.compute[0]), float(ladder.compute[-1])),
            unit=ladder.unit,
            spread=noise or 0.0,
            says=_says(ladder),
        )
    except CurveError:
        return None
    u = logs - middle
    fitted = level - alpha * u + curvature * u * u
    sets, noises = _sets(fitted + moved, weights, squares, freedom, settings, stream=(4,))
    draws = BendDraws(_frozen(solve_bend(sets, logs, weights)[0]), middle)
    return FittedForm(
        curve, draws, _frozen(noises), noise, _misfit(ladder, fitted), pooled, freedom, left_out,
        sets,
    )  # fmt: skip


def law_draws(
    sets: np.ndarray, logs: np.ndarray, weights: np.ndarray, curve: Curve
) -> LawDraws:
    """The law fitted to each of many data sets, (data set, rung)."""
    if not len(sets):
        return LawDraws(np.empty((0, 3)))
    found = solve(sets, logs, weights, steps=20)
    table = np.stack([found.floor, np.exp(found.log_scale), found.alpha], axis=1)
    # With one degree of freedom a few in a thousand draws are so far off that no curve is found.
    table[~np.isfinite(table).all(1)] = (curve.floor, curve.scale, curve.exponent)
    return LawDraws(_frozen(table))


def _chosen_again(
    chosen: FittedForm, law: Curve, logs: np.ndarray, weights: np.ndarray
) -> Draws:
    """Both forms fitted to the draws' data, and chosen between in each."""
    sets, own = chosen.sets, chosen.draws
    if not len(sets):
        return own
    bends = solve_bend(sets, logs, weights)[0]
    which = bent(sets, bends, logs, weights)
    bend = own if isinstance(own, BendDraws) else BendDraws(bends, middle_of(logs, weights))
    other = own if isinstance(own, LawDraws) else law_draws(sets, logs, weights, law)
    return MixedDraws(other, bend, which)


def _spread(
    ladder: Ladder, error: Callable[[np.ndarray], float]
) -> tuple[np.ndarray, float, int, bool]:
    """Weights of the rungs, sum of squares, its degrees of freedom, and whether it is pooled."""
    spare, extra = len(ladder.rungs) - FEWEST_RUNGS, ladder.within_freedom
    single, by_seed = np.ones(len(ladder.rungs)), ladder.seeds.astype(float)
    between = error(by_seed)
    if spare and extra:
        within = ladder.within / extra
        excess = between / spare / within if within else math.inf
        if fdtrc(spare, extra, excess) < POOLED_ABOVE:
            return single, error(single), spare, False
    return by_seed, between + ladder.within, spare + extra, True


def _sets(
    fitted: np.ndarray,
    weights: np.ndarray,
    squares: float,
    freedom: int,
    settings: Settings,
    *,
    stream: tuple[int, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Log losses drawn about the fitted ones, (resample, rung), and the spread of each draw.

    `fitted` are log losses, one per rung, or (resample, rung).
    """
    if not freedom:
        return np.empty((0, weights.size)), np.empty(0)
    rng = np.random.default_rng([settings.seed, *stream] if stream else settings.seed)
    noises = np.sqrt(squares / rng.chisquare(freedom, settings.resamples))
    normal = rng.standard_normal((settings.resamples, weights.size))
    return fitted + noises[:, None] * normal / np.sqrt(weights), noises


def _misfit(ladder: Ladder, fitted: np.ndarray) -> float | None:
    spare = len(ladder.rungs) - FEWEST_RUNGS
    return math.sqrt(((ladder.log_loss - fitted) ** 2).sum() / spare) if spare else None


def _says(ladder: Ladder) -> str:
    return f"{len(ladder.rungs)} rungs, {int(ladder.seeds.sum())} models."


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array

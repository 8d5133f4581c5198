"""A curve fitted to a ladder of a few trained models, with what so few can say of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import fdtrc

from unexplained.curves.choice import chosen, left_out_errors
from unexplained.curves.draws import FORMS, AnyCurve, CurveDraws, Draws, Form, MixedDraws
from unexplained.curves.points import FEWEST_RUNGS, Ladder, TrainedPoint, gathered, require_falling
from unexplained.stats import Settings

POOLED_ABOVE = 0.25
"""Seeds and residuals are pooled into one spread unless an F test finds the rungs further off the
curve than seeds explain, at this p. A lenient level, as usual for such tests (Bozivich, Bancroft
and Hartley, Ann. Math. Statist. 27, 1956): a spread that is too small is the worse mistake."""


@dataclass(frozen=True, eq=False)
class FittedForm:
    """One form fitted to a ladder, and bootstrap draws of it."""

    curve: AnyCurve
    draws: CurveDraws
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

    forms: Mapping[Form, FittedForm]
    """The law always; the others where there are more than 3 rungs, which any curve of three
    numbers goes through, and where they fall over the whole range."""
    form: Form
    """Which of them foretells the rungs best."""
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
        return self.forms[self.form]

    @property
    def curve(self) -> AnyCurve:
        """The curve that was chosen."""
        return self.chosen.curve

    @property
    def noise(self) -> float | None:
        """Of the form that was chosen."""
        return self.chosen.noise

    @property
    def law(self) -> FittedForm:
        """E + A·C^(−α)."""
        return self.forms["law"]

    @property
    def bending(self) -> Form | None:
        """Which of the two forms that bend foretells the rungs better."""
        some = [form for form in self.forms if form != "law"]
        return min(some, key=lambda form: self.forms[form].left_out or 0.0, default=None)

    def only(self, form: Form) -> FittedCurve:
        """The same by one `form` alone, its choice taken for granted."""
        one = self.forms[form]
        return replace(self, forms={form: one}, form=form, draws=one.draws)


def fit_curve(
    points: Sequence[TrainedPoint],
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

    >>> points = [TrainedPoint(c, 1.5 + 400 * c**-0.15, str(c)) for c in (1e18, 1e19, 1e20, 1e21)]
    >>> round(fit_curve(points, Settings(resamples=100)).curve.floor, 4)
    1.5
    """
    ladder = gathered(points)
    require_falling(ladder)
    moved = 0.0 if shifts is None else np.stack([shifts[r] for r in ladder.rungs], axis=1)
    logs, seeds = np.log(ladder.compute), ladder.seeds.astype(float)
    errors: dict[Form, float | None] = {"law": None}
    best: Form = "law"
    if len(ladder.rungs) > FEWEST_RUNGS:
        found = left_out_errors(ladder.log_loss[None], logs, seeds)
        errors = dict(zip(FORMS, found[0].tolist(), strict=True))
        best = list(FORMS)[int(chosen(found)[0])]
    forms = {
        form: _fitted(form, ladder, name, moved, error, settings)
        for form, error in errors.items()
        if form == "law" or error != math.inf
    }
    extra = ladder.within_freedom
    return FittedCurve(
        forms=forms,
        form=best,
        draws=_chosen_again(forms[best], logs, seeds),
        run_to_run=math.sqrt(ladder.within / extra) if extra else None,
        rungs=ladder.rungs,
        settings=settings,
    )


def _fitted(
    form: Form,
    ladder: Ladder,
    name: str,
    moved: np.ndarray | float,
    left_out: float | None,
    settings: Settings,
) -> FittedForm:
    """One form, and draws of it."""
    kind, logs, rungs = FORMS[form], np.log(ladder.compute), len(ladder.rungs)

    def fit(weights: np.ndarray) -> tuple[CurveDraws, np.ndarray, float]:
        found = kind.fitted(ladder.log_loss[None], logs, weights, steps=34)
        fitted = np.array([found.log_losses(log)[0] for log in logs])
        return found, fitted, float((weights * (ladder.log_loss - fitted) ** 2).sum())

    weights, squares, freedom, pooled = _spread(ladder, lambda weights: fit(weights)[2])
    found, fitted, _ = fit(weights)
    noise = math.sqrt(squares / freedom) if freedom else None
    curve = found.curve(
        name=name,
        fitted=(float(ladder.compute[0]), float(ladder.compute[-1])),
        unit=ladder.unit,
        spread=noise or 0.0,
        says=f"{rungs} rungs, {int(ladder.seeds.sum())} models.",
    )
    # A stream of its own for each form, so that they do not share their luck.
    stream = [settings.seed, *([list(FORMS).index(form)] if form != "law" else [])]
    sets, noises = _sets(fitted + moved, weights, squares, freedom, settings.resamples, stream)
    draws = _whole(kind.fitted(sets, logs, weights), found)
    spare = rungs - FEWEST_RUNGS
    return FittedForm(
        curve=curve,
        draws=draws,
        noise_draws=noises,
        noise=noise,
        misfit=math.sqrt(((ladder.log_loss - fitted) ** 2).sum() / spare) if spare else None,
        pooled=pooled,
        freedom=freedom,
        left_out=left_out if left_out != math.inf else None,
        sets=sets,
    )


def _whole(draws: CurveDraws, found: CurveDraws) -> CurveDraws:
    """Draws with the fit itself for those that are no curve.

    With one degree of freedom a few in a thousand are so far off that no curve is found.
    """
    table = np.where(np.isfinite(draws.table).all(axis=1)[:, None], draws.table, found.table)
    table.flags.writeable = False
    return replace(draws, table=table)


def _chosen_again(best: FittedForm, logs: np.ndarray, weights: np.ndarray) -> Draws:
    """Every form fitted to the draws' data, and chosen between in each."""
    if len(logs) <= FEWEST_RUNGS or not len(best.sets):
        return best.draws
    which = chosen(left_out_errors(best.sets, logs, weights))
    forms = tuple(
        best.draws if isinstance(best.draws, kind) else kind.fitted(best.sets, logs, weights)
        for kind in FORMS.values()
    )
    return MixedDraws(forms, which)


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
    resamples: int,
    stream: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Log losses drawn about the fitted ones, (resample, rung), and the spread of each draw.

    `fitted` are log losses, one per rung, or (resample, rung).
    """
    if not freedom:
        return np.empty((0, weights.size)), np.empty(0)
    rng = np.random.default_rng(stream)
    noises = np.sqrt(squares / rng.chisquare(freedom, resamples))
    normal = rng.standard_normal((resamples, weights.size))
    return fitted + noises[:, None] * normal / np.sqrt(weights), noises

"""Losses placed on a curve: what compute they are worth, and what share of a model's that is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from unexplained.curves.bend import Bend
from unexplained.curves.curve import Curve
from unexplained.curves.draws import AnyCurve, BendDraws, Draws, LawDraws, ShiftDraws
from unexplained.curves.fit import FittedCurve
from unexplained.errors import CurveError
from unexplained.record import Number
from unexplained.record.format import power
from unexplained.stats import SHARE, Settings

FLOPS = "FLOPs"

SLACK = 2.0
"""A loss this many of the curve's `spread` beyond that of its end rungs still counts as inside its
range: otherwise a last rung that came out lucky could not be placed on its own curve."""

NO_ERROR = "the curve's own error is not in this interval"
TURNED = "the bend does not fall there any more"
EITHER = "the interval is that of law and bends together, as no rung there tells which holds"


@dataclass(frozen=True)
class PlacedLoss:
    """The compute that a loss is worth."""

    compute: Number
    """In FLOPs. `high` is None, without end, where the loss is not distinguishable from the floor
    of the curve; without `low` too there is no interval."""
    extrapolated: bool
    """Whether its value lies beyond what the curve was fitted on."""
    note: str = ""


@dataclass(frozen=True)
class Predicted:
    """The loss that a compute buys."""

    loss: Number
    extrapolated: bool
    note: str = ""


@dataclass(frozen=True)
class Share:
    """The frontier ratio of two losses: compute explained, of all compute."""

    share: Number
    explained: PlacedLoss
    model: PlacedLoss
    extrapolated: bool
    note: str = ""


@dataclass(frozen=True)
class Laws:
    """A curve and its draws; the curve itself is its only draw where it has none."""

    curve: AnyCurve
    draws: Draws
    every: tuple[Draws, ...]
    """Draws of each form apart, for what lies beyond the rungs."""
    settings: Settings
    certain: bool
    """Whether there are no draws."""

    def ends(
        self, of: Callable[[Draws], np.ndarray], value: float, *, beyond: bool
    ) -> tuple[float, float]:
        """Percentile ends of what is asked of the draws; beyond the rungs those of every form.

        No rung says which form holds there, so the interval has all.
        """
        some = (self.draws, *self.every) if beyond else (self.draws,)
        found = [percentile_ends(of(draws), value, self.settings.level) for draws in some]
        return min(low for low, _ in found), max(high for _, high in found)


def laws_of(curve: AnyCurve | FittedCurve, settings: Settings | None = None) -> Laws:
    """The draws of a curve; a published one, and one through three rungs, is its only draw."""
    if isinstance(curve, FittedCurve):
        if curve.draws.count:
            every = tuple(one.draws for one in curve.forms.values())
            return Laws(curve.curve, curve.draws, every, curve.settings, False)
        settings, curve = curve.settings, curve.curve
    alone: Draws
    if isinstance(curve, Curve):
        alone = LawDraws(np.array([[curve.floor, curve.scale, curve.exponent]]), 0.0)
    elif isinstance(curve, Bend):
        row = [[curve.log_loss, curve.exponent, curve.curvature]]
        alone = BendDraws(np.array(row), math.log(curve.middle))
    else:
        row = [[curve.log_loss, curve.exponent, curve.start / curve.middle]]
        alone = ShiftDraws(np.array(row), math.log(curve.middle))
    return Laws(curve, alone, (), settings or Settings(), True)


def loss_at(
    curve: AnyCurve | FittedCurve,
    compute: float,
    *,
    extrapolate: bool = False,
    settings: Settings | None = None,
) -> Predicted:
    """Give the loss that a compute buys, with the interval of the curve's draws.

    The interval is for the mean of runs there, not for the next run, which scatters around it by
    the curve's `spread` (`leave_one_out` adds it).

    Args:
        curve: A curve, fitted or published.
        compute: Training compute (FLOPs).
        extrapolate: Answer beyond the curve's range as well; what is beyond is marked.
        settings: Level and seed of intervals.

    Raises:
        CurveError: The compute is not positive and finite.
    """
    laws = laws_of(curve, settings)
    value, unit = laws.curve.loss(compute), laws.curve.unit
    extrapolated, note = out_of_range(laws.curve, compute)
    turned = laws.curve.slope(compute) >= 0
    if turned or (extrapolated and not extrapolate):
        why = joined(note, TURNED if turned else "")
        return Predicted(Number(value=None, unit=unit, refused=why), True, note)
    if laws.certain:
        return Predicted(Number(value=value, unit=unit), extrapolated, joined(note, NO_ERROR))
    low, high = laws.ends(lambda draws: draws.losses(compute), value, beyond=extrapolated)
    note = joined(note, EITHER if extrapolated and len(laws.every) > 1 else "")
    return Predicted(Number(value=value, low=low, high=high, unit=unit), extrapolated, note)


def compute_of(
    curve: AnyCurve | FittedCurve,
    loss: Number,
    *,
    draws: np.ndarray | None = None,
    extrapolate: bool = False,
    settings: Settings | None = None,
) -> PlacedLoss:
    """Give the compute at which the curve has a loss, both intervals carried through.

    Each draw of the curve is asked about a draw of the loss. Those are `draws`, or else drawn from
    the Number: normal, each side with the standard deviation that puts its end where the interval
    ends at the level of `settings` (a two-piece normal). A loss without interval is exact.

    Refused, in the Number: a loss at or below the floor E, or above and below the losses of the
    curve's range unless `extrapolate`. Where more draws than lie beyond an end of the interval have
    the loss at or below *their* floor, `high` is None: no compute can be excluded.

    It misleads when the loss is of another text or tokenizer than the curve's.

    Args:
        curve: Its draws count; a published curve has none, and the note says so.
        loss: In the curve's unit.
        draws: Bootstrap draws of the loss, such as resamples of its documents.
        extrapolate: Allow what is beyond the curve's range; it is marked.
        settings: Level, resamples and seed for a published curve; a fitted one has its own.

    Raises:
        CurveError: The units differ, or a draw is not finite.

    >>> hand = Curve("hand", 1.0, 10.0, 0.5)  # 1 + 10 / sqrt(C)
    >>> placed = compute_of(hand, Number(value=2.0, unit="nats per token")).compute
    >>> round(placed.value, 6), placed.unit
    (100.0, 'FLOPs')
    """
    laws = laws_of(curve, settings)
    refused, extrapolated, note = _placeable(laws.curve, loss, extrapolate)
    if refused or loss.value is None:
        return PlacedLoss(Number(value=None, unit=FLOPS, refused=refused), extrapolated, note)
    value = laws.curve.compute(loss.value)
    losses = _drawn(loss, draws, laws.settings, stream=0)
    note = joined(note, NO_ERROR if laws.certain else "")
    if losses.size == 1 and laws.certain:
        return PlacedLoss(Number(value=value, unit=FLOPS), extrapolated, note)
    low, high = _exponents(
        laws.ends(lambda draws: draws.log_compute(losses), math.log(value), beyond=extrapolated)
    )
    note = joined(note, EITHER if extrapolated and len(laws.every) > 1 else "")
    if high is None:
        note = joined(note, "the loss is not distinguishable from the floor: no upper end")
    elif not extrapolated and (
        out_of_range(laws.curve, low)[0] or out_of_range(laws.curve, high)[0]
    ):
        note = joined(note, "the interval leaves the curve's range")
    return PlacedLoss(Number(value=value, low=low, high=high, unit=FLOPS), extrapolated, note)


def share(
    curve: AnyCurve | FittedCurve,
    loss_explained: Number,
    loss_model: Number,
    *,
    draws: tuple[np.ndarray, np.ndarray] | None = None,
    extrapolate: bool = False,
    settings: Settings | None = None,
) -> Share:
    """Give C*(explained) / C*(model): the training compute that an explained model is worth.

    Paired: both losses are put to the same draw of the curve, so that A cancels. Losses of one
    text are paired too if `draws` holds resamples of the same documents for both; without them the
    losses are drawn apart from their Numbers, which makes the interval too wide, not too short.

    This is the ratio along the frontier. What the model itself was trained with is another
    denominator: Pythia-70M's loss is worth 3% of its own compute.

    Args:
        curve: See `compute_of`.
        loss_explained: Loss of the model with the explanation in place.
        loss_model: Loss of the intact model.
        draws: Draws of the two losses, entry by entry from the same resample.
        extrapolate: See `compute_of`.
        settings: See `compute_of`.

    Raises:
        CurveError: As for `compute_of`, or the two arrays of draws differ in length.
    """
    first, second = draws if draws is not None else (None, None)
    if first is not None and second is not None and np.shape(first) != np.shape(second):
        found = f"{np.shape(first)} draws of one and {np.shape(second)} of the other"
        raise CurveError("A share of compute", found, "Give both of the same resamples.")
    laws = laws_of(curve, settings)
    settings = laws.settings
    explained = compute_of(
        curve, loss_explained, draws=first, extrapolate=extrapolate, settings=settings
    )
    model = compute_of(curve, loss_model, draws=second, extrapolate=extrapolate, settings=settings)
    extrapolated = explained.extrapolated or model.extrapolated
    note = joined(*dict.fromkeys(_parts(explained.note) + _parts(model.note)))
    if explained.compute.value is None or model.compute.value is None:
        what, placed = ("explained", explained)
        if explained.compute.value is not None:
            what, placed = ("model", model)
        refused = f"the {what} loss has no compute: {placed.compute.refused}"
        number = Number(value=None, unit=SHARE, refused=refused)
        return Share(number, explained, model, extrapolated, note)
    value = explained.compute.value / model.compute.value
    above = _drawn(loss_explained, first, settings, stream=0)
    below = _drawn(loss_model, second, settings, stream=1)
    if max(above.size, below.size) == 1 and laws.certain:
        return Share(Number(value=value, unit=SHARE), explained, model, extrapolated, note)

    def ratio(draws: Draws) -> np.ndarray:
        # Both losses at the floor of a draw, infinity less infinity: it says nothing.
        with np.errstate(invalid="ignore"):
            first, second = draws.log_compute(above), draws.log_compute(below)
            count = max(first.size, second.size)
            return np.asarray(np.resize(first, count) - np.resize(second, count))

    low, high = _exponents(laws.ends(ratio, math.log(value), beyond=extrapolated))
    number = Number(value=value, low=low, high=high, unit=SHARE)
    return Share(number, explained, model, extrapolated, note)


def percentile_ends(draws: np.ndarray, value: float, level: float) -> tuple[float, float]:
    """Percentile ends of draws, order statistics, never short of `value`.

    Infinities do not leak into their neighbours; a draw that says nothing (NaN) counts against both
    ends.
    """
    cut = math.floor((1 - level) / 2 * (draws.size - 1))
    low = np.sort(np.where(np.isnan(draws), -np.inf, draws))[cut]
    high = np.sort(np.where(np.isnan(draws), np.inf, draws))[draws.size - 1 - cut]
    return min(value, float(low)), max(value, float(high))


def _exponents(logs: tuple[float, float]) -> tuple[float, float | None]:
    low, high = logs
    return math.exp(low), math.exp(high) if high < 709 else None


def _placeable(curve: AnyCurve, loss: Number, extrapolate: bool) -> tuple[str, bool, str]:
    """Why a loss has no compute, or nothing; whether it is outside of the range; a note."""
    asked = f"The compute of a loss on the curve {curve.name!r}"
    if loss.unit != curve.unit:
        found = f"the loss is in {loss.unit or 'no unit'!r} and the curve in {curve.unit!r}"
        raise CurveError(asked, found, "Use `bits_per_byte`, or a curve of the same unit.")
    if loss.value is None:
        return loss.refused or "the loss has no value", False, ""
    if not math.isfinite(loss.value):
        raise CurveError(asked, f"the loss is {loss.value}")
    if loss.value <= curve.floor:
        floor = f"the curve's floor of {curve.floor:.4g} {curve.unit}"
        return f"a loss of {loss.value:.4g} is at or below {floor}: no compute buys it", False, ""
    if loss.value >= curve.ceiling:
        top = f"the bend's turn at {curve.ceiling:.4g} {curve.unit}"
        return f"a loss of {loss.value:.4g} is at or above {top}, far beyond its rungs", True, ""
    extrapolated, note = out_of_range(curve, curve.compute(loss.value))
    return (note if extrapolated and not extrapolate else ""), extrapolated, note


def out_of_range(curve: AnyCurve, compute: float | None) -> tuple[bool, str]:
    """Whether a compute lies beyond the curve's range by more than `SLACK` spreads of loss."""
    if curve.fitted is None:
        return False, "the range that the curve was fitted on is not known"
    if compute is None or compute <= 0:
        return True, ""
    least, most = curve.fitted
    room = SLACK * curve.spread + 1e-9
    loss = curve.floor if math.isinf(compute) else curve.loss(compute)
    if least <= compute * (1 + 1e-9) and compute <= most * (1 + 1e-9):
        return False, ""
    below = compute < least
    far = (
        loss > curve.loss(least) * math.exp(room)
        if below
        else loss < curve.loss(most) * math.exp(-room)
    ) or (math.isfinite(compute) and curve.slope(compute) >= 0)
    times, side = (least / compute, "below") if below else (compute / most, "above")
    said = "extrapolated" if far else "extrapolated by less than single runs scatter"
    return far, (
        f"{said}: {power(compute)} FLOPs are {_figures(times)} times {side} the curve's range of "
        f"{power(least)} to {power(most)} FLOPs"
    )


def _figures(times: float) -> str:
    """Three digits.

    >>> _figures(13.64), _figures(4418.0)
    ('13.6', '4,420')
    """
    return f"{float(f'{times:.3g}'):,g}"


def _drawn(
    loss: Number, draws: np.ndarray | None, settings: Settings, *, stream: int
) -> np.ndarray:
    """Draws of a loss: those given, or a two-piece normal with the Number's ends, or its value."""
    if draws is not None:
        given = np.asarray(draws, dtype=np.float64)
        if given.ndim != 1 or not given.size or not np.isfinite(given).all():
            found = f"they are not finite numbers in one row (shape {given.shape})"
            raise CurveError("Draws of a loss", found)
        return given
    assert loss.value is not None
    if loss.low is None or loss.high is None or loss.low == loss.high:
        return np.array([loss.value])
    normal = np.random.default_rng([settings.seed, stream]).standard_normal(settings.resamples)
    reach = float(ndtri(0.5 + settings.level / 2))
    side = np.where(normal < 0, loss.value - loss.low, loss.high - loss.value)
    return np.asarray(loss.value + normal / reach * side)


def joined(*notes: str) -> str:
    """Notes in one line, those that say something."""
    return "; ".join(note for note in notes if note)


def _parts(note: str) -> list[str]:
    return note.split("; ")

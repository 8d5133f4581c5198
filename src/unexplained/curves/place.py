"""Losses placed on a curve: what compute they are worth, and what share of a model's that is."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from unexplained.curves.curve import Curve
from unexplained.curves.fit import FittedCurve
from unexplained.errors import CurveError
from unexplained.record import Number
from unexplained.stats import SHARE, Settings

FLOPS = "FLOPs"

SLACK = 2.0
"""A loss this many of the curve's `spread` beyond that of its end rungs still counts as inside its
range: otherwise a last rung that came out lucky could not be placed on its own curve."""

NO_ERROR = "the curve's own error is not in this interval"


@dataclass(frozen=True)
class Placed:
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
    explained: Placed
    model: Placed
    extrapolated: bool
    note: str = ""


@dataclass(frozen=True)
class Laws:
    """A curve and its draws, as columns: one row where it has none."""

    curve: Curve
    floor: np.ndarray
    log_scale: np.ndarray
    alpha: np.ndarray
    settings: Settings
    certain: bool
    """Whether there are no draws."""

    def log_compute(self, *losses: np.ndarray) -> list[np.ndarray]:
        """Logs of the compute of draws of losses, each put to one draw of the curve; infinite at or below E.

        Where there are more of the one than of the other, the fewer are gone through again.
        """
        count = max(column.size for column in (self.floor, *losses))
        floor, log_scale, alpha = (
            np.resize(column, count) for column in (self.floor, self.log_scale, self.alpha)
        )
        logs = []
        for loss in losses:
            above = np.resize(loss, count) - floor
            log = np.log(np.where(above > 0, above, 1.0))
            logs.append(np.where(above > 0, (log_scale - log) / alpha, np.inf))
        return logs

    def losses(self, compute: float) -> np.ndarray:
        """L at one compute, one per draw."""
        return np.asarray(self.floor + np.exp(self.log_scale - self.alpha * math.log(compute)))


def laws_of(curve: Curve | FittedCurve, settings: Settings | None = None) -> Laws:
    """The draws of a curve; a published one, and one through three rungs, is its only draw."""
    law = curve.curve if isinstance(curve, FittedCurve) else curve
    rows = np.array([[law.floor, law.scale, law.exponent]])
    certain = True
    if isinstance(curve, FittedCurve):
        settings = curve.settings
        if len(curve.draws):
            rows, certain = curve.draws, False
    return Laws(law, rows[:, 0], np.log(rows[:, 1]), rows[:, 2], settings or Settings(), certain)


def loss_at(
    curve: Curve | FittedCurve,
    compute: float,
    *,
    extrapolate: bool = False,
    settings: Settings | None = None,
) -> Predicted:
    """Give the loss that a compute buys, with the interval of the curve's draws.

    The interval is for the mean of runs there, not for the next run, which scatters around it by
    the curve's `spread` (`leave_one_out` adds it).

    Raises:
        CurveError: The compute is not positive and finite.
    """
    laws = laws_of(curve, settings)
    value, unit = laws.curve.loss(compute), laws.curve.unit
    extrapolated, note = _range(laws.curve, compute)
    if extrapolated and not extrapolate:
        return Predicted(Number(value=None, unit=unit, refused=note), True, note)
    if laws.certain:
        return Predicted(Number(value=value, unit=unit), extrapolated, _joined(note, NO_ERROR))
    low, high = percentile_ends(laws.losses(compute), value, laws.settings.level)
    return Predicted(Number(value=value, low=low, high=high, unit=unit), extrapolated, note)


def compute_of(
    curve: Curve | FittedCurve,
    loss: Number,
    *,
    draws: np.ndarray | None = None,
    extrapolate: bool = False,
    settings: Settings | None = None,
) -> Placed:
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
        return Placed(Number(value=None, unit=FLOPS, refused=refused), extrapolated, note)
    value = laws.curve.compute(loss.value)
    losses = _drawn(loss, draws, laws.settings, stream=0)
    note = _joined(note, NO_ERROR if laws.certain else "")
    if losses.size == 1 and laws.certain:
        return Placed(Number(value=value, unit=FLOPS), extrapolated, note)
    (logs,) = laws.log_compute(losses)
    low, high = _exponents(percentile_ends(logs, math.log(value), laws.settings.level))
    if high is None:
        note = _joined(note, "the loss is not distinguishable from the floor: no upper end")
    elif not extrapolated and (_range(laws.curve, low)[0] or _range(laws.curve, high)[0]):
        note = _joined(note, "the interval leaves the curve's range")
    return Placed(Number(value=value, low=low, high=high, unit=FLOPS), extrapolated, note)


def share(
    curve: Curve | FittedCurve,
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
    note = _joined(*dict.fromkeys(_parts(explained.note) + _parts(model.note)))
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
    low, high = _exponents(_ratio_ends(laws.log_compute(above, below), value, settings.level))
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


def _ratio_ends(logs: list[np.ndarray], value: float, level: float) -> tuple[float, float]:
    above, below = logs
    # Both losses at the floor of a draw, infinity less infinity: it says nothing.
    with np.errstate(invalid="ignore"):
        return percentile_ends(above - below, math.log(value), level)


def _exponents(logs: tuple[float, float]) -> tuple[float, float | None]:
    low, high = logs
    return math.exp(low), math.exp(high) if high < 709 else None


def _placeable(curve: Curve, loss: Number, extrapolate: bool) -> tuple[str, bool, str]:
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
    extrapolated, note = _range(curve, curve.compute(loss.value))
    return (note if extrapolated and not extrapolate else ""), extrapolated, note


def _range(curve: Curve, compute: float | None) -> tuple[bool, str]:
    """Whether a compute lies beyond the curve's range by more than `SLACK` spreads of loss."""
    if curve.fitted is None:
        return False, "the range that the curve was fitted on is not known"
    if compute is None:
        return True, ""
    least, most = curve.fitted
    room = SLACK * curve.spread + 1e-9
    loss = curve.floor if math.isinf(compute) else curve.loss(max(compute, 1e-300))
    if least <= compute * (1 + 1e-9) and compute <= most * (1 + 1e-9):
        return False, ""
    below = compute < least
    far = (
        loss > curve.loss(least) * math.exp(room)
        if below
        else loss < curve.loss(most) * math.exp(-room)
    )
    times, side = (least / compute, "below") if below else (compute / most, "above")
    said = "extrapolated" if far else "extrapolated by less than single runs scatter"
    return far, (
        f"{said}: {compute:.3g} FLOPs are {times:.3g} times {side} the curve's range of "
        f"{least:.3g} to {most:.3g} FLOPs"
    )


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


def _joined(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def _parts(note: str) -> list[str]:
    return note.split("; ")

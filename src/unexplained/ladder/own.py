"""Shares read off measured losses, straight between neighbours: of a run, and between rungs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unexplained.curves.place import percentile_ends
from unexplained.record import Number
from unexplained.stats import SHARE, Settings

ROUNDING = 1e-12
"""A model that is itself a rung has that rung's loss, but for the last digits of a logarithm."""


def share_of_run(
    shares: Sequence[float],
    losses: Sequence[float],
    draws: np.ndarray,
    loss: float,
    loss_draws: np.ndarray,
    *,
    settings: Settings,
) -> Number:
    """Read a loss off a run's own curve, straight between checkpoints on a logarithmic axis.

    Where the losses of a run do not fall from one checkpoint to the next, the earlier one's
    counts: the question is when the run was first as good. A loss that lies before the first
    checkpoint or after the last is refused, with the bound that this is.

    Args:
        shares: Of the whole run, ascending, one per checkpoint.
        losses: Loss at each (nats per token).
        draws: The same in every resample of the documents and of other runs, (checkpoint, resample).
        loss: The loss to be placed.
        loss_draws: The same in every resample, (resample,).
        settings: Level of the interval.

    >>> whole = np.array([[4.0], [3.0]])
    >>> half = np.array([3.5])
    >>> found = share_of_run([0.01, 1.0], [4, 3], whole, 3.5, half, settings=Settings())
    >>> round(found.value, 9)
    0.1
    """
    x = np.log(np.asarray(shares))
    if loss > losses[0]:
        return Number(
            value=None, high=float(shares[0]), unit=SHARE,
            refused=f"it is worse than the first checkpoint kept, at {shares[0]:.2g} of the run",
        )  # fmt: skip
    if loss < min(losses):
        return Number(
            value=None, low=float(shares[-1]), unit=SHARE,
            refused=f"it is better than the last checkpoint kept, at {shares[-1]:.2g} of the run",
        )  # fmt: skip
    value = float(np.exp(_first(x, np.asarray(losses, float)[:, None], np.array([loss]))[0]))
    drawn = np.exp(_first(x, draws, loss_draws))
    low, high = percentile_ends(drawn, value, settings.level)
    # Draws beyond the first or the last checkpoint leave their end open.
    return Number(value=value, low=low, high=high if np.isfinite(high) else None, unit=SHARE)


def share_between_rungs(
    compute: np.ndarray,
    losses: np.ndarray,
    draws: np.ndarray,
    explained: tuple[float, np.ndarray],
    model: tuple[float, np.ndarray],
    *,
    settings: Settings,
    room: float = 0.0,
) -> Number:
    """The frontier share without a curve: compute read straight between neighbouring rungs.

    ln L goes straight in ln C from each rung to the next. Where a curve fits, this and its share
    agree; where they do not, the curve is at fault. Refused where a loss lies outside the rungs'.

    It misleads between two rungs of which one came out lucky; what other runs would have been is in
    the interval where `draws` hold it (`scatter.moved_runs`).

    Args:
        compute: FLOPs of the rungs, ascending.
        losses: Their losses, falling.
        draws: The same in every resample of documents and of runs, (rung, resample).
        explained: The loss to be placed, and in every resample of the documents.
        model: The same of the intact model.
        settings: Level of the interval.
        room: How far beyond the end rungs, in log loss, a draw may go on as between the last two:
            a rung's own loss is beyond it in every draw in which another run was worse.

    >>> flops, losses = np.array([1.0, 100.0]), np.array([4.0, 1.0])
    >>> alike = np.array([2.0]), np.array([1.0])
    >>> found = share_between_rungs(flops, losses, losses[:, None], (2.0, alike[0]),
    ...                             (1.0, alike[1]), settings=Settings())
    >>> round(found.value, 9)  # half of the way down in ln L: a tenth of the compute
    0.1
    """
    x, log_losses, log_draws = np.log(compute), np.log(losses)[:, None], np.log(draws)
    places: list[float] = []
    for what, (loss, _) in (("explained", explained), ("model's", model)):
        at = _first(x, log_losses, np.log([loss]))[0]
        if np.isinf(at):
            side = "worse than the smallest" if at < 0 else "better than the largest"
            refused = f"the {what} loss is {side} rung's"
            return Number(value=None, unit=SHARE, refused=refused)
        places.append(at)
    value = float(np.exp(places[0] - places[1]))
    above, below = (_first(x, log_draws, np.log(drawn), room) for _, drawn in (explained, model))
    with np.errstate(invalid="ignore"):
        drawn = np.exp(above - below)  # NaN where both are beyond the same end
    drawn[explained[1] == model[1]] = 1.0
    low, high = percentile_ends(drawn, value, settings.level)
    open_end = None if not np.isfinite(high) else high
    return Number(value=value, low=max(low, 0.0), high=open_end, unit=SHARE)


def _first(x: np.ndarray, losses: np.ndarray, wanted: np.ndarray, room: float = 0.0) -> np.ndarray:
    """Where each column of falling losses first reaches what is wanted of it.

    Minus infinity where it is better from the first, infinity where it never is as good; within
    `room` of that as the first two or the last two go on.
    """
    best = np.minimum.accumulate(losses, axis=0)
    reached = best <= wanted + ROUNDING
    at = np.where(reached.any(0), reached.argmax(0), len(x) - 1)
    before = np.maximum(at - 1, 0)
    columns = np.arange(losses.shape[1])
    never, at_once = ~reached.any(0), best[0] < wanted - ROUNDING
    upper, lower = best[before, columns], best[at, columns]
    span = np.where(upper > lower, upper - lower, 1.0)
    part = np.clip((upper - wanted) / span, 0.0, 1.0)
    found: np.ndarray = x[before] + part * (x[at] - x[before])
    found = np.where(never, np.inf, np.where(at_once, -np.inf, found))
    if not room or len(x) < 2:
        return found
    for end, other, beyond in ((0, 1, at_once), (-1, -2, never)):
        slope = (losses[end] - losses[other]) / (x[end] - x[other])
        further = (wanted - losses[end]) / np.where(slope < 0, slope, -np.inf)
        near = beyond & (np.abs(wanted - best[end]) <= room) & (slope < 0)
        found = np.where(near, x[end] + further, found)
    return found

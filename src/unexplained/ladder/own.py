"""How far along its own training run a model was as good as it is when explained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from unexplained.curves.place import ends
from unexplained.record import Number
from unexplained.stats import SHARE, Settings


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
        draws: The same in every resample of the documents, (checkpoint, resample).
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
    low, high = ends(drawn, value, settings.level)
    # Draws beyond the first or the last checkpoint leave their end open.
    return Number(value=value, low=low, high=high if np.isfinite(high) else None, unit=SHARE)


def _first(x: np.ndarray, losses: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each column of falling losses first reaches what is wanted of it.

    Minus infinity where it is better from the first, infinity where it never is as good.
    """
    best = np.minimum.accumulate(losses, axis=0)
    reached = best <= wanted
    at = np.where(reached.any(0), reached.argmax(0), len(x) - 1)
    before = np.maximum(at - 1, 0)
    columns = np.arange(losses.shape[1])
    never, at_once = ~reached.any(0), best[0] < wanted
    upper, lower = best[before, columns], best[at, columns]
    span = np.where(upper > lower, upper - lower, 1.0)
    part = np.clip((upper - wanted) / span, 0.0, 1.0)
    found: np.ndarray = x[before] + part * (x[at] - x[before])
    return np.where(never, np.inf, np.where(at_once, -np.inf, found))

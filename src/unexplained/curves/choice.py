"""Law or bend: whichever foretells each rung better from the others."""

from __future__ import annotations

import numpy as np

from unexplained.curves.bend import bend_left_out
from unexplained.curves.points import FEWEST_RUNGS
from unexplained.curves.solve import solve

STEPS = 12
"""Of golden section: they settle α to a part in a thousand, which no choice hangs on."""


def left_out_errors(
    log_losses: np.ndarray, log_compute: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Root mean square log error of each rung foretold from the others, by the law and by the bend.

    All seeds of a rung are left out together: `log_losses` are the rungs' means. End rungs count
    as any other, though they are foretold from one side: it is there that forms differ.

    Args:
        log_losses: (data set, rung), of more than `FEWEST_RUNGS`.
        log_compute: One per rung.
        weights: One per rung.

    Returns:
        Of the law and of the bend, one per data set; infinite where no law is found.
    """
    rungs = log_compute.size
    assert rungs > FEWEST_RUNGS
    squares = np.zeros(len(log_losses))
    for rung in range(rungs):
        rest = np.arange(rungs) != rung
        found = solve(log_losses[:, rest], log_compute[rest], weights[rest], steps=STEPS)
        with np.errstate(all="ignore"):
            above = np.exp(found.log_scale - found.alpha * log_compute[rung])
            squares += (log_losses[:, rung] - np.log(found.floor + above)) ** 2
    law = np.sqrt(np.where(np.isfinite(squares), squares, np.inf) / rungs)
    bend = bend_left_out(log_losses, log_compute, weights)
    return law, np.sqrt((bend**2).mean(axis=1))


def bent(
    log_losses: np.ndarray, bends: np.ndarray, log_compute: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Which data sets choose the bend: it foretells better, and falls over the whole range.

    Args:
        log_losses: (data set, rung).
        bends: ℓ, α and c fitted to each, (data set, 3).
        log_compute: One per rung.
        weights: One per rung.
    """
    law, bend = left_out_errors(log_losses, log_compute, weights)
    u = np.array([log_compute.min(), log_compute.max()]) - np.average(log_compute, weights=weights)
    falls = (2 * bends[:, 2:] * u < bends[:, 1:2]).all(axis=1)
    return np.asarray((bend < law) & falls)

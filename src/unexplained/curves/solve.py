"""Least squares for L(C) = E + A·C^(−α) on log losses, many data sets at once.

For a fixed α the curve is linear in its two other numbers, so only α has to be searched
(variable projection; Golub and Pereyra, SIAM J. Numer. Anal. 10, 1973). The whole range of α is
looked at, so there are no starting points to be lucky with, and a bootstrap costs one call.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEAST_ALPHA, MOST_ALPHA = 1e-3, 2.0
"""The range that α is searched in."""

_GRID = np.geomspace(LEAST_ALPHA, MOST_ALPHA, 32)
_GOLDEN = (5**0.5 - 1) / 2
_ROUGH, _FINE, _LAST = 2, 3, 6
"""Gauss-Newton steps for the two linear numbers: on the grid, after it and at the end. The first
already solves for relative errors, which differ from log errors by the square of a per cent."""
_FLATTEST = 1e-9
"""The least A·α, as a share of the loss at the middle compute: data that do not fall give this."""


class Solved(NamedTuple):
    """What was found, one entry per data set."""

    floor: np.ndarray
    """E, in the unit of the losses."""
    log_scale: np.ndarray
    """ln A for the compute in FLOPs, as A itself can be 1e40."""
    alpha: np.ndarray
    error: np.ndarray
    """Weighted sum of squares of what is left of the log losses."""


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def solve(
    log_losses: np.ndarray, log_compute: np.ndarray, weights: np.ndarray, *, steps: int = 34
) -> Solved:
    """Minimise Σ w (ln L − ln(E + A·C^(−α)))² with E ≥ 0, A > 0 and α from 0.001 to 2.

    Plain squares of log residuals: the maximum of the likelihood when runs scatter by a constant
    factor. Hoffmann et al. (2203.15556, §3.3) used a Huber loss against outliers among hundreds of
    runs; with five to eight rungs there is nothing to tell an outlier by.

    Data so wild that no curve is found give NaN: draws of a spread that is known from one degree of
    freedom can be.

    Args:
        log_losses: Natural logs of losses, (data set, rung).
        log_compute: Natural logs of FLOPs, one per rung.
        weights: One per rung.
        steps: Of golden section. 34 settle α to 1e-7 of itself, 20 to 3e-5, enough for a draw.

    >>> compute = np.array([1e18, 1e19, 1e20, 1e21])
    >>> found = solve(np.log(1.5 + 400 * compute**-0.15)[None], np.log(compute), np.ones(4))
    >>> round(float(found.floor[0]), 4), round(float(found.alpha[0]), 4)
    (1.5, 0.15)
    """
    middle = float(np.average(log_compute, weights=weights))
    problem = (log_losses, log_compute - middle, weights)
    bend = _bracketed(problem, steps)
    top, drop, error = _linear(bend[:, None], *problem, _LAST)
    scale = drop[:, 0] / bend
    floor = np.maximum(top[:, 0] - scale, 0.0)
    floor[floor <= 1e-12 * top[:, 0]] = 0.0
    return Solved(floor, np.log(scale) + bend * middle, bend, error[:, 0])


def _bracketed(problem: tuple[np.ndarray, np.ndarray, np.ndarray], steps: int) -> np.ndarray:
    """The best α of each data set: the best of a grid, then golden section around it."""
    sets = np.arange(len(problem[0]))
    errors = _linear(np.broadcast_to(_GRID, (sets.size, _GRID.size)), *problem, _ROUGH)[2]
    best = errors.argmin(axis=1)
    low = np.log(_GRID[np.maximum(best - 1, 0)])
    high = np.log(_GRID[np.minimum(best + 1, _GRID.size - 1)])
    inner = np.stack([high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)], axis=1)
    found = _linear(np.exp(inner), *problem, _FINE)[2]
    for _ in range(steps):
        left = (found[:, 0] < found[:, 1]).astype(int)
        high = np.where(left, inner[:, 1], high)
        low = np.where(left, low, inner[:, 0])
        # The better inner point stays; it is now the other one of the shorter bracket.
        inner[sets, left] = inner[sets, 1 - left]
        found[sets, left] = found[sets, 1 - left]
        fresh = np.where(left, high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
        inner[sets, 1 - left] = fresh
        found[sets, 1 - left] = _linear(np.exp(fresh)[:, None], *problem, _FINE)[2][:, 0]
    return np.asarray(np.exp((low + high) / 2))


def _linear(
    alpha: np.ndarray,
    log_losses: np.ndarray,
    log_compute: np.ndarray,
    weights: np.ndarray,
    steps: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For given α (data set, candidate): E + A, A·α and the error, at compute 1 in the middle.

    The curve is written top − drop · (1 − C^(−α))/α, which stays well conditioned as α → 0.
    """
    losses = log_losses[:, None, :]
    decay = -np.expm1(-alpha[..., None] * log_compute) / alpha[..., None]
    present = np.exp(np.broadcast_to(losses, decay.shape))
    least = 0.1 * present
    aim: np.ndarray | float = 1.0
    for step in range(steps):
        if step:
            aim = losses - np.log(present) + 1
        u, v = 1 / present, -decay / present
        uu, uv, vv = (weights * u * u).sum(-1), (weights * u * v).sum(-1), (weights * v * v).sum(-1)
        ua, va = (weights * u * aim).sum(-1), (weights * v * aim).sum(-1)
        determinant = uu * vv - uv * uv
        top, drop = (vv * ua - uv * va) / determinant, (uu * va - uv * ua) / determinant
        present = np.maximum(top[..., None] - drop[..., None] * decay, least)
    return _bounded(alpha, top, drop, losses, log_compute, weights, decay)


def _bounded(
    alpha: np.ndarray,
    top: np.ndarray,
    drop: np.ndarray,
    losses: np.ndarray,
    log_compute: np.ndarray,
    weights: np.ndarray,
    decay: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same, held to A > 0 and E ≥ 0: on either bound the best curve has a closed form."""
    share = weights / weights.sum()
    mean = np.exp((share * losses).sum(-1))
    power = np.exp((share * (losses + alpha[..., None] * log_compute)).sum(-1))
    sinks = drop > alpha * top
    top, drop = np.where(sinks, power, top), np.where(sinks, alpha * power, drop)
    flat = drop < _FLATTEST * mean
    top, drop = np.where(flat, mean, top), np.where(flat, _FLATTEST * mean, drop)
    curve = np.maximum(top[..., None] - drop[..., None] * decay, 1e-300)
    return top, drop, (weights * (losses - np.log(curve)) ** 2).sum(-1)

"""L(N, D) fitted to models of several sizes and amounts of data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.optimize import least_squares, nnls

from unexplained.curves.curve import Surface
from unexplained.errors import CurveError

FEWEST = 7
"""Five numbers and two models to spare."""

_EXPONENTS = (0.1, 0.25, 0.5, 0.9)


def fit_surface(
    models: Sequence[tuple[float, float, float]],
    *,
    name: str = "fitted",
    near: Surface | None = None,
) -> Surface:
    """Fit E + A/N^α + B/D^β by least squares on log losses, from many starting points.

    For given exponents it is linear in E, A and B, none of them negative: every start is the best
    such one for a pair of exponents, and all five are then moved together. It misleads where sizes
    and data grow together, as along a ladder alone: then only their product is seen, and the two
    terms share what is between them as it happens. Shorter runs of one size tell them apart.

    Args:
        models: Parameters N, training tokens D and loss of each, trained to a rate of zero.
        name: What to call it.
        near: Start from this one alone: for draws around a fit.

    Raises:
        CurveError: There are fewer than seven, of fewer than three sizes or amounts of data, or a
            number is not positive.

    >>> truth = Surface("truth", 1.5, 400.0, 400.0, 0.35, 0.3)
    >>> grid = [(n, d, truth.loss(n, d)) for n in (1e5, 1e6, 1e7) for d in (1e6, 1e7, 1e8)]
    >>> round(fit_surface(grid).data_exponent, 3)
    0.3
    """
    asked = f"A surface L(N, D) through {len(models)} models"
    table = np.asarray(models, dtype=np.float64).reshape(-1, 3)
    if not (np.isfinite(table).all() and (table > 0).all()):
        raise CurveError(asked, "a size, an amount of data or a loss is not positive and finite")
    kinds = [len(np.unique(table[:, column])) for column in (0, 1)]
    if len(table) < FEWEST or min(kinds) < 3:
        found = f"they are of {kinds[0]} sizes and {kinds[1]} amounts of data"
        raise CurveError(asked, found, f"It takes {FEWEST} models, three of each.")
    middle = np.exp(np.log(table[:, :2]).mean(0))
    x, y = table[:, 0] / middle[0], table[:, 1] / middle[1]
    logs = np.log(table[:, 2])

    def off(p: np.ndarray) -> np.ndarray:
        floor, size, data = np.exp(p[:3])
        return np.asarray(np.log(floor + size * x ** -p[3] + data * y ** -p[4]) - logs)

    best = None
    pairs = list(product(_EXPONENTS, repeat=2))
    if near is not None:
        pairs = [(near.size_exponent, near.data_exponent)]
    for alpha, beta in pairs:
        columns = np.stack([np.ones_like(x), x**-alpha, y**-beta], axis=1) / table[:, 2:]
        start = np.maximum(nnls(columns, np.ones(len(table)))[0], 1e-3)
        first = np.array([*np.log(start), alpha, beta])
        found = least_squares(off, first, bounds=([-20, -20, -20, 1e-3, 1e-3], [5, 20, 20, 3, 3]))
        if best is None or found.cost < best.cost:
            best = found
    assert best is not None
    floor, size, data = np.exp(best.x[:3])
    return Surface(
        name,
        float(floor),
        float(size * middle[0] ** best.x[3]),
        float(data * middle[1] ** best.x[4]),
        float(best.x[3]),
        float(best.x[4]),
        says=f"{len(table)} models; root mean square of the log residuals "
        f"{math.sqrt(2 * best.cost / len(table)):.4f}.",
    )

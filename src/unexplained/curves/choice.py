"""Law, bend or shift: whichever foretells each rung best from the others."""

from __future__ import annotations

import numpy as np

from unexplained.curves.draws import FORMS
from unexplained.curves.points import FEWEST_RUNGS

ERROR_RATIO = 0.75
"""The law is kept unless another form's error is below this share of its own: on straight ladders
the forms foretell alike, and chance alone would choose."""
STEPS = 12
"""Of golden section: they settle α to a part in a thousand, which no choice hangs on."""


def left_out_errors(
    log_losses: np.ndarray, log_compute: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Root mean square log error of each rung foretold from the others, by each form.

    All seeds of a rung are left out together: `log_losses` are the rungs' means. End rungs count
    as any other, though they are foretold from one side: it is there that forms differ.

    Args:
        log_losses: (data set, rung), of more than `FEWEST_RUNGS`.
        log_compute: One per rung.
        weights: One per rung.

    Returns:
        (data set, form), in the order of `FORMS`; infinite where a form is not found, or its curve
        through all rungs does not fall all the way.
    """
    rungs = log_compute.size
    assert rungs > FEWEST_RUNGS
    errors = []
    for form in FORMS.values():
        squares = np.zeros(len(log_losses))
        for rung in range(rungs):
            rest = np.arange(rungs) != rung
            found = form.fitted(log_losses[:, rest], log_compute[rest], weights[rest], steps=STEPS)
            squares += (log_losses[:, rung] - found.log_losses(log_compute[rung])) ** 2
        if form is not FORMS["law"]:
            squares[~form.fitted(log_losses, log_compute, weights).falls(log_compute)] = np.inf
        errors.append(np.sqrt(np.where(np.isfinite(squares), squares, np.inf) / rungs))
    return np.stack(errors, axis=1)


def chosen(errors: np.ndarray) -> np.ndarray:
    """Which form each data set chooses, as a place in `FORMS`, from `left_out_errors`."""
    factors = np.array([1.0 if form == "law" else 1 / ERROR_RATIO for form in FORMS])
    return np.asarray((errors * factors).argmin(axis=1))

"""Estimators that go below the exact sweep's cost, each with a stated error. No torch.

`with_control`: exact effects on a random part of the documents, a cheap approximation on all.
`survivors` and `missed`: all components on few documents, the rest of the work on those that
could matter, and a bound on how many were wrongly let go. `rank_intervals`: which ranks the
documents can tell apart. `p_values`: what is told from zero, tails counted. `slope_over` and
`over_runs`: what another seed of training would have changed, beside other documents.
`docs/statistics.md` gives derivations and simulations.

Args that functions here share:
    seed: Of the draws.
    level: The interval's level (0.95).
"""

from unexplained.estimators.control import Estimate, at_random, with_control
from unexplained.estimators.racing import (
    Bound,
    Missed,
    Selection,
    missed,
    missed_among,
    survivors,
)
from unexplained.estimators.ranks import Ranks, rank_intervals
from unexplained.estimators.seeds import (
    Scatter,
    Slope,
    jackknifed,
    laid_out,
    other_runs,
    over_runs,
    scatter_of,
    slope_over,
)
from unexplained.estimators.tails import p_values

__all__ = [
    "Bound",
    "Estimate",
    "Missed",
    "Ranks",
    "Scatter",
    "Selection",
    "Slope",
    "at_random",
    "jackknifed",
    "laid_out",
    "missed",
    "missed_among",
    "other_runs",
    "over_runs",
    "p_values",
    "rank_intervals",
    "scatter_of",
    "slope_over",
    "survivors",
    "with_control",
]

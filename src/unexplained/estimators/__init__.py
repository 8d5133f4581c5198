"""Estimators that go below the exact sweep's cost, each with a stated error. No torch.

`with_control`: exact effects on a random part of the documents, a cheap approximation on all.
`survivors` and `missed`: all components on few documents, the rest of the work on those that
could matter, and a bound on how many were wrongly let go. `rank_intervals`: which ranks the
documents can tell apart. `docs/statistics.md` gives derivations and simulations.
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

__all__ = [
    "Bound",
    "Estimate",
    "Missed",
    "Ranks",
    "Selection",
    "at_random",
    "missed",
    "missed_among",
    "rank_intervals",
    "survivors",
    "with_control",
]

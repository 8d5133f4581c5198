"""From a ledger to numbers: what was lost, what was recovered, how far from each bar. No torch."""

from unexplained.bars.context import context_gain
from unexplained.bars.factors import FactorReading, factors
from unexplained.bars.recovered import (
    agreement,
    damage,
    increase,
    kl,
    loss,
    recovered,
    regained,
    variance_explained,
)
from unexplained.bars.rows import RowNumbers, measure_row
from unexplained.bars.thresholds import BARS, distances, nines

__all__ = [
    "BARS",
    "FactorReading",
    "RowNumbers",
    "agreement",
    "context_gain",
    "damage",
    "distances",
    "factors",
    "increase",
    "kl",
    "loss",
    "measure_row",
    "nines",
    "recovered",
    "regained",
    "variance_explained",
]

"""From a ledger to numbers: what was lost, what was recovered, how far from each bar. No torch."""

from unexplained.bars.areas import MIB_SIZES, areas, counts_of
from unexplained.bars.concentration import concentration
from unexplained.bars.context import context_gain
from unexplained.bars.crucial import Crucial, crucial, recovered_on
from unexplained.bars.factors import FactorReading, factors
from unexplained.bars.gap import (
    Base,
    Uniform,
    damage_from,
    gap_score,
    needed,
    recovered_from,
    rescaled,
    weak_share,
)
from unexplained.bars.recovered import (
    agreement,
    damage,
    increase,
    kl,
    loss,
    recovered,
    regained,
    reliability,
    variance_explained,
)
from unexplained.bars.rows import RowNumbers, measure_row
from unexplained.bars.rungs import bars_of, ties_at, ties_with
from unexplained.bars.runs import over_pairs
from unexplained.bars.thresholds import BARS, distances, nines
from unexplained.bars.tokens import TokenLosses, token_losses

__all__ = [
    "BARS",
    "MIB_SIZES",
    "Base",
    "Crucial",
    "FactorReading",
    "RowNumbers",
    "TokenLosses",
    "Uniform",
    "agreement",
    "areas",
    "bars_of",
    "concentration",
    "context_gain",
    "counts_of",
    "crucial",
    "damage",
    "damage_from",
    "distances",
    "factors",
    "gap_score",
    "increase",
    "kl",
    "loss",
    "measure_row",
    "needed",
    "nines",
    "over_pairs",
    "recovered",
    "recovered_from",
    "recovered_on",
    "regained",
    "reliability",
    "rescaled",
    "ties_at",
    "ties_with",
    "token_losses",
    "variance_explained",
    "weak_share",
]

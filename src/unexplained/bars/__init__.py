"""From a ledger to numbers: what was lost, what was recovered, how far from each bar. No torch.

Args that functions here share:
    ledger: The losses, by condition, document and stratum, as `evaluate` gives them.
    condition: The name of the condition that is read (an explanation, say).
    ablation: The condition in which the component is ablated.
    intact: The condition of the model without edits.
    stratum: Which tokens: a stratum's name and value; `("all", "all")` is all of them.
    settings: Level and seed of intervals.
    alike: Conditions that are another by construction, and so exactly equal.
"""

from typing import TYPE_CHECKING

from unexplained.lazy import face as _face

if TYPE_CHECKING:
    from unexplained.bars.accuracy import Accuracies as Accuracies
    from unexplained.bars.areas import MIB_SIZES as MIB_SIZES
    from unexplained.bars.areas import areas as areas
    from unexplained.bars.areas import counts_of as counts_of
    from unexplained.bars.concentration import concentration as concentration
    from unexplained.bars.context import context_gain as context_gain
    from unexplained.bars.counterexamples import Hunt as Hunt
    from unexplained.bars.counterexamples import by_stratum as by_stratum
    from unexplained.bars.counterexamples import hunted as hunted
    from unexplained.bars.crucial import Crucial as Crucial
    from unexplained.bars.crucial import crucial as crucial
    from unexplained.bars.crucial import recovered_on as recovered_on
    from unexplained.bars.effects import Changes as Changes
    from unexplained.bars.effects import Effect as Effect
    from unexplained.bars.effects import changes as changes
    from unexplained.bars.effects import exact as exact
    from unexplained.bars.effects import level as level
    from unexplained.bars.factors import FactorReading as FactorReading
    from unexplained.bars.factors import factors as factors
    from unexplained.bars.gap import Base as Base
    from unexplained.bars.gap import Uniform as Uniform
    from unexplained.bars.gap import damage_from as damage_from
    from unexplained.bars.gap import gap_score as gap_score
    from unexplained.bars.gap import needed as needed
    from unexplained.bars.gap import recovered_from as recovered_from
    from unexplained.bars.gap import rescaled as rescaled
    from unexplained.bars.gap import weak_share as weak_share
    from unexplained.bars.joints import Joint as Joint
    from unexplained.bars.joints import joint as joint
    from unexplained.bars.kept import kept_by_size as kept_by_size
    from unexplained.bars.kept import logit_difference as logit_difference
    from unexplained.bars.orders import in_orders as in_orders
    from unexplained.bars.recovered import agreement as agreement
    from unexplained.bars.recovered import damage as damage
    from unexplained.bars.recovered import increase as increase
    from unexplained.bars.recovered import kl as kl
    from unexplained.bars.recovered import loss as loss
    from unexplained.bars.recovered import recovered as recovered
    from unexplained.bars.recovered import regained as regained
    from unexplained.bars.recovered import reliability as reliability
    from unexplained.bars.recovered import variance_explained as variance_explained
    from unexplained.bars.rows import RowNumbers as RowNumbers
    from unexplained.bars.rows import measure_row as measure_row
    from unexplained.bars.rungs import bars_of as bars_of
    from unexplained.bars.rungs import ties_at as ties_at
    from unexplained.bars.rungs import ties_with as ties_with
    from unexplained.bars.runs import over_pairs as over_pairs
    from unexplained.bars.shortfall import of_refitted as of_refitted
    from unexplained.bars.shortfall import shortfall as shortfall
    from unexplained.bars.shortfall import strength as strength
    from unexplained.bars.shortfall import unsplit as unsplit
    from unexplained.bars.slope import slope_of as slope_of
    from unexplained.bars.tasks import OnTask as OnTask
    from unexplained.bars.tasks import among_narrow as among_narrow
    from unexplained.bars.tasks import on_task as on_task
    from unexplained.bars.thresholds import BARS as BARS
    from unexplained.bars.thresholds import distances as distances
    from unexplained.bars.thresholds import nines as nines
    from unexplained.bars.tokens import TokenLosses as TokenLosses
    from unexplained.bars.tokens import token_losses as token_losses

__getattr__, __dir__, __all__ = _face(__name__)

"""Intervals of ratios of sums: a jackknife t test, corrected for tails, and for ratios inverted.

A t interval misses where documents are skewed: a sample that lacks the few large ones has its mean
on the wrong side and a spread that is too small, both at once. So Student's quantile is taken
times exp(x), with x by the skewness that the sample shows:

    max(b τ², c γ²)            on the side where documents may be missing
    c γ² − min(12/√n τ², 0.3)  on the other side

b = 26/√n and c = 1 / max(32, n/4) for documents that are worth n of one length (`worth`), τ
their L-skewness (Hosking, Journal of the Royal Statistical Society B 52, 1990), which small samples show best, and γ their skewness, which a
few outliers among many show best; γ counts as 0 where it says the opposite. What is to be divided
by has to be told from 0 more surely: b of a denominator is larger by 1400/max(n, 8)², and x on both sides by
`UNEQUAL` min(N/n − 1, `MOST_UNEQUAL`)/√N for N documents that are worth n. A ratio is tested by
numerator − r · denominator: there both count by as much as its variance is the denominator's.
Both kinds of skewness are taken of documents' sums and of their rates per token; the more cautious counts. For
normal documents next to nothing changes, and as n grows x goes to 0.

A ratio has one more danger: how well the few large documents are explained is only known once
there are some. So its ends are moved apart by exp(max(m τ², 20 √(48/n) τ⁶)), τ of the denominator
per token or of what a document adds to the sum, the last power of the sums as well, and
m = 4 (48/n − 1), at least 0, of fewer than 16 documents 10, or 15 where the tail is on the side of 0; and of
few documents by what may be hidden below 0 (`doubt`), of fewer than 16 at least by `FLOOR_SCANTY`. Where an end is then `REACH` times the
ratio's size away, or that far beyond 1, the interval says nothing and the ratio is refused: so what is
printed has been chosen by its width, and the constants are those with which it holds all the same.

Lengths may have a tail of their own, and what is measured may go with them; then a text lacks the longest
documents as it lacks the largest damages, and nothing else tells: `by_length`. Both are moved for it, what
a denominator must be told with by `TIED`, and the ends of a ratio by `TIED_ENDS` and `GROWS`.

Tails count in proportion: where the denominator hardly varies for its size neither x nor m matters, by
`matters`. What a ratio leaves of its numerator may have a tail of its own, which shows best beside the damage: `aside`. Nor does a weak
denominator show its tail below 0 in few documents: see `hides_tail`.

Documents that agree to the last digit have no scatter to make an interval of, and are no proof that
all would: what n documents may all lack is `unseen`.

Form and constants were found by simulation, for levels about 95%, and are no theorem:
`docs/statistics.md` has the designs, what holds in them, and in which nothing could.

Rooms: `documents` (what they show of an estimate), `tails` (what those ask of a t interval), `hidden`
(what few documents may hide of a ratio), `means` and `ratios` (the intervals themselves).
"""

from unexplained.intervals.documents import PLENTY as PLENTY
from unexplained.intervals.documents import ROUNDING as ROUNDING
from unexplained.intervals.documents import SCANTY as SCANTY
from unexplained.intervals.documents import SHOWN as SHOWN
from unexplained.intervals.documents import TINY as TINY
from unexplained.intervals.documents import l_moments as l_moments
from unexplained.intervals.documents import left_out as left_out
from unexplained.intervals.documents import quantile as quantile
from unexplained.intervals.documents import shape as shape
from unexplained.intervals.documents import unseen as unseen
from unexplained.intervals.documents import worth as worth
from unexplained.intervals.hidden import DOUBT as DOUBT
from unexplained.intervals.hidden import DOUBT_WEAK as DOUBT_WEAK
from unexplained.intervals.hidden import FLOOR_SCANTY as FLOOR_SCANTY
from unexplained.intervals.hidden import LEANS as LEANS
from unexplained.intervals.hidden import MOST_ASIDE_SCANTY as MOST_ASIDE_SCANTY
from unexplained.intervals.hidden import apart as apart
from unexplained.intervals.hidden import aside as aside
from unexplained.intervals.hidden import doubt as doubt
from unexplained.intervals.hidden import hides_tail as hides_tail
from unexplained.intervals.means import of_estimate as of_estimate
from unexplained.intervals.means import of_mean as of_mean
from unexplained.intervals.means import of_share as of_share
from unexplained.intervals.ratios import divides as divides
from unexplained.intervals.ratios import of_ratio as of_ratio
from unexplained.intervals.ratios import reach as reach
from unexplained.intervals.ratios import says_nothing as says_nothing
from unexplained.intervals.tails import beyond as beyond
from unexplained.intervals.tails import by_length as by_length
from unexplained.intervals.tails import lengthening as lengthening
from unexplained.intervals.tails import matters as matters

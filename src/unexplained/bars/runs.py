"""A gap between two models over several runs of both: what another seed would have changed.

All of `concentration` is about the very models that were measured. "Rung 4 is ahead of rung 3 by
0.26 nats, on few tokens" is about a recipe, of which each seed is one draw: here every pair of runs
counts, and intervals are for other documents and other pairs of runs together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from unexplained.bars.concentration import TIMES, inverse, net_of
from unexplained.bars.measures import measure_of
from unexplained.bars.tokens import TokenLosses, token_losses
from unexplained.errors import MeasurementError, require_once
from unexplained.estimators import jackknifed, over_runs
from unexplained.intervals import unseen
from unexplained.ledger import Ledger
from unexplained.record import Number
from unexplained.record.bars import OverRuns
from unexplained.stats import NATS, SHARE, Settings, times_drawn, too_few

FEWEST_PAIRS = 3
"""Concentration takes two pairs at a time, and its scatter what is left without one of them."""


def over_pairs(ledger: Ledger, pairs: Sequence[tuple[str, str]], *, settings: Settings) -> OverRuns:
    """How large a gap is, how often it is the other way, and how concentrated, over pairs of runs.

    With d_i the gap per token of the i-th pair, N tokens and m pairs: the mean of d_i; the share of
    tokens with d_i < 0; and the factor N · mean over i < j of Σ d_i d_j, over the mean of
    Σ d_i · Σ d_j, in which noise that pairs do not share has no term. Runs scatter as their
    jackknife says (m − 1 degrees of freedom), so with three pairs intervals are wide.

    It misleads where pairs share what is no ability: two runs that saw the text in one order.

    Args:
        ledger: Holds the losses per token of all of them.
        pairs: A strong and a weaker model each; of every pair the same two sizes, other seeds.
        settings: Level, resamples and seed.

    Raises:
        MeasurementError: There are fewer than three pairs, a model is in two, or losses were not
            kept.
    """
    if len(pairs) < FEWEST_PAIRS:
        raise MeasurementError(
            f"A gap over {len(pairs)} pairs of runs", f"it takes {FEWEST_PAIRS}",
            "Give more runs of both models.",
        )  # fmt: skip
    require_once("run", [name for pair in pairs for name in pair])
    read = token_losses(ledger, [name for pair in pairs for name in pair])
    gaps = np.stack([read.losses[weak] - read.losses[strong] for strong, weak in pairs])
    worse = gaps < -measure_of("loss", pairs=False).floor
    net = _mean(read, gaps, settings, NATS)
    factor = next(
        (
            stands.model_copy(update={"unit": TIMES})
            for d, pair in zip(gaps, pairs, strict=True)
            if (stands := net_of(read, d, *pair, settings)).value is None
        ),
        None,
    ) or _factor(read, gaps, settings)
    return OverRuns(
        pairs=tuple(pairs),
        gap=net,
        worse=_share(_mean(read, worse, settings, SHARE), read.tokens, settings.level),
        factor=factor,
        effective=inverse(factor),
    )


def _mean(read: TokenLosses, values: np.ndarray, settings: Settings, unit: str) -> Number:
    """Mean over pairs of a mean per token, (pair, token)."""
    each = values.mean(axis=1)
    if too_few(read.tokens):
        return Number(value=float(each.mean()), unit=unit)
    columns = np.stack([read.tokens, read.summed(values.mean(axis=0))], axis=1)
    tokens, sums = (_times(read, settings) @ columns).T
    error, freedom = jackknifed([float(np.delete(each, i).mean()) for i in range(len(each))])
    return over_runs(float(each.mean()), sums / tokens, error, freedom, read.tokens,
                     settings=settings, unit=unit)  # fmt: skip


def _share(number: Number, tokens: np.ndarray, level: float) -> Number:
    """A share of tokens, whose interval no tail of runs takes beyond none or all."""
    if number.value is None or too_few(tokens):
        return number
    off = unseen(int(np.count_nonzero(tokens)), level)
    # Where no document and no run differs, what so many documents may all lack is left.
    still = number.low is None and number.high is None
    low, high = (number.value - off, number.value + off) if still else (number.low, number.high)
    ends = {
        "low": None if low is None else max(low, 0.0),
        "high": None if high is None else min(high, 1.0),
    }
    return number.model_copy(update=ends)


def _factor(read: TokenLosses, gaps: np.ndarray, settings: Settings) -> Number:
    both = list(itertools.combinations(range(len(gaps)), 2))
    sums = np.stack([read.summed(d) for d in gaps], axis=1)
    products = np.stack([read.summed(gaps[i] * gaps[j]) for i, j in both], axis=1)

    def of(
        tokens: np.ndarray, nets: np.ndarray, crossed: np.ndarray, left: int | None
    ) -> np.ndarray:
        """The factor without one pair, of sums (…, pair) and (…, two pairs)."""
        some = [place for place, two in enumerate(both) if left not in two]
        bottom = np.stack([nets[..., i] * nets[..., j] for i, j in (both[s] for s in some)])
        top = crossed[..., some].mean(axis=-1)
        stands = (nets > 0).all(axis=-1)
        found: np.ndarray = np.where(stands, tokens * top / bottom.mean(axis=0), np.nan)
        return found

    whole = (np.asarray(read.tokens.sum()), sums.sum(0), products.sum(0))
    value = float(of(*whole, None))
    if too_few(read.tokens):
        return Number(value=value, unit=TIMES)
    error, freedom = jackknifed([float(of(*whole, left)) for left in range(len(gaps))])
    times = _times(read, settings)
    draws = of(times @ read.tokens, times @ sums, times @ products, None)
    return over_runs(value, draws, error, freedom, read.tokens, settings=settings, unit=TIMES)


def _times(read: TokenLosses, settings: Settings) -> np.ndarray:
    return times_drawn(len(read.documents), settings.resamples, settings.seed)

"""A gap between two models over several runs of both: what another seed would have changed.

All of `concentration` is about the very models that were measured. "Rung 4 is ahead of rung 3 by
0.26 nats, on few tokens" is about a recipe, of which each seed is one draw: here every pair of runs
counts, and intervals are for other documents and other pairs of runs together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from unexplained.bars.concentration import AGAINST, FAR, TIMES, inverse, longer_by, net_of
from unexplained.bars.measures import measure_of
from unexplained.bars.tokens import TokenLosses, token_losses
from unexplained.errors import MeasurementError, require_once
from unexplained.estimators import jackknifed, laid_out, over_runs
from unexplained.estimators.tails import ends_of
from unexplained.intervals import ROUNDING, unseen
from unexplained.ledger import Ledger
from unexplained.record import Number
from unexplained.record.bars import OverRuns
from unexplained.shares import within
from unexplained.stats import NATS, SHARE, Settings, mean_per_token, too_few

FEWEST_PAIRS = 3
"""Concentration takes two pairs at a time, and its scatter what is left without one of them."""


def over_pairs(ledger: Ledger, pairs: Sequence[tuple[str, str]], *, settings: Settings) -> OverRuns:
    """How large a gap is, how often it is the other way, and how concentrated, over pairs of runs.

    With d_i the gap per token of the i-th pair, N tokens and m pairs: the mean of d_i; the share of
    tokens with d_i < 0; and the factor N · mean over i < j of Σ d_i d_j, over the mean of
    Σ d_i · Σ d_j, in which noise that pairs do not share has no term. Over documents these are the
    intervals of a single pair, with tails counted; runs scatter besides as their jackknife says (m − 1
    degrees of freedom), so with three pairs intervals are wide.

    The factor estimates the mean of μ² over the square of the mean of μ, for the gap μ that runs
    expect of each token: at least 1 (Cauchy and Schwarz), and no interval goes below.

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
    net = _mean(read, gaps, settings, NATS, _apart(read, pairs))
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


def _apart(read: TokenLosses, pairs: Sequence[tuple[str, str]]) -> float:
    """Standard error over runs of a difference of means, whichever run was paired with which.

    Runs of the two models have nothing in common, so that the variances of both means add up.
    """
    kinds = [
        np.array([read.losses[name].mean() for name in names]) for names in zip(*pairs, strict=True)
    ]
    return math.sqrt(sum(float(kind.var(ddof=1)) / kind.size for kind in kinds))


def _mean(
    read: TokenLosses,
    values: np.ndarray,
    settings: Settings,
    unit: str,
    apart: float = 0.0,
) -> Number:
    """Mean over pairs of a mean per token, (pair, token); `apart`: its error over runs, unpaired."""
    each = values.mean(axis=1)
    alone = mean_per_token(
        read.summed(values.mean(axis=0)), read.tokens, settings=settings, unit=unit
    )
    if too_few(read.tokens):
        return alone
    value = float(each.mean())
    low, high = (value if end is None else end for end in (alone.low, alone.high))
    error, freedom = jackknifed([float(np.delete(each, i).mean()) for i in range(len(each))])
    # Pairs that fit together by luck are no less scattered than their runs.
    error = max(error, apart)
    draws = laid_out(value, low, high, read.tokens, level=settings.level)
    return over_runs(value, draws, error, freedom, read.tokens, settings=settings, unit=unit)


def _share(number: Number, tokens: np.ndarray, level: float) -> Number:
    """A share of tokens, whose interval no tail of runs takes beyond none or all."""
    if number.value is None or too_few(tokens):
        return number
    off = unseen(int(np.count_nonzero(tokens)), level)
    # Where no document and no run differs, what so many documents may all lack is left.
    if number.low is None and number.high is None:
        number = number.model_copy(update={"low": number.value - off, "high": number.value + off})
    return within(number, 0, 1)


@dataclass(frozen=True, eq=False)
class _Factors:
    """The factor over pairs, from sums over documents that are (…, pair) and (…, two pairs)."""

    tokens: np.ndarray
    nets: np.ndarray
    products: np.ndarray

    def whole(self, left: int | None = None) -> float:
        """Of all documents, without one pair."""
        return float(_of(self.tokens.sum(), self.nets.sum(0), self.products.sum(0), left))

    def without(self) -> np.ndarray:
        """Of all pairs, with each document left out; not a number where a gap is none."""
        tokens, nets, products = (
            one.sum(0) - one for one in (self.tokens, self.nets, self.products)
        )
        return _of(tokens, nets, products, None)


def _of(tokens: np.ndarray, nets: np.ndarray, products: np.ndarray, left: int | None) -> np.ndarray:
    both = list(itertools.combinations(range(nets.shape[-1]), 2))
    some = [place for place, two in enumerate(both) if left not in two]
    bottom = np.stack([nets[..., i] * nets[..., j] for i, j in (both[s] for s in some)], axis=-1)
    stands = (nets > 0).all(axis=-1)
    return np.where(
        stands, tokens * products[..., some].mean(-1) / bottom.mean(-1), np.nan
    )  # fmt: skip


def _factor(read: TokenLosses, gaps: np.ndarray, settings: Settings) -> Number:
    """By a jackknife of its logarithm, as that of a single pair (`concentration`)."""
    some = read.tokens > 0
    both = itertools.combinations(range(len(gaps)), 2)
    nets = np.stack([read.summed(d)[some] for d in gaps], axis=1)
    products = np.stack([read.summed(gaps[i] * gaps[j])[some] for i, j in both], axis=1)
    factors = _Factors(read.tokens[some], nets, products)
    value = factors.whole()
    if too_few(read.tokens):
        return Number(value=value, unit=TIMES)
    documents, runs = factors.without(), [factors.whole(left) for left in range(len(gaps))]
    every = np.array([value, *documents, *runs])
    if np.isnan(every).any():
        # Without some document a gap is none: what others would leave is not known.
        value = max(value, 1.0)
        return Number(value=value, low=1.0, unit=TIMES)
    # A factor is a multiple, whose logarithm scatters evenly, as long as there is one.
    logs = bool((every > 0).all())
    to = np.log if logs else np.asarray
    middle = float(to(value))
    tails = longer_by(np.concatenate([products.mean(1)[None], nets.T]), factors.tokens)
    low, high = ends_of(
        middle, tails * (middle - to(documents)), factors.tokens, settings.level,
        rounding=ROUNDING * (1.0 if logs else abs(value)),
    )  # fmt: skip
    error, freedom = jackknifed([float(one) for one in to(np.array(runs))])
    draws = laid_out(middle, low, high, read.tokens, level=settings.level)
    found = over_runs(middle, draws, error, freedom, read.tokens, settings=settings, unit=TIMES)
    if logs:
        ends = {"low": found.low, "high": found.high}
        if found.low is not None and found.high is not None:
            ends = {
                "low": math.exp(max(found.low, -FAR)),
                "high": math.exp(found.high) if found.high < FAR else None,
            }
        found = found.model_copy(update={"value": value, **ends})
    return _at_least_one(found)


def _at_least_one(factor: Number) -> Number:
    """What is below 1 by chance is at it, and what is told to be below 1 is refused."""
    if factor.value is None or (factor.low is None and factor.high is None):
        return factor
    if factor.high is not None and factor.high < 1:
        return Number(value=None, unit=TIMES, refused=AGAINST)
    return within(factor.model_copy(update={"value": max(factor.value, 1.0)}), least=1)

"""Why a ratio is refused, in words: what was found, and what it would take."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri

from unexplained.intervals import (
    SHOWN,
    divides,
    hides_tail,
    left_out,
    lengthening,
    of_ratio,
    quantile,
    reach,
    says_nothing,
)
from unexplained.record import Number
from unexplained.record.format import written
from unexplained.sums import scaled, too_few

SHARE = "share"

POWER = 0.8
"""The chance of resolving the denominator that `tokens_needed` aims at."""

LONG = 1e7
"""Shares beyond this are written with an exponent."""

MOST_TRIED = 4096
"""Documents beyond this are not asked for: then it is the ratio that cannot be had, not the text."""

ROUNDING = 1e-9
"""A denominator that is so small beside its numerator is what rounding left of numbers of that size."""

STEP, LONGEST = 1.05, 100.0
"""By what documents are multiplied until they are enough, and the greatest logarithm of a factor."""

MOST_TOKENS = 10**15
"""Needs beyond this are not given: no text is so long."""


def refusal(
    size: Number,
    denominator: np.ndarray,
    tokens: np.ndarray,
    what: str,
    level: float,
    if_negative: str,
) -> Number | None:
    """Why a denominator of this size per token cannot be divided by; None where it can.

    Args:
        size: The denominator per token, in its own unit.
        denominator: One sum per document, on any scale.
        tokens: One entry per document.
        what: Its name.
        level: Of its interval.
        if_negative: What a negative one tells.
    """
    if size.value is None:
        return Number(value=None, unit=SHARE, refused=size.refused)
    if few := too_few(tokens):
        return Number(value=None, unit=SHARE, refused=few)
    assert size.low is not None and size.high is not None
    stated = f"the denominator ({what}) is {written(size)} {size.unit}"
    if size.high < 0:
        return Number(value=None, unit=SHARE, refused=f"{stated}: {if_negative}")
    if size.low > 0 and divides(denominator, tokens, level):
        return None
    if size.low > 0:
        # How many tokens tails would take cannot be told from documents that hardly show them.
        refused = f"{stated}, {_tails(denominator, tokens, level)}"
        return Number(value=None, unit=SHARE, refused=refused)
    least = 0 if size.unit == SHARE else SHOWN
    needed = tokens_needed(denominator, tokens, level, least=least)
    refused = f"{stated}, within noise of zero"
    return Number(value=None, unit=SHARE, refused=refused, tokens_needed=needed)


def hidden_tail(size: Number, denominator: np.ndarray, tokens: np.ndarray, what: str) -> str:
    """Why a denominator of few documents, though told from 0, is not believed; nothing where it is.

    Args:
        size: The denominator per token, in its own unit. A share has no tail far below 0.
        denominator: One sum per document.
        tokens: One entry per document.
        what: Its name.
    """
    some = tokens > 0
    (_, (sums,)), (_, (sizes,)) = scaled(denominator[some]), scaled(tokens[some])
    if size.unit == SHARE or not hides_tail(sums, sizes):
        return ""
    least = (sums / sizes).min() / (sums.sum() / sizes.sum())
    return (
        f"the denominator ({what}) is {written(size)} {size.unit}, but in {sums.size} documents, the least "
        f"of them at {least:.0%} of the mean, a tail below zero need not show: it takes {SHOWN} documents, "
        "or none so near to zero"
    ).replace(" -", " −")


def rounding(numerator: np.ndarray, denominator: np.ndarray, size: float, floor: float) -> str:
    """Why a denominator that is told from 0 is what is left of larger numbers; nothing where it is not.

    Args:
        numerator: One sum per document.
        denominator: One sum per document.
        size: The denominator per token, in its own unit.
        floor: Below this it is rounding.
    """
    if size < floor:
        return f"rounding, below {floor:g}"
    (up, (top,)), (down, (bottom,)) = scaled(numerator), scaled(denominator)
    if not top.any():
        return ""
    sizes = (math.log2(float(np.abs(one).sum())) for one in (top, bottom))
    above, below = (log + exponent for log, exponent in zip(sizes, (up, down), strict=True))
    if below - above < math.log2(ROUNDING):
        return "rounding beside the numerator, which is over a billion times as large"
    return ""


def _tails(denominator: np.ndarray, tokens: np.ndarray, level: float) -> str:
    """Why a denominator that is not within noise of zero still cannot be divided by."""
    count = np.count_nonzero(tokens)
    _, (sums,) = scaled(denominator)
    if divides(denominator, tokens, level, lengths=False):
        return f"but {_long(tokens)}: it could be 0 with them"
    largest = np.abs(sums).max() / sums.sum()
    return (
        f"too little above zero for documents so few or so unequal (the largest of {count} "
        f"counts for {largest:.0%} of it): no interval of a ratio would hold"
    )


def _long(tokens: np.ndarray) -> str:
    """That longer documents may be lacking, and what helps."""
    sizes = tokens[tokens > 0]
    times = float(sizes.max() / np.median(sizes))
    return (
        f"the lengths of the {sizes.size} documents have a long tail (the longest has {times:.0f} times the tokens of "
        "the median), so that longer ones may be lacking, and what is measured may go with the length (cut "
        "documents to one length, or take more)"
    )


def too_wide(
    found: Number, columns: Sequence[np.ndarray], level: float, *, bounded: bool = False
) -> str:
    """Why a ratio whose interval says nothing is not given.

    Args:
        found: The ratio with its interval.
        columns: Numerator, denominator and tokens, one entry per document.
        level: Of the interval.
        bounded: See `intervals.of_ratio`.
    """
    count = int(np.count_nonzero(columns[-1]))
    assert found.value is not None and found.low is not None and found.high is not None
    enough = _enough(found.value, columns, level, bounded=bounded)
    spec = ",.0f" if max(-found.low, found.high) < LONG else ".1e"
    stated = written(found, scale=100, spec=spec, mark="%")
    top, bottom, sizes = (column[columns[-1] > 0] for column in columns)
    short = of_ratio(top, bottom, sizes, level, bounded=bounded, lengths=False)
    if not says_nothing(found.value, *short, count):
        enough = f"{_long(sizes)}; {enough}"
    return (
        f"from {count} documents it would be {stated}, which says nothing (an end is over {reach(count):g} times "
        f"as far away as it is large, or as 100%); {enough}"
    )


def _enough(value: float, columns: Sequence[np.ndarray], level: float, *, bounded: bool) -> str:
    """How many documents would give an interval that says something, with `POWER`, if they are like these."""
    top, bottom, sizes = (column[columns[-1] > 0] for column in columns)
    error, longest = standard_error(bottom, sizes), sizes == sizes.max()
    times = 2 if bounded else max(2, -(-SHOWN // sizes.size))
    while (many := times * sizes.size) <= MOST_TRIED:
        # Fresh documents have another mean: one that is as low as in one text of five.
        low = float(ndtri(POWER)) * error / math.sqrt(times) * sizes
        mine, whole, tokens = (
            np.tile(one, times) for one in (top - value * low, bottom - low, sizes)
        )
        if longest.sum() == 1:
            # Copies of the longest are no documents that were cut to one length.
            tokens[np.tile(longest, times)] *= 1 - ROUNDING * np.arange(times)
        if (
            divides(whole, tokens, level)
            and (bounded or not hides_tail(whole, tokens))
            and not says_nothing(
                value, *of_ratio(mine, whole, tokens, level, bounded=bounded), sizes.size
            )
        ):
            return f"it takes at least about {many} documents like these"
        times *= 2
    return f"not even {many // 2:,} documents like these would do"


def standard_error(total: np.ndarray, tokens: np.ndarray) -> float:
    """Linearised standard error of sum(total) / sum(tokens), documents drawn independently."""
    n = np.count_nonzero(tokens)
    (up, (total,)), (down, (tokens,)) = scaled(total), scaled(tokens)
    mean = total.sum() / tokens.sum()
    spread = ((total - mean * tokens) ** 2).sum() * n / (n - 1)
    return math.ldexp(float(math.sqrt(spread) / tokens.sum()), up - down)


def tokens_needed(
    total: np.ndarray, tokens: np.ndarray, level: float, *, least: int = 0
) -> int | None:
    """Tokens for a mean to be told from 0 with `POWER`, rounded up to two digits; None at mean 0.

    So many documents n that √n times mean over spread is Student's quantile, lengthened for the tails
    of the documents as for a denominator, and the normal one of `POWER`. The present mean, spread and
    tails are taken at their word, so this is an order of magnitude, and the least: what n documents
    may not show is not in it.

    Args:
        total: One sum per document.
        tokens: One entry per document.
        level: Of the interval.
        least: Documents below which it is not believed whatever it is.
    """
    some = tokens > 0
    (_, (total,)), (_, (sizes,)) = scaled(total[some]), scaled(tokens[some])
    mean, count = total.sum() / sizes.sum(), total.size
    if mean == 0:
        return None
    falls, power = left_out(total, sizes), float(ndtri(POWER))
    single = standard_error(total, sizes) * math.sqrt(count) / abs(mean)
    documents = max(float(least), float(count), (power * single) ** 2)
    while documents <= MOST_TOKENS:
        whole = math.ceil(documents)
        below, above = lengthening(falls, sizes, divided=1.0, documents=whole)
        longer = math.exp(min(max(float(below if mean > 0 else above), 0.0), LONGEST))
        if math.sqrt(documents) >= single * (quantile(whole, level) * longer + power):
            break
        documents *= STEP
    needed = float(tokens.sum()) * documents / count
    if needed > MOST_TOKENS:
        return None
    whole = max(math.ceil(needed), math.ceil(tokens.sum()))
    step: int = 10 ** max(len(str(whole)) - 2, 0)
    rounded: int = -(-whole // step) * step
    return rounded

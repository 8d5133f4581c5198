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
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaincinv, ndtri, stdtrit

from unexplained.sums import alike, scaled, unscaled

REACH, FARTHEST = 20.0, 200.0
"""An end that is further from a ratio than so many times its size, or so many times 1, says nothing; the
second of `PLENTY` of documents, of which what is long is told by the documents and not by their number."""

SHOWN = 32
"""So many documents show a tail below 0 if there is one that matters."""

DOUBT, HIDES_NONE, HIDES_ALL = 1.0, 0.15, -0.15
"""Logarithm by which ends of a ratio are moved for a tail below 0 that fewer may hide, and the L-skewness of
the denominator at which nothing is hidden and all may be."""

DOUBT_WEAK, WEAK_HIDES_NONE, STRONG = 2.0, 0.2, 11.0
"""The same of a weak denominator, one less than `FAR` standard errors from 0, or in part up to the
third, of which `SCANTY` to `PLENTY` hide nothing at the second and all at 0: what is weak and regular may be the upper part of something wide."""

LEANS, CLEAR, FAR = 0.12, 0.3, 10.0
"""L-skewness, least document as a share of the mean, and standard errors from 0, that fewer must show."""

SCANTY, CLEARER, FLOOR = 16, 0.2, 0.75
"""Of fewer documents than these, and so much of 8: what leans toward 0 must be clearer, as it may be the upper
part of something wide. What they are worth counts for what is doubted of more: at least so much of 8."""

FLOOR_SCANTY, MODERATE_SCANTY, MOST_ASIDE_SCANTY = 1.25, 10.0, 0.75
"""Of fewer than `SCANTY` documents, whatever they show: at least so much is doubted, as what a ratio leaves of
its numerator, or noise in the denominator itself, may have a tail that none of them shows; and what counts of a
moderate tail of the denominator, and at most of one of what is left, is less: so much is doubted already."""

PLENTY = 48
"""With fewer documents the tails of a denominator are hardly seen, and moderate ones count too."""

VARIES, SURE, USUAL = 0.15, 0.05, 0.5
"""Coefficient of variation of documents, and relative standard error of a denominator, below which tails
count less: what hardly varies for its size cannot be undone by what a text lacks. Of fewer than `PLENTY`
of documents in proportion less, for they may lack more. Not so for a tail away from 0, which moves a ratio
only as far as it is long: there the error is one of a coefficient of variation of `USUAL`."""

UNEVEN, UNEVEN_FEW = 0.75, 0.9
"""Documents that are worth less than this share of their number in ones of one length are unequal; the
second of fewer than `SCANTY`, where one length alone may decide."""

TINY = np.finfo(float).tiny

TIED, TIED_FEW, TIED_ENDS, GROWS = 30.0, 0.7, 16.0, 12.0
"""What `by_length` counts for: for a denominator, of fewer than `PLENTY` of documents times PLENTY/n to the
second; for the end of a ratio, of `SCANTY` documents and more, on the side of what long documents leave beside their damage; and for
both ends where damage per token rises with the length, so that the longest decide."""

LONG, LONG_UNSEEN, MATTERS = 0.08, 0.06, 0.5
"""L-skewness of the logarithms of lengths (0 of lognormal ones, ⅓ of Pareto's) from which their tail is long;
what is counted, for a denominator, of fewer than `SHOWN` documents whatever they show, where lengths vary by a factor of e;
and N/n − 1 (`worth`) from which lengths matter fully to it."""

VARIED = 0.25
"""Squared coefficient of variation of lengths from which their tail counts in full; in proportion less below."""

ASIDE, MOST_ASIDE = 16.0, 1.5
"""What counts of a tail of what a ratio leaves of its numerator, of `PLENTY` of documents, and at most."""

UNEQUAL, MOST_UNEQUAL = 2.0, 2.0
"""By how much more surely a denominator is told from 0 where lengths make its documents unequal, of
`PLENTY` of documents or more; and what N/n − 1 counts for at most. See the module."""

LEFT = 15.0
"""What counts of a denominator's tail toward 0, at least, also of many documents."""

MOST = 5.0
"""An estimate that is no ratio is not lengthened further: where tails ask for more, nothing is known."""

ROUNDING = 1e-13
"""Scatter below this share of what scatters is that of sums of doubles."""

SAME = 1e-6
"""What is left of a numerator after its share of the denominator counts as rounding of losses below this."""

LARGEST = 1000
"""Of powers of two that are taken."""

GRID = np.linspace(0, math.pi / 2, 9)[1:]
"""Where the test of a ratio is tried before its ends are sought, as angles; π/2 is no end at all."""


def of_mean(total: np.ndarray, tokens: np.ndarray, level: float) -> tuple[float, float]:
    """Interval of sum(total) / sum(tokens); see `of_estimate`."""
    (up, (total,)), (down, (tokens,)) = scaled(total), scaled(tokens)
    value = float(total.sum() / tokens.sum())
    low, high = of_estimate(value, left_out(total, tokens), tokens, level)
    return unscaled(low, up - down), unscaled(high, up - down)


def of_share(total: np.ndarray, tokens: np.ndarray, level: float) -> tuple[float, float]:
    """Interval of sum(total) / sum(tokens) where each total counts some of its document's tokens.

    A share has no tails: nothing can lie beyond 0 and 1. So it is Clopper and Pearson's interval of
    as many independent tokens as would vary as much, p (1 − p) / se², fewer by the square of normal
    over Student quantile (Korn and Graubard, Survey Methodology 24, 1998, 193–201), of as many
    documents as these are worth in ones of one length: a spread that one of them decides is known as
    badly as from one.

    Where all tokens are counted, or none, each document is one draw: of 6 that are all right the
    interval is 54% to 100%. A half of the tokens of each is a share like any other.
    """
    value = float(total.sum() / tokens.sum())
    n = int(np.count_nonzero(tokens))
    falls = left_out(total, tokens)[tokens > 0]
    variance = (n - 1) / n * float(falls @ falls)
    if value in (0.0, 1.0):
        least = 1 - unseen(n, level)
        return (least, 1.0) if value else (0.0, 1 - least)
    # Where documents vary less than so many tokens, or not at all, it is the tokens that are counted.
    count = float(tokens.sum())
    if variance > 0:
        count = min(value * (1 - value) / variance, count)
    student = quantile(alike(tokens), level)
    count *= (float(ndtri((1 + level) / 2)) / student) ** 2
    right, wrong, tail = value * count, (1 - value) * count, (1 - level) / 2
    low = float(betaincinv(right, wrong + 1, tail))
    high = float(betaincinv(right + 1, wrong, 1 - tail))
    if alike(tokens) >= (UNEVEN if n >= SCANTY else UNEVEN_FEW) * n:
        return low, high
    # A share has no tails, but lengths have, and it may go with them.
    ends, times = of_mean(total, tokens, level), student / quantile(n, level)
    below, above = (value + times * (end - value) for end in ends)
    return max(min(low, below), 0.0), min(max(high, above), 1.0)


def unseen(documents: float, level: float) -> float:
    """Share of a kind of document that so many may all lack: 1 − ((1 − level)/2)^(1/n).

    >>> round(unseen(8, 0.95), 2), round(unseen(135, 0.95), 3)
    (0.37, 0.027)
    """
    return float(-math.expm1(math.log((1 - level) / 2) / documents))


def left_out(total: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """By how much sum(total) / sum(tokens) falls as a document is left out: (…, document)."""
    whole = tokens.sum(-1, keepdims=True)
    value = total.sum(-1, keepdims=True) / whole
    return np.asarray((total - value * tokens) / (whole - tokens))


def of_estimate(
    value: float,
    falls: np.ndarray,
    tokens: np.ndarray,
    level: float,
    *,
    documents: int | None = None,
) -> tuple[float, float]:
    """Interval of an estimate, from the jackknife; without length where no document moves it.

    Args:
        value: The estimate.
        falls: (document,) by how much it falls as a document is left out.
        tokens: (document,) what a document counts for; those with 0 are none.
        level: Share of repetitions in which the interval should hold the truth.
        documents: How many there are, if fewer than those with tokens.
    """
    some = tokens > 0
    falls, tokens = falls[some], tokens[some]
    n = documents or falls.size
    error = math.sqrt((n - 1) / n * float(falls @ falls))
    if error <= ROUNDING * abs(value):
        return value, value
    factors = np.minimum(np.exp(lengthening(falls, tokens, divided=0.0)), MOST)
    below, above = quantile(n, level) * error * factors
    return value - float(below), value + float(above)


def of_ratio(
    numerator: np.ndarray,
    denominator: np.ndarray,
    tokens: np.ndarray,
    level: float,
    *,
    bounded: bool = False,
    lengths: bool = True,
) -> tuple[float, float]:
    """Interval of sum(numerator) / sum(denominator), of a denominator that `divides`.

    All r for which the documents' numerator − r · denominator may have the expectation 0 (Fieller,
    Journal of the Royal Statistical Society B 16, 1954, without his normality). Where they form
    several pieces, all that lies between. It has two ends because the same test tells the
    denominator from 0.

    Where all documents have the same ratio, nothing tells of others but how many there are: a share
    `unseen` of them may be off by all that there is to recover, either way.

    Args:
        numerator: (document,) sums.
        denominator: (document,) sums.
        tokens: (document,) what the sums are over; documents with 0 do not count.
        level: Share of repetitions in which the interval should hold the truth.
        bounded: Both count some of the tokens, or are differences of such: no tail is long.
        lengths: Whether longer documents than these are thought of.
    """
    some = tokens > 0
    (up, (numerator,)), (down, (denominator,)), (_, (tokens,)) = (
        scaled(column[some]) for column in (numerator, denominator, tokens)
    )
    value = float(numerator.sum() / denominator.sum())
    one = math.ldexp(1.0, min(max(down - up, -LARGEST), LARGEST))
    rest = numerator - value * denominator
    size, spread = (math.sqrt(float(x @ x)) for x in (denominator, rest))
    if spread <= SAME * size * max(one, abs(value)):
        off = max(one, abs(value)) * unseen(alike(np.abs(denominator)), level)
        return unscaled(value - off, up - down), unscaled(value + off, up - down)
    farther = apart(denominator, tokens) * (
        np.ones(2) if bounded else aside(rest, denominator, tokens, lengths=lengths)
    )
    farther = np.minimum(farther, MOST) if bounded else farther
    columns = np.stack([rest / spread, denominator / size])
    test = _Test(columns, tokens, level, lengths=lengths)

    def excess(angles: np.ndarray) -> np.ndarray:
        return test.beyond(np.stack([np.cos(angles), -np.sin(angles)], axis=-1))

    tried = excess(np.concatenate([-GRID, GRID])).reshape(2, GRID.size)

    def end(side: int, passed: np.ndarray) -> float:
        # From the outermost angle that the test lets pass to the next, that it does not.
        place = int(passed[-1]) + 1 if passed.size else 0
        start = side * float(GRID[place - 1]) if place else 0.0
        angle = brentq(lambda at: float(excess(at)), start, side * float(GRID[place]), xtol=1e-9)
        return math.tan(angle) * spread / size * float(farther[max(side, 0)])

    low, high = (
        end(side, np.flatnonzero(row[:-1] <= 0)) for side, row in zip((-1, 1), tried, strict=True)
    )
    return (
        unscaled(value + min(low, 0.0), up - down), unscaled(value + max(high, 0.0), up - down)
    )  # fmt: skip


def divides(
    denominator: np.ndarray, tokens: np.ndarray, level: float, *, lengths: bool = True
) -> bool:
    """Whether a denominator is told from 0, and above it, so that a ratio has two ends.

    Without `lengths`, as if those documents were all that there are of long ones.
    """
    some = tokens > 0
    (_, (denominator,)), (_, (tokens,)) = scaled(denominator[some]), scaled(tokens[some])
    total, falls = denominator.sum(), left_out(denominator, tokens)
    return bool(total > 0 and beyond(total, falls, tokens, level, lengths=lengths) > 0)


class _Test:
    """Whether a weighted sum of two columns is told from an expectation of 0; see `beyond`.

    Args:
        columns: (2, document) what a ratio leaves of its numerator, and the denominator.
        tokens: (document,) all above 0.
        level: 1 less the level of the test.
        lengths: See `beyond`.
    """

    def __init__(
        self, columns: np.ndarray, tokens: np.ndarray, level: float, *, lengths: bool
    ) -> None:
        self.totals, self.tokens, self.level = columns.sum(1), tokens, level
        self.lengths = lengths
        self.falls = left_out(columns, tokens)

    def beyond(self, weights: np.ndarray) -> np.ndarray:
        """How far the sum of (…, column) times the columns is out of reach of 0: told if above 0."""
        total, falls = weights @ self.totals, weights @ self.falls
        squares = weights**2 * (self.falls**2).sum(1)
        divided = squares[..., 1] / np.maximum(squares.sum(-1), TINY)
        return beyond(total, falls, self.tokens, self.level, divided=divided, lengths=self.lengths)


def beyond(
    total: np.ndarray,
    falls: np.ndarray,
    tokens: np.ndarray,
    level: float,
    *,
    divided: np.ndarray | float = 1.0,
    lengths: bool = True,
) -> np.ndarray:
    """How far sums (…,) are out of reach of 0, in their unit: told from it if above 0.

    Args:
        total: Sums over documents.
        falls: (…, document) by how much sum / tokens falls as a document is left out.
        tokens: (…, document) all above 0.
        level: 1 less the level of the test.
        divided: See `lengthening`.
        lengths: Whether longer documents than these are thought of.
    """
    n, whole = tokens.shape[-1], tokens.sum(-1)
    error = np.sqrt((n - 1) / n * np.einsum("...i,...i->...", falls, falls)) * whole
    below, above = lengthening(falls, tokens, divided=divided, lengths=lengths)
    exponent = np.where(total > 0, below, above)
    # Documents that hardly differ from each other for their size lack nothing that would undo it.
    least = VARIES / math.sqrt(n) * min(n / PLENTY, 1.0)
    exponent *= np.where(exponent > 0, matters(total, error, least), 1.0)
    return np.asarray(
        np.abs(total) - quantile(n, level) * np.exp(np.minimum(exponent, 100.0)) * error
    )


def matters(total: np.ndarray, error: np.ndarray, least: np.ndarray | float) -> np.ndarray:
    """What tails count for: all of it, or less where the error is below this share of the total, by its square."""
    return np.asarray(np.minimum(error / np.maximum(least * np.abs(total), error + TINY), 1.0) ** 2)


def lengthening(
    falls: np.ndarray,
    tokens: np.ndarray,
    *,
    divided: np.ndarray | float,
    documents: int | None = None,
    lengths: bool = True,
) -> np.ndarray:
    """Logarithms of the factors for Student's quantile, below and above an estimate: (2, …).

    Args:
        falls: (…, document) by how much it falls as a document is left out.
        tokens: (…, document) all above 0.
        divided: (…) how much of the estimate's variance is that of what is divided by: 0 for a mean.
        documents: As of so many of the same lengths.
        lengths: Whether longer documents than these are thought of.
    """
    many = documents or tokens.shape[-1]
    n = worth(falls, tokens) * many / tokens.shape[-1]
    even = tokens.min() == tokens.max()  # then both kinds of skewness are the same
    tau, gamma = shape(np.stack([falls] if even else [falls, falls / tokens]))
    sides = np.array([-1.0, 1.0]).reshape(2, *[1] * (tau.ndim - 1))
    missing, far = (sides[:, None] * kind for kind in (tau, gamma))
    missing, far = missing.max(1), np.maximum(far.max(1), 0) ** 2 / np.maximum(32, n / 4)
    longer = (26 / np.sqrt(n) + 1400 / np.maximum(n, 8) ** 2 * divided) * missing**2
    shorter = -np.minimum(12 / np.sqrt(n) * missing**2, 0.3)
    unequal = (
        UNEQUAL * min(many / PLENTY, 1.0) / math.sqrt(many) * np.minimum(many / n - 1, MOST_UNEQUAL)
    )
    found = np.where(missing > 0, np.maximum(longer, far), shorter + far) + unequal * divided
    if lengths and not even:
        unseen_tail = LONG_UNSEEN * float(_fewer(SHOWN, many))
        counts = TIED * max(PLENTY / many, 1.0) ** TIED_FEW
        counts *= np.clip((many / n - 1) / MATTERS, 0.0, 1.0)
        found = found + divided * counts * by_length(
            falls / tokens, tokens, sides, documents=many, least=unseen_tail
        )  # fmt: skip
    return np.asarray(found)


def by_length(
    rates: np.ndarray,
    tokens: np.ndarray,
    sides: np.ndarray | float,
    *,
    documents: int | None = None,
    least: float = 0.0,
) -> np.ndarray:
    """What longer documents than these may do to an estimate, on a side: (…), 0 where none are to be expected.

    How far the lengths' tail is beyond `LONG`, times how surely the rate does not go to the other side with the
    logarithm of the length: side · correlation + 1/√n, at least 0. Lengths are known exactly, so that their tail
    shows where that of damages would not; cut to one length they have none. It counts in proportion to how they
    vary, up to `VARIED`, and less as more documents are exactly as long as the longest: these were cut.

    Args:
        rates: (…, document) per token.
        tokens: (…, document) all above 0.
        sides: −1 for below, 1 for above; broadcasts with (…).
        documents: As of so many.
        least: What the tail counts for at least, where lengths vary by a factor of e or more.

    >>> one = np.full(40, 128.0)
    >>> float(by_length(np.arange(40.0), one, 1.0)), float(by_length(np.arange(40.0), np.append(one[1:], 9.0), 1.0))
    (0.0, 0.0)
    >>> pareto = 32 / (1 - (np.arange(40.0) + 0.5) / 40) ** 0.5
    >>> [round(float(by_length(sign * np.arange(40.0), pareto, -1.0)), 2) for sign in (-1, 0, 1)]
    [0.27, 0.04, 0.0]
    """
    logs = np.log(tokens)
    off = logs - logs.mean(-1, keepdims=True)
    spread = np.sqrt((off * off).mean(-1))
    tail = np.maximum(shape(logs)[0] - LONG, least * np.minimum(spread, 1.0))
    rate = rates - rates.mean(-1, keepdims=True)
    # Together they would be above the range of floats where rates are.
    size = np.sqrt((rate * rate).mean(-1))
    together = (off * rate).mean(-1) / np.maximum(size, TINY) / np.maximum(spread, TINY)
    n = documents or tokens.shape[-1]
    # The tail of what hardly varies is long only beside its own scatter: one token more is none.
    uneven = tokens.shape[-1] * (tokens * tokens).sum(-1) / tokens.sum(-1) ** 2 - 1
    # Where several are as long as any they have been cut, and show how often that is.
    at_most = (tokens == tokens.max(-1, keepdims=True)).sum(-1)
    tail = np.maximum(tail, 0.0) * np.minimum(uneven / VARIED, 1.0) / at_most
    return np.asarray(tail * np.maximum(sides * together + 1 / math.sqrt(n), 0.0))


def worth(falls: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """How many documents of one length these are worth to an estimate: (…).

    As many as there are, but for how much more unequal their lengths make what they contribute:
    (Σ|f|)² / Σ f² over the same of f per token. Where the rate does not go with the length that is
    (Σ t)² / Σ t² of all (Kish 1965); fewer where it rises with it, and all of them where sums are alike.

    Args:
        falls: (…, document) by how much the estimate falls as a document is left out.
        tokens: (…, document) all above 0.

    >>> worth(np.array([-1.0, 3.0, -2.0]), np.ones(3)), worth(np.array([1.0, -1.0]), np.array([1.0, 9.0]))
    (array(3.), array(2.))
    >>> worth(np.tile([10.0, -10.0, 1.0, -1.0], 10), np.tile([10.0, 10.0, 1.0, 1.0], 10)).round(1)
    np.float64(24.0)
    """
    most = falls.shape[-1]
    if tokens.min() == tokens.max():
        return np.full(falls.shape[:-1], float(most))
    sums, rates = (
        np.abs(f).sum(-1) ** 2 / np.maximum((f * f).sum(-1), TINY) for f in (falls, falls / tokens)
    )
    share = sums / np.maximum(rates, 1.0)
    return np.asarray(np.where(sums > 0, np.minimum(most * share, most), most))


def apart(denominator: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Factor by which the ends of a ratio are moved apart for the tails of its denominator."""
    n = tokens.shape[-1]
    few = MODERATE_SCANTY if n < SCANTY else 4 * max(PLENTY / n - 1, 0.0)
    strong = 20 * math.sqrt(PLENTY / n)
    total, error = denominator.sum(-1), _error(denominator, tokens)
    toward = matters(total, error, SURE * min(n / PLENTY, 1.0))
    away = matters(total, error, max(SURE, USUAL / math.sqrt(n)))
    falls = left_out(denominator, tokens)
    tau = shape(np.stack([denominator / tokens, falls, denominator]))[0]
    tails = strong * tau**6
    moderate = np.where(tau < 0, max(few, LEFT), few) * tau**2
    tails[:2] = np.maximum(tails, moderate)[:2]
    weak, below = total < FAR * error, denominator.min(-1) < 0
    alike = worth(falls, tokens)
    # Weak in part between the two, so that no interval jumps.
    one = np.maximum(error, ROUNDING * np.abs(total) + TINY)
    in_part = np.clip((STRONG - total / one) / (STRONG - FAR), 0.0, 1.0)
    regular = np.clip(1 - tau[0] / WEAK_HIDES_NONE, 0.0, 1.0) * (n >= SCANTY) * in_part
    hidden = np.maximum(
        doubt(tau[0], alike, weak & below), DOUBT_WEAK * _fewer(PLENTY, n) * regular
    )
    floor = FLOOR_SCANTY if n < SCANTY else FLOOR * _fewer(SCANTY, alike)
    hidden = hidden * toward
    counted = (tails * np.where(tau < 0, toward, away)).max(0)
    return np.asarray(np.exp(counted + np.maximum(hidden, floor)))


def doubt(tau: np.ndarray, documents: np.ndarray, lucky: np.ndarray) -> np.ndarray:
    """Logarithm of a factor for what few documents may hide of a denominator below 0.

    Those that lean to the other side by their L-skewness hide nothing, unless the whole is weak with
    some of them below 0: that they lean then is luck.
    """
    hidden = np.clip((HIDES_NONE - tau) / (HIDES_NONE - HIDES_ALL), 0.0, 1.0)
    return np.asarray(DOUBT * _fewer(SHOWN, documents) * np.where(lucky, 1.0, hidden))


def _fewer(than: int, documents: np.ndarray | float) -> np.ndarray:
    """0 of so many documents or more, 1 of half as many and fewer."""
    return np.asarray(np.clip(than / documents - 1, 0.0, 1.0))


def _error(total: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Jackknife standard error of sums (…, document), in their unit."""
    n, falls = tokens.shape[-1], left_out(total, tokens)
    return np.asarray(np.sqrt((n - 1) / n * (falls * falls).sum(-1)) * tokens.sum(-1))


def aside(
    rest: np.ndarray, denominator: np.ndarray, tokens: np.ndarray, *, lengths: bool = True
) -> np.ndarray:
    """Factors by which the ends below and above a ratio are moved for tails of what it leaves: (2, …).

    A ratio's denominator may be regular while the numerator has a tail that the denominator lacks; or what
    is left goes with the damage, and few documents have much of both. Beside the damage, at least
    the mean, it shows in many. What the test asks for itself (`lengthening`) is not asked for twice.

    Args:
        rest: (…, document) numerator less ratio times denominator.
        denominator: (…, document) sums.
        tokens: (…, document) all above 0.
        lengths: Whether longer documents than these are thought of.
    """
    usual = tokens * np.maximum(denominator.sum(-1) / tokens.sum(-1), TINY)[..., None]
    beside = rest / np.maximum(denominator, usual)
    tau = shape(beside)[0]
    sides = np.array([-1.0, 1.0]).reshape(2, *[1] * tau.ndim)
    falls = left_out(rest, tokens)
    fewer = PLENTY / worth(falls, tokens)
    farther = ASIDE * np.maximum(fewer**1.8, np.sqrt(fewer)) * np.maximum(sides * tau, 0.0) ** 3
    asked = np.maximum(lengthening(falls, tokens, divided=0.0), 0.0)
    most = MOST_ASIDE_SCANTY if tokens.shape[-1] < SCANTY else MOST_ASIDE
    farther, grows = np.minimum(farther, most), np.zeros(1)
    # Of fewer as much is doubted already (`FLOOR_SCANTY`).
    if lengths and tokens.shape[-1] >= SCANTY and tokens.min() < tokens.max():
        farther = np.maximum(farther, TIED_ENDS * by_length(beside, tokens, sides))
        grows = GROWS * by_length(denominator / tokens, tokens, 1.0)
    return np.asarray(np.exp(np.maximum(farther - asked, 0.0) + grows))


def hides_tail(denominator: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Whether a denominator of few documents may have a tail below 0 of which they show nothing: (…,).

    A weak one passes for strong when its text happens to lack that tail, and is then strongly wrong.
    Below `SHOWN` documents it is believed only where it leans away from 0, or, of `SCANTY` and more, toward
    it, so that its tail is shown and counted; where none of its documents is near or below 0; or where it is far
    from 0 itself. Found by simulation, as all here.

    Args:
        denominator: (…, document) sums.
        tokens: (…, document) all above 0.
    """
    total = denominator.sum(-1)
    if (n := tokens.shape[-1]) >= SHOWN:
        return np.zeros(np.shape(total), dtype=bool)
    rates, far = denominator / tokens, FAR * _error(denominator, tokens)
    tau = shape(np.stack([rates, left_out(denominator, tokens)]))[0]
    clear = rates.min(-1) > (
        CLEAR + CLEARER * _fewer(SCANTY, n) * (tau[0] < 0)
    ) * total / tokens.sum(-1)
    shown = (tau < 0).all(0) & (n >= SCANTY)
    return np.asarray(~((tau[0] > LEANS) | shown | clear | (total > far)))


def reach(documents: int) -> float:
    """How far an end may be from a ratio: see `REACH`."""
    return REACH if documents < PLENTY else FARTHEST


def says_nothing(value: float, low: float, high: float, documents: int) -> bool:
    """Whether an end of a ratio's interval is out of all proportion; see `REACH`.

    >>> says_nothing(-0.08, -9912.0, 1.8, 8), says_nothing(-92.0, -151.0, -55.0, 8)
    (True, False)
    """
    return max(value - low, high - value) > reach(documents) * max(1.0, abs(value))


def quantile(documents: float, level: float) -> float:
    """Of Student's t, two-sided."""
    return -float(stdtrit(documents - 1, (1 - level) / 2))


def shape(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L-skewness and skewness along the last axis; 0 where nothing varies by more than rounding."""
    mean, scale, third = l_moments(x)
    size = np.abs(x).max(-1)
    centred = x - mean[..., None]
    squares = centred * centred
    variance = squares.mean(-1)
    cubes = np.einsum("...i,...i->...", squares, centred) / x.shape[-1]
    varies = (scale > ROUNDING * size) & (variance > 0)
    tau = np.divide(third, scale, out=np.zeros_like(scale), where=varies)
    gamma = np.divide(cubes, variance**1.5, out=np.zeros_like(scale), where=varies)
    return tau, gamma


def l_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """λ₁, λ₂ and λ₃ along the last axis, unbiased (Hosking 1990, equation 2.5 and below)."""
    first, second, third = np.moveaxis(np.sort(x, axis=-1) @ _weights(x.shape[-1]), -1, 0)
    return first, second, third


@lru_cache(maxsize=8)
def _weights(n: int) -> np.ndarray:
    """What sorted values count for in each L-moment, (n, 3): shifted Legendre polynomials of rank."""
    place = np.arange(n)
    once, twice = place / (n - 1), place * (place - 1) / ((n - 1) * (n - 2))
    weights = np.stack([np.ones(n), 2 * once - 1, 6 * twice - 6 * once + 1], axis=1) / n
    weights.flags.writeable = False
    return weights

"""What tails ask of a t interval, of what is measured and of how long documents are: factors for Student's quantile."""

from __future__ import annotations

import math

import numpy as np

from unexplained.intervals.documents import PLENTY, SHOWN, TINY, fewer, quantile, shape, worth

VARIES = 0.15
"""Coefficient of variation of documents below which tails count less: what hardly varies for its size cannot
be undone by what a text lacks. Of fewer than `PLENTY` of documents in proportion less, for they may lack more."""

TIED, TIED_FEW = 30.0, 0.7
"""What `by_length` counts for in what is to be divided by, of fewer than `PLENTY` of documents times PLENTY/n to the second."""

LONG, LONG_UNSEEN, MATTERS = 0.08, 0.06, 0.5
"""L-skewness of the logarithms of lengths (0 of lognormal ones, ⅓ of Pareto's) from which their tail is long;
what is counted, for a denominator, of fewer than `SHOWN` documents whatever they show, where lengths vary by a factor of e;
and N/n − 1 (`worth`) from which lengths matter fully to it."""

VARIED = 0.25
"""Squared coefficient of variation of lengths from which their tail counts in full; in proportion less below."""

UNEQUAL, MOST_UNEQUAL = 2.0, 2.0
"""By how much more surely a denominator is told from 0 where lengths make its documents unequal, of
`PLENTY` of documents or more; and what N/n − 1 counts for at most. See the module."""

MOST = 5.0
"""An estimate that is no ratio is not lengthened further: where tails ask for more, nothing is known."""


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
        unseen_tail = LONG_UNSEEN * float(fewer(SHOWN, many))
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

"""All components on few documents, the rest of the work on those that could matter.

What is kept is measured on other documents: those that chose it flatter it. What was let go is
not taken on trust: some of it, drawn at random, is measured there too, which bounds how many of
the rest matter, whatever the effects are distributed like.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, stdtrit
from scipy.stats import hypergeom

from unexplained.errors import MeasurementError, require_count
from unexplained.estimators.columns import ratios
from unexplained.record import Number
from unexplained.stats import FEWEST_DOCUMENTS, NATS, written


@dataclass(frozen=True)
class Selection:
    """Which components go on to other documents, and why the others do not."""

    kept: tuple[int, ...]
    """Places of the components whose effect could reach the bar, in order."""
    rejected: tuple[int, ...]
    """Places of the others."""
    reasons: tuple[str, ...]
    """One sentence for every component, kept or not."""
    bar: float
    """The threshold, or the least that the `keep`-th largest effect can be (per token)."""
    level: float
    documents: int
    """That chose. Nothing about a kept component should be reported on them."""


@dataclass(frozen=True)
class Bound:
    """How many of the rejected exceed the threshold, at most, from a random sample of them."""

    sampled: int
    exceeding: int
    """Of the sampled."""
    rejected: int
    count: int
    """Upper bound on how many of all rejected exceed it, those of the sample included."""
    binomial_share: float
    """The bound on their share if the sample were drawn from endlessly many (Clopper and Pearson
    1934): never below `share`. Of use where `rejected` itself is a sample of something larger."""
    level: float

    @property
    def share(self) -> float:
        """`count` as a share of the rejected; 0 where nothing was rejected."""
        return self.count / self.rejected if self.rejected else 0.0


@dataclass(frozen=True)
class Missed:
    """What racing let go of, said of the documents measured and of documents like them."""

    here: Bound
    """Of the rejected, how many have an effect on these very documents that reaches the threshold.
    Exact, with no assumption but that the sample was random. This is the one to print."""
    anywhere: Bound
    """The same for effects over documents like these: a sampled component counts as exceeding
    unless its confidence bound is below the threshold. With few documents this is nearly all."""


def survivors(
    effects: np.ndarray,
    tokens: np.ndarray,
    *,
    keep: int | None = None,
    threshold: float | None = None,
    level: float = 0.95,
    unit: str = NATS,
) -> Selection:
    """Keep the components whose effect per token, either way, could be among the ones sought.

    The effect of a component lies within q standard errors of its mean per token, q a quantile of
    Student's t, lengthened for the tails of its documents (`tails`). With a `threshold`, those whose greatest possible size is below it are let go;
    with `keep`, those whose greatest possible size is below the `keep`-th largest least possible
    one. With probability `level` not one component that belongs to the sought is let go.

    For C components a threshold takes q at the tail (1 − level)/C: only a component whose size
    reaches it can be wrongly let go, and only by an error to one side. `keep` = k takes
    (1 − level)/(2C − k + 2): one side for each of the k largest, and both for each of the other
    C − k and the k-th, whose least sizes make the bar. With equal tokens and normal documents this
    holds exactly, however the components depend on each other; otherwise as well as a t interval
    so far out. It misleads when an effect lives in few documents and those are not among these:
    `missed_among` finds that out.

    Args:
        effects: (component, document) sums of each component's effect.
        tokens: (document,) tokens.
        keep: How many of the largest are sought; or else
        threshold: The size that is sought, per token.
        level: Probability that none of the sought is let go.
        unit: Unit of effects per token, for the reasons.

    Raises:
        MeasurementError: Not exactly one of `keep` and `threshold`, one that cannot be, fewer than
            `FEWEST_DOCUMENTS` documents, or an entry that is NaN or infinite.

    >>> effects = np.array([[9.0, 11, 10, 9, 11], [0, 0.1, 0, -0.1, 0], [-5, -4, -6, -5, -5]])
    >>> selection = survivors(effects, np.full(5, 10), threshold=0.1)
    >>> selection.kept, selection.rejected
    ((0, 2), (1,))
    >>> selection.reasons[1]
    'rejected: 0.000 [−0.010, 0.010] nats per token cannot reach the threshold, 0.1'
    """
    found = ratios(effects, tokens, fewest=FEWEST_DOCUMENTS)
    count = found.mean.size
    if (keep is None) == (threshold is None):
        raise MeasurementError("A race", "it takes either `keep` or `threshold`, and not both")
    if keep is not None:
        require_count("keep", keep, least=1, why="nothing could be let go")
    if threshold is not None and not 0 < threshold < np.inf:
        raise MeasurementError(
            f"A race for size {threshold}", "nothing could be let go", "Give a number above 0."
        )
    tails = count if keep is None else max(2 * count - keep + 2, count)
    low, high = found.ends(_quantile(level, tails, found.documents))
    greatest = np.maximum(np.abs(low), np.abs(high))
    if threshold is not None:
        bar = threshold
    elif keep is not None and keep <= count:
        least = np.maximum(np.maximum(low, -high), 0.0)
        bar = float(np.sort(least)[count - keep])
    else:
        bar = 0.0
    stays = greatest >= bar
    what = "the threshold" if keep is None else f"the least size of the {keep} largest"
    reasons = tuple(
        f"{'kept' if stays[i] else 'rejected'}: {_stated(found.mean[i], low[i], high[i])} {unit} "
        f"{'can reach' if stays[i] else 'cannot reach'} {what}, {bar:.2g}"
        for i in range(count)
    )
    kept, rejected = np.flatnonzero(stays).tolist(), np.flatnonzero(~stays).tolist()
    return Selection(tuple(kept), tuple(rejected), reasons, bar, level, found.documents)


def missed(sampled: int, exceeding: int, rejected: int, *, level: float = 0.95) -> Bound:
    """Bound how many of the rejected exceed a threshold, from a random sample without repetition.

    The largest number D of exceeding components for which as few as were found would still turn
    up with a probability above 1 − level: P(H ≤ exceeding) > 1 − level, H hypergeometric with D
    of `rejected` marked and `sampled` drawn. A larger D is refuted at that level, so the bound
    holds with a probability of at least `level` for every true number.

    Args:
        sampled: How many rejected components were drawn and measured.
        exceeding: How many of those exceed the threshold.
        rejected: How many there are, those of the sample included.
        level: Probability that the bound holds.

    Raises:
        MeasurementError: The three numbers do not fit, or the level is not between 0 and 1.

    >>> missed(20, 0, 100).count
    12
    >>> round(missed(20, 0, 100).binomial_share, 3)
    0.139
    >>> missed(100, 3, 100).count
    3
    """
    _level(level)
    for name, count in (("sampled", sampled), ("exceeding", exceeding), ("rejected", rejected)):
        require_count(name, count, least=0)
    if not 0 <= exceeding <= sampled <= rejected:
        raise MeasurementError(
            f"A bound from {exceeding} exceeding of {sampled} sampled of {rejected} rejected",
            "each is to be at most the next, and none below 0",
        )
    # P falls as D grows: halve the interval between one that stands and one that does not.
    stands, beyond = exceeding, rejected - (sampled - exceeding) + 1
    while beyond - stands > 1:
        middle = (stands + beyond) // 2
        likely = float(hypergeom.cdf(exceeding, rejected, middle, sampled))
        stands, beyond = (middle, beyond) if likely > 1 - level else (stands, middle)
    share = 1.0
    if exceeding < sampled:
        share = float(betaincinv(exceeding + 1, sampled - exceeding, level))
    return Bound(sampled, exceeding, rejected, stands, share, level)


def missed_among(
    effects: np.ndarray,
    tokens: np.ndarray,
    *,
    rejected: int,
    threshold: float,
    level: float = 0.95,
) -> Missed:
    """Bound what was missed from rejected components measured on the documents of the report.

    The components must have been drawn at random from the rejected (`at_random`) and measured on
    documents that did not reject them.

    `anywhere` splits what may go wrong in two: half for a sampled component of sufficient size
    that looks below it (one side, as many as were sampled), half for the draw of the sample.

    Args:
        effects: (sampled component, document) sums of each one's effect.
        tokens: (document,) tokens.
        rejected: How many were rejected, those of the sample included.
        threshold: The size per token, either way, from which on one was wrongly let go.
        level: Probability that a bound holds, for each of the two.

    Raises:
        MeasurementError: As for `survivors` and `missed`.
    """
    found = ratios(effects, tokens, fewest=FEWEST_DOCUMENTS)
    sampled, size = found.mean.size, np.abs(found.mean)
    here = missed(sampled, int((size >= threshold).sum()), rejected, level=level)
    half = (1 + level) / 2
    low, high = found.ends(_quantile(half, sampled, found.documents))
    could = int((np.maximum(np.abs(low), np.abs(high)) >= threshold).sum())
    return Missed(here, missed(sampled, could, rejected, level=half))


def _quantile(level: float, tails: int, documents: int) -> float:
    """Of Student's t, so that together `tails` tails have the probability 1 − level."""
    _level(level)
    return -float(stdtrit(documents - 1, (1 - level) / tails))


def _level(level: float) -> None:
    if not 0 < level < 1:
        raise MeasurementError(f"A bound at level {level}", "a level lies between 0 and 1")


def _stated(mean: float, low: float, high: float) -> str:
    return written(Number(value=float(mean), low=float(low), high=float(high)))
